package nasbench301

import (
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/darts"
)

// Benchmark answers for the validation accuracy of the genotypes of the DARTS space
// after a number of epochs. It is safe for concurrent use.
type Benchmark struct {
	predictor *Predictor
	epoch     int

	known sync.Map // float64 by the genotype's code: predicting takes longer than looking up
}

var _ space.Versioned = (*Benchmark)(nil)

// Space returns the DARTS space.
func (b *Benchmark) Space() space.Space { return darts.Space{} }

// Source is "real" for the published model, which is the benchmark, and "surrogate" for
// the one of this package.
func (b *Benchmark) Source() string { return string(b.predictor.source.Kind) }

// Version returns the model's description, the digest of the published file, and the epoch.
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

// Validation returns the validation accuracy of a, in [0, 1].
func (b *Benchmark) Validation(a space.Arch) (float64, error) {
	g, err := asGenotype(a)
	if err != nil {
		return 0, err
	}
	if accuracy, ok := b.known.Load(g.Code()); ok {
		return accuracy.(float64), nil
	}
	accuracies, err := b.predictor.predict([]darts.Genotype{g}, b.epoch)
	if err != nil {
		return 0, err
	}
	b.known.Store(g.Code(), accuracies[0])
	return accuracies[0], nil
}
