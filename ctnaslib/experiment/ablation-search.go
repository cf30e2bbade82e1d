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
			p.ranking(ranking, func(*comparator.Config) {}),
			CTNAS(policy, p.sizedSearch(ctnas.Quick()), nil),
			CTNAS(both, p.sizedSearch(unexplored), nil),
		},
		Compare: [][2]string{{policy, ranking}, {policy, both}},
	})
}
