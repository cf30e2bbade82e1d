package experiment

import (
	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/ctnas"
)

// AblateSearch compares the controller's search with the ranking of all cells by the
// same comparator.
func AblateSearch(p Preset) Experiment {
	const ranking, policy, both = "ranking all cells", "the controller's search", "the same, no exploration"
	unexplored := ctnas.Quick()
	unexplored.PseudoRatio, unexplored.NACEpochs = 0, 0
	return p.checked(Experiment{
		ID: "ablation-search", Seeds: p.seeds(),
		Methods: []Method{
			explained(p.ranking(ranking, func(*comparator.Config) {}), "No policy: the answer is the cell that the comparator ranks first of all 423,624."),
			explained(CTNAS(policy, p.sizedSearch(ctnas.Quick()), nil), "Algorithm 1: a policy samples cells, and the comparator goes on learning from pairs that it labels itself."),
			explained(CTNAS(both, p.sizedSearch(unexplored), nil), "The controller's search with a comparator that is trained once, on the labelled cells."),
		},
		Compare: [][2]string{{policy, ranking}, {policy, both}},
	})
}
