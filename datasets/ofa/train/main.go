// Command train makes the embedded model of Once-for-All's accuracy predictor again:
//
//	GOEXPERIMENT=simd go run ./datasets/ofa/train
//
// It asks the published predictor, which is looked for as [ofa.Open] does, for the
// accuracies of random networks, trains the model on them, measures it on others, and
// writes weights.bin, card.json and README.md to the folder of the package. It takes
// some ten minutes on 2 cores.
package main

import (
	"context"
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/datasets/internal/training"
	"github.com/ctnas/ctnas/datasets/ofa"
	"github.com/ctnas/ctnas/datasets/ofa/internal/mlp"
)

var configuration = config{training.Config{Epochs: 20, Batch: 512, LearningRate: 0.002, Seed: 1}, 600_000}

func main() {
	training.Main("datasets/ofa", func(ctx context.Context, out string) error { return run(ctx, out, configuration, 20_000) })
}

// run trains a model and measures it on so many fresh networks.
func run(ctx context.Context, out string, c config, fresh int) error {
	backend, err := engine.Open()
	if err != nil {
		return err
	}
	teacher, err := ofa.Open(ctx, "")
	if err != nil {
		return err
	}
	fmt.Println(teacher.Source())
	if teacher.Source().Kind != datasets.Real {
		return fmt.Errorf("the model is trained on the published predictor, not on: %v", teacher.Source())
	}
	parts, err := fit(ctx, backend, teacher, c)
	if err != nil {
		return err
	}
	// Measured is what will be read: the weights as they are written.
	data := mlp.Encode(parts)
	if parts, err = mlp.Decode(data); err != nil {
		return err
	}
	measured, err := measure(teacher, mlp.New(parts), fresh)
	if err != nil {
		return err
	}
	return training.Write(out, data, newCard(teacher.Source().Description, c, measured), page)
}
