// Package train is the one loop that can be stopped and continued: a comparator's epochs, a
// supernet's rounds and a search's iterations are all steps of a [Process], and [Run] does those that
// no process has done before.
//
//	outcome, err := train.Run(ctx, "runs", key, p, train.Plan{Steps: 200, Watch: nb.Progress("epoch")})
//	outcome.Metrics // what was measured at each step
//
// What is on disk is package rundir's.
package train

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/rundir"
)

// Process is work in steps whose state can be written down between any two of them, such as a
// training or a search. It is made in the state before its first step.
type Process interface {
	// Step does step t, counted from 0, and returns what it measured, by name.
	Step(ctx context.Context, t int) (measured map[string]float64, err error)

	// Encode writes the state.
	Encode() (state []byte, err error)

	// Restore takes on the state that Encode wrote. The error says that it is of another process.
	Restore(state []byte) error
}

// Plan says how many steps a process takes.
type Plan struct {
	Steps int
	Watch Watch // told of each step, if set
}

// Outcome says what a process led to.
type Outcome struct {
	Status  rundir.Status    // how its last state was reached
	Dir     string           // the run directory
	Metrics []rundir.Metrics // what was measured at each step
}

// share is how many times longer a process computes, between two checkpoints, than the first of them took: so all
// checkpoints take a twentieth of the time at most, and a kill costs no more than a step or that.
const share = 19

// Run takes a process to its end in the run directory of a key under root: from the last checkpoint,
// if there is one, else from the beginning. When ctx is done it stores where it is and returns an
// error, so that the next Run goes on there; whether interrupted or not, it leads to the same. The
// errors are those of the key, the run directory and the process.
func Run(ctx context.Context, root string, key rundir.Key, p Process, plan Plan) (Outcome, error) {
	run, err := rundir.Open(root, key)
	if err != nil {
		return Outcome{}, err
	}
	defer run.Close()
	return Do(ctx, run, p, plan)
}

// Do is [Run] in a run directory that is open.
func Do(ctx context.Context, run *rundir.Run, p Process, plan Plan) (Outcome, error) {
	status, err := do(ctx, run, p, plan)
	if err != nil {
		return Outcome{}, err
	}
	metrics, err := run.Metrics()
	return Outcome{status, run.Dir(), metrics}, err
}

func do(ctx context.Context, run *rundir.Run, p Process, plan Plan) (rundir.Status, error) {
	done, state, err := run.Begin()
	if err != nil {
		return "", err
	}
	if done > 0 {
		if err := p.Restore(state); err != nil {
			return "", err
		}
	}
	saved, due := done, time.Now()
	save := func(n int) error {
		if n == saved {
			return nil
		}
		start := time.Now()
		state, err := p.Encode()
		if err == nil {
			err = run.Save(n, state)
		}
		saved, due = n, time.Now().Add(share*time.Since(start))
		return err
	}
	for t := done; t < plan.Steps; t++ {
		if stopped := ctx.Err(); stopped != nil {
			if err := save(t); err != nil {
				return "", err
			}
			return "", fmt.Errorf("stopped after step %d of %d; run it again to continue: %w", t, plan.Steps, stopped)
		}
		if err := step(ctx, run, p, plan, t); err != nil {
			return "", err
		}
		if n := t + 1; n == plan.Steps || !time.Now().Before(due) {
			if err := save(n); err != nil {
				return "", err
			}
		}
	}
	switch {
	case done == 0:
		return rundir.Trained, nil
	case done < plan.Steps:
		return rundir.Resumed, nil
	}
	return rundir.Loaded, nil
}

// step does a step, tells of it and logs it.
func step(ctx context.Context, run *rundir.Run, p Process, plan Plan, t int) error {
	measured, err := p.Step(ctx, t)
	if err != nil {
		return err
	}
	if err := finite(measured, t, plan.Steps); err != nil {
		return err
	}
	plan.Watch.Tell(Progress{Done: t + 1, Total: plan.Steps, Values: measured})
	return run.Log(t, measured)
}

// finite reports a measured value that is not a finite number: no checkpoint may hold what led to it.
func finite(measured map[string]float64, t, steps int) error {
	for name, v := range measured {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("%s is %g at step %d of %d: it has diverged; lower the learning rate", name, v, t+1, steps)
		}
	}
	return nil
}
