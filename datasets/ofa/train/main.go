// Command train makes the embedded model of Once-for-All's accuracy predictor anew:
//
//	go run ./datasets/ofa/train
//
// It asks the published predictor, which is looked for as [ofa.Open] does, for the
// accuracies of random networks, trains the model on them, measures it on others, and
// writes weights.bin, card.json and README.md to the folder of the package. This takes
// about a quarter of an hour on 2 cores, and leads to the same model on any number of them.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/datasets/ofa"
	"github.com/ctnas/ctnas/datasets/ofa/internal/mlp"
)

func main() {
	out := flag.String("out", filepath.Join("datasets", "ofa"), "`folder` for weights.bin, card.json and README.md")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	c := config{
		Hidden:       []int{240, 240},
		Networks:     600_000,
		Epochs:       20,
		Batch:        512,
		LearningRate: 0.002,
		Seed:         1,
	}
	if err := run(ctx, *out, c, 20_000); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run trains a model and measures it on so many fresh networks.
func run(ctx context.Context, out string, c config, fresh int) error {
	teacher, err := ofa.Open(ctx, "")
	if err != nil {
		return err
	}
	fmt.Println(teacher.Source())
	if teacher.Source().Kind != datasets.Real {
		return fmt.Errorf("the model is trained on the published predictor, not on: %v", teacher.Source())
	}
	model, err := fit(ctx, teacher, c)
	if err != nil {
		return err
	}
	// Measured is what will be read: the weights as they are written.
	if model, err = mlp.Decode(model.Encode()); err != nil {
		return err
	}
	measured, err := measure(teacher, model, fresh)
	if err != nil {
		return err
	}
	return write(out, model, card{Data: teacher.Source().Description, Training: c, Fresh: measured})
}
