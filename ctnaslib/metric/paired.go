package metric

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// PairedTest is the outcome of [Paired].
type PairedTest struct {
	Difference float64 // mean of a − b
	Low, High  float64 // its 95 % confidence interval
	P          float64 // two-sided: how likely so large a difference is by chance alone
}

// Paired is the paired t-test of two methods that were run with the same seeds: a[i]
// and b[i] are what they reached with seed i. It takes the differences to be normal.
// If all of them are the same, the interval has no width, and P is 1 for no
// difference and 0 for any other.
//
// The error says that the slices differ in length, have fewer than two values, or
// hold one that is not finite.
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
