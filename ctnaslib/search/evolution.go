package search

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// EvolvedConfig is the configuration of [Evolution].
type EvolvedConfig struct {
	Labels     int // architectures whose accuracy is queried, at least Population
	Population int // architectures alive at any time
	Tournament int // of them, drawn anew for each child: the best becomes the parent
	Seed       uint64
}

// Versions are those of the algorithms behind a search of this configuration.
func (EvolvedConfig) Versions() rundir.Versions {
	return rundir.Versions{"evolution": 1, "labels": 1}
}

// Evolution is regularised evolution (Real et al., AAAI 2019) as a search of its own:
// every architecture that is born is queried, the population that it begins with being
// some of those that [CTNAS] of that seed labels. It answers the one of the highest
// validation accuracy. All architectures of the space must be open to queries. Found's
// Labelled are in the order in which they were queried. It leaves its result in a run
// directory under root. Run again, it goes the same way: labels that took the benchmark long were
// kept, and the others cost nothing.
func Evolution(ctx context.Context, root string, p Problem, config EvolvedConfig) (*Found, error) {
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

// GenerationsConfig is the configuration of [Generations].
type GenerationsConfig struct {
	Labels     int // architectures whose accuracy is queried, at least Population
	Population int // of a generation
	Parents    int // of them, the best, live on
	Mutants    int // of a generation; the others are children of two parents
	Seed       uint64
}

// Versions are those of the algorithms behind a search of this configuration.
func (GenerationsConfig) Versions() rundir.Versions {
	return rundir.Versions{"generations": 1, "labels": 1}
}

// OFAGenerations is OFA's search (its code's EvolutionFinder) with so many queries: 100
// architectures, of which the best 25 live on, and half of the children are mutants.
func OFAGenerations(labels int) GenerationsConfig {
	return GenerationsConfig{Labels: labels, Population: min(100, labels), Parents: 25, Mutants: 50}
}

// Generations is the evolutionary search of OFA, on a [space.Crossing] space: in each
// generation the best live on beside as many children as there were architectures, some
// mutated, some crossed. Unlike OFA's it queries accuracies where OFA's asks a predictor,
// and mutates by the space's small changes. The rest is as for [Evolution].
func Generations(ctx context.Context, root string, p Problem, config GenerationsConfig) (*Found, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	s, ok := p.Benchmark.Space().(space.Crossing)
	switch {
	case !ok:
		return nil, fmt.Errorf("search: architectures of %s cannot be crossed; use Evolution", p.Benchmark.Space().Name())
	case config.Population > config.Labels || config.Parents < 1 || config.Parents > config.Population || config.Mutants < 0 || config.Mutants > config.Population:
		return nil, fmt.Errorf("search: Generations needs a Population of at most Labels, and no more Parents (at least 1) and Mutants than that, not %d of %d, %d and %d", config.Population, config.Labels, config.Parents, config.Mutants)
	}
	return p.evolve(ctx, root, "generations", config, config.Labels, config.Population, config.Seed, func(rng *rand.Rand, q *queried, alive []individual) error {
		for q.more() {
			slices.SortStableFunc(alive, func(a, b individual) int { return cmp.Compare(b.utility, a.utility) })
			alive = alive[:config.Parents]
			parent := func() space.Arch { return alive[rng.IntN(config.Parents)].arch }
			for k := range config.Population {
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
				if err != nil {
					return err
				}
				alive = append(alive, individual{child, accuracies[0]})
			}
		}
		return nil
	})
}

// evolve runs an evolution by queries, from a labelled population on.
func (p Problem) evolve(ctx context.Context, root, step string, config configuration, labels, population int, seed uint64, grow func(*rand.Rand, *queried, []individual) error) (*Found, error) {
	buyer, err := p.buyer(root)
	if err != nil {
		return nil, err
	}
	first, err := buyer.random(ctx, population, seed)
	if err != nil {
		return nil, err
	}
	run, err := p.open(root, step, config, first)
	if err != nil {
		return nil, err
	}
	defer run.Close()
	q := &queried{ctx: ctx, watch: p.Watch, buyer: buyer, labels: labels, labelled: first}
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
	best := slices.MaxFunc(q.labelled, func(a, b comparator.Labelled) int { return cmp.Compare(a.Accuracy, b.Accuracy) })
	return p.finish(run, &Found{Best: best.Arch, Labelled: q.labelled, Status: buyer.status()}, buyer)
}

// queried is a benchmark as a ranker that keeps what it was asked for.
type queried struct {
	ctx      context.Context
	watch    rundir.Watch
	buyer    *buyer
	labels   int // that may be bought
	labelled []comparator.Labelled
	born     int // architectures that it was asked for, the same one again included
}

// more says whether there are labels left. A search that has gone round in circles ends
// too: ten times as many architectures were born as may be bought.
func (q *queried) more() bool {
	return q.ctx.Err() == nil && len(q.labelled) < q.labels && q.born < 10*q.labels
}

// Utilities are the validation accuracies.
func (q *queried) Utilities(archs []space.Arch) ([]float64, error) {
	accuracies := make([]float64, len(archs))
	for i, a := range archs {
		q.born++
		known := len(q.buyer.asked)
		var err error
		if accuracies[i], err = q.buyer.label(q.ctx, a); err != nil {
			return nil, err
		}
		if len(q.buyer.asked) > known {
			q.labelled = append(q.labelled, comparator.Labelled{Arch: a, Accuracy: accuracies[i]})
			q.watch.Tell(rundir.Progress{Done: len(q.labelled), Total: q.labels})
		}
	}
	return accuracies, nil
}
