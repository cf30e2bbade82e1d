package experiment

import (
	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/ctnas"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/search"
)

// The names of methods that experiments share.
const (
	nameRandom   = "Random search"
	namePaper    = "CTNAS (paper's text)"
	nameReleased = "CTNAS (authors' code)"
	nameTwoWay   = "CTNAS, messages both ways (ours)"
)

// Table1 returns the paper's Table 1: what each method finds with 423 queries. The rows of
// weight sharing need no table but a supernet: they have only the paper's numbers until [Entry.Complete] takes what
// [WeightSharing] measured.
func Table1(p Preset) Experiment {
	ours := with(accuracy(93.92, 0.18), map[string]float64{"ktau_mean": 0.751, "accuracy_best": 94.22, "best_rank_percent": 0.01, "queries": 423})
	regression := p.sizedRegression(search.ReleasedRegression())
	renas := p.sizedReNAS(search.PaperReNAS())
	twoWay := ctnas.Paper()
	twoWay.NAC = comparator.TwoWay()
	e := Experiment{
		ID: "table1", Seeds: p.seeds(),
		Methods: []Method{
			noted(randomSearch(nameRandom, p.sized(ctnas.Paper()).Labels),
				with(accuracy(89.31, 3.92), map[string]float64{"accuracy_best": 93.46, "best_rank_percent": 1.29, "queries": 423}),
				"The best of 423 random cells by validation accuracy. The paper's number, with its spread of 3.92, looks like that of single random cells."),
			{Name: "DARTS", Paper: with(accuracy(92.21, 0.61), map[string]float64{"accuracy_best": 93.02, "best_rank_percent": 13.47})},
			{Name: "ENAS", Paper: with(accuracy(91.83, 0.42), map[string]float64{"accuracy_best": 92.54, "best_rank_percent": 22.88})},
			{Name: "FBNet", Paper: with(accuracy(92.29, 1.25), map[string]float64{"accuracy_best": 93.98, "best_rank_percent": 0.05})},
			{Name: "SPOS", Paper: with(accuracy(89.85, 3.80), map[string]float64{"ktau_mean": 0.195, "accuracy_best": 93.84, "best_rank_percent": 0.07})},
			{Name: "FairNAS", Paper: with(accuracy(91.10, 1.84), map[string]float64{"ktau_mean": -0.232, "accuracy_best": 93.55, "best_rank_percent": 0.77})},
			noted(method(nameReNAS, renas, search.ReNAS, func(c *search.ReNASConfig) *uint64 { return &c.Seed }),
				with(accuracy(93.90, 0.21), map[string]float64{"ktau_mean": 0.634, "accuracy_best": 94.11, "best_rank_percent": 0.04, "queries": 423}), ""),
			noted(regressionNAS("RegressionNAS", regression),
				with(accuracy(89.51, 4.94), map[string]float64{"ktau_mean": 0.430, "accuracy_best": 93.65, "best_rank_percent": 0.40, "queries": 423}), ""),
			CTNAS(namePaper, p.sized(ctnas.Paper()), ours),
			CTNAS(nameReleased, p.sized(ctnas.Released()), ours),
			noted(CTNAS(nameTwoWay, p.sized(twoWay), nil), nil,
				"The paper's search, with a comparator that is not the paper's: four layers in which each node reads its predecessors and its successors, and a last layer that makes NAC(α, β) = 1 − NAC(β, α)."),
			thompson(nameThompson, p.sized(ctnas.Paper()).Labels),
		},
		Compare: [][2]string{{nameReleased, "RegressionNAS"}, {nameReleased, nameReNAS}, {nameReleased, nameRandom}, {nameReleased, namePaper}, {nameTwoWay, nameReleased}, {nameTwoWay, namePaper}, {nameThompson, nameReleased}, {nameThompson, nameRandom}},
	}
	return p.checked(e)
}

// accuracy returns a mean and a standard deviation of the paper, in percent.
func accuracy(mean, std float64) map[string]float64 {
	return map[string]float64{"accuracy_mean": mean, "accuracy_std": std}
}

func with(numbers map[string]float64, more map[string]float64) map[string]float64 {
	for name, v := range more {
		numbers[name] = v
	}
	return numbers
}

var table1 = func() Entry {
	e := compared(Table1, report.KTau, report.Authors, report.Accuracy, report.Best, report.Rank, report.Queries)
	e.complete = withSharingAndAuthors
	return e
}()
