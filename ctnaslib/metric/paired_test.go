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
		"lengths":  {{1, 2, 3}, {1, 2}},
		"too few":  {{1}, {1}},
		"nan":      {{1, math.NaN()}, {1, 2}},
		"nan in b": {{1, 2}, {math.NaN(), 2}},
		"inf":      {{1, math.Inf(1)}, {1, 2}},
		"too far":  {{1e308, -1e308}, {-1e308, 1e308}},
		"overflow": {{1e308, 1e308, 1e308}, {0, 0, 1}},
		"square":   {{1e200, -1e200, 1e200}, {0, 0, 1}},
	} {
		if got, err := Paired(test[0], test[1]); err == nil {
			t.Errorf("%s: got %+v, want an error", name, got)
		}
	}
}

// The values are computed by hand.
func TestHolm(t *testing.T) {
	nan := math.NaN()
	for _, test := range []struct{ p, want []float64 }{
		{[]float64{0.01, 0.04, 0.03, 0.005}, []float64{0.03, 0.06, 0.06, 0.02}},
		{nil, nil},
		{[]float64{0.04}, []float64{0.04}},
		{[]float64{0.02, 0.02, 0.02}, []float64{0.06, 0.06, 0.06}},
		{[]float64{0.3, 0.6, 0.001, 1}, []float64{0.9, 1, 0.004, 1}},
		{[]float64{0, 0.5, 0.5}, []float64{0, 1, 1}},
		{[]float64{nan, 0.01, 0.02}, []float64{nan, 0.03, 0.04}},
		{[]float64{0.02, 1.5, nan, -1, 0.001}, []float64{0.08, nan, nan, nan, 0.005}},
	} {
		got := Holm(test.p)
		if len(got) != len(test.want) {
			t.Fatalf("Holm(%v) = %v, want %v", test.p, got, test.want)
		}
		for i, want := range test.want {
			if math.Abs(got[i]-want) > 1e-12 || math.IsNaN(got[i]) != math.IsNaN(want) {
				t.Errorf("Holm(%v) = %v, want %v", test.p, got, test.want)
			}
		}
	}
}
