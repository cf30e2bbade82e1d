package experiment

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/ctnas"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/train"
)

// sharedComparator is a comparator that several methods of an experiment begin with: those of a seed share its first
// training.
type sharedComparator struct {
	of      Method // one of them
	methods []string
	labels  int
	design  comparator.Design
}

// first returns the comparator that the method trains on random labels before all else, if it does.
func (m Method) first() (c sharedComparator, ok bool) {
	if m.own == nil {
		return c, false // a search of one's own may do anything
	}
	switch config := m.Config.(type) {
	case ctnas.Config:
		c = sharedComparator{m, nil, config.Labels, config.NAC}
		if config.Comparator != nil {
			c.design = config.Comparator
		}
	case search.RankingConfig:
		c = sharedComparator{m, nil, config.Labels, config.NAC}
	default:
		return c, false
	}
	return c, true
}

// comparators returns the comparators that more than one of the methods begin with.
func (e Experiment) comparators(seed uint64) []sharedComparator {
	var order []string
	byConfig := make(map[string]*sharedComparator)
	for _, m := range e.Methods {
		c, ok := m.first()
		if !ok || m.OneSeed && seed > 1 {
			continue
		}
		design, err := json.Marshal(c.design.WithSeed(seed))
		if err != nil {
			continue // which the run directory of the training will say
		}
		same := fmt.Sprintf("%d labels, %d epochs, %T %s", c.labels, m.Epochs, c.design, design)
		if byConfig[same] == nil {
			byConfig[same] = &c
			order = append(order, same)
		}
		byConfig[same].methods = append(byConfig[same].methods, m.Name)
	}
	var shared []sharedComparator
	for _, same := range order {
		if c := byConfig[same]; len(c.methods) > 1 {
			shared = append(shared, *c)
		}
	}
	return shared
}

// name names the training by the first of the methods, which no two trainings share.
func (c sharedComparator) name() string {
	return fmt.Sprintf("comparator of %s and %d more", c.methods[0], len(c.methods)-1)
}

// task returns the training with a seed: what the methods then find done.
func (c sharedComparator) task(root string, data Data, backend compute.Backend, seed uint64) (task[outcome], error) {
	benchmark, err := c.of.labels(data)
	if err != nil {
		return task[outcome]{}, err
	}
	design, err := comparator.Seeded(c.design, seed)
	if err != nil {
		return task[outcome]{}, err
	}
	key := rundir.Key{
		Step: "shared", Algorithms: search.Versions().With(c.design.Versions()), Backend: engine.Fingerprint(backend),
		Config: map[string]any{"comparator": design, "labels": c.labels, "seed": seed},
		Data:   map[string]string{"benchmark": space.Identity(benchmark)},
	}
	return task[outcome]{name: c.name(), seed: seed, key: key, run: func(ctx context.Context, watch train.Watch) (outcome, error) {
		labels, err := search.OpenLabels(root, search.Problem{Backend: backend, Benchmark: benchmark, Watch: watch})
		if err != nil {
			return outcome{}, err
		}
		labelled, err := labels.Random(ctx, c.labels, seed)
		if err != nil {
			return outcome{}, err
		}
		_, err = comparator.Train(ctx, root, comparator.Training{
			Backend: backend, Space: benchmark.Space(), Labelled: labelled, Config: design, Watch: watch.Stage("comparator, epoch"),
		})
		return outcome{}, err
	}}, nil
}
