// Program figures makes the results of the folders beside it, by running the paper's
// experiments:
//
//	go run ./figures table4                 # at the size of the paper
//	go run ./figures -preset small table4   # in minutes, into runs/small
//
// A run that was stopped continues. GOEXPERIMENT=simd makes it two to three times as
// fast, an XLA plugin faster still.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/experiment"
	"github.com/ctnas/ctnas/ctnaslib/nb"
	"github.com/ctnas/ctnas/datasets"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	ids := strings.Join(slices.Sorted(maps.Keys(experiment.All)), ", ")
	flags := flag.NewFlagSet("figures", flag.ContinueOnError)
	preset := flags.String("preset", string(experiment.Paper), "small or paper")
	runs := flags.String("runs", "runs", "folder of the run directories")
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), "usage: go run ./figures [flags] EXPERIMENT...\nexperiments: %s\n", ids)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return fmt.Errorf("figures: %w", err)
	}
	if p := experiment.Preset(*preset); p != experiment.Small && p != experiment.Paper {
		return fmt.Errorf("figures: unknown preset %q; use small or paper", *preset)
	}
	if flags.NArg() == 0 {
		return fmt.Errorf("figures: name an experiment: %s", ids)
	}
	backend, err := engine.Open()
	if err != nil {
		return err
	}
	for _, id := range flags.Args() {
		e, ok := experiment.All[id]
		if !ok {
			return fmt.Errorf("figures: unknown experiment %q; there are %s", id, ids)
		}
		fmt.Printf("%s, preset %s, backend %s\n", id, *preset, engine.Describe(backend))
		result, err := e.Run(ctx, *runs, backend, experiment.Preset(*preset), nb.Progress(id))
		if err != nil {
			return err
		}
		// Only the paper's size, not on a surrogate, is a result to keep beside this program.
		dir := filepath.Join("figures", id)
		if experiment.Preset(*preset) != experiment.Paper || result.Source == string(datasets.Surrogate) {
			dir = filepath.Join(*runs, *preset, id)
		}
		shown := result.Table(e.Columns...)
		if err := result.WriteFiles(dir, shown, e.Figures(result)...); err != nil {
			return err
		}
		fmt.Printf("%s\nwritten to %s\n", shown.Markdown(), dir)
	}
	return nil
}
