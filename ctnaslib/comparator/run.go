package comparator

import (
	"context"
	"fmt"
	"maps"

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
	run, err := rundir.Open(root, "nac", map[string]any{
		"space": t.Space.Name(), "backend": engine.Describe(t.Backend), "nac": t.Config, "labelled": Texts(t.Labelled),
	})
	if err != nil {
		return nil, err
	}
	defer run.Close()
	p := &process{Training: t}
	status, err := run.Do(ctx, p, t.Config.Epochs, checkpointEvery, t.Watch)
	if err != nil {
		return nil, fmt.Errorf("comparator: %w", err)
	}
	trained := &Trained{NAC: p.nac, Status: status, Dir: run.Dir()}
	trained.Metrics, err = run.Metrics()
	return trained, err
}

// process is a Training as a [rundir.Process]. A step is an epoch.
type process struct {
	Training
	nac *NAC
}

func (p *process) Start() (err error) {
	p.nac, err = New(p.Backend, p.Space, p.Config)
	return err
}

func (p *process) Step(epoch int) (map[string]float64, error) {
	loss, err := p.nac.TrainEpoch(epoch, p.Labelled, nil, 0)
	if err != nil {
		return nil, err
	}
	values := map[string]float64{"loss": loss}
	if p.Probe != nil && (epoch+1)%p.ProbeEvery == 0 {
		probed, err := p.Probe(p.nac)
		if err != nil {
			return nil, err
		}
		maps.Copy(values, probed)
	}
	return values, nil
}

func (p *process) Encode() ([]byte, error) { return p.nac.Encode() }

func (p *process) Decode(state []byte) (err error) {
	p.nac, err = Decode(p.Backend, p.Space, p.Config, state)
	return err
}

// TauProbe is a [Training.Probe] that measures "tau", the [NAC.KendallTau] against
// the accuracies of archs. They should not be among the labelled ones.
func TauProbe(archs []space.Arch, accuracies []float64) func(*NAC) (map[string]float64, error) {
	return func(n *NAC) (map[string]float64, error) {
		tau, err := n.KendallTau(archs, accuracies)
		return map[string]float64{"tau": tau}, err
	}
}
