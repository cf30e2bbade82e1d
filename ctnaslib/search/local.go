package search

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/ctnas/ctnas/ctnaslib/rundir"
)

// LocalConfig is the configuration of [Local].
type LocalConfig struct {
	Labels   int // architectures whose accuracy is queried
	First    int // of them, at random: the best is where the first climb starts
	Patience int // mutants in a row that are no better, after which the next climb starts, at a random architecture
	Seed     uint64
}

// Versions returns the versions of the algorithms behind a search of this configuration.
func (LocalConfig) Versions() rundir.Versions { return rundir.Versions{"local": 1} }

// Local is local search (White et al., "Exploring the Loss Landscape in Neural Architecture Search", UAI 2021): from
// the best of some random architectures it goes to the first mutant that is better, and starts again at a random one
// where Patience mutants are not. Every architecture that it meets is queried. It answers the one of the highest
// validation accuracy. As to tables of a part of the space and its run directory it is like [Evolution].
func Local(ctx context.Context, root string, p Problem, config LocalConfig) (*Found, error) {
	if config.First < 1 || config.First > config.Labels || config.Patience < 1 {
		return nil, fmt.Errorf("search: Local needs a First from 1 to Labels (%d) and a Patience of at least 1, not %d and %d", config.Labels, config.First, config.Patience)
	}
	return p.evolve(ctx, root, "local", config, config.Labels, config.First, config.Seed, func(rng *rand.Rand, q *queried, first []individual) error {
		s := p.Benchmark.Space()
		at := first[0]
		for _, i := range first {
			if i.utility > at.utility {
				at = i
			}
		}
		for q.more() {
			for worse := 0; worse < config.Patience && q.more(); worse++ {
				i, err := mutant(ctx, rng, s, q, at.arch)
				if err != nil {
					return err
				}
				if i.utility > at.utility {
					at, worse = i, -1
				}
			}
			if !q.more() {
				break
			}
			again, err := p.Benchmark.Sample(rng, 1)
			if err != nil {
				return err
			}
			accuracies, err := q.Utilities(again)
			if err != nil {
				return err
			}
			at = individual{again[0], accuracies[0]}
		}
		return nil
	})
}
