package ofa_test

import (
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/datasets/ofa"
)

// The accuracies of the smallest and of the largest network, by the model that is always there.
func Example() {
	small, err := mobilenetv3.Uniform(mobilenetv3.MinDepth, mobilenetv3.Block{Kernel: 3, Expansion: 3})
	if err != nil {
		panic(err)
	}
	large, err := mobilenetv3.Uniform(mobilenetv3.MaxDepth, mobilenetv3.Block{Kernel: 7, Expansion: 6})
	if err != nil {
		panic(err)
	}
	p := ofa.Embedded()
	fmt.Println(p.Source().Kind)
	for _, accuracy := range p.Accuracies([]mobilenetv3.Net{small, large}) {
		fmt.Printf("%.3f\n", accuracy)
	}
	// Output:
	// surrogate
	// 0.777
	// 0.836
}
