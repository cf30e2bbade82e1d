package experiment

import (
	"github.com/ctnas/ctnas/ctnaslib/ctnas"
	"github.com/ctnas/ctnas/ctnaslib/report"
)

// Table4 returns the paper's Table 4: ways to update the baseline. The search is that of
// the authors' code.
func Table4(p Preset) Experiment {
	rule := func(name string, r ctnas.BaselineRule, paper map[string]float64, note string) Method {
		c := p.sized(ctnas.Released())
		c.Baseline = r
		return noted(CTNAS(name, c, paper), paper, note)
	}
	const curriculum, random, fixed = "CTNAS (curriculum)", "random updating", "fixed baseline"
	return p.checked(Experiment{
		ID: "table4", Seeds: p.seeds(),
		Methods: []Method{
			rule(curriculum, ctnas.CurriculumBaseline, accuracy(93.92, 0.18), "The reward compares with the best cell found so far (Algorithm 2)."),
			rule(random, ctnas.RandomBaseline, accuracy(93.53, 0.39), "The reward compares with any cell that the policy sampled."),
			rule(fixed, ctnas.FixedBaseline, accuracy(93.39, 0.17), "The reward compares with the cell that the search began with."),
		},
		Compare: [][2]string{{curriculum, random}, {random, fixed}, {curriculum, fixed}},
	})
}

var table4 = compared(Table4, report.Accuracy, report.Best)
