package experiment

import (
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/ctnas"
	"github.com/ctnas/ctnas/ctnaslib/report"
)

// Table5 returns the paper's Table 5: the proportion r of pseudo-labelled pairs. The search
// is that of the authors' code.
func Table5(p Preset) Experiment {
	e := Experiment{ID: "table5", Seeds: p.seeds()}
	for _, row := range []struct {
		r         float64
		mean, std float64
	}{{0, 93.60, 0.22}, {0.3, 93.62, 0.30}, {0.5, 93.92, 0.18}, {0.8, 93.60, 0.40}} {
		c := p.sized(ctnas.Released())
		c.PseudoRatio = row.r
		e.Methods = append(e.Methods, explained(CTNAS(fmt.Sprintf("r = %.1f", row.r), c, accuracy(row.mean, row.std)), "r is the share of pseudo-labelled pairs in a batch."))
	}
	e.Compare = [][2]string{{"r = 0.5", "r = 0.0"}, {"r = 0.5", "r = 0.3"}, {"r = 0.5", "r = 0.8"}}
	return p.checked(e)
}

var table5 = compared(Table5, report.Accuracy, report.Best, report.KTau, report.Authors)
