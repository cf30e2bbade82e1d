package experiment

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/encoder"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/datasets/ofa"
)

// MobileLimit is the mobile setting of the paper (Sec. 5.2): at most 600M multiply-adds.
const MobileLimit = 600e6

// OFA is the MobileNetV3 space, up to a limit of multiply-adds, with the accuracies that
// OFA's predictor gives. There are no others: what is reported of a network is what a
// search may query.
func OFA(p *ofa.Predictor, limit int64) (Data, error) {
	s, err := mobilenetv3.New(mobilenetv3.OFA(), limit)
	if err != nil {
		return nil, err
	}
	return predicted{p, s}, nil
}

type predicted struct {
	predictor *ofa.Predictor
	space     mobilenetv3.Space
}

func (p predicted) Source() datasets.Source { return p.predictor.Source() }

func (p predicted) Benchmark(epochs int) (space.Benchmark, error) {
	if epochs != 0 {
		return nil, fmt.Errorf("experiment: OFA's predictor knows no networks trained for %d epochs", epochs)
	}
	return p.predictor.Benchmark(p.space)
}

func (p predicted) Accuracy(a space.Arch) (float64, error) {
	n, ok := a.(mobilenetv3.Net)
	if !ok {
		return 0, fmt.Errorf("experiment: %v is not a network of the MobileNetV3 space", a)
	}
	return p.predictor.Accuracies([]mobilenetv3.Net{n})[0], nil
}

func (p predicted) MAdds(a space.Arch) (int64, error) {
	n, ok := a.(mobilenetv3.Net)
	if !ok {
		return 0, fmt.Errorf("experiment: %v is not a network of the MobileNetV3 space", a)
	}
	return p.space.MAdds(n), nil
}

func (p predicted) HeldOut(rng *rand.Rand, n int, exclude []space.Arch) (archs []space.Arch, accuracies []float64, err error) {
	taken := make(map[string]bool)
	for _, a := range exclude {
		taken[a.ID()] = true
	}
	for len(archs) < n {
		a := p.space.Sample(rng)
		if taken[a.ID()] {
			continue
		}
		taken[a.ID()] = true
		accuracy, err := p.Accuracy(a)
		if err != nil {
			return nil, nil, err
		}
		archs, accuracies = append(archs, a), append(accuracies, accuracy)
	}
	return archs, accuracies, nil
}

// mobile is CTNAS for the MobileNetV3 space, with the authors' encoder for it: an MLP of
// three layers on the one-hot vector.
func (p Preset) mobile(labels int, change func(*search.Config)) search.Config {
	c := search.Quick()
	c.Labels = labels
	c.NAC.MLP = encoder.MLP{Layers: 3, Width: 512}
	c.NAC.GCN = encoder.GCN{}
	if change != nil {
		change(&c)
	}
	if p == Small {
		c.Labels = min(c.Labels, 100)
		c.Iterations, c.PolicySteps = 10, 5
		c.NAC.Epochs = 50
	}
	return c
}

var _ = comparator.Quick
var _ context.Context
var _ compute.Backend
var _ report.Result
var _ rundir.Watch
