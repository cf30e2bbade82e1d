package ctnas

import (
	"cmp"
	"math"
	"slices"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// Explore is Alg. 3: all ordered pairs of different architectures of 𝒮, labelled by
// the comparator itself, y' = 1{p ≥ 0.5} (Eq. 8); of these the k of the highest
// confidence f = |p − 0.5| (Eq. 9), or all if there are fewer.
func Explore(nac comparator.Scorer, s []space.Arch, k int) ([]comparator.Pair, error) {
	s = distinct(s)
	scores, err := nac.Scores(s)
	if err != nil {
		return nil, err
	}
	candidates := make([]candidate, 0, len(s)*len(s))
	for i := range s {
		for j := range s {
			if i != j {
				p := comparator.Probability(scores[i], scores[j])
				candidates = append(candidates, candidate{i, j, p >= 0.5, math.Abs(p - 0.5)})
			}
		}
	}
	return topK(s, candidates, k), nil
}

// candidate is a pair of positions in 𝒮 that may become a pseudo-labelled pair.
type candidate struct {
	first, second int
	better        bool    // the label
	rank          float64 // the larger the better
}

// topK returns the k candidates of the highest rank, or all if there are fewer.
func topK(s []space.Arch, candidates []candidate, k int) []comparator.Pair {
	slices.SortStableFunc(candidates, func(a, b candidate) int { return cmp.Compare(b.rank, a.rank) })
	chosen := candidates[:min(k, len(candidates))]
	pairs := make([]comparator.Pair, 0, len(chosen))
	for _, c := range chosen {
		pairs = append(pairs, comparator.Pair{First: s[c.first], Second: s[c.second], Better: c.better})
	}
	return pairs
}
