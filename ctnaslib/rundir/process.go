package rundir

import (
	"context"
	"fmt"
	"math"
)

// Progress is how far work is.
type Progress struct {
	Stage  string             // what is being done, such as "labels"; empty for the steps of the run itself
	Done   int                // steps, of Total
	Total  int                // at least 1
	Values map[string]float64 // measured at the last step, by name; nil if nothing was
}

// Watch is told of each step that work has done: for progress bars and live plots. A nil
// Watch is told nothing.
type Watch func(Progress)

// Tell tells the watch of a step, if there is a watch.
func (w Watch) Tell(p Progress) {
	if w != nil {
		w(p)
	}
}

// Stage returns a watch that tells w of steps as those of a stage; stages within it keep their names
// after its own.
func (w Watch) Stage(name string) Watch {
	if w == nil {
		return nil
	}
	return func(p Progress) {
		if p.Stage != "" {
			p.Stage = name + ": " + p.Stage
		} else {
			p.Stage = name
		}
		w(p)
	}
}

// Process is work in steps whose state can be written down between any two of them,
// such as a training or a search.
type Process interface {
	Start() error                                                             // makes the state before the first step
	Step(ctx context.Context, t int) (measured map[string]float64, err error) // does step t, counted from 0
	Encode() (state []byte, err error)                                        // writes the state
	Decode(state []byte) error                                                // makes the state that Encode wrote
}

// Do does the steps of a process that the run has not done yet: all of them, those
// since the last checkpoint, or none. After every so many steps it stores a checkpoint,
// after each it logs what was measured and tells watch. When ctx is
// done it stores where it is and returns an error, so that the next Do goes on there;
// whether interrupted or not, it leads to the same. A measured value that is not a finite
// number is an error, and no checkpoint holds what led to it.
func (r *Run) Do(ctx context.Context, p Process, steps, every int, watch Watch) (Status, error) {
	done, state, err := r.Checkpoint()
	if err != nil {
		return "", err
	}
	status := Trained
	if done == 0 {
		// A checkpoint that was deleted may have left metrics.
		if err = r.dropMetricsFrom(0); err == nil {
			err = p.Start()
		}
	} else {
		status = Resumed
		err = p.Decode(state)
	}
	if err != nil {
		return "", err
	}
	if done > 0 && done >= steps {
		status = Loaded
	}
	save := func(n int) error {
		state, err := p.Encode()
		if err != nil {
			return err
		}
		return r.Save(n, state)
	}
	saved := done
	for t := done; t < steps; t++ {
		if stopped := ctx.Err(); stopped != nil {
			if saved < t {
				if err := save(t); err != nil {
					return "", err
				}
			}
			return "", fmt.Errorf("stopped after step %d of %d; run it again to continue: %w", t, steps, stopped)
		}
		measured, err := p.Step(ctx, t)
		if err != nil {
			return "", err
		}
		for name, v := range measured {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return "", fmt.Errorf("%s is %g at step %d of %d: it has diverged; lower the learning rate", name, v, t+1, steps)
			}
		}
		watch.Tell(Progress{Done: t + 1, Total: steps, Values: measured})
		if err := r.Log(t, measured); err != nil {
			return "", err
		}
		if n := t + 1; n%every == 0 || n == steps {
			if err := save(n); err != nil {
				return "", err
			}
			saved = n
		}
	}
	return status, nil
}
