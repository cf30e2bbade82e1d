package metric

import (
	"math"
	"testing"
)

// The expected values were printed by SciPy 1.17.1, run by hand:
//
//	p, y = [0.05, 0.15, 0.3, 0.35, 0.62, 0.7, 0.95, 1.0], [0, 1, 0, 1, 1, 0, 1, 1]
//	for values in (p, y): print(scipy.stats.binned_statistic(p, values, "mean", bins=5, range=(0, 1)).statistic)
func TestReliability(t *testing.T) {
	p := []float64{0.05, 0.15, 0.3, 0.35, 0.62, 0.7, 0.95, 1}
	happened := []bool{false, true, false, true, true, false, true, true}
	got, err := Reliability(p, happened, 5)
	if err != nil {
		t.Fatal(err)
	}
	want := []Bin{{0.1, 0.5, 2}, {0.325, 0.5, 2}, {0.66, 0.5, 2}, {0.975, 1, 2}}
	if len(got) != len(want) {
		t.Fatalf("bins %v, want %v", got, want)
	}
	for i, w := range want {
		if g := got[i]; math.Abs(g.Predicted-w.Predicted) > 1e-12 || math.Abs(g.Observed-w.Observed) > 1e-12 || g.Count != w.Count {
			t.Errorf("bin %d is %v, want %v", i, g, w)
		}
	}
}

func TestReliabilityErrors(t *testing.T) {
	yes := []bool{true}
	for name, test := range map[string]struct {
		p        []float64
		happened []bool
		bins     int
	}{
		"lengths":  {[]float64{0.1, 0.2}, yes, 3},
		"no bins":  {[]float64{0.1}, yes, 0},
		"above 1":  {[]float64{1.1}, yes, 3},
		"negative": {[]float64{-0.1}, yes, 3},
		"nan":      {[]float64{math.NaN()}, yes, 3},
	} {
		if got, err := Reliability(test.p, test.happened, test.bins); err == nil {
			t.Errorf("%s: got %v, want an error", name, got)
		}
	}
}
