// Program figures makes the results of the folders beside it, by running the paper's
// experiments:
//
//	go run ./figures table4                 # at the size of the paper
//	go run ./figures -preset small table4   # in minutes, into runs/small
//	go run ./figures -seeds 20 -methods 'CTNAS' table1   # of one's own choice, into runs/paper
//
// A run that was stopped continues. It computes on the plugin for XLA that kernel-setup has installed, where its size
// pays for that, else in pure Go, which GOEXPERIMENT=simd makes two to three times as fast.
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
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/experiment"
	"github.com/ctnas/ctnas/ctnaslib/nb"
	"github.com/ctnas/ctnas/internal/install"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// choice is what the arguments ask for.
type choice struct {
	preset  experiment.Preset
	runs    string // folder of the run directories
	seeds   int    // 0: as the preset has it
	methods *regexp.Regexp
	ids     []string
}

func run(ctx context.Context, args []string) error {
	c, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err == nil {
		err = install.UsePlugins()
	}
	if err != nil {
		return fmt.Errorf("figures: %w", err)
	}
	for _, id := range c.ids {
		if err := c.makeFigure(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// parse reads the arguments.
func parse(args []string) (choice, error) {
	names := strings.Join(slices.Sorted(maps.Keys(experiment.All)), ", ")
	var c choice
	flags := flag.NewFlagSet("figures", flag.ContinueOnError)
	preset := flags.String("preset", string(experiment.Paper), "small or paper")
	methods := flags.String("methods", "", "a regular expression: only methods whose names match are run")
	flags.StringVar(&c.runs, "runs", "runs", "folder of the run directories")
	flags.IntVar(&c.seeds, "seeds", 0, "how many seeds each method is run with; 0: as the preset has it")
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), "usage: go run ./figures [flags] EXPERIMENT...\nexperiments: %s\n", names)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	c.preset, c.ids = experiment.Preset(*preset), flags.Args()
	if c.preset != experiment.Small && c.preset != experiment.Paper {
		return c, fmt.Errorf("unknown preset %q; use small or paper", *preset)
	}
	if *methods != "" {
		var err error
		if c.methods, err = regexp.Compile(*methods); err != nil {
			return c, fmt.Errorf("-methods is not a regular expression: %w", err)
		}
	}
	if len(c.ids) == 0 {
		return c, fmt.Errorf("name an experiment: %s", names)
	}
	for _, id := range c.ids {
		if _, ok := experiment.All[id]; !ok {
			return c, fmt.Errorf("unknown experiment %q; there are %s", id, names)
		}
	}
	return c, nil
}

// makeFigure runs an experiment and writes its folder.
func (c choice) makeFigure(ctx context.Context, id string) error {
	e, err := experiment.All[id].With(c.seeds, c.methods)
	if err != nil {
		return fmt.Errorf("figures: %s: %w", id, err)
	}
	backend, err := e.Open(c.preset)
	if err != nil {
		return err
	}
	fmt.Printf("%s, preset %s, backend %s\n", id, c.preset, engine.Describe(backend))
	result, err := e.Run(ctx, c.runs, backend, c.preset, nb.Progress(id))
	if err != nil {
		return err
	}
	// Only the paper's size, whole and on real data as far as there is any, is a result to keep beside this program.
	dir := filepath.Join("figures", id)
	if c.preset != experiment.Paper || c.seeds != 0 || c.methods != nil || !e.Keeps(result) {
		dir = filepath.Join(c.runs, string(c.preset), id)
	}
	if result, err = e.Complete(os.DirFS(filepath.Dir(dir)), result); err != nil {
		return fmt.Errorf("figures: %s: %w", id, err)
	}
	shown := result.Table(e.Columns...)
	if err := result.WriteFiles(dir, shown, e.Figures(result)...); err != nil {
		return err
	}
	fmt.Printf("%s\nwritten to %s\n", shown.Markdown(), dir)
	return nil
}
