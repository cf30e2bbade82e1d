package ctnas

import (
	"fmt"
	"slices"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// UpdateBaseline is Alg. 2: the architecture of ℋ = ℬ ∪ 𝒮 that wins most against
// the rest of ℋ, by the average probability
//
//	s_i = 1/(|ℋ|−1) · Σ_{j≠i} NAC(α_i, α_j)          (Eq. 5)
//
// It returns that architecture and its s. Of equal ones the last wins, as in
// line 5. The comparator encodes each architecture once.
func UpdateBaseline(nac comparator.Scorer, b, s []space.Arch) (space.Arch, float64, error) {
	h := distinct(append(slices.Clone(b), s...))
	if len(h) == 0 {
		return nil, 0, fmt.Errorf("ctnas: there is no architecture to choose a baseline from")
	}
	averages, err := averageWins(nac, h)
	if err != nil {
		return nil, 0, err
	}
	best := 0
	for i, average := range averages {
		if average >= averages[best] {
			best = i
		}
	}
	return h[best], averages[best], nil
}

// averageWins returns s_i of Eq. 5 of each architecture, 0 if there is but one.
func averageWins(nac comparator.Scorer, h []space.Arch) ([]float64, error) {
	averages := make([]float64, len(h))
	if len(h) == 1 {
		return averages, nil
	}
	scores, err := nac.Scores(h)
	if err != nil {
		return nil, err
	}
	for i := range h {
		wins := 0.0
		for j := range h {
			if j != i {
				wins += comparator.Probability(scores[i], scores[j])
			}
		}
		averages[i] = wins / float64(len(h)-1)
	}
	return averages, nil
}

// distinct keeps the first of each architecture, by ID.
func distinct(archs []space.Arch) []space.Arch {
	seen := make(map[string]bool, len(archs))
	var kept []space.Arch
	for _, a := range archs {
		if id := a.ID(); !seen[id] {
			seen[id] = true
			kept = append(kept, a)
		}
	}
	return kept
}
