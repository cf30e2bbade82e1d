// Package metric holds the measures that the paper reports and that gonum lacks, a test whether two methods differ,
// and the bins of reliability diagrams. For means and standard deviations use gonum.org/v1/gonum/stat.
package metric

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// ErrTied is in the error of [KendallTau] where all items are tied.
var ErrTied = errors.New("all items are tied")

// KendallTau returns Kendall's rank correlation τ-b of two rankings of the same items (the KTau of the paper's Table
// 1):
//
//	τ = (C − D) / √((P − X)(P − Y))
//
// with C and D the numbers of pairs that x and y order the same way and opposite ways, P = n(n−1)/2, and X and Y the
// numbers of pairs that are tied in x and in y. Without ties it is (C − D)/P. It takes O(n log n) time (Knight,
// 1966), so the whole of NAS-Bench-101 takes a second; gonum's stat.Kendall takes O(n²) and counts ties by the order
// of the items.
//
// The error says that the slices differ in length, have fewer than two items, hold a NaN, or that all items are tied
// in one of them, which leaves τ undefined.
func KendallTau(x, y []float64) (float64, error) {
	n := len(x)
	if len(y) != n {
		return 0, fmt.Errorf("metric: Kendall's tau needs two rankings of the same items, got %d and %d", n, len(y))
	}
	if n < 2 {
		return 0, fmt.Errorf("metric: Kendall's tau needs at least two items, got %d", n)
	}
	items := make([][2]float64, n)
	for i := range items {
		if math.IsNaN(x[i]) || math.IsNaN(y[i]) {
			return 0, fmt.Errorf("metric: item %d is not a number", i)
		}
		items[i] = [2]float64{x[i], y[i]}
	}
	slices.SortFunc(items, func(a, b [2]float64) int { return slices.Compare(a[:], b[:]) })
	xs, ys := make([]float64, n), make([]float64, n)
	for i, item := range items {
		xs[i], ys[i] = item[0], item[1]
	}
	pairs := n * (n - 1) / 2
	tiedX, tiedBoth := tiedPairs(xs), tiedPairs(items)
	discordant := sortCountingSwaps(ys, make([]float64, n))
	tiedY := tiedPairs(ys) // sorted now
	if tiedX == pairs || tiedY == pairs {
		return 0, fmt.Errorf("metric: Kendall's tau is undefined, as %w", ErrTied)
	}
	concordant := pairs - tiedX - tiedY + tiedBoth - discordant
	tau := float64(concordant-discordant) / math.Sqrt(float64(pairs-tiedX)) / math.Sqrt(float64(pairs-tiedY))
	return max(-1, min(tau, 1)), nil // not a rounding error beyond
}

// tiedPairs counts the pairs of equal values in a slice whose equal values are neighbours.
func tiedPairs[T comparable](values []T) int {
	pairs, run := 0, 0
	for i := 1; i < len(values); i++ {
		if values[i] == values[i-1] {
			run++
			pairs += run
		} else {
			run = 0
		}
	}
	return pairs
}

// sortCountingSwaps merge-sorts values and returns how many pairs were out of order.
func sortCountingSwaps(values, scratch []float64) int {
	n := len(values)
	if n < 2 {
		return 0
	}
	left, right := values[:n/2], values[n/2:]
	swaps := sortCountingSwaps(left, scratch) + sortCountingSwaps(right, scratch)
	merged := scratch[:0]
	for len(left) > 0 && len(right) > 0 {
		if right[0] < left[0] {
			swaps += len(left)
			merged, right = append(merged, right[0]), right[1:]
		} else {
			merged, left = append(merged, left[0]), left[1:]
		}
	}
	merged = append(append(merged, left...), right...)
	copy(values, merged)
	return swaps
}

// AuthorsTau returns Kendall's τ as the code of the paper's authors measures it (compute_kendall_tau_AR): the mean, over
// the pairs i < j, of +1 where a comparison agrees with the accuracies and −1 where it does not. Each pair is compared
// in this one order, and of a tie the first is taken to be better on both sides: better(i, j) says whether i is taken to be at
// least as good as j. [KendallTau] asks in both orders and counts ties as neither.
//
// The error says that there are fewer than two items or that an accuracy is NaN.
func AuthorsTau(accuracies []float64, better func(i, j int) bool) (float64, error) {
	n := len(accuracies)
	if n < 2 {
		return 0, fmt.Errorf("metric: Kendall's tau needs at least two items, got %d", n)
	}
	if i := slices.IndexFunc(accuracies, math.IsNaN); i >= 0 {
		return 0, fmt.Errorf("metric: item %d is not a number", i)
	}
	sum := 0
	for i := range n {
		for j := i + 1; j < n; j++ {
			if better(i, j) == (accuracies[i] >= accuracies[j]) {
				sum++
			} else {
				sum--
			}
		}
	}
	return float64(sum) / float64(n*(n-1)/2), nil
}
