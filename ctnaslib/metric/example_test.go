package metric_test

import (
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/metric"
)

// How well a predictor ranks five architectures.
func ExampleKendallTau() {
	predicted := []float64{0.1, 0.4, 0.2, 0.8, 0.9}
	accuracy := []float64{0.90, 0.92, 0.93, 0.94, 0.95}
	tau, err := metric.KendallTau(predicted, accuracy)
	fmt.Printf("%.1f %v\n", tau, err)
	// Output: 0.8 <nil>
}

// Whether one of two methods is better, from runs with the same five seeds; and the same after two such tests.
func ExamplePaired() {
	test, err := metric.Paired([]float64{93.9, 94.1, 93.7, 93.95, 94.02}, []float64{93.5, 93.9, 93.8, 93.4, 93.6})
	fmt.Printf("%+.2f (%.2f to %.2f), p = %.2f, %v\n", test.Difference, test.Low, test.High, test.P, err)
	fmt.Printf("%.2f\n", metric.Holm([]float64{test.P, 0.01}))
	// Output:
	// +0.29 (-0.02 to 0.61), p = 0.06, <nil>
	// [0.06 0.02]
}

// Predictions of about 0.3 come true in half of the cases, those of about 0.9 always.
func ExampleReliability() {
	bins, err := metric.Reliability([]float64{0.3, 0.35, 0.9, 0.95}, []bool{true, false, true, true}, 2)
	for _, b := range bins {
		fmt.Printf("%.3f %.1f %d\n", b.Predicted, b.Observed, b.Count)
	}
	fmt.Println(err)
	// Output:
	// 0.325 0.5 2
	// 0.925 1.0 2
	// <nil>
}
