package experiment

import (
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/search"
)

// AblateAnswer compares two answers to random labels, the architecture of the highest
// label and the one that [search.Thompson] chooses, for the paper's number of labels and for
// more than twice as many: how far labels lead that are one training run each.
func AblateAnswer(p Preset) Experiment {
	e := Experiment{ID: "ablation-answer", Seeds: p.seeds()}
	for _, labels := range []int{p.queriesOf(423), p.queriesOf(1000)} {
		weighed := search.DefaultThompson(labels)
		weighed.First = labels
		highest := explained(randomSearch(fmt.Sprintf("%d labels, the highest", labels), labels), "The answer is the cell of the highest label.")
		expected := explained(method(fmt.Sprintf("%d labels, the highest expected", labels), weighed, search.Thompson, thompsonSeed),
			"The answer is the cell of the highest utility that a Gaussian process expects, which weighs a cell's label against those of cells that are alike.")
		e.Methods = append(e.Methods, highest, expected)
		e.Compare = append(e.Compare, [2]string{expected.Name, highest.Name})
	}
	return p.checked(e)
}
