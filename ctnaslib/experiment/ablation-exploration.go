package experiment

import (
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/ctnas"
)

// AblateExploration varies K, the pseudo-labelled pairs of an iteration, and N, the
// architectures sampled for the policy's gradient, in the search [ctnas.Quick].
func AblateExploration(p Preset) Experiment {
	e := Experiment{ID: "ablation-exploration", Seeds: p.seeds()}
	for _, k := range []int{25, 100, 400} {
		c := ctnas.Quick()
		c.TopK = k
		e.Methods = append(e.Methods, explained(CTNAS(fmt.Sprintf("K = %d", k), p.sizedSearch(c), nil), "K is the number of pseudo-labelled pairs that join in an iteration; N is 160."))
	}
	for _, n := range []int{40, 640} {
		c := ctnas.Quick()
		c.PolicyBatch = n / c.PolicySteps
		e.Methods = append(e.Methods, explained(CTNAS(fmt.Sprintf("N = %d", n), p.sizedSearch(c), nil), "N is the number of cells that the policy samples in an iteration; K is 100."))
	}
	e.Compare = [][2]string{{"K = 400", "K = 25"}, {"N = 640", "N = 40"}}
	return p.checked(e)
}
