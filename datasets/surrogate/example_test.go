package surrogate_test

import (
	"context"
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/datasets/surrogate"
)

// The accuracies of a cell, and how much they vary between runs.
func Example() {
	cell, err := nasbench101.Parse("110011:AM")
	if err != nil {
		panic(err)
	}
	tests, err := surrogate.Predict(context.Background(), []nasbench101.Cell{cell})
	if err != nil {
		panic(err)
	}
	fmt.Printf("mean test accuracy %.4f, runs vary by %.4f\n", tests[0], surrogate.Spread(tests[0]))
	for run := range uint64(2) {
		fmt.Printf("validation accuracy of run %d: %.4f\n", run, surrogate.Validation(tests[0], cell.Hash(), run))
	}
	// Output:
	// mean test accuracy 0.9195, runs vary by 0.0021
	// validation accuracy of run 0: 0.9354
	// validation accuracy of run 1: 0.9253
}
