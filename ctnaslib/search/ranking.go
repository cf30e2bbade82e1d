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

// Versions are those of the algorithms behind a search of this configuration.
func (c RankingConfig) Versions() rundir.Versions {
	return c.NAC.Versions().With(rundir.Versions{"ranking": 1, "labels": 1})
}

// Ranking is search without a policy: NAC, trained once on the labels of [CTNAS] of
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
	buyer, err := p.buyer(root)
	if err != nil {
		return nil, err
	}
	s := p.Benchmark.Space()
	labelled, err := buyer.random(ctx, config.Labels, config.Seed)
	if err != nil {
		return nil, err
	}
	run, err := p.open(root, "ranking", config, labelled)
	if err != nil {
		return nil, err
	}
	defer run.Close()
	trained, err := comparator.Train(ctx, root, comparator.Training{Backend: p.Backend, Space: s, Labelled: labelled, Config: config.NAC, Watch: p.Watch.Stage("comparator, epoch")})
	if err != nil {
		return nil, err
	}
	found := &Found{Labelled: labelled, NAC: trained.NAC, Ranker: trained.NAC, Status: trained.Status}
	var stored struct {
		Best string `json:"best"`
	}
	if done, err := run.Result(&stored); err != nil {
		return nil, err
	} else if done {
		if found.Best, err = parse(s, stored.Best); err != nil {
			return nil, err
		}
		return p.finish(run, found, buyer)
	}
	found.Status = rundir.Trained
	pool, err := config.pool(p)
	if err != nil {
		return nil, err
	}
	order, err := rank(ctx, p.Watch.Stage("ranking"), trained.NAC, pool)
	if err != nil {
		return nil, err
	}
	found.Best = pool[order[0]]
	return p.finish(run, found, buyer)
}

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
