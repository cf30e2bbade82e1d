package experiment

import (
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/search"
)

// Preset is the size of an experiment.
type Preset string

const (
	// Small takes minutes on 2 cores: for a lesson, and to see that all works. Its
	// numbers are those of searches cut short.
	Small Preset = "small"

	// Paper has the paper's settings: 10 seeds, 423 queries, 10,000 steps of policy
	// gradient.
	Paper Preset = "paper"
)

func (p Preset) seeds() int {
	if p == Small {
		return 3
	}
	return 10
}

// sized is a search at the size of the preset.
func (p Preset) sized(c search.Config) search.Config {
	if p == Paper {
		return c
	}
	c.Labels, c.Iterations, c.PolicySteps, c.PolicyBatch = min(c.Labels, 100), 20, 5, 16
	c.Samples, c.TopK = 50, 50
	c.BaselineSamples = min(c.BaselineSamples, c.Samples)
	c.NAC.Width, c.NAC.Epochs, c.NAC.LearningRate = 64, 100, 1e-3
	c.Controller.LearningRate = 5e-3
	return c
}

func (p Preset) sizedRegression(c search.RegressionConfig) search.RegressionConfig {
	if p == Paper {
		return c
	}
	like := p.sized(search.Paper())
	c.Labels, c.Iterations, c.PolicySteps, c.PolicyBatch = like.Labels, like.Iterations, like.PolicySteps, like.PolicyBatch
	c.Predictor.Width, c.Predictor.Epochs, c.Predictor.LearningRate = like.NAC.Width, like.NAC.Epochs, like.NAC.LearningRate
	c.Controller = like.Controller
	return c
}

func (p Preset) sizedReNAS(c search.ReNASConfig) search.ReNASConfig {
	if p == Paper {
		return c
	}
	quick := search.QuickReNAS()
	quick.Labels = p.sized(search.Paper()).Labels
	return quick
}

func (p Preset) sizedActive(c search.ActiveConfig) search.ActiveConfig {
	if p == Paper {
		return c
	}
	c.Labels, c.First, c.Rounds, c.Pool, c.Members = 100, 60, 2, 2000, 3
	c.NAC.Epochs = 100
	return c
}

// accuracy is a mean and a standard deviation of the paper, in percent.
func accuracy(mean, std float64) map[string]float64 {
	return map[string]float64{"accuracy_mean": mean, "accuracy_std": std}
}

func with(numbers map[string]float64, more map[string]float64) map[string]float64 {
	for name, v := range more {
		numbers[name] = v
	}
	return numbers
}

// The names of methods that experiments share.
const (
	namePaper    = "CTNAS (paper's text)"
	nameReleased = "CTNAS (authors' code)"
	nameTwoWay   = "CTNAS, messages both ways (ours)"
	nameActive   = "NAC, active labels (ours)"
)

// Table1 is the paper's Table 1: what each method finds with 423 queries. The rows of
// weight sharing need no table but a supernet, and have only the paper's numbers.
func Table1(p Preset) Experiment {
	ours := with(accuracy(93.92, 0.18), map[string]float64{"ktau_mean": 0.751, "accuracy_best": 94.22, "best_rank_percent": 0.01, "queries": 423})
	regression := p.sizedRegression(search.ReleasedRegression())
	renas := p.sizedReNAS(search.PaperReNAS())
	twoWay := search.Paper()
	twoWay.NAC = comparator.TwoWay()
	e := Experiment{
		ID: "table1", Seeds: p.seeds(),
		Methods: []Method{
			noted(randomSearch("Random search", p.sized(search.Paper()).Labels),
				with(accuracy(89.31, 3.92), map[string]float64{"accuracy_best": 93.46, "best_rank_percent": 1.29, "queries": 423}),
				"The best of 423 random cells by validation accuracy. The paper's number, with its spread of 3.92, looks like that of single random cells."),
			{Name: "DARTS", Paper: with(accuracy(92.21, 0.61), map[string]float64{"accuracy_best": 93.02, "best_rank_percent": 13.47})},
			{Name: "ENAS", Paper: with(accuracy(91.83, 0.42), map[string]float64{"accuracy_best": 92.54, "best_rank_percent": 22.88})},
			{Name: "FBNet", Paper: with(accuracy(92.29, 1.25), map[string]float64{"accuracy_best": 93.98, "best_rank_percent": 0.05})},
			{Name: "SPOS", Paper: with(accuracy(89.85, 3.80), map[string]float64{"ktau_mean": 0.195, "accuracy_best": 93.84, "best_rank_percent": 0.07})},
			{Name: "FairNAS", Paper: with(accuracy(91.10, 1.84), map[string]float64{"ktau_mean": -0.232, "accuracy_best": 93.55, "best_rank_percent": 0.77})},
			noted(method(nameReNAS, renas, search.ReNAS, func(c *search.ReNASConfig) *uint64 { return &c.Seed }),
				with(accuracy(93.90, 0.21), map[string]float64{"ktau_mean": 0.634, "accuracy_best": 94.11, "best_rank_percent": 0.04, "queries": 423}), ""),
			noted(method("RegressionNAS", regression, search.RegressionNAS, func(c *search.RegressionConfig) *uint64 { return &c.Seed }),
				with(accuracy(89.51, 4.94), map[string]float64{"ktau_mean": 0.430, "accuracy_best": 93.65, "best_rank_percent": 0.40, "queries": 423}), ""),
			CTNAS(namePaper, p.sized(search.Paper()), ours),
			CTNAS(nameReleased, p.sized(search.Released()), ours),
			noted(CTNAS(nameTwoWay, p.sized(twoWay), nil), nil,
				"The paper's search, with a comparator that is not the paper's: four layers with messages both ways, and an antisymmetric head."),
			noted(activeSearch(nameActive, p.sizedActive(search.PaperActive())), nil,
				"Not the paper's: a committee of comparators with messages both ways and an antisymmetric head; a quarter of the labels are bought where it ranks highest; no policy; the answer weighs a label against what the committee expects."),
		},
		Compare: [][2]string{{nameReleased, "RegressionNAS"}, {nameReleased, nameReNAS}, {nameReleased, "Random search"}, {nameReleased, namePaper}, {nameTwoWay, nameReleased}, {nameTwoWay, namePaper}, {nameActive, nameReleased}, {nameActive, "Random search"}},
	}
	return e
}

// noted is a method with the paper's numbers and a sentence for the reader.
func noted(m Method, paper map[string]float64, note string) Method {
	m.Paper, m.Note = paper, note
	return m
}

// Table4 is the paper's Table 4: ways to update the baseline. The search is that of
// the authors' code.
func Table4(p Preset) Experiment {
	rule := func(name string, r search.BaselineRule, paper map[string]float64) Method {
		c := p.sized(search.Released())
		c.Baseline = r
		return CTNAS(name, c, paper)
	}
	const curriculum, random, fixed = "CTNAS (curriculum)", "random updating", "fixed baseline"
	return Experiment{
		ID: "table4", Seeds: p.seeds(),
		Methods: []Method{
			rule(curriculum, search.CurriculumBaseline, accuracy(93.92, 0.18)),
			rule(random, search.RandomBaseline, accuracy(93.53, 0.39)),
			rule(fixed, search.FixedBaseline, accuracy(93.39, 0.17)),
		},
		Compare: [][2]string{{curriculum, random}, {random, fixed}, {curriculum, fixed}},
	}
}

// Table5 is the paper's Table 5: the proportion r of pseudo-labelled pairs. The search
// is that of the authors' code.
func Table5(p Preset) Experiment {
	e := Experiment{ID: "table5", Seeds: p.seeds()}
	for _, row := range []struct {
		r         float64
		mean, std float64
	}{{0, 93.60, 0.22}, {0.3, 93.62, 0.30}, {0.5, 93.92, 0.18}, {0.8, 93.60, 0.40}} {
		c := p.sized(search.Released())
		c.PseudoRatio = row.r
		e.Methods = append(e.Methods, CTNAS(fmt.Sprintf("r = %.1f", row.r), c, accuracy(row.mean, row.std)))
	}
	e.Compare = [][2]string{{"r = 0.5", "r = 0.0"}, {"r = 0.5", "r = 0.3"}, {"r = 0.5", "r = 0.8"}}
	return e
}

// Figure5 is the paper's Figure 5: the number of labelled architectures. The search is
// that of the authors' code.
func Figure5(p Preset) Experiment {
	labels := []int{20, 50, 100, 423, 2115, 4230}
	if p == Small {
		labels = []int{20, 50, 100}
	}
	e := Experiment{ID: "figure5", Seeds: p.seeds()}
	for i, m := range labels {
		c := search.Released()
		c.Labels = m
		method := CTNAS(fmt.Sprintf("%d labels", m), p.sized(c), nil)
		if m == 423 {
			method.Paper = accuracy(93.92, 0.18)
		}
		e.Methods = append(e.Methods, method)
		if i > 0 {
			e.Compare = append(e.Compare, [2]string{method.Name, e.Methods[i-1].Name})
		}
	}
	return e
}
