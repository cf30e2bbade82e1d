package nasbench301

import (
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/darts"
)

// Benchmark answers for the validation accuracy of the genotypes of the DARTS space
// after a number of epochs, and counts how many it was asked for. It is safe for
// concurrent use.
type Benchmark struct {
	predictor *Predictor
	epoch     int

	mu    sync.Mutex
	known map[uint64]float64 // by the genotype's code
}

var _ space.Versioned = (*Benchmark)(nil)

// Space is the DARTS space.
func (b *Benchmark) Space() space.Space { return darts.Space{} }

// Source is "real" for the published model, which is the benchmark, and "surrogate" for
// the one of this package.
func (b *Benchmark) Source() string { return string(b.predictor.source.Kind) }

// Version is the model's description, the digest of the published file, and the epoch.
func (b *Benchmark) Version() string {
	return fmt.Sprintf("%s, %safter %d epochs", b.predictor.source.Description, b.predictor.digest, b.epoch)
}

// Sample draws n distinct genotypes uniformly from the space. It is free.
func (b *Benchmark) Sample(rng *rand.Rand, n int) ([]space.Arch, error) {
	if n < 0 || n > maxSample {
		return nil, fmt.Errorf("nasbench301: cannot sample %d genotypes, at most %d at once", n, maxSample)
	}
	return space.Draw(rng, darts.Space{}, n, nil)
}

// maxSample bounds what a sample takes of memory; the space itself has 10¹⁸ genotypes.
const maxSample = 100_000_000

// Validation is the validation accuracy of a, in [0, 1]. The first query of a
// genotype counts; another one of it does not, nor does one that is refused.
func (b *Benchmark) Validation(a space.Arch) (float64, error) {
	g, err := asGenotype(a)
	if err != nil {
		return 0, err
	}
	b.mu.Lock()
	accuracy, known := b.known[g.Code()]
	b.mu.Unlock()
	if known {
		return accuracy, nil
	}
	accuracies, err := b.predictor.predict([]darts.Genotype{g}, b.epoch)
	if err != nil {
		return 0, err
	}
	b.mu.Lock()
	b.known[g.Code()] = accuracies[0]
	b.mu.Unlock()
	return accuracies[0], nil
}

// Queries is the number of distinct genotypes whose accuracy was asked for so far.
func (b *Benchmark) Queries() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.known)
}
