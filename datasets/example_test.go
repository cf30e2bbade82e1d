package datasets_test

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/datasets"
)

// A search asks the table's benchmark, and a report tells how good what it found really is.
func Example() {
	table, err := datasets.OpenSurrogate(context.Background())
	if err != nil {
		panic(err)
	}
	fmt.Println(table.Source())

	benchmark := space.Count(table.Benchmark())
	archs, err := benchmark.Sample(rand.New(rand.NewPCG(1, 2)), 3)
	if err != nil {
		panic(err)
	}
	for _, a := range archs {
		validation, err := benchmark.Validation(a)
		if err != nil {
			panic(err)
		}
		rank, err := table.Report().RankPercent(a)
		if err != nil {
			panic(err)
		}
		fmt.Printf("%v: validation accuracy %.4f, among the best %.0f %%\n", a, validation, rank)
	}
	fmt.Println(benchmark.Queries(), "queries")
	// Output:
	// a surrogate of NAS-Bench-101, 423,624 cells: predictions of a model of the benchmark, not the published measurements
	// 110001100001000100111:BBAAB: validation accuracy 0.9315, among the best 21 %
	// 110100000011000100101:MAMBB: validation accuracy 0.9257, among the best 35 %
	// 110100100001000011101:ABMAA: validation accuracy 0.9208, among the best 39 %
	// 3 queries
}

// Assets are files that the library can use; [datasets.Fetch] downloads one.
func ExampleAssets() {
	for _, a := range datasets.Assets() {
		fmt.Println(a.Path)
	}
	// Output:
	// nasbench101/nasbench_only108.tfrecord
	// nasbench101/nas_bench.json
	// cifar10/cifar-10-binary.tar.gz
	// ofa/acc_predictor.pth
	// ofa/ofa_mbv3_d234_e346_k357_w1.2
	// ofa/measured_w1.0.csv.gz
	// nasbench301/yahpo_nb301_model_v2.onnx
}
