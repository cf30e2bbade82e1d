package experiment_test

import (
	"context"
	"fmt"
	"os"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/experiment"
	"github.com/ctnas/ctnas/ctnaslib/nb"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/datasets/ofa"
)

// hillClimb mutates the best network so far, again and again.
type hillClimb struct {
	Labels int
	Seed   uint64
}

func (hillClimb) Versions() rundir.Versions { return rundir.Versions{"hill climbing": 1} }

func climb(ctx context.Context, root string, p search.Problem, config hillClimb) (*search.Found, error) {
	labels, err := search.OpenLabels(root, p)
	if err != nil {
		return nil, err
	}
	bought, err := labels.Random(ctx, 1, config.Seed)
	if err != nil {
		return nil, err
	}
	best, rng := bought[0], engine.Stream(config.Seed, "hill climbing: mutations", 0)
	for len(bought) < config.Labels {
		mutant, err := p.Benchmark.Space().Mutate(rng, best.Arch)
		if err != nil {
			return nil, err
		}
		label, err := labels.Buy(ctx, []space.Arch{mutant})
		if err != nil {
			return nil, err
		}
		if bought = append(bought, label...); label[0].Accuracy > best.Accuracy {
			best = label[0]
		}
	}
	return search.Finish(root, p, "hill-climbing", config, labels, &search.Found{Best: best.Arch, Labelled: bought})
}

// A search of one's own in a table, beside random search.
func Example_ownSearch() {
	backend := nb.Must(engine.Open())
	data := nb.Must(experiment.OFA(ofa.Embedded(), experiment.MobileLimit))
	dir := nb.Must(os.MkdirTemp("", "runs"))
	defer os.RemoveAll(dir)
	e := experiment.Experiment{ID: "own-search", Seeds: 3, Methods: []experiment.Method{
		experiment.NewMethod("hill climbing", hillClimb{Labels: 50}, climb, func(c *hillClimb) *uint64 { return &c.Seed }),
		experiment.NewMethod("random search", search.RandomConfig{Labels: 50}, search.Random, func(c *search.RandomConfig) *uint64 { return &c.Seed }),
	}, Compare: [][2]string{{"hill climbing", "random search"}}}
	result := nb.Must(e.Run(context.Background(), dir, data, backend, nil))
	fmt.Println(len(result.Table(report.Accuracy, report.Queries).Rows), "rows; hill climbing is better:", result.Tests[0].Difference > 0)
	// Output: 2 rows; hill climbing is better: true
}
