package experiment

import (
	"github.com/ctnas/ctnas/ctnaslib/ctnas"
	"github.com/ctnas/ctnas/ctnaslib/report"
)

// AblatePolicy adds to CTNAS as in the authors' code, one after the other, what makes REINFORCE learn: a moving average
// that is taken off the reward, more cells in a step, NAC's logit as the reward, a higher learning rate. All have as
// many steps. What shows how much a policy has learned is how good its samples are, before and after; the answer, which is
// the comparator's choice, is reported beside it. The settings were chosen by the samples on the surrogate, with other
// seeds, and not by the answer: five times the learning rate made a policy that ends in a single cell.
func AblatePolicy(p Preset) Experiment {
	e := Experiment{ID: "ablation-policy", Seeds: p.seeds(), Tested: []string{samplesAt(probes)}}
	c := p.sized(ctnas.Released())
	add := func(name string) {
		m := CTNAS(name, c, nil)
		if len(e.Methods) > 0 {
			m.Note = "The row above, changed in one more way."
		}
		m.probed = c.Iterations / probes
		if len(e.Methods) > 0 {
			e.Compare = append(e.Compare, [2]string{name, e.Methods[len(e.Methods)-1].Name})
		}
		e.Methods = append(e.Methods, m)
	}
	add(nameReleased)
	c.Controller.RewardDecay = 0.95
	add("+ reward less its average")
	c.PolicyBatch *= 8
	add("+ 8 × the cells in a step")
	c.Reward = ctnas.LogitReward
	add("+ logit as the reward")
	c.Controller.LearningRate *= 2
	add("+ 2 × the learning rate")
	return p.checked(e)
}

var ablationPolicy = Entry{
	compare: AblatePolicy, data: onNASBench101,
	Columns: []report.Column{randomColumn, firstSampleColumn, sampleColumn("after half of it", probes/2), lastSampleColumn, report.Accuracy, report.Best, report.Authors},
	Figures: func(r report.Result) []report.Figure {
		return []report.Figure{{Name: "samples", Chart: sampleChart(r)}, {Name: "accuracy", Chart: r.Chart(report.Accuracy)}}
	},
}
