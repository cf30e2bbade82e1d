package search_test

import (
	"context"
	"fmt"
	"os"

	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/datasets/ofa"
)

// Random search and regularised evolution with the same number of queries, on the MobileNetV3 space.
func Example() {
	s, err := mobilenetv3.New(mobilenetv3.OFA(), 600e6)
	if err != nil {
		fmt.Println(err)
		return
	}
	benchmark, err := ofa.Embedded().Benchmark(s)
	if err != nil {
		fmt.Println(err)
		return
	}
	dir, _ := os.MkdirTemp("", "runs")
	defer os.RemoveAll(dir)
	problem := search.Problem{Benchmark: benchmark}
	random, err := search.Random(context.Background(), dir, problem, search.RandomConfig{Labels: 200, Seed: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	evolved, err := search.Evolution(context.Background(), dir, problem, search.EvolutionConfig{Labels: 200, Population: 50, Tournament: 10, Seed: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	a, _ := benchmark.Validation(random.Best)
	b, _ := benchmark.Validation(evolved.Best)
	fmt.Println(random.Queries, evolved.Queries, "queries; evolution found a better network:", b > a)
	// Output: 200 200 queries; evolution found a better network: true
}
