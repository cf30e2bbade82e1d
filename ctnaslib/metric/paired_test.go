package metric

import (
	"math"
	"testing"
)

// The expected values were printed by SciPy 1.17.1, run by hand:
//
//	r = scipy.stats.ttest_rel([93.9, 94.1, 93.7, 93.95, 94.02], [93.5, 93.9, 93.8, 93.4, 93.6])
//	print(r.pvalue, r.confidence_interval(0.95))
func TestPaired(t *testing.T) {
	a, b := []float64{93.9, 94.1, 93.7, 93.95, 94.02}, []float64{93.5, 93.9, 93.8, 93.4, 93.6}
	want := PairedTest{Difference: 0.294, Low: -0.020560325392539824, High: 0.6085603253925393, P: 0.060366917933260315}
	got, err := Paired(a, b)
	if err != nil {
		t.Fatal(err)
	}
	check := func(name string, got, want float64) {
		if math.Abs(got-want) > 1e-9 {
			t.Errorf("%s is %.12f, want %.12f", name, got, want)
		}
	}
	check("difference", got.Difference, want.Difference)
	check("low", got.Low, want.Low)
	check("high", got.High, want.High)
	check("p", got.P, want.P)

	swapped, err := Paired(b, a)
	if err != nil {
		t.Fatal(err)
	}
	check("difference the other way round", swapped.Difference, -want.Difference)
	check("low the other way round", swapped.Low, -want.High)
	check("p the other way round", swapped.P, want.P)
}

func TestPairedConstantDifferences(t *testing.T) {
	same, err := Paired([]float64{1, 2}, []float64{1, 2})
	if want := (PairedTest{P: 1}); err != nil || same != want {
		t.Errorf("the same values: %+v, %v; want %+v", same, err, want)
	}
	shifted, err := Paired([]float64{2, 3}, []float64{1, 2})
	if want := (PairedTest{Difference: 1, Low: 1, High: 1}); err != nil || shifted != want {
		t.Errorf("always one more: %+v, %v; want %+v", shifted, err, want)
	}
}

func TestPairedErrors(t *testing.T) {
	for name, test := range map[string][2][]float64{
		"lengths": {{1, 2, 3}, {1, 2}},
		"too few": {{1}, {1}},
		"nan":     {{1, math.NaN()}, {1, 2}},
		"inf":     {{1, math.Inf(1)}, {1, 2}},
	} {
		if got, err := Paired(test[0], test[1]); err == nil {
			t.Errorf("%s: got %+v, want an error", name, got)
		}
	}
}
