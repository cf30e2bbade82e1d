package metric

import (
	"fmt"
	"math"

	"github.com/ctnas/ctnas/ctnaslib/space"
)

// TopTau returns Kendall's τ-b, [KendallTau], of the scores and the accuracies among the best items alone: the n of the highest
// accuracies, of equal accuracies those that come first; all, if there are fewer. It says whether a ranking tells the good from the best,
// which τ over all items hardly does.
//
// The error says that the slices differ in length, have fewer than two items, hold a NaN, that n is less than two, or, with [ErrTied],
// that all of the best are tied in one of the slices.
func TopTau(scores, accuracies []float64, n int) (float64, error) {
	if n < 2 {
		return 0, fmt.Errorf("metric: Kendall's tau among the best %d items is undefined; take at least two", n)
	}
	if err := checkRanking(scores, accuracies); err != nil {
		return 0, err
	}
	best := space.Order(accuracies)[:min(n, len(accuracies))]
	x, y := make([]float64, len(best)), make([]float64, len(best))
	for k, i := range best {
		x[k], y[k] = scores[i], accuracies[i]
	}
	return KendallTau(x, y)
}

// BestOfFirst returns the highest accuracy among the n items of the highest scores, of equal scores those that come first: what one has
// who trains the first n of a ranking. If there are fewer items, it is the highest of all.
//
// The error says that the slices differ in length, have fewer than two items, hold a NaN, or that n is not positive.
func BestOfFirst(scores, accuracies []float64, n int) (float64, error) {
	if n < 1 {
		return 0, fmt.Errorf("metric: the best of the first %d cannot be taken; take at least one", n)
	}
	if err := checkRanking(scores, accuracies); err != nil {
		return 0, err
	}
	best := math.Inf(-1)
	for _, i := range space.Order(scores)[:min(n, len(scores))] {
		best = max(best, accuracies[i])
	}
	return best, nil
}

// checkRanking says what is wrong with the scores and the accuracies of the same items.
func checkRanking(scores, accuracies []float64) error {
	switch n := len(scores); {
	case len(accuracies) != n:
		return fmt.Errorf("metric: a ranking needs a score and an accuracy of each item, got %d and %d", n, len(accuracies))
	case n < 2:
		return fmt.Errorf("metric: a ranking needs at least two items, got %d", n)
	}
	for i := range scores {
		if math.IsNaN(scores[i]) || math.IsNaN(accuracies[i]) {
			return fmt.Errorf("metric: item %d is not a number", i)
		}
	}
	return nil
}
