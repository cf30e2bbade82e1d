package search

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/train"
)

// EvolutionConfig is the configuration of [Evolution].
type EvolutionConfig struct {
	Labels     int // architectures whose accuracy is queried, at least Population
	Population int // architectures alive at any time
	Tournament int // of them, drawn again for each child: the best becomes the parent
	Seed       uint64
}

// Versions returns the versions of the algorithms behind a search of this configuration.
func (EvolutionConfig) Versions() rundir.Versions {
	return rundir.Versions{"evolution": 1}
}

// Evolution is regularised evolution (Real et al., AAAI 2019) as a search of its own:
// every architecture that is born is queried, the population that it begins with being
// some of those that CTNAS of that seed labels. It answers the one of the highest
// validation accuracy. A mutant that the benchmark has no accuracy of is mutated again. Found's
// Labelled are in the order in which they were queried. It leaves its result in a run
// directory under root. Run again, it goes the same way: labels that took the benchmark long were
// kept, and the others cost nothing.
func Evolution(ctx context.Context, root string, p Problem, config EvolutionConfig) (*Found, error) {
	if config.Tournament < 1 || config.Tournament > config.Population || config.Population > config.Labels {
		return nil, fmt.Errorf("search: Evolution needs a Tournament from 1 to Population, and a Population of at most Labels, not %d, %d and %d", config.Tournament, config.Population, config.Labels)
	}
	return p.evolve(ctx, root, "evolution", config, config.Labels, config.Population, config.Seed, func(rng *rand.Rand, q *queried, first []individual) error {
		e := &evolution{space: p.Benchmark.Space(), ranker: q, tournament: config.Tournament}
		for _, i := range first {
			e.add(i)
		}
		for q.more() {
			if err := e.cycle(ctx, rng); err != nil {
				return err
			}
		}
		return nil
	})
}

// evolve runs an evolution by queries, from a labelled population on.
func (p Problem) evolve(ctx context.Context, root, name string, config Config, labels, population int, seed uint64, grow func(*rand.Rand, *queried, []individual) error) (*Found, error) {
	bought, first, err := p.label(ctx, root, population, seed)
	if err != nil {
		return nil, err
	}
	q := &queried{ctx: ctx, watch: p.Watch, bought: bought, labels: labels, labelled: slices.Clone(first)}
	individuals := make([]individual, len(first))
	for i, l := range first {
		individuals[i] = individual{l.Arch, l.Accuracy}
	}
	if err := grow(engine.Stream(seed, "search: children", 0), q, individuals); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("search: stopped after %d of %d queries; run it again to continue: %w", len(q.labelled), labels, err)
	}
	best := slices.MaxFunc(q.labelled, func(a, b space.Labelled) int { return cmp.Compare(a.Accuracy, b.Accuracy) })
	return Finish(root, p, name, config, bought, &Found{Best: best.Arch, Labelled: q.labelled})
}

// queried is a benchmark as a ranker that keeps what it was asked for.
type queried struct {
	ctx      context.Context
	watch    train.Watch
	bought   *Labels
	labels   int // that may be bought
	labelled []space.Labelled
	born     int // architectures that it was asked for, the same one again included
}

// more says whether there are labels left. A search that has gone round in circles ends
// too: ten times as many architectures were born as may be bought.
func (q *queried) more() bool {
	return q.ctx.Err() == nil && len(q.labelled) < q.labels && q.born < 10*q.labels
}

// Utilities returns the validation accuracies.
func (q *queried) Utilities(archs []space.Arch) ([]float64, error) {
	accuracies := make([]float64, len(archs))
	for i, a := range archs {
		known := len(q.bought.asked)
		var err error
		if accuracies[i], err = q.bought.label(q.ctx, a); err != nil {
			return nil, err
		}
		q.born++
		if len(q.bought.asked) > known {
			q.labelled = append(q.labelled, space.Labelled{Arch: a, Accuracy: accuracies[i]})
			q.watch.Tell(train.Progress{Done: len(q.labelled), Total: q.labels})
		}
	}
	return accuracies, nil
}
