package supernet_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/ctnas/ctnas/ctnaslib/nn/nntest"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/ctnaslib/supernet"
)

// Shared weights of all cells, trained by SPOS for a few steps on drawn shapes, label one cell of the
// space; then that cell is trained from scratch.
func Example() {
	ctx := context.Background()
	root, err := os.MkdirTemp("", "runs")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(root)
	backend, data, err := nntest.Open()
	if err != nil {
		log.Fatal(err)
	}
	cell, err := nasbench101.Parse("111010000010001100011:BAAAM")
	if err != nil {
		log.Fatal(err)
	}

	config := supernet.Small(supernet.SPOS, data.Classes)
	config.Steps = 10
	trained, err := supernet.Train(ctx, root, supernet.Training{Backend: backend, Data: data, Config: config})
	if err != nil {
		log.Fatal(err)
	}
	labels := trained.Benchmark(ctx)
	accuracy, err := labels.Validation(cell)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(trained.Status, labels.Source(), accuracy >= 0 && accuracy <= 1)

	scratch := supernet.SmallScratch(data.Classes)
	scratch.Epochs = 1
	alone, err := supernet.TrainFromScratch(ctx, root, supernet.ScratchTraining{Backend: backend, Data: data, Cell: cell, Config: scratch})
	if err != nil {
		log.Fatal(err)
	}
	params, err := supernet.BenchmarkSkeleton().Params(backend, cell)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(alone.Status, len(alone.Metrics), "round;", params, "parameters at the benchmark's size")
	// Output:
	// trained proxy true
	// trained 1 round; 2694282 parameters at the benchmark's size
}
