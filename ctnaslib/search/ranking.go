package search

import (
	"context"
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// RankingConfig is the configuration of [Ranking].
type RankingConfig struct {
	Labels int // architectures whose accuracy is queried
	Pool   int // random architectures that NAC ranks; 0: all of a [space.Finite]
	NAC    comparator.Config
	Seed   uint64 // of everything; the seed of NAC is derived from it
}

// Versions returns the versions of the algorithms behind a search of this configuration.
func (c RankingConfig) Versions() rundir.Versions {
	return c.NAC.Versions().With(rundir.Versions{"ranking": 1})
}

// Ranking is search without a policy: NAC, trained once on the labels of CTNAS of
// that seed, ranks a pool of architectures or the whole space, and the highest is the
// answer. It leaves its result in a run directory under root.
func Ranking(ctx context.Context, root string, p Problem, config RankingConfig) (*Found, error) {
	if config.Labels < 2 || config.Pool < 0 {
		return nil, fmt.Errorf("search: Labels must be at least 2 and Pool not negative, not %d and %d", config.Labels, config.Pool)
	}
	if err := config.NAC.Check(); err != nil {
		return nil, err
	}
	config.NAC.Seed = config.Seed
	labels, labelled, err := p.label(ctx, root, config.Labels, config.Seed)
	if err != nil {
		return nil, err
	}
	trained, err := comparator.Train(ctx, root, comparator.Training{Backend: p.Backend, Space: p.Benchmark.Space(), Labelled: labelled, Config: config.NAC, Watch: p.Watch.Stage("comparator, epoch")})
	if err != nil {
		return nil, err
	}
	r := &ranking{problem: p, config: config, nac: trained.NAC}
	return Run(ctx, root, p, "ranking", config, 1, r, labels, &Found{Labelled: labelled, NAC: trained.NAC, Ranker: trained.NAC})
}

// ranking is a Ranking as an [Algorithm] of one iteration.
type ranking struct {
	problem Problem
	config  RankingConfig
	nac     *comparator.NAC
	best    space.Arch
}

func (r *ranking) Best() space.Arch { return r.best }

func (r *ranking) Step(ctx context.Context, _ int) (map[string]float64, error) {
	pool, err := r.config.pool(r.problem)
	if err != nil {
		return nil, err
	}
	order, err := rank(ctx, r.problem.Watch.Stage("ranking"), r.nac, pool)
	if err != nil {
		return nil, err
	}
	r.best = pool[order[0]]
	return nil, nil
}

func (r *ranking) Encode() ([]byte, error) { return []byte(r.best.String()), nil }

func (r *ranking) Restore(state []byte) (err error) {
	r.best, err = Parse(r.problem.Benchmark.Space(), string(state))
	return err
}

// pool returns the architectures that NAC ranks.
func (c RankingConfig) pool(p Problem) ([]space.Arch, error) {
	if c.Pool > 0 {
		return p.Benchmark.Sample(engine.Stream(c.Seed, "search: pool", 0), c.Pool)
	}
	finite, ok := p.Benchmark.Space().(space.Finite)
	if !ok {
		return nil, fmt.Errorf("search: the space %s cannot be listed; give Ranking a Pool", p.Benchmark.Space().Name())
	}
	return finite.All(), nil
}
