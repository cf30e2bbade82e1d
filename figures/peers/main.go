// Peers measures this library beside the code of the paper's authors, on one machine in one run: how long training the
// comparator takes, and the whole search, both as released, with the same labels; and single operations at a layer's size.
//
//	GOEXPERIMENT=simd go run ./figures/peers                                            ours: pure Go, and XLA if it is there
//	GOEXPERIMENT=simd go run ./figures/peers -python PYTHON -authors CHECKOUT           theirs beside
//	GOEXPERIMENT=simd go run ./figures/peers -table1 10                                 Table 1's five methods instead, with ten seeds
//	go run ./figures/peers -rehearse -o /tmp/peers                                      all of it small
//	go run ./figures/peers -table figures/peers                                         makes table.md again from result.json
//
// PYTHON has torch, numpy, scipy, networkx and tensorboard; CHECKOUT is a clone of the authors' repository, of which nothing
// is changed or kept. Each measurement is a process of its own, one after another: pure Go, XLA, theirs, and so three times.
// XLA is the backend of $GOMLX_BACKEND where that is one, else what "go run ./kernel-setup install" installed. Table 1
// is run on the backend of $GOMLX_BACKEND alone, with its run directories in a temporary folder.
//
// It wants a machine that does nothing else, for half an hour, and writes result.json and table.md into -o after each
// round; the other part of what is there stays. The data is that of $CTNAS_DATA, or the surrogate, and the result says which.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // A second Ctrl-C ends the program at once.
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// options are what the program was told.
type options struct {
	out             string
	rehearse        bool
	python, authors string // both or none
	seeds           int    // of Table 1; 0: the peers are measured
	methods         string // of Table 1, a regular expression
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	var o options
	flags.StringVar(&o.out, "o", "", "folder for result.json and table.md; without it, figures/peers")
	flags.BoolVar(&o.rehearse, "rehearse", false, "do everything small")
	flags.StringVar(&o.python, "python", "", "a Python with torch, to run the authors' code")
	flags.StringVar(&o.authors, "authors", "", "a checkout of the authors' repository")
	flags.IntVar(&o.seeds, "table1", 0, "measure Table 1 with so many seeds instead")
	flags.StringVar(&o.methods, "methods", fiveMethods, "a regular expression: of Table 1 only methods whose names match")
	table := flags.String("table", "", "only make table.md again from the result.json in this folder")
	job := flags.String("job", "", "for the program itself: what to measure in this process")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("there are no arguments but flags, not %q", flags.Arg(0))
	case *job != "":
		return doJob(ctx, *job)
	case *table != "":
		r, err := readResult(*table)
		if err != nil {
			return err
		}
		return r.write(*table)
	}
	if err := o.check(); err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "ctnas-peers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	if o.seeds > 0 {
		return o.measureTable1(ctx, folder)
	}
	return o.measurePeers(ctx, folder)
}

// check completes the options, and says what does not fit together.
func (o *options) check() error {
	switch {
	case o.seeds < 0:
		return fmt.Errorf("-table1 %d: a table cannot have so few seeds, give at least 1", o.seeds)
	case (o.python == "") != (o.authors == ""):
		return errors.New("the authors' code needs both -python, a Python with torch, and -authors, a checkout of their repository")
	case o.seeds > 0 && o.python != "":
		return errors.New("-table1 is measured without the authors' code: leave -python and -authors out")
	case o.rehearse && o.out == "":
		return errors.New("say with -o where the numbers of a rehearsal are to be written")
	case !o.rehearse && !strings.Contains(runtime.Version(), "simd"):
		return errors.New("pure Go would be measured without SIMD: GOEXPERIMENT=simd go run ./figures/peers")
	}
	if o.out == "" {
		o.out = filepath.Join("figures", "peers")
		if _, err := os.Stat(o.out); err != nil {
			return fmt.Errorf("say with -o where the numbers are to be written, or start in the root of the repository: %w", err)
		}
	}
	if _, err := readResult(o.out); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err // now, not after half an hour
	}
	return nil
}

// job is what a process is to measure, and what its answer is a function of.
type job struct {
	Part     string `json:"part"`   // a name of partSpeed
	Folder   string `json:"folder"` // for what the process writes; not there yet
	Rehearse bool   `json:"rehearse"`
	Seeds    int    `json:"seeds"`   // of Table 1
	Methods  string `json:"methods"` // of Table 1, a regular expression
}

// The parts that this program's own processes measure.
const (
	partSpeed  = "speed"
	partTable1 = "table1"
)

// doJob measures what the parent process asked for, and prints the numbers as JSON.
func doJob(ctx context.Context, text string) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return fmt.Errorf("-job is for the program itself: %w", err)
	}
	defer os.RemoveAll(j.Folder) // the parent does it too, unless it was killed
	measure := map[string]func(context.Context, job) (measured, error){partSpeed: measureSpeed, partTable1: runTable1}[j.Part]
	if measure == nil {
		return fmt.Errorf("-job is for the program itself: there is no part %q", j.Part)
	}
	m, err := measure(ctx, j)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(m)
}
