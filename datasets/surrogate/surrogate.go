// Package surrogate is a model of NAS-Bench-101 that is always there: its weights
// are part of the program. It gives every cell of the space a mean test accuracy,
// and as many runs' validation accuracies as wanted.
//
//	tests, err := surrogate.Predict(ctx, nasbench101.Enumerate())
//	v := surrogate.Validation(tests[0], hash, 0) // as the benchmark's one run would say
//	s := surrogate.Spread(tests[0])              // standard deviation between such runs
//
// All of them are functions of the cell alone: the same in every numbering of its
// vertices, on every machine and with any number of cores.
//
// README.md is the model card: what it was trained on and how good it is. The
// command in the folder train makes it and the weights again.
package surrogate

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/datasets/internal/weights"
	"github.com/ctnas/ctnas/datasets/surrogate/internal/model"
)

//go:embed weights.bin
var file []byte

var loaded = weights.Once(file, model.Decode)

// Version names the weights. It changes exactly when predictions do.
func Version() string { return weights.Version(file) }

// Predict returns the mean test accuracy of each cell, in [0, 1]: what runs that do
// not fail reach in the median. It works on all cores and fastest for many cells at
// once, as they share most of the work. The error is that of ctx.
func Predict(ctx context.Context, cells []nasbench101.Cell) ([]float64, error) {
	tests, err := loaded().Predict(ctx, cells)
	if err != nil {
		return nil, fmt.Errorf("surrogate: %w", err)
	}
	return tests, nil
}

// Validation returns the validation accuracy, after 108 epochs, of one run of the cell
// with this predicted test accuracy and module hash. Another run is another draw
// from the distribution that the real data shows at that accuracy.
func Validation(test float64, hash [16]byte, run uint64) float64 {
	return loaded().Noise.Validation(test, hash, run)
}

// Spread returns the standard deviation of [Validation] between the runs of a cell with
// this predicted test accuracy.
func Spread(test float64) float64 { return loaded().Noise.Spread(test) }
