package experiment

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ctnas/ctnas/ctnaslib/ctnas"
	"github.com/ctnas/ctnas/ctnaslib/search"
)

// Change changes what a preset says of an experiment, to see what it does: see [Entry.Vary].
type Change func(e Entry, p Preset) (Entry, error)

// Vary returns the entry with changes to what it does at the size of a preset. The results are of searches of their own:
// none takes the place of the preset's. The error says that a value makes no sense, or that the experiment has nothing
// that it would change.
func (e Entry) Vary(p Preset, changes ...Change) (Entry, error) {
	if err := e.known(); err != nil {
		return e, err
	}
	if err := p.Check(); err != nil {
		return e, err
	}
	for _, change := range changes {
		if change == nil {
			return e, errors.New("experiment: a change is nil; take Seeds, Labels or Pairs")
		}
		var err error
		if e, err = change(e, p); err != nil {
			return e, err
		}
	}
	return e, nil
}

// Seeds runs each method with the seeds 1 to n.
func Seeds(n int) Change {
	return func(e Entry, _ Preset) (Entry, error) {
		if n < 1 {
			return e, fmt.Errorf("experiment: there cannot be %d seeds; give at least 1", n)
		}
		return e.With(n, e.methods)
	}
}

// Labels gives each search m labels: architectures whose accuracy it may query. An experiment that compares numbers of
// labels takes one or more, each once.
func Labels(m ...int) Change {
	return func(e Entry, p Preset) (Entry, error) {
		if e.compare != nil {
			own := e.of(p).values(labelsIn)
			switch {
			case e.numbers != nil:
				// any
			case len(own) == 0:
				return e, errors.New("experiment: no search of this experiment has labels whose number could be changed")
			case len(own) > 1:
				return e, fmt.Errorf("experiment: this experiment compares numbers of labels (%v), and takes no other", own)
			}
		} else if !e.labelled {
			return e, errors.New("experiment: no search of this experiment has labels whose number could be changed")
		}
		switch {
		case len(m) == 0:
			return e, errors.New("experiment: no number of labels is given")
		case len(m) > 1 && e.numbers == nil:
			return e, fmt.Errorf("experiment: this experiment takes one number of labels, not %v", m)
		}
		for i, n := range m {
			if n < leastLabels {
				return e, fmt.Errorf("experiment: there cannot be %d labels; the searches of this experiment need at least %d", n, leastLabels)
			}
			if slices.Contains(m[:i], n) {
				return e, fmt.Errorf("experiment: %d labels are given twice in %v", n, m)
			}
		}
		e.labels = slices.Clone(m)
		return e, nil
	}
}

// leastLabels is how many labels every search can begin with.
const leastLabels = 4

// Pairs lets K pseudo-labelled pairs join in each iteration of CTNAS (Algorithm 3); 0 is none.
func Pairs(k int) Change {
	return func(e Entry, p Preset) (Entry, error) {
		if k < 0 {
			return e, fmt.Errorf("experiment: K cannot be %d; give 0 or more pairs", k)
		}
		if e.compare == nil {
			return e, errors.New("experiment: no search of this experiment has pseudo-labelled pairs")
		}
		switch own := e.of(p).values(pairsIn); {
		case len(own) == 0:
			return e, errors.New("experiment: no search of this experiment has pseudo-labelled pairs")
		case len(own) > 1:
			return e, fmt.Errorf("experiment: this experiment compares numbers of pseudo-labelled pairs (%v), and takes no other", own)
		}
		e.pairs = &k
		return e, nil
	}
}

// changed returns the method with its configuration changed, if it is a search of this package.
func (m Method) changed(change func(config any)) Method {
	if m.vary == nil {
		return m
	}
	v := m.vary(change)
	m.own, m.vary = v.own, v.vary
	if c, ok := m.Config.(withReported); ok {
		c.Search = v.Config.(search.Config)
		m.Config = c
		return m
	}
	m.Config = v.Config
	return m
}

// values returns the different values of a field in the configurations of the methods, in their order.
func (e Experiment) values(field func(config any) *int) []int {
	var all []int
	for _, m := range e.Methods {
		m.changed(func(config any) {
			if at := field(config); at != nil && !slices.Contains(all, *at) {
				all = append(all, *at)
			}
		})
	}
	return all
}

// change makes the entry's changes in a configuration, given as a pointer.
func (e Entry) change(config any) {
	if at := pairsIn(config); at != nil && e.pairs != nil {
		*at = *e.pairs
	}
	at := labelsIn(config)
	if at == nil || len(e.labels) != 1 || e.numbers != nil {
		return
	}
	*at = e.labels[0]
	switch c := config.(type) { // what goes with the number
	case *search.EvolutionConfig:
		c.Population = min(c.Population, c.Labels/2)
		c.Tournament = min(c.Tournament, c.Population)
	case *search.GeneticConfig:
		c.Population = min(search.OFAGenetic(c.Labels).Population, c.Labels)
		c.Parents, c.Mutants = min(c.Parents, c.Population), min(c.Mutants, c.Population)
	case *search.LocalConfig:
		c.First = min(c.First, c.Labels)
	case *search.ThompsonConfig:
		c.First = min(search.DefaultThompson(c.Labels).First, c.Labels)
	}
}

// labelsIn returns where a configuration, given as a pointer, has its number of labels; nil if it has none, or only one
// label, as a random architecture has.
func labelsIn(config any) *int {
	var at *int
	switch c := config.(type) {
	case *ctnas.Config:
		at = &c.Labels
	case *search.RandomConfig:
		at = &c.Labels
	case *search.ReNASConfig:
		at = &c.Labels
	case *search.RegressionConfig:
		at = &c.Labels
	case *search.EvolutionConfig:
		at = &c.Labels
	case *search.GeneticConfig:
		at = &c.Labels
	case *search.LocalConfig:
		at = &c.Labels
	case *search.ThompsonConfig:
		at = &c.Labels
	case *search.RankingConfig:
		at = &c.Labels
	case *OrderConfig:
		at = &c.Labels
	}
	if at == nil || *at <= 1 {
		return nil
	}
	return at
}

// pairsIn returns where a configuration, given as a pointer, has its number of pseudo-labelled pairs; nil if it has none.
func pairsIn(config any) *int {
	if c, ok := config.(*ctnas.Config); ok && c.PseudoRatio > 0 {
		return &c.TopK
	}
	return nil
}
