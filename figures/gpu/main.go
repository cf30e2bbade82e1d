// Program gpu proves that a GPU computes what pure Go computes, measures it, and trains on it
// with what time is left. It is made for a machine that is lent for minutes, without Go and
// without a network: figures/gpu/pack builds it here, figures/gpu/run starts it there, and
// figures/gpu/store keeps what came back.
//
//	go run ./figures/gpu -rehearse -o /tmp/gpu   does all of it small, on any backend
//	go run ./figures/gpu -table figures/gpu      makes table.md again from result.json
//
// Each part is a process of its own, with a time limit of its own. Its numbers are in result.json
// as soon as they are there, so a run that is cut keeps what it has.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
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
	flags.StringVar(&o.only, "only", "", "the parts whose names have one of these, separated by commas")
	table := flags.String("table", "", "only make table.md again from the result.json in this folder")
	part := flags.String("part", "", "for the program itself: the part to do")
	planned := flags.Float64("planned", 0, "for the program itself: the images that a training has time for")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("there are no arguments but flags, not %q", flags.Arg(0))
	case *table != "":
		r, err := readResult(filepath.Join(*table, "result.json"))
		if err != nil {
			return err
		}
		return r.write(*table)
	case *part != "":
		return doPart(ctx, *part, o, *planned)
	case o.out == "":
		return errors.New("say with -o where result.json is to be written")
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
}

// wanted says whether a part is to be done.
func (o options) wanted(name string) bool {
	if o.only == "" {
		return true
	}
	for word := range strings.SplitSeq(o.only, ",") {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// forTraining is the share of all the time that is kept for real training.
const forTraining = 0.25

// all does the parts one after another, but for those that an earlier run with the same run
// directories has done. The error is that of a part that failed, the first one.
func (o options) all(ctx context.Context) error {
	before, err := o.earlier()
	if err != nil {
		return err
	}
	r := newResult(ctx, o)
	r.Elapsed = before.Elapsed
	write := func() error {
		if err := r.write(o.out); err != nil {
			return err
		}
		return r.write(o.runs) // for a run that goes on from here
	}
	start := time.Now()
	var first error
	for _, p := range parts(o.rehearse) {
		if done, ok := before.settled(p); ok {
			r.Parts = append(r.Parts, done)
			r.keep(before.Machine)
			continue
		}
		if !o.wanted(p.name) {
			continue
		}
		limit := p.limit
		if o.limit > 0 {
			left := o.limit - time.Since(start)
			if p.rest > 0 { // a training takes a share of what is left
				limit = time.Duration(p.rest * float64(left))
			} else {
				limit = min(limit, left-time.Duration(forTraining*float64(o.limit)))
			}
		}
		r.Parts = append(r.Parts, part{Name: p.name, Ended: endedSkipped})
		if limit < time.Second || ctx.Err() != nil {
			continue
		}
		err := o.child(ctx, p, limit, r)
		if err != nil && first == nil {
			first = fmt.Errorf("%s: %w", p.name, err)
		}
		r.Elapsed = before.Elapsed + time.Since(start).Seconds()
		last := r.Parts[len(r.Parts)-1]
		fmt.Printf("%-56s %5.0f s of %4.0f s: %s\n", last.Name, last.Seconds, last.Limit, last.Ended)
		if err := write(); err != nil {
			return err
		}
	}
	if err := write(); err != nil {
		return err
	}
	return first
}

// earlier is the result of an earlier run with the same run directories; an empty one where there
// is none.
func (o options) earlier() (*result, error) {
	path := filepath.Join(o.runs, "result.json")
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return &result{}, nil
	}
	r, err := readResult(path)
	if err == nil && r.Rehearsal != o.rehearse {
		return &result{}, nil
	}
	return r, err
}
