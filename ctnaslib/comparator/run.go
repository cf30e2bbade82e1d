package comparator

import (
	"context"
	"fmt"
	"maps"

	"github.com/ctnas/ctnas/ctnaslib/encoder"
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

	// Probe, if it measures something, does so after every ProbeEvery epochs, 0 for every
	// one; its values are logged beside the loss, for learning curves. A training that was done
	// without this probe is done again, to the same weights.
	Probe      Probe
	ProbeEvery int

	Watch rundir.Watch // told of each epoch, if set
}

// Probe measures something of a NAC while it is trained. The zero Probe measures nothing.
type Probe struct {
	// Key says what is measured, and on what: metrics on disk are taken for those of a
	// probe of the same key.
	Key     string
	Measure func(*NAC) (map[string]float64, error)
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
	if err := t.check(); err != nil {
		return nil, err
	}
	run, err := rundir.Open(root, rundir.Key{
		Step: "nac", Algorithms: t.Config.Versions(), Config: t.Config, Backend: engine.Fingerprint(t.Backend),
		Data: map[string]string{"space": encoder.SpaceIdentity(t.Space), "labels": Digest(t.Labelled)},
	})
	if err != nil {
		return nil, err
	}
	defer run.Close()
	probe := ""
	if t.Probe.Measure != nil {
		t.ProbeEvery = max(t.ProbeEvery, 1)
		probe = fmt.Sprintf("%s, every %d", t.Probe.Key, t.ProbeEvery)
	}
	if err := run.Observe(probe, t.Config.Epochs); err != nil {
		return nil, err
	}
	p := &process{Training: t}
	status, err := run.Do(ctx, p, t.Config.Epochs, checkpointEvery, t.Watch)
	if err != nil {
		return nil, fmt.Errorf("comparator: %w", err)
	}
	trained := &Trained{NAC: p.nac, Status: status, Dir: run.Dir()}
	trained.Metrics, err = run.Metrics()
	return trained, err
}

func (t Training) check() error {
	if t.Backend == nil || t.Space == nil {
		return fmt.Errorf("comparator: a training needs a Backend, as engine.Open gives it, and a Space")
	}
	if t.ProbeEvery < 0 {
		return fmt.Errorf("comparator: ProbeEvery must not be negative, it is %d", t.ProbeEvery)
	}
	if t.Probe.Measure != nil && t.Probe.Key == "" {
		return fmt.Errorf("comparator: the probe needs a Key that says what it measures")
	}
	if err := t.Config.Check(); err != nil {
		return err
	}
	return CheckLabels(t.Labelled)
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

func (p *process) Step(_ context.Context, epoch int) (map[string]float64, error) {
	loss, err := p.nac.TrainEpoch(epoch, p.Labelled, nil, 0)
	if err != nil {
		return nil, err
	}
	values := map[string]float64{"loss": loss}
	if p.Probe.Measure != nil && (epoch+1)%p.ProbeEvery == 0 {
		probed, err := p.Probe.Measure(p.nac)
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
func TauProbe(archs []space.Arch, accuracies []float64) Probe {
	lines := make([]string, 0, len(archs)+len(accuracies))
	for _, a := range archs {
		lines = append(lines, a.String())
	}
	for _, accuracy := range accuracies {
		lines = append(lines, fmt.Sprint(accuracy))
	}
	return Probe{Key: "tau on " + rundir.Digest(lines), Measure: func(n *NAC) (map[string]float64, error) {
		tau, err := n.KendallTau(archs, accuracies)
		return map[string]float64{"tau": tau}, err
	}}
}
