package metric

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// PairedTest is the outcome of [Paired].
type PairedTest struct {
	Difference float64 // mean of a − b
	Low, High  float64 // its 95 % confidence interval
	P          float64 // two-sided: how likely so large a difference is by chance alone
}

// Paired returns the paired t-test of two methods that were run with the same seeds: a[i] and b[i] are what they
// reached with seed i. It takes the differences to be normal. If all of them are the same, the interval has no width,
// and P is 1 for no difference and 0 for any other.
//
// The error says that the slices differ in length, have fewer than two values, or hold one that is not finite or
// differs too much from another to compute with.
func Paired(a, b []float64) (PairedTest, error) {
	n := len(a)
	if len(b) != n {
		return PairedTest{}, fmt.Errorf("metric: a paired test needs a value of each method for each seed, got %d and %d", n, len(b))
	}
	if n < 2 {
		return PairedTest{}, fmt.Errorf("metric: a paired test needs at least two seeds, got %d", n)
	}
	differences := make([]float64, n)
	for i := range differences {
		differences[i] = a[i] - b[i]
		if math.IsNaN(differences[i]) || math.IsInf(differences[i], 0) {
			return PairedTest{}, fmt.Errorf("metric: the values of seed %d, %g and %g, have no difference", i, a[i], b[i])
		}
	}
	mean, deviation := stat.MeanStdDev(differences, nil)
	if math.IsNaN(mean) || math.IsInf(mean, 0) || math.IsNaN(deviation) || math.IsInf(deviation, 0) {
		return PairedTest{}, fmt.Errorf("metric: the differences %g are too large for a paired test", differences)
	}
	if deviation == 0 {
		test := PairedTest{Difference: mean, Low: mean, High: mean}
		if mean == 0 {
			test.P = 1
		}
		return test, nil
	}
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(n - 1)}
	standardError := stat.StdErr(deviation, float64(n))
	half := t.Quantile(0.975) * standardError
	return PairedTest{
		Difference: mean, Low: mean - half, High: mean + half,
		P: 2 * t.CDF(-math.Abs(mean)/standardError),
	}, nil
}

// Holm adjusts the p-values of several tests by Holm's step-down method (1979), so that the chance of any false
// finding among those with an adjusted value of at most 0.05 is at most 0.05, however the tests depend on one
// another. The smallest of n values is multiplied by n, the next by n − 1, and so on; no adjusted value is above 1,
// or below that of a smaller value. They are in the order of p.
//
// A value that is not a probability, such as NaN, counts as a test that found nothing, and its adjusted value is NaN.
func Holm(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	known := func(i int) bool { return 0 <= p[i] && p[i] <= 1 }
	slices.SortFunc(order, func(i, j int) int {
		switch {
		case known(i) && known(j):
			return cmp.Compare(p[i], p[j])
		case known(i):
			return -1
		case known(j):
			return 1
		}
		return 0
	})
	adjusted := make([]float64, len(p))
	least := 0.0
	for rank, i := range order {
		if !known(i) {
			adjusted[i] = math.NaN()
			continue
		}
		least = max(least, min(float64(len(p)-rank)*p[i], 1))
		adjusted[i] = least
	}
	return adjusted
}
