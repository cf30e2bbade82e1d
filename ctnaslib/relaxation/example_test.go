package relaxation_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/ctnas/ctnas/ctnaslib/nn/nntest"
	"github.com/ctnas/ctnas/ctnaslib/relaxation"
	"github.com/ctnas/ctnas/ctnaslib/space/darts"
)

// DARTS searches for four steps on drawn shapes of 4 pixels, ends in a genotype, and labels a published
// one.
func Example() {
	root, err := os.MkdirTemp("", "runs")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(root)
	backend, data, err := nntest.Open()
	if err != nil {
		log.Fatal(err)
	}

	config := relaxation.Small(data.Classes)
	config.Side, config.BatchSize, config.Channels, config.Steps = 4, 4, 1, 4
	trained, err := relaxation.Train(context.Background(), root, relaxation.Training{Backend: backend, Data: data, Config: config})
	if err != nil {
		log.Fatal(err)
	}
	best, err := trained.Net.Best()
	if err != nil {
		log.Fatal(err)
	}
	label, err := trained.Benchmark(context.Background()).Validation(darts.DARTSV2)
	if err != nil {
		log.Fatal(err)
	}
	_, err = darts.Space{}.Parse(best.String())
	fmt.Println(trained.Status, err == nil, label >= 0 && label <= 1)
	// Output: trained true true
}
