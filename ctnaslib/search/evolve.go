package search

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"gonum.org/v1/gonum/stat"

	"github.com/ctnas/ctnas/ctnaslib/space"
)

// EvolveConfig is the size of a regularised evolution. The best architecture has
// about Tournament children before it dies; if mutation spoils all of them, what it
// had is lost, so Tournament should not be small.
type EvolveConfig struct {
	Population int // architectures alive at any time
	Tournament int // of them, drawn again in each cycle: the best becomes the parent
	Cycles     int // children, one after another
}

func (c EvolveConfig) check() error {
	switch {
	case c.Population < 1 || c.Cycles < 0:
		return fmt.Errorf("search: evolution needs a Population of at least 1 and no negative number of Cycles, not %d and %d", c.Population, c.Cycles)
	case c.Tournament < 1 || c.Tournament > c.Population:
		return fmt.Errorf("search: Tournament must be from 1 to Population (%d), not %d", c.Population, c.Tournament)
	}
	return nil
}

// Evolve is regularised, or ageing, evolution (Real et al., AAAI 2019): from a random
// population, each cycle draws a tournament without replacement, mutates its best
// architecture by [space.Space.Mutate], and puts the child in the place of the
// oldest. It returns the architecture of highest utility that ever lived, and that
// utility. The errors are those of the configuration, the space and the ranker, and ctx's.
func Evolve(ctx context.Context, rng *rand.Rand, s space.Space, ranker space.Ranker, config EvolveConfig) (space.Arch, float64, error) {
	if err := config.check(); err != nil {
		return nil, 0, err
	}
	e, err := newEvolution(rng, s, ranker, config)
	if err != nil {
		return nil, 0, err
	}
	for range config.Cycles {
		if err := e.cycle(ctx, rng); err != nil {
			return nil, 0, err
		}
	}
	return e.best.arch, e.best.utility, nil
}

// evolution is an evolution between two cycles.
type evolution struct {
	space      space.Space
	ranker     space.Ranker
	tournament int
	population []individual // the oldest first
	best       individual   // of all that ever lived, the first of equal ones
}

type individual struct {
	arch    space.Arch
	utility float64
}

func newEvolution(rng *rand.Rand, s space.Space, ranker space.Ranker, config EvolveConfig) (*evolution, error) {
	archs := make([]space.Arch, config.Population)
	for i := range archs {
		archs[i] = s.Sample(rng)
	}
	utilities, err := ranker.Utilities(archs)
	if err != nil {
		return nil, err
	}
	e := &evolution{space: s, ranker: ranker, tournament: config.Tournament}
	for i := range archs {
		e.add(individual{archs[i], utilities[i]})
	}
	return e, nil
}

func (e *evolution) add(i individual) {
	if e.best.arch == nil || i.utility > e.best.utility {
		e.best = i
	}
	e.population = append(e.population, i)
}

// cycle lets one child be born and the oldest die.
func (e *evolution) cycle(ctx context.Context, rng *rand.Rand) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("search: the evolution was stopped: %w", err)
	}
	var parent individual
	for _, k := range rng.Perm(len(e.population))[:e.tournament] {
		if i := e.population[k]; parent.arch == nil || i.utility > parent.utility {
			parent = i
		}
	}
	child, err := mutant(ctx, rng, e.space, e.ranker, parent.arch)
	if err != nil {
		return err
	}
	e.add(child)
	e.population = e.population[1:]
	return nil
}

// patience is how many children in a row may have no accuracy.
const patience = 10_000

// mutant returns a mutant of parent with its utility. Where the ranker is a benchmark that has none of it, it is
// mutated again, so that also a table of a part of the space can be walked through.
func mutant(ctx context.Context, rng *rand.Rand, s space.Space, ranker space.Ranker, parent space.Arch) (individual, error) {
	const brothers = 50 // of the same parent, until one of them is the parent
	var refused error
	for try := range patience {
		if err := ctx.Err(); err != nil {
			return individual{}, fmt.Errorf("search: stopped: %w", err)
		}
		child, err := s.Mutate(rng, parent)
		if err != nil {
			return individual{}, err
		}
		utilities, err := ranker.Utilities([]space.Arch{child})
		if err == nil {
			return individual{child, utilities[0]}, nil
		}
		if !errors.Is(err, space.ErrNotQueryable) {
			return individual{}, err
		}
		if refused = err; try%brothers == brothers-1 {
			parent = child
		}
	}
	return individual{}, fmt.Errorf("search: of %d mutants in a row the benchmark has no accuracy: %w", patience, refused)
}

// meanUtility returns the mean of the population.
func (e *evolution) meanUtility() float64 {
	utilities := make([]float64, len(e.population))
	for i, individual := range e.population {
		utilities[i] = individual.utility
	}
	return stat.Mean(utilities, nil)
}
