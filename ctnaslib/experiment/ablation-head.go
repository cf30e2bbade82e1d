package experiment

import "github.com/ctnas/ctnas/ctnaslib/comparator"

// AblateHead compares the paper's head, which has to learn that NAC(α, β) =
// 1 − NAC(β, α), with one that has it by construction.
func AblateHead(p Preset) Experiment {
	return p.checked(Experiment{
		ID: "ablation-head", Seeds: p.seeds(),
		Methods: []Method{
			p.ranking("free", func(*comparator.Config) {}),
			p.ranking("antisymmetric", func(c *comparator.Config) { c.Antisymmetric = true }),
		},
		Compare: [][2]string{{"antisymmetric", "free"}},
	})
}
