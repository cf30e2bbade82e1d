package experiment

import (
	"github.com/ctnas/ctnas/ctnaslib/ctnas"
	"github.com/ctnas/ctnas/ctnaslib/report"
)

// AblatePolicy adds to CTNAS as in the authors' code, one after the other, what makes REINFORCE learn: a moving average
// that is taken off the reward, NAC's logit as the reward, more cells in a step, a higher learning rate. All have as
// many steps. What shows how much a policy has learned is how good its samples are, before and after; the answer, which is
// the comparator's choice, is reported beside it and was not looked at to choose the settings.
func AblatePolicy(p Preset) Experiment {
	e := Experiment{ID: "ablation-policy", Seeds: p.seeds(), Tested: []string{samplesAt(probes)}}
	c := p.sized(ctnas.Released())
	add := func(name string) {
		m := CTNAS(name, c, nil)
		m.probed = c.Iterations / probes
		if len(e.Methods) > 0 {
			e.Compare = append(e.Compare, [2]string{name, e.Methods[len(e.Methods)-1].Name})
		}
		e.Methods = append(e.Methods, m)
	}
	add(nameReleased)
	c.Controller.RewardDecay = 0.95
	add("+ reward less its average")
	c.Reward = ctnas.LogitReward
	add("+ logit as the reward")
	c.PolicyBatch *= 8
	add("+ 8 × the cells in a step")
	c.Controller.LearningRate *= 5
	add("+ 5 × the learning rate")
	return e
}

var ablationPolicy = Entry{
	compare: AblatePolicy, data: onNASBench101,
	Columns: []report.Column{firstSampleColumn, sampleColumn("after half of it", probes/2), lastSampleColumn, report.Accuracy, report.Best, report.Authors},
	Figures: func(r report.Result) []report.Figure {
		return []report.Figure{{Name: "samples", Chart: sampleChart(r)}, {Name: "accuracy", Chart: r.Chart(report.Accuracy)}}
	},
}
