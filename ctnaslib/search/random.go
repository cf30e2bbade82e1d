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

// Versions are those of the algorithms behind a search of this configuration.
func (RandomConfig) Versions() rundir.Versions { return rundir.Versions{"random": 1, "labels": 1} }

// Random is random search (the first row of the paper's Table 1): it queries the
// validation accuracy of random architectures, the ones that [CTNAS] of that seed
// labels, and answers the best, the first of equal ones. It leaves its result in a run
// directory under root. Its status is "loaded" where all labels were kept by a search before.
func Random(ctx context.Context, root string, p Problem, config RandomConfig) (*Found, error) {
	if config.Labels < 1 {
		return nil, fmt.Errorf("search: Labels must be at least 1, not %d", config.Labels)
	}
	buyer, err := p.buyer(root)
	if err != nil {
		return nil, err
	}
	labelled, err := buyer.random(ctx, config.Labels, config.Seed)
	if err != nil {
		return nil, err
	}
	run, err := p.open(root, "random", config, labelled)
	if err != nil {
		return nil, err
	}
	defer run.Close()
	best := labelled[0]
	for _, l := range labelled {
		if l.Accuracy > best.Accuracy {
			best = l
		}
	}
	return p.finish(run, &Found{Best: best.Arch, Labelled: labelled, Status: buyer.status()}, buyer)
}
