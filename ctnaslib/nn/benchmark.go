package nn

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"

	"github.com/ctnas/ctnas/ctnaslib/space"
)

// Ranker returns a network as a [space.Ranker], by the validation accuracies of architectures of one kind, until ctx
// ends. Its error says that an architecture is not of that kind, such as "a cell of NAS-Bench-101".
func Ranker[A space.Arch](ctx context.Context, kind string, validation func(context.Context, A) (float64, error)) space.Ranker {
	return ranker(func(arch space.Arch) (float64, error) {
		a, ok := arch.(A)
		if !ok {
			return 0, fmt.Errorf("nn: %s is not %s", arch, kind)
		}
		return validation(ctx, a)
	})
}

// ranker is the utility of one architecture.
type ranker func(space.Arch) (float64, error)

func (r ranker) Utilities(archs []space.Arch) ([]float64, error) {
	utilities := make([]float64, len(archs))
	for i, arch := range archs {
		var err error
		if utilities[i], err = r(arch); err != nil {
			return nil, err
		}
	}
	return utilities, nil
}

// Benchmark is a [space.Benchmark] whose accuracies are those of a network with shared weights on held-out images: Alg.
// 1 of the paper without any table. All architectures of its space can be queried. It is safe for concurrent use, as
// long as nothing else uses the network meanwhile.
type Benchmark struct {
	net     space.Ranker
	space   space.Space
	version string

	mu    sync.Mutex         // of the network, too
	known map[string]float64 // accuracies by ID
}

var _ space.Versioned = (*Benchmark)(nil)

// NewBenchmark makes a benchmark of a network, by the accuracies of its ranker, whose weights were trained in the run
// directory dir. A search keeps on disk what it buys from it, so that a search that is run again does not wait for it.
func NewBenchmark(dir string, s space.Space, net space.Ranker) *Benchmark {
	return &Benchmark{net: net, space: s, version: "weights of " + filepath.Base(dir), known: make(map[string]float64)}
}

// Space returns the space of the network.
func (b *Benchmark) Space() space.Space { return b.space }

// Source returns "proxy": accuracies of shared weights are not those of networks trained on their own.
func (b *Benchmark) Source() string { return "proxy" }

// Version names the training of the weights: the run directory, which has the digest of all that it is a function of.
func (b *Benchmark) Version() string { return b.version }

// Sample draws n distinct architectures by [space.Space.Sample].
func (b *Benchmark) Sample(rng *rand.Rand, n int) ([]space.Arch, error) {
	if finite, ok := b.space.(space.Finite); ok && n > len(finite.All()) {
		return nil, fmt.Errorf("nn: cannot sample %d of %d architectures", n, len(finite.All()))
	}
	return space.Draw(rng, b.space, n, nil)
}

// Validation returns the accuracy of an architecture with shared weights on the held-out images, in [0, 1]. It is
// computed at the first call for an architecture only.
func (b *Benchmark) Validation(a space.Arch) (float64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if accuracy, ok := b.known[a.ID()]; ok {
		return accuracy, nil
	}
	accuracies, err := b.net.Utilities([]space.Arch{a})
	if err != nil {
		return 0, err
	}
	b.known[a.ID()] = accuracies[0]
	return accuracies[0], nil
}
