package search

import (
	"context"
	"math/rand/v2"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// Label draws m architectures at random and queries their validation accuracy
// (Alg. 1, line 1). It is the first thing [CTNAS] does, and a function of the seed.
func Label(b space.Benchmark, m int, seed uint64) ([]comparator.Labelled, error) {
	archs, err := b.Sample(rand.New(rand.NewPCG(seed, seedLabels)), m)
	if err != nil {
		return nil, err
	}
	labelled := make([]comparator.Labelled, len(archs))
	for i, a := range archs {
		accuracy, err := b.Validation(a)
		if err != nil {
			return nil, err
		}
		labelled[i] = comparator.Labelled{Arch: a, Accuracy: accuracy}
	}
	return labelled, nil
}

// buyLabels is [Label], or the rounds of [Active]: in each a NAC is trained on the
// labels so far, in a run of its own, ranks a pool of random architectures, and the
// highest that have no label yet get one.
func buyLabels(ctx context.Context, root string, p Problem, c Config) ([]comparator.Labelled, error) {
	if c.Rounds == 0 {
		return Label(p.Benchmark, c.Labels, c.Seed)
	}
	labelled, err := Label(p.Benchmark, c.FirstRound, c.Seed)
	if err != nil {
		return nil, err
	}
	for round := range c.Rounds {
		trained, err := comparator.Train(ctx, root, comparator.Training{
			Backend: p.Backend, Space: p.Benchmark.Space(), Labelled: labelled, Config: c.NAC,
		})
		if err != nil {
			return nil, err
		}
		pool, err := p.Benchmark.Sample(rand.New(rand.NewPCG(c.Seed, seedPool+uint64(round))), c.Pool)
		if err != nil {
			return nil, err
		}
		pool = without(pool, comparator.Archs(labelled))
		order, err := trained.NAC.Rank(pool)
		if err != nil {
			return nil, err
		}
		trained.NAC.Release()
		for _, i := range order[:(c.Labels-len(labelled))/(c.Rounds-round)] {
			accuracy, err := p.Benchmark.Validation(pool[i])
			if err != nil {
				return nil, err
			}
			labelled = append(labelled, comparator.Labelled{Arch: pool[i], Accuracy: accuracy})
		}
	}
	return labelled, nil
}

// without are the architectures of archs that are not among others, by ID.
func without(archs, others []space.Arch) []space.Arch {
	known := make(map[string]bool, len(others))
	for _, a := range others {
		known[a.ID()] = true
	}
	var rest []space.Arch
	for _, a := range archs {
		if !known[a.ID()] {
			rest = append(rest, a)
		}
	}
	return rest
}
