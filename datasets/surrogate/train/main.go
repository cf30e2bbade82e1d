// Command train makes the surrogate of NAS-Bench-101 again from the real table:
//
//	GOEXPERIMENT=simd go run ./datasets/surrogate/train
//
// It trains the network, measures it on cells that it never saw, and writes
// weights.bin, card.json and README.md to the folder of the package. The table is
// looked for as [datasets.OpenNASBench101] does; CTNAS_DATA may name its folder.
//
// Training takes about three quarters of an hour on 2 cores. It continues where it was
// interrupted.
package main

import (
	"context"
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/datasets/internal/training"
)

func main() { training.Main("datasets/surrogate", run) }

func run(ctx context.Context, out string) error {
	backend, err := engine.Open()
	if err != nil {
		return err
	}
	table, err := datasets.OpenNASBench101(ctx, "")
	if err != nil {
		return err
	}
	fmt.Println(table.Source())
	if table.Source().Kind != datasets.Real {
		return fmt.Errorf("a surrogate is trained on the real table, not on: %v", table.Source())
	}
	parts := split(table)
	m, facts, err := fit(ctx, backend, checkpoints, parts)
	if err != nil {
		return err
	}
	card, err := measure(ctx, backend, m, parts)
	if err != nil {
		return err
	}
	card.Data, card.Training = table.Source().Description, *facts
	return training.Write(out, m.Encode(), card, page)
}

// checkpoints is the folder for the run directory.
const checkpoints = ".ctnas"
