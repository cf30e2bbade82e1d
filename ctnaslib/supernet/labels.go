package supernet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"

	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// ranker is a network as a [space.Ranker]: by the accuracies of architectures of one kind on the
// held-out images, until a context ends.
type ranker[A space.Arch] struct {
	ctx        context.Context
	kind       string
	validation func(context.Context, A) (float64, error)
}

func (r ranker[A]) Utilities(archs []space.Arch) ([]float64, error) {
	accuracies := make([]float64, len(archs))
	for i, arch := range archs {
		a, ok := arch.(A)
		if !ok {
			return nil, fmt.Errorf("supernet: %s is not %s", arch, r.kind)
		}
		var err error
		if accuracies[i], err = r.validation(r.ctx, a); err != nil {
			return nil, err
		}
	}
	return accuracies, nil
}

// Labels is a [space.Benchmark] whose accuracies are those of shared weights on
// held-out images: Alg. 1 of the paper without any table. All architectures of its space
// can be queried. It is not safe for concurrent use.
type Labels struct {
	net     space.Ranker
	space   space.Space
	version string
	known   map[string]float64 // by ID
}

var _ space.Versioned = (*Labels)(nil)

// Labels makes a benchmark of the trained network, until ctx ends. A search keeps on disk what
// it buys from it, so that a search that is run again does not wait for it.
func (t *Trained) Labels(ctx context.Context) (*Labels, error) {
	return newLabels(t.Dir, nasbench101.Space{}, t.Net.Ranker(ctx)), nil
}

// Labels makes a benchmark of the trained supernet, for the networks of at most so many
// multiply-adds, 0 for all, as [Trained.Labels] does.
func (t *TrainedElastic) Labels(ctx context.Context, limit int64) (*Labels, error) {
	s, err := mobilenetv3.New(t.Net.config.Skeleton, limit)
	if err != nil {
		return nil, err
	}
	return newLabels(t.Dir, s, t.Net.Ranker(ctx)), nil
}

// newLabels makes a benchmark of a network that was trained in a run directory.
func newLabels(dir string, s space.Space, net space.Ranker) *Labels {
	return &Labels{net: net, space: s, version: "weights of " + filepath.Base(dir), known: make(map[string]float64)}
}

// Space is the space of the shared network.
func (l *Labels) Space() space.Space { return l.space }

// Source is "proxy": labels of shared weights are not those of the benchmark.
func (l *Labels) Source() string { return "proxy" }

// Version names the training of the weights: the run directory, which has the digest of all that
// it is a function of.
func (l *Labels) Version() string { return l.version }

// Sample draws n distinct architectures by [space.Space.Sample].
func (l *Labels) Sample(rng *rand.Rand, n int) ([]space.Arch, error) {
	if finite, ok := l.space.(space.Finite); ok && n > len(finite.All()) {
		return nil, fmt.Errorf("supernet: cannot sample %d of %d architectures", n, len(finite.All()))
	}
	return space.Draw(rng, l.space, n, nil)
}

// Validation is the accuracy of an architecture with shared weights on the held-out images.
func (l *Labels) Validation(a space.Arch) (float64, error) {
	if accuracy, ok := l.known[a.ID()]; ok {
		return accuracy, nil
	}
	accuracies, err := l.net.Utilities([]space.Arch{a})
	if err != nil {
		return 0, err
	}
	l.known[a.ID()] = accuracies[0]
	return accuracies[0], nil
}

// Queries is the number of architectures whose accuracy was asked for.
func (l *Labels) Queries() int { return len(l.known) }
