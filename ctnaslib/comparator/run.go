package comparator

import (
	"context"
	"fmt"
	"maps"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/encoder"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/metric"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/train"
)

// Training is the training of a comparator from scratch: Alg. 1, line 7, in the first
// iteration. What it leads to is a function of the fields up to Start.
type Training struct {
	Backend  compute.Backend
	Space    space.Space
	Labelled []space.Labelled
	Config   Design // such as [Quick]

	// Probe, if it measures something, does so after every ProbeEvery epochs, 0 for every
	// one; its values are logged beside the loss, for learning curves. A training that was done
	// without this probe is done again, to the same weights.
	Probe      Probe
	ProbeEvery int

	Watch train.Watch // told of each epoch, if set
}

// Probe measures something of a comparator while it is trained. The zero Probe measures nothing.
type Probe struct {
	// Key says what is measured, and on what: metrics on disk are taken for those of a
	// probe of the same key.
	Key     string
	Measure func(Comparator) (map[string]float64, error)
}

// Trained is what [Train] leads to. Its metrics are, of each epoch, "loss", and what Probe measured.
type Trained struct {
	Comparator Comparator
	NAC        *NAC // the comparator, if it is one
	train.Outcome
}

// Train trains a comparator in a run directory under root. If that training was done
// before it returns the stored one; if it was interrupted, by ctx or by the end of
// the process, it continues.
func Train(ctx context.Context, root string, t Training) (*Trained, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	c, err := t.Config.New(t.Backend, t.Space)
	if err != nil {
		return nil, err
	}
	nac, _ := c.(*NAC)
	data := map[string]string{"space": encoder.SpaceIdentity(t.Space), "labels": train.Digest(t.Labelled)}
	run, err := rundir.Open(root, rundir.Key{
		Step: "nac", Algorithms: t.Config.Versions(), Config: t.Config, Backend: engine.Fingerprint(t.Backend), Data: data,
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
	if err := run.Observe(probe, t.Config.FirstEpochs()); err != nil {
		return nil, err
	}
	trained := &Trained{Comparator: c, NAC: nac}
	trained.Outcome, err = train.Do(ctx, run, epochs{c, t}, train.Plan{Steps: t.Config.FirstEpochs(), Watch: t.Watch})
	if err != nil {
		return nil, fmt.Errorf("comparator: %w", err)
	}
	return trained, nil
}

func (t Training) check() error {
	if t.Backend == nil || t.Space == nil || t.Config == nil {
		return fmt.Errorf("comparator: a training needs a Backend, as engine.Open gives it, a Space and a Config")
	}
	if t.ProbeEvery < 0 {
		return fmt.Errorf("comparator: ProbeEvery must not be negative, it is %d", t.ProbeEvery)
	}
	if t.Probe.Measure != nil && t.Probe.Key == "" {
		return fmt.Errorf("comparator: the probe needs a Key that says what it measures")
	}
	return space.CheckLabels(t.Labelled)
}

// epochs is a training as a [train.Process]. A step is an epoch.
type epochs struct {
	Comparator
	training Training
}

func (p epochs) Step(_ context.Context, epoch int) (map[string]float64, error) {
	loss, err := p.TrainEpoch(epoch, p.training.Labelled, nil, 0)
	if err != nil {
		return nil, err
	}
	values := map[string]float64{"loss": loss}
	if p.training.Probe.Measure != nil && (epoch+1)%p.training.ProbeEvery == 0 {
		probed, err := p.training.Probe.Measure(p.Comparator)
		if err != nil {
			return nil, err
		}
		maps.Copy(values, probed)
	}
	return values, nil
}

// DigestOf returns a short digest of architectures and their accuracies, for the key of a [Probe] that measures on them.
func DigestOf(archs []space.Arch, accuracies []float64) string {
	lines := make([]string, 0, len(archs)+len(accuracies))
	for _, a := range archs {
		lines = append(lines, a.String())
	}
	for _, accuracy := range accuracies {
		lines = append(lines, fmt.Sprint(accuracy))
	}
	return rundir.Digest(lines)
}

// TauProbe returns a [Training.Probe] that measures "tau", Kendall's tau between the comparator's
// ranking of archs and their accuracies. They should not be among the labelled ones.
func TauProbe(archs []space.Arch, accuracies []float64) Probe {
	return Probe{Key: "tau on " + DigestOf(archs, accuracies), Measure: func(c Comparator) (map[string]float64, error) {
		utilities, err := Ranker(c).Utilities(archs)
		if err != nil {
			return nil, err
		}
		tau, err := metric.KendallTau(utilities, accuracies)
		return map[string]float64{"tau": tau}, err
	}}
}
