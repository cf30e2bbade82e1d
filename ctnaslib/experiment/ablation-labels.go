package experiment

import (
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/datasets"
)

// AblateLabels varies how long the networks behind the labels were trained. It needs
// a table that has the shorter budgets.
func AblateLabels(p Preset) Experiment {
	e := Experiment{ID: "ablation-labels", Seeds: p.seeds()}
	for _, epochs := range datasets.Epochs {
		m := p.ranking(fmt.Sprintf("%d epochs", epochs), func(*comparator.Config) {})
		m.Epochs = epochs
		e.Methods = append(e.Methods, m)
	}
	e.Compare = [][2]string{{"108 epochs", "36 epochs"}, {"108 epochs", "12 epochs"}, {"108 epochs", "4 epochs"}}
	return p.checked(e)
}
