package experiment

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/train"
)

// task is a method with a seed, whose outcome is stored in the run directory of a key.
type task[Outcome any] struct {
	name string
	seed uint64
	key  rundir.Key
	run  func(ctx context.Context, watch train.Watch) (Outcome, error)
}

// timed is an outcome as it is stored.
type timed[Outcome any] struct {
	Outcome Outcome `json:"outcome"`
	Seconds float64 `json:"seconds"` // of the process that finished it
}

// runner runs the tasks of an experiment.
type runner[Outcome any] struct {
	id       string // of the experiment
	root     string
	parallel int // seeds side by side; the tasks of one seed come one after another
	watch    train.Watch
	values   func(Outcome) map[string]float64 // what the watch is told of

	mu       sync.Mutex
	done     int
	outcomes map[string][]Outcome // by name, in the order of the seeds
	seconds  float64              // of all
}

// all runs the tasks. One that was finished before, in this experiment or another, is not run again; one
// that was interrupted continues. Watch, if set, is told of each finished task, and of the steps of
// those under way as stages.
func (r *runner[Outcome]) all(ctx context.Context, tasks []task[Outcome]) error {
	stored := make([]timed[Outcome], len(tasks))
	bySeed := make(map[uint64][]int)
	var order []uint64
	for i, t := range tasks {
		if bySeed[t.seed] == nil {
			order = append(order, t.seed)
		}
		bySeed[t.seed] = append(bySeed[t.seed], i)
	}
	seeds, ctx := errgroup.WithContext(ctx)
	seeds.SetLimit(r.parallel)
	for _, seed := range order {
		seeds.Go(func() error {
			for _, i := range bySeed[seed] {
				var err error
				if stored[i], err = r.one(ctx, tasks[i]); err != nil {
					return fmt.Errorf("experiment: %s, %s with seed %d: %w", r.id, tasks[i].name, seed, err)
				}
				r.finished(stored[i].Outcome, len(tasks))
			}
			return nil
		})
	}
	if err := seeds.Wait(); err != nil {
		return err
	}
	slices.Sort(order)
	r.outcomes = make(map[string][]Outcome)
	for _, seed := range order {
		for _, i := range bySeed[seed] {
			r.outcomes[tasks[i].name] = append(r.outcomes[tasks[i].name], stored[i].Outcome)
			r.seconds += stored[i].Seconds
		}
	}
	return nil
}

// one returns the outcome of a task from its run directory, or runs it.
func (r *runner[Outcome]) one(ctx context.Context, t task[Outcome]) (timed[Outcome], error) {
	watch := func(step train.Progress) {
		if step.Stage == "" {
			step.Stage = "step"
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.watch.Stage(fmt.Sprintf("%s, seed %d", t.name, t.seed)).Tell(step)
	}
	return rundir.Once(r.root, t.key, func(*rundir.Run) (timed[Outcome], error) {
		start := time.Now()
		outcome, err := t.run(ctx, watch)
		return timed[Outcome]{outcome, time.Since(start).Seconds()}, err
	})
}

// finished tells the watch of a task.
func (r *runner[Outcome]) finished(o Outcome, total int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done++
	r.watch.Tell(train.Progress{Done: r.done, Total: total, Values: r.values(o)})
}
