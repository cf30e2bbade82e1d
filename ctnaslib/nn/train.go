package nn

import (
	"context"
	"slices"
	"time"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/train"
)

// Training says what network is trained on what, by its configuration C. What it leads to is a function of all fields
// but Watch.
type Training[C any] struct {
	Backend compute.Backend
	Data    *Data
	Config  C
	Watch   train.Watch // told of each round; nil is nobody
}

// Run takes a training, as a process of so many rounds, to its end in a run directory under root. If it was done
// before, the process gets the state that is stored there; if it was interrupted, by ctx or by the end of the operating
// system's process, it continues from the last round, and leads to the same. The kind and the versions of what is
// trained are part of the directory's key. The errors are those of the images, the run directory and the process.
func (t Training[C]) Run(ctx context.Context, root, kind string, versions rundir.Versions, p train.Process, rounds int) (train.Outcome, error) {
	identity, err := t.Data.Identity()
	if err != nil {
		return train.Outcome{}, err
	}
	key := rundir.Key{
		Step: kind, Algorithms: versions, Config: t.Config, Backend: engine.Fingerprint(t.Backend),
		Data: map[string]string{"images": identity},
	}
	return train.Run(ctx, root, key, p, train.Plan{Steps: rounds, Watch: t.Watch})
}

// Process is the training of a model as a [train.Process], of which each step is a round. It measures, of each round,
// the means over its steps: "loss", in nats, and "accuracy" on the training images, in [0, 1].
type Process struct {
	*Model
	Rounds []StepRange

	// TrainStep does a step of training on a batch of [Model.Augmented].
	TrainStep func(ctx context.Context, step int, b Batch) (loss, accuracy float64, err error)
}

// StepRange is the steps of training from First up to and without Last, such as those of a round.
type StepRange struct{ First, Last int }

// Rounds divides the steps from first up to and without last into rounds of so many, of which the last may have fewer.
func Rounds(first, last, interval int) []StepRange {
	var rounds []StepRange
	for ; first < last; first += interval {
		rounds = append(rounds, StepRange{first, min(first+interval, last)})
	}
	return rounds
}

// Step does a round, counted from 0.
func (p *Process) Step(ctx context.Context, round int) (map[string]float64, error) {
	r := p.Rounds[round]
	means := map[string]float64{"loss": 0, "accuracy": 0}
	err := Stream(ctx, p.Augmented(), r.First, r.Last, func(step int, b Batch) error {
		loss, accuracy, err := p.TrainStep(ctx, step, b)
		means["loss"] += loss / float64(r.Last-r.First)
		means["accuracy"] += accuracy / float64(r.Last-r.First)
		return err
	})
	return means, err
}

// StepTime returns how long a step on a batch of [Model.Augmented] takes, without the time to read it: the median of so
// many steps, at least 1, after a first one that compiles.
func (m *Model) StepTime(ctx context.Context, steps int, do func(step int, b Batch) error) (time.Duration, error) {
	var times []time.Duration
	err := Stream(ctx, m.Augmented(), 0, steps+1, func(step int, b Batch) error {
		start := time.Now()
		err := do(step, b)
		if step > 0 {
			times = append(times, time.Since(start))
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}
