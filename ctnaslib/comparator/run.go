package comparator

import (
	"context"
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/gomlx/compute"
)

// Training is the training of a NAC from scratch: Alg. 1, line 7, in the first
// iteration. What it leads to is a function of the fields up to Config.
type Training struct {
	Backend  compute.Backend
	Space    space.Space
	Labelled []Labelled
	Config   Config

	// Probe, if set, measures something of the NAC after every ProbeEvery epochs; its
	// values are logged beside the loss, for learning curves.
	Probe      func(*NAC) (map[string]float64, error)
	ProbeEvery int

	Watch rundir.Watch // told of each epoch, if set
}

// checkpointEvery is how many epochs may be lost when the process is killed.
const checkpointEvery = 20

// Trained is what [Train] leads to.
type Trained struct {
	NAC     *NAC
	Status  rundir.Status
	Dir     string           // the run directory
	Metrics []rundir.Metrics // of each epoch: "loss", and what Probe measured
}

// Train trains a NAC in a run directory under root. If that training was done
// before it returns the stored NAC; if it was interrupted, by ctx or by the end of
// the process, it continues.
func Train(ctx context.Context, root string, t Training) (*Trained, error) {
	type label struct {
		Arch     string  `json:"arch"`
		Accuracy float64 `json:"accuracy"`
	}
	labels := make([]label, len(t.Labelled))
	for i, l := range t.Labelled {
		labels[i] = label{l.Arch.String(), l.Accuracy}
	}
	run, err := rundir.Open(root, "nac", map[string]any{
		"space": t.Space.Name(), "backend": engine.Describe(t.Backend), "nac": t.Config, "labelled": labels,
	})
	if err != nil {
		return nil, err
	}
	defer run.Close()

	done, state, err := run.Checkpoint()
	if err != nil {
		return nil, err
	}
	trained := &Trained{Status: rundir.Trained, Dir: run.Dir()}
	if done == 0 {
		trained.NAC, err = New(t.Backend, t.Space, t.Config)
	} else {
		trained.Status = rundir.Resumed
		if done >= t.Config.Epochs {
			trained.Status = rundir.Loaded
		}
		trained.NAC, err = Decode(t.Backend, t.Space, t.Config, state)
	}
	if err != nil {
		return nil, err
	}
	for epoch := done; epoch < t.Config.Epochs; epoch++ {
		if err := t.epoch(trained.NAC, run, epoch); err != nil {
			return nil, err
		}
		interrupted := ctx.Err()
		if n := epoch + 1; n%checkpointEvery == 0 || n == t.Config.Epochs || interrupted != nil {
			state, err := trained.NAC.Encode()
			if err == nil {
				err = run.Save(n, state)
			}
			if err != nil {
				return nil, err
			}
		}
		if interrupted != nil {
			return nil, fmt.Errorf("comparator: stopped after epoch %d of %d; run it again to continue: %w", epoch+1, t.Config.Epochs, interrupted)
		}
	}
	trained.Metrics, err = run.Metrics()
	return trained, err
}

func (t Training) epoch(n *NAC, run *rundir.Run, epoch int) error {
	loss, err := n.TrainEpoch(epoch, t.Labelled, nil, 0)
	if err != nil {
		return err
	}
	values := map[string]float64{"loss": loss}
	if t.Probe != nil && (epoch+1)%t.ProbeEvery == 0 {
		probed, err := t.Probe(n)
		if err != nil {
			return err
		}
		for name, value := range probed {
			values[name] = value
		}
	}
	if t.Watch != nil {
		t.Watch(epoch+1, t.Config.Epochs, values)
	}
	return run.Log(epoch, values)
}

// TauProbe is a [Training.Probe] that measures "tau", the [NAC.KendallTau] against
// the accuracies of archs. They should not be among the labelled ones.
func TauProbe(archs []space.Arch, accuracies []float64) func(*NAC) (map[string]float64, error) {
	return func(n *NAC) (map[string]float64, error) {
		tau, err := n.KendallTau(archs, accuracies)
		return map[string]float64{"tau": tau}, err
	}
}
