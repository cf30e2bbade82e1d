package search

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// GeneticConfig is the configuration of [Genetic].
type GeneticConfig struct {
	Labels     int // architectures whose accuracy is queried, at least Population
	Population int // of a generation
	Parents    int // of them, the best, live on
	Mutants    int // of a generation; the others are children of two parents
	Seed       uint64
}

// Versions returns the versions of the algorithms behind a search of this configuration.
func (GeneticConfig) Versions() rundir.Versions {
	return rundir.Versions{"genetic": 1}
}

// OFAGenetic is OFA's search (its code's EvolutionFinder) with so many queries: 100
// architectures, of which the best 25 live on, and half of the children are mutants.
func OFAGenetic(labels int) GeneticConfig {
	return GeneticConfig{Labels: labels, Population: min(100, labels), Parents: 25, Mutants: 50}
}

// Genetic is the evolutionary search of OFA, on a [space.Crossing] space: in each
// generation the best live on beside as many children as there were architectures, some
// mutated, some crossed. Unlike OFA's it queries accuracies where OFA's asks a predictor,
// and mutates by the space's small changes. The rest is as for [Evolution].
func Genetic(ctx context.Context, root string, p Problem, config GeneticConfig) (*Found, error) {
	if p.Benchmark == nil {
		return nil, errNoBenchmark
	}
	s, ok := p.Benchmark.Space().(space.Crossing)
	switch {
	case !ok:
		return nil, fmt.Errorf("search: architectures of %s cannot be crossed; use Evolution", p.Benchmark.Space().Name())
	case config.Population > config.Labels || config.Parents < 1 || config.Parents > config.Population || config.Mutants < 0 || config.Mutants > config.Population:
		return nil, fmt.Errorf("search: Genetic needs a Population of at most Labels, and no more Parents (at least 1) and Mutants than that, not %d of %d, %d and %d", config.Population, config.Labels, config.Parents, config.Mutants)
	}
	return p.evolve(ctx, root, "genetic", config, config.Labels, config.Population, config.Seed, func(rng *rand.Rand, q *queried, alive []individual) error {
		for q.more() {
			slices.SortStableFunc(alive, func(a, b individual) int { return cmp.Compare(b.utility, a.utility) })
			alive = alive[:config.Parents]
			parent := func() space.Arch { return alive[rng.IntN(config.Parents)].arch }
			for k, refused := 0, 0; k < config.Population; {
				if !q.more() {
					return nil
				}
				var child space.Arch
				var err error
				if k < config.Mutants {
					child, err = s.Mutate(rng, parent())
				} else {
					child, err = s.Cross(rng, parent(), parent())
				}
				if err != nil {
					return err
				}
				accuracies, err := q.Utilities([]space.Arch{child})
				if errors.Is(err, space.ErrNotQueryable) && refused < patience {
					refused++
					continue // with another child
				}
				if err != nil {
					return err
				}
				alive = append(alive, individual{child, accuracies[0]})
				k, refused = k+1, 0
			}
		}
		return nil
	})
}
