package onceforall_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/ctnas/ctnas/ctnaslib/nn/nntest"
	"github.com/ctnas/ctnas/ctnaslib/onceforall"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
)

// A supernet shrinks for two steps a stage on drawn shapes of 4 pixels; then the smallest network, a part
// of it, has an accuracy.
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

	config := onceforall.Small(data.Classes)
	config.Resolution, config.BatchSize, config.Calibration = 4, 8, 8
	for i := range config.Stages {
		config.Stages[i].Steps, config.Stages[i].Warmup, config.Stages[i].Networks = 2, 0, 1
	}
	trained, err := onceforall.Train(ctx, root, onceforall.Training{Backend: backend, Data: data, Config: config})
	if err != nil {
		log.Fatal(err)
	}
	for i, m := range trained.Metrics {
		fmt.Println("round", i, "of stage:", config.Stages[int(m.Values["stage"])].Name)
	}
	smallest, err := mobilenetv3.Uniform(2, mobilenetv3.Block{Kernel: 3, Expansion: 3})
	if err != nil {
		log.Fatal(err)
	}
	accuracy, err := trained.Net.Validation(ctx, smallest)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(smallest, accuracy >= 0 && accuracy <= 1)
	// Output:
	// round 0 of stage: largest
	// round 1 of stage: elastic kernel
	// round 2 of stage: elastic depth, 1
	// round 3 of stage: elastic depth, 2
	// round 4 of stage: elastic width, 1
	// round 5 of stage: elastic width, 2
	// 3x3,3x3|3x3,3x3|3x3,3x3|3x3,3x3|3x3,3x3 true
}
