package experiment

import (
	"errors"
	"maps"
	"slices"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/metric"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// The names of what is measured of the order near the top, beside Kendall's tau, which does not predict the answer of a search.
const (
	topTau     = "ktau_top"   // Kendall's tau among the best tenth
	bestOf10   = "first_10"   // the best of the first 10 of the ranking, in percent
	bestOf100  = "first_100"  // the best of the first 100
	topHeldOut = 10 * heldOut // architectures that the order near the top is measured on, whose best tenth is as many as heldOut
)

// withOrder returns columns, and after them, if Kendall's tau is one of them, those of the order near the top.
func withOrder(columns []report.Column) []report.Column {
	if slices.Contains(columns, report.KTau) {
		return slices.Concat(columns, []report.Column{report.TopTau, report.First10, report.First100})
	}
	return columns
}

// nearTop returns the order near the top of a ranking by utilities, of architectures with accuracies in [0, 1]. What cannot be measured is
// left out: tau where the best tenth is tied, and the best of the first 10 or 100 of no more than these.
func nearTop(utilities, accuracies []float64) (map[string]float64, error) {
	values := make(map[string]float64)
	tau, err := metric.TopTau(utilities, accuracies, max(2, (len(utilities)+9)/10))
	switch {
	case errors.Is(err, metric.ErrTied):
	case err != nil:
		return nil, err
	default:
		values[topTau] = tau
	}
	for name, n := range map[string]int{bestOf10: 10, bestOf100: 100} {
		if n >= len(utilities) {
			continue
		}
		best, err := metric.BestOfFirst(utilities, accuracies, n)
		if err != nil {
			return nil, err
		}
		values[name] = 100 * best
	}
	return values, nil
}

// ofAll returns the metrics that were measured with all seeds.
func ofAll(perSeed map[string][]float64, seeds int) map[string][]float64 {
	maps.DeleteFunc(perSeed, func(_ string, values []float64) bool { return len(values) < seeds })
	return perSeed
}

// orderNearTop adds to metrics the order near the top of what a search with a seed believes.
func (d Data) orderNearTop(metrics map[string]float64, found *search.Found, seed uint64) error {
	others, accuracies, err := d.heldOut(engine.Stream(seed, "experiment: held out for the order near the top", 0), topHeldOut, space.Archs(found.Labelled))
	if err != nil || len(others) < 2 {
		return err
	}
	utilities, err := found.Ranker.Utilities(others)
	if err != nil {
		return err
	}
	values, err := nearTop(utilities, accuracies)
	maps.Copy(metrics, values)
	return err
}
