// Package toy has a benchmark for tests: cells whose accuracies are counted, not measured.
package toy

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// Quality returns a tenth for each 3×3 convolution of a cell of NAS-Bench-101, and a hundredth for each
// edge: a ranking that a graph network can learn.
func Quality(a space.Arch) float64 {
	c := a.(nasbench101.Cell)
	q := float64(c.Edges()) / 100
	for v := 1; v < c.N()-1; v++ {
		if c.Op(v) == nasbench101.Conv3x3 {
			q += 0.1
		}
	}
	return q
}

// Benchmark answers with the [Quality] of a cell.
type Benchmark struct{}

func (Benchmark) Space() space.Space { return nasbench101.Space{} }

func (Benchmark) Source() string { return "toy" }

// Sample draws n cells, which may repeat.
func (Benchmark) Sample(rng *rand.Rand, n int) ([]space.Arch, error) {
	archs := make([]space.Arch, n)
	for i := range archs {
		archs[i] = nasbench101.Space{}.Sample(rng)
	}
	return archs, nil
}

func (Benchmark) Validation(a space.Arch) (float64, error) { return Quality(a), nil }

// Labelled returns n random cells with their quality.
func Labelled(rng *rand.Rand, n int) []space.Labelled {
	labelled := make([]space.Labelled, n)
	for i := range labelled {
		a := nasbench101.Space{}.Sample(rng)
		labelled[i] = space.Labelled{Arch: a, Accuracy: Quality(a)}
	}
	return labelled
}

// Trained is a benchmark of one's own without a version, whose labels take a while, as training does.
type Trained struct {
	Takes time.Duration                     // for each label
	Of    func(space.Arch) (float64, error) // nil: Quality

	mu    sync.Mutex
	Asked []string // the IDs of what it was asked for, in that order
}

func (*Trained) Space() space.Space { return nasbench101.Space{} }

func (*Trained) Source() string { return "proxy" }

func (*Trained) Sample(rng *rand.Rand, n int) ([]space.Arch, error) {
	return space.Draw(rng, nasbench101.Space{}, n, nil)
}

func (b *Trained) Validation(a space.Arch) (float64, error) {
	b.mu.Lock()
	b.Asked = append(b.Asked, a.ID())
	b.mu.Unlock()
	time.Sleep(b.Takes)
	if b.Of == nil {
		return Quality(a), nil
	}
	return b.Of(a)
}
