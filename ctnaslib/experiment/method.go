package experiment

import (
	"context"
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/ctnas"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/search"
)

// Method is a row of a table: a search that is run with many seeds. [NewMethod] makes one of a search
// with a configuration, one's own as well.
type Method struct {
	Name  string
	Note  string             // a sentence for the reader, if it takes one
	Paper map[string]float64 // the paper's numbers, by the names of [report.Row]

	// Config is what the search is a function of, but for the seed: a plain value, which is stored with
	// the result. What this package's own methods computed is shared by all of the same Config, also
	// between experiments; a method with a Search shares nothing with those of another name or experiment.
	Config any

	// Search runs the method with a seed, in run directories under root. It is for methods of one's own:
	// those that functions of this package make have a search without it. A method that has neither has
	// only the paper's numbers.
	Search func(ctx context.Context, root string, p search.Problem, seed uint64) (*search.Found, error)

	// Epochs is how long the networks behind the labels were trained: see [Data.At]; 0 is the full budget.
	Epochs int

	// Anytime says that the search could stop after any query, and answer the best label
	// so far: the row gets the curve of what that reaches.
	Anytime bool

	// OneSeed says that the method is run with the first seed only: its answer is given, not
	// found, or hardly depends on the seed.
	OneSeed bool

	reported bool // the labels are what is reported: an analysis, and no method
	probed   int  // iterations from one [Data.sampleProbe] to the next; 0: none
	ranked   bool // what it believes of the whole space is examined: see [examineRanking]

	own  func(ctx context.Context, root string, p search.Problem, seed uint64) (*search.Found, error) // of this package
	vary func(change func(config any)) Method                                                         // of own, with a pointer to a copy of its configuration changed
}

// NewMethod returns a search of one's own with a configuration, in which seed finds the seed, as a
// method: each seed gets a copy of the configuration.
func NewMethod[C search.Config](name string, config C, run func(ctx context.Context, root string, p search.Problem, config C) (*search.Found, error), seed func(*C) *uint64) Method {
	m := method(name, config, run, seed)
	m.Search, m.own, m.vary = m.own, nil, nil
	if run == nil || seed == nil {
		m.Search = func(context.Context, string, search.Problem, uint64) (*search.Found, error) {
			return nil, fmt.Errorf("experiment: the method %q has no function that runs it, or none that finds the seed in its configuration", name)
		}
	}
	return m
}

// method returns a search of package search or ctnas as a method.
func method[C search.Config](name string, config C, run func(ctx context.Context, root string, p search.Problem, config C) (*search.Found, error), seed func(*C) *uint64) Method {
	return Method{
		Name: name, Config: config,
		own: func(ctx context.Context, root string, p search.Problem, n uint64) (*search.Found, error) {
			c := config
			*seed(&c) = n
			return run(ctx, root, p, c)
		},
		vary: func(change func(config any)) Method {
			c := config
			change(&c)
			return method(name, c, run, seed)
		},
	}
}

// CTNAS returns Alg. 1 as a method, with the paper's numbers, nil if it has none.
func CTNAS(name string, config ctnas.Config, paper map[string]float64) Method {
	m := method(name, config, ctnas.Search, func(c *ctnas.Config) *uint64 { return &c.Seed })
	m.Paper = paper
	return m
}

// randomSearch returns [search.Random] as a method.
func randomSearch(name string, labels int) Method {
	return method(name, search.RandomConfig{Labels: labels}, search.Random, func(c *search.RandomConfig) *uint64 { return &c.Seed })
}

// regressionNAS returns [search.RegressionNAS] as a method.
func regressionNAS(name string, config search.RegressionConfig) Method {
	return method(name, config, search.RegressionNAS, func(c *search.RegressionConfig) *uint64 { return &c.Seed })
}

// evolution returns [search.Evolution] as a method.
func evolution(name string, config search.EvolutionConfig) Method {
	m := method(name, config, search.Evolution, func(c *search.EvolutionConfig) *uint64 { return &c.Seed })
	m.Anytime = true
	return m
}

// explained returns a method with a sentence for the reader.
func explained(m Method, note string) Method {
	m.Note = note
	return m
}

// noted returns a method with the paper's numbers and a sentence for the reader.
func noted(m Method, paper map[string]float64, note string) Method {
	m.Paper, m.Note = paper, note
	return m
}

// Find runs the method's search with a seed, in run directories under root. The errors are the
// search's; a method that has only the paper's numbers has none to run.
func (m Method) Find(ctx context.Context, root string, p search.Problem, seed uint64) (*search.Found, error) {
	switch {
	case m.Search != nil:
		return m.Search(ctx, root, p, seed)
	case m.own != nil:
		return m.own(ctx, root, p, seed)
	}
	return nil, fmt.Errorf("experiment: %s has only the paper's numbers, and no search to run", m.Name)
}

// runs says whether the method has a search.
func (m Method) runs() bool { return m.Search != nil || m.own != nil }

// versions returns the versions of what the method runs in an experiment.
func (m Method) versions(experiment string) rundir.Versions {
	all := search.Versions().With(rundir.Versions{"outcome": 2})
	if m.Search != nil {
		all = all.With(rundir.Versions{fmt.Sprintf("method %s of %s", m.Name, experiment): 1})
	}
	if c, ok := m.Config.(search.Config); ok {
		all = all.With(c.Versions())
	}
	return all
}
