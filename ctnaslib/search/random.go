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

// Versions returns the versions of the algorithms behind a search of this configuration.
func (RandomConfig) Versions() rundir.Versions { return rundir.Versions{"random": 1} }

// Random is random search (the first row of the paper's Table 1): it queries the
// validation accuracy of random architectures, the ones that CTNAS of that seed
// labels, and answers the best, the first of equal ones. It leaves its result in a run
// directory under root. Its status is "loaded" where all labels were kept by a search before.
func Random(ctx context.Context, root string, p Problem, config RandomConfig) (*Found, error) {
	if config.Labels < 1 {
		return nil, fmt.Errorf("search: Labels must be at least 1, not %d", config.Labels)
	}
	labels, labelled, err := p.label(ctx, root, config.Labels, config.Seed)
	if err != nil {
		return nil, err
	}
	best := labelled[0]
	for _, l := range labelled {
		if l.Accuracy > best.Accuracy {
			best = l
		}
	}
	return Finish(root, p, "random", config, labels, &Found{Best: best.Arch, Labelled: labelled})
}
