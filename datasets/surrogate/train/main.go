// Command train makes the surrogate of NAS-Bench-101 anew from the real table:
//
//	GOEXPERIMENT=simd go run ./datasets/surrogate/train
//
// It trains the network, measures it on cells that it never saw, and writes
// weights.bin, card.json and README.md to the folder of the package. The table is
// looked for as [datasets.OpenNASBench101] does; CTNAS_DATA may name its folder.
//
// Training takes some tens of minutes on 2 cores. It continues where it was
// interrupted, and what it leads to does not depend on the number of cores.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/ctnas/ctnas/datasets"
)

func main() {
	out := flag.String("out", filepath.Join("datasets", "surrogate"), "`folder` for weights.bin, card.json and README.md")
	runs := flag.String("runs", ".ctnas", "`folder` for the run directory, which holds the checkpoints")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *out, *runs); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out, runs string) error {
	table, err := datasets.OpenNASBench101(ctx, "")
	if err != nil {
		return err
	}
	fmt.Println(table.Source())
	if table.Source().Kind != datasets.Real {
		return fmt.Errorf("a surrogate is trained on the real table, not on: %v", table.Source())
	}
	parts := split(table)
	m, training, err := fit(ctx, runs, parts)
	if err != nil {
		return err
	}
	card, err := measure(ctx, m, parts)
	if err != nil {
		return err
	}
	card.Data = table.Source().Description
	card.Training = *training
	return write(out, m, card)
}
