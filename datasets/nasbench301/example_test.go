package nasbench301_test

import (
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/darts"
	"github.com/ctnas/ctnas/datasets/nasbench301"
)

// A search's queries, answered by the model that is always there.
func Example() {
	benchmark := space.Count(nasbench301.Embedded().Benchmark())
	for range 2 {
		accuracy, err := benchmark.Validation(darts.DARTSV2)
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s: %.4f\n", benchmark.Source(), accuracy)
	}
	fmt.Println(benchmark.Queries(), "query")
	// Output:
	// surrogate: 0.9296
	// surrogate: 0.9296
	// 1 query
}
