package risk_test

import (
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/risk"
)

// Two architectures whose order is the right one in 64 of 100 trainings: minimising the cross-entropy of noisy
// labels orders them, and the excess of one risk bounds that of the other.
func ExampleToy_Minimise() {
	toy := risk.Toy{Quality: []float64{1, 2}, Noise: 2, Seed: 1}
	fmt.Printf("%.2f\n", toy.Eta(1, 0))
	f, path := toy.Minimise(2000)
	last := path[len(path)-1]
	fmt.Println(f[1][0] > 0, f[0][1] < 0, last.Wrong, last.ExcessRanking <= last.Bound())
	// Output:
	// 0.64
	// true true 0 true
}
