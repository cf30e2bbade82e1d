package rundir

import (
	"context"
	"fmt"
)

// Watch is told of each step that a run has done, out of how many, with the values
// measured at it: for progress bars and live plots.
type Watch func(done, total int, values map[string]float64)

// Process is work in steps whose state can be written down between any two of them,
// such as a training or a search.
type Process interface {
	Start() error                                        // makes the state before the first step
	Step(t int) (measured map[string]float64, err error) // does step t, counted from 0
	Encode() (state []byte, err error)                   // writes the state
	Decode(state []byte) error                           // makes the state that Encode wrote
}

// Do does the steps of a process that the run has not done yet: all of them, those
// since the last checkpoint, or none. After every so many steps it stores a checkpoint,
// after each it logs what was measured and tells watch, if there is one. When ctx is
// done it stores where it is and returns an error, so that the next Do goes on there;
// whether interrupted or not, it leads to the same.
func (r *Run) Do(ctx context.Context, p Process, steps, every int, watch Watch) (Status, error) {
	done, state, err := r.Checkpoint()
	if err != nil {
		return "", err
	}
	status := Trained
	if done == 0 {
		err = p.Start()
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
		measured, err := p.Step(t)
		if err != nil {
			return "", err
		}
		if watch != nil {
			watch(t+1, steps, measured)
		}
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
