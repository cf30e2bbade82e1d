package experiment

import (
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/search"
)

// AblateAnswer compares two answers to random labels, the architecture of the highest
// label and the one that [search.Active] chooses, for the paper's number of labels and for
// seventy times as many: how far labels lead that are one training run each.
func AblateAnswer(p Preset) Experiment {
	e := Experiment{ID: "ablation-answer", Seeds: p.seeds()}
	few := p.sizedActive(search.PaperActive())
	few.Rounds, few.First = 0, few.Labels
	many := few
	many.Labels *= 70
	if p == Small {
		many.Labels = 3 * few.Labels
	}
	many.First, many.NAC.Epochs = many.Labels, few.NAC.Epochs/10 // each epoch has so many more steps
	for _, c := range []search.ActiveConfig{few, many} {
		labels := fmt.Sprintf("%d labels", c.Labels)
		highest := explained(randomSearch(labels+", the highest", c.Labels), "The answer is the cell of the highest label.")
		weighed := explained(activeSearch(labels+", weighed", c), "The answer is the cell for which its label and what a committee of comparators expects are highest together.")
		highest.OneSeed, weighed.OneSeed = c.Labels == many.Labels, c.Labels == many.Labels // seeds see nearly the same labels
		e.Methods = append(e.Methods, highest, weighed)
	}
	e.Compare = [][2]string{{e.Methods[1].Name, e.Methods[0].Name}}
	return p.checked(e)
}
