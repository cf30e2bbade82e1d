package experiment

import "github.com/ctnas/ctnas/ctnaslib/comparator"

// AblateHead compares the paper's head, which has to learn that NAC(α, β) =
// 1 − NAC(β, α), with one that has it by construction.
func AblateHead(p Preset) Experiment {
	return p.checked(Experiment{
		ID: "ablation-head", Seeds: p.seeds(),
		Methods: []Method{
			explained(p.ranking("free", func(*comparator.Config) {}), "The paper's last layer, whose weights for the two cells are learned independently."),
			explained(p.ranking("antisymmetric", func(c *comparator.Config) { c.Antisymmetric = true }), "NAC(α, β) = 1 − NAC(β, α) by construction."),
		},
		Compare: [][2]string{{"antisymmetric", "free"}},
	})
}
