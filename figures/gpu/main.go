// Gpu proves that a GPU computes what pure Go computes, measures it, and trains on it with what time is left. It is made
// for a machine that is lent for minutes, without Go and without a network: figures/gpu/pack builds it here,
// figures/gpu/run starts it there, and figures/gpu/store keeps what came back.
//
//	go run ./figures/gpu -o OUT [-runs DIR] [-limit 10m] [-only WORD,...] [-steps 15]
//	go run ./figures/gpu -rehearse -o OUT        does all of it small, on any backend
//	go run ./figures/gpu -table figures/gpu      makes table.md again from the result.json there
//
// It writes result.json and table.md into OUT, as soon as there are numbers, so a run that is cut keeps what it has.
// Beside a cpu.json in the same folder, the same measured on a CPU, the table has columns of both.
//
// Each part is a process of its own, with a time limit of its own, in which a bad plugin can do no harm to the others:
// the proof, to 1e-4; products of matrices and convolutions; reading images; the comparator, the policy and whole
// searches; every network at its Paper size; memory by batch; two real trainings, which get a quarter of -limit. -only
// takes the parts whose names have one of the words, -steps is how many steps of each network are timed: a few are
// enough where each takes a minute, as on a CPU, where without -limit no part is cut. The backend is the one of
// $GOMLX_BACKEND, and the data of $CTNAS_DATA.
//
// A second run with the same -runs (by default OUT/runs) does what the first has not done. The exit status is 1 if a
// part failed; the other parts are done all the same.
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
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gpu:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("gpu", flag.ContinueOnError)
	var o options
	flags.StringVar(&o.out, "o", "", "folder for result.json and table.md")
	flags.StringVar(&o.runs, "runs", "", "folder of the trainings' run directories; without it, one in -o")
	flags.DurationVar(&o.limit, "limit", 0, "for all parts together; 0 is none")
	flags.BoolVar(&o.rehearse, "rehearse", false, "do everything small")
	flags.IntVar(&o.timed, "steps", 0, "steps of training to time; 0 is as many as a GPU takes")
	flags.StringVar(&o.only, "only", "", "the parts whose names have one of these, separated by commas")
	table := flags.String("table", "", "only make table.md again from the result.json in this folder")
	part := flags.String("part", "", "for the program itself: the part to do")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("there are no arguments but flags, not %q", flags.Arg(0))
	case o.timed < 0:
		return fmt.Errorf("-steps %d: give the number of steps to time, or 0", o.timed)
	case *table != "":
		r, err := readResult(filepath.Join(*table, "result.json"))
		if err != nil {
			return err
		}
		return r.write(*table)
	case *part != "":
		return doPart(ctx, *part, o)
	case o.out == "":
		return errors.New("say with -o where result.json is to be written")
	}
	for word := range strings.SplitSeq(o.only, ",") {
		if !slices.ContainsFunc(parts(o.rehearse), func(p plan) bool { return options{only: word}.wanted(p.name) }) {
			return fmt.Errorf("-only: no part has %q in its name; there are %s", word, names(parts(o.rehearse)))
		}
	}
	if o.runs == "" {
		o.runs = filepath.Join(o.out, "runs")
	}
	return o.all(ctx)
}

// options are what the program was told.
type options struct {
	out, runs string
	limit     time.Duration
	rehearse  bool
	only      string
	timed     int // steps of training, 0 for those of the size
}

// names returns the names of parts.
func names(parts []plan) string {
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	return strings.Join(names, "; ")
}

// wanted says whether a part is to be done.
func (o options) wanted(name string) bool {
	return slices.ContainsFunc(strings.Split(o.only, ","), func(word string) bool { return strings.Contains(name, word) })
}

// forTraining is the share of all the time that is kept for real training.
const forTraining = 0.25

// all does the parts one after another, without the ones that an earlier run with the same run
// directories has done. It returns the error of the first part that failed.
func (o options) all(ctx context.Context) error {
	before, err := o.earlier()
	if err != nil {
		return err
	}
	r := newResult(ctx, o)
	r.Elapsed = before.Elapsed
	maps.Copy(before.Machine, r.Machine) // what is known now goes before
	r.Machine = before.Machine
	start := time.Now()
	var first error
	for _, p := range parts(o.rehearse) {
		if done, ok := before.settled(p); ok {
			r.Parts = append(r.Parts, done)
			continue
		}
		if !o.wanted(p.name) {
			continue
		}
		limit := o.limitOf(p, time.Since(start))
		if limit < shortest || ctx.Err() != nil {
			r.Parts = append(r.Parts, part{Name: p.name, Ended: endedSkipped})
			continue
		}
		r, err = o.child(ctx, p, limit, r)
		if err != nil && first == nil {
			first = fmt.Errorf("%s: %w", p.name, err)
		}
		r.Elapsed = before.Elapsed + time.Since(start).Seconds()
		last := r.Parts[len(r.Parts)-1]
		fmt.Printf("%-56s %5.0f s of %4.0f s: %s\n", last.Name, last.Seconds, last.Limit, last.Ended)
		if err := o.write(r); err != nil {
			return err
		}
	}
	if err := o.write(r); err != nil {
		return err
	}
	return first
}

const (
	unlimited = 24 * time.Hour         // more than any part takes
	shortest  = 200 * time.Millisecond // with less, a part is not begun
)

// limitOf returns how much time a part has, when so much has passed.
func (o options) limitOf(p plan, passed time.Duration) time.Duration {
	left := o.limit - passed
	switch {
	case o.limit == 0 && p.rest > 0:
		return p.limit
	case o.limit == 0:
		return unlimited
	case p.rest > 0: // a training takes a share of what is left
		return time.Duration(p.rest * float64(left))
	}
	return min(p.limit, left-time.Duration(forTraining*float64(o.limit)))
}

// write writes the result to where it is wanted, and beside the run directories, for a run that goes on from here.
func (o options) write(r *result) error { return errors.Join(r.write(o.out), r.write(o.runs)) }

// earlier returns the result of an earlier run with the same run directories; an empty one where there
// is none.
func (o options) earlier() (*result, error) {
	r, err := readResult(filepath.Join(o.runs, "result.json"))
	if errors.Is(err, os.ErrNotExist) || err == nil && r.Rehearsal != o.rehearse {
		r, err = &result{}, nil
	}
	if err == nil && r.Machine == nil {
		r.Machine = map[string]string{}
	}
	return r, err
}
