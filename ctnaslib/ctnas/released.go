package ctnas

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// released does iteration t as the authors' code does PolicySteps steps (train_controller of
// core/engine/policy_learning.py): it explores and trains NAC, then takes a step of policy gradient, then derives
// baselines in every BaselineEvery-th iteration, then takes the other steps.
func (a *algorithm1) released(ctx context.Context, t int, rng *rand.Rand, values map[string]float64) error {
	c := a.config
	if c.PseudoRatio > 0 { // else NAC stays what its first training made it
		samples, k := c.Samples, c.TopK
		if t == 0 && k > 0 { // as many pairs as a batch of NAC's training gets
			k = int(c.pseudoOfBatch())
			samples = 2 * k
		}
		if err := a.exploreReleased(rng, samples, k); err != nil {
			return err
		}
		if err := a.trainNAC(ctx, t, values); err != nil {
			return err
		}
	}
	if err := a.improvePolicy(ctx, rng, 1, values); err != nil {
		return err
	}
	if t%c.BaselineEvery != 0 {
		a.baselines = append(a.baselines, a.Best())
	} else if err := a.derive(rng, values); err != nil {
		return err
	}
	if c.PolicySteps == 1 {
		return nil
	}
	return a.improvePolicy(ctx, rng, c.PolicySteps-1, values)
}

// exploreReleased adds k pseudo-labelled pairs of so many samples, if there are to be any.
func (a *algorithm1) exploreReleased(rng *rand.Rand, samples, k int) error {
	if k == 0 {
		return nil
	}
	s, err := a.draw(rng, samples)
	if err != nil {
		return err
	}
	pairs, err := ExploreReleased(a.nac, s, k, rng)
	a.pseudo = append(a.pseudo, pairs...)
	return err
}

// derive samples BaselineSamples architectures. The best of them becomes the β of the reward, however much better the
// one before was; the best of them and the best so far is kept, for the answer.
func (a *algorithm1) derive(rng *rand.Rand, values map[string]float64) error {
	fresh, err := a.draw(rng, a.config.BaselineSamples)
	if err != nil {
		return err
	}
	best, score, err := DeriveReleased(a.nac, fresh)
	if err != nil {
		return err
	}
	history := append(fresh[:len(fresh):len(fresh)], a.Best())
	kept, _, err := DeriveReleased(a.nac, history)
	if err != nil {
		return err
	}
	values["baseline_score"] = score
	a.baselines = append(a.baselines, kept)
	a.reward(best, fresh, rng)
	return nil
}

// DeriveReleased is what the authors' published code does in place of Alg. 2: it returns the first of the
// architectures with the highest s of Eq. 5, and that s. One that comes twice is compared with itself.
func DeriveReleased(nac comparator.Scorer, s []space.Arch) (space.Arch, float64, error) {
	if len(s) == 0 {
		return nil, 0, fmt.Errorf("ctnas: there is no architecture to choose a baseline from")
	}
	averages, err := averageWins(nac, s)
	if err != nil {
		return nil, 0, err
	}
	best := 0
	for i, average := range averages {
		if average > averages[best] {
			best = i
		}
	}
	return s[best], averages[best], nil
}

// ExploreReleased is what the authors' published code does in place of Alg. 3: it pairs 𝒮 with a shuffle of itself,
// |𝒮| pairs instead of |𝒮|(|𝒮|−1), and keeps the k of the highest p, not of the highest confidence. So nearly all
// labels, y' = 1{p > 0.5}, are 1.
func ExploreReleased(nac comparator.Scorer, s []space.Arch, k int, rng *rand.Rand) ([]comparator.Pair, error) {
	return mostProbable(nac, s, rng.Perm(len(s)), k)
}

// mostProbable returns the k pairs of the highest p of those of each architecture with its partner, a position in s.
func mostProbable(nac comparator.Scorer, s []space.Arch, partners []int, k int) ([]comparator.Pair, error) {
	scores, err := nac.Scores(s)
	if err != nil {
		return nil, err
	}
	candidates := make([]candidate, len(s))
	for i, j := range partners {
		p := comparator.Probability(scores[i], scores[j])
		candidates[i] = candidate{i, j, p > 0.5, p}
	}
	return topK(s, candidates, k), nil
}
