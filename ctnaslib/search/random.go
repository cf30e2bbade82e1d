package search

import (
	"context"
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/rundir"
)

// RandomConfig is the configuration of [Random].
type RandomConfig struct {
	Labels int // architectures whose accuracy is queried, at least 1
	Seed   uint64
}

// Random is random search (the first row of the paper's Table 1): it queries the
// validation accuracy of random architectures, the ones that [CTNAS] of that seed
// labels, and answers the best. It leaves its result in a run directory under root.
func Random(ctx context.Context, root string, p Problem, config RandomConfig) (*Found, error) {
	if config.Labels < 1 {
		return nil, fmt.Errorf("search: Labels must be at least 1, not %d", config.Labels)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("search: stopped before the first query; run it again: %w", err)
	}
	labelled, err := Label(p.Benchmark, config.Labels, config.Seed)
	if err != nil {
		return nil, err
	}
	run, err := rundir.Open(root, "random", map[string]any{
		"space": p.Benchmark.Space().Name(), "source": p.Benchmark.Source(), "search": config,
	})
	if err != nil {
		return nil, err
	}
	defer run.Close()
	found := &Found{Labelled: labelled, Queries: p.Benchmark.Queries(), Dir: run.Dir()}
	if found.Status, err = statusOf(run); err != nil {
		return nil, err
	}
	best := labelled[0]
	for _, l := range labelled {
		if l.Accuracy > best.Accuracy {
			best = l
		}
	}
	found.Best = best.Arch
	return found, run.Finish(map[string]any{
		"best": best.Arch.String(), "id": best.Arch.ID(), "validation": best.Accuracy, "queries": found.Queries,
		"source": p.Benchmark.Source(),
	})
}
