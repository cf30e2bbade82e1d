package experiment

import (
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
)

// AblateDepth varies the number of graph convolutions, with residual connections and
// without.
func AblateDepth(p Preset) Experiment {
	e := Experiment{ID: "ablation-depth", Seeds: p.seeds()}
	name := func(layers int, residual bool) string {
		text := fmt.Sprintf("%d layers", layers)
		if layers == 1 {
			text = "1 layer"
		}
		if residual {
			text += ", residual"
		}
		return text
	}
	for _, residual := range []bool{false, true} {
		for _, layers := range []int{1, 2, 4, 6} {
			e.Methods = append(e.Methods, p.ranking(name(layers, residual), func(c *comparator.Config) { c.Layers, c.Residual = layers, residual }))
		}
	}
	e.Compare = [][2]string{{name(2, true), name(2, false)}, {name(4, true), name(4, false)}, {name(4, true), name(2, true)}}
	return p.checked(e)
}
