package ctnas

import (
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/controller"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
)

// Schedule says what an iteration does, and in which order.
type Schedule string

const (
	AsPaper    Schedule = "paper"    // Alg. 1 with Algorithms 2 and 3, [UpdateBaseline] and [Explore]
	AsReleased Schedule = "released" // the authors' code, [DeriveReleased] and [ExploreReleased]
)

// BaselineRule says with what the reward compares an architecture (Sec. 6.2).
type BaselineRule string

const (
	CurriculumBaseline BaselineRule = "curriculum" // the baseline of Alg. 2
	FixedBaseline      BaselineRule = "fixed"      // the baseline that the search began with
	RandomBaseline     BaselineRule = "random"     // one of 𝒮, or of the fresh samples, drawn at every update
)

// RewardForm says what the policy's reward is, of an architecture α against the baseline β.
type RewardForm string

const (
	ProbabilityReward RewardForm = ""      // NAC(α, β), as in the paper: near 0 and flat once β is better than nearly all samples
	LogitReward       RewardForm = "logit" // its logit, which tells bad from worse against any β
)

// Config is the configuration of Alg. 1, a plain value that is stored with every run. One iteration trains NAC, takes
// PolicySteps steps of policy gradient on PolicyBatch fresh architectures each,
// samples a set 𝒮, explores it for pseudo-labelled pairs, and updates the baseline.
//
// # Where the two presets differ
//
// The paper says both "N samples" (Alg. 1) and "10k iterations with a batch size of
// 1" (Sec. 5.1). [Paper] reads them together: each of T = 100 iterations draws N = 100
// architectures one at a time, a step of policy gradient after each, then another
// N = 100 for 𝒮. [Released] is the authors' code (train.py with the batches of 256 of its README), the same
// 10,000 steps, in T = 100 iterations of 100 too, but not the same algorithm:
//
//	                       Paper                      Released
//	comparator             comparator.Paper           comparator.Released
//	order in an iteration  NAC, policy, exploration,  exploration, NAC, one step of
//	                       baseline                   the policy, baseline, 99 steps
//	NAC's epochs           in all iterations but the  in every iteration, at steps
//	                       first                      0, 100, 200, …
//	pseudo-labelled pairs  Alg. 3: of 100 samples     of 200 samples, each paired with
//	of an iteration        the K = 100 most confident one other, the 100 of highest p;
//	                       of all pairs               at first of 512 samples 256
//	label of a pair        1{p ≥ 0.5}                 1{p > 0.5}
//	without them, r = 0    NAC is trained further     NAC stays as it is
//	first baseline         a sample of the policy     drawn uniformly
//	new baseline           after every iteration      after the first step of every 5th
//	                                                  iteration, steps 0, 500, …, 9,500
//	β of the reward        the best (Eq. 5) of all    the best of 10 fresh samples, worse
//	                       baselines and 𝒮, a set     or better than the one before
//	answer                 the last β                 the best of the 10 and of the
//	                                                  answer before, as a list
//	of equally good ones   the last                   the first
//
// So in the authors' code the last 499 steps of the policy change nothing of the answer. (The 512 and 256 are 2·256 and
// 256, by the batches of NAC's training and r = 0.5; their random_baseline is never switched on, and [RandomBaseline]
// takes one of the 10, as it would. The paper does not give K.)
type Config struct {
	Labels     int // M: architectures whose accuracy is queried
	Iterations int // T

	PolicySteps int // steps of policy gradient in an iteration
	PolicyBatch int // architectures sampled for each step; N = PolicySteps·PolicyBatch

	Schedule    Schedule
	Samples     int     // size of 𝒮
	TopK        int     // K: pseudo-labelled pairs that join 𝒞 in an iteration
	PseudoRatio float64 // r: their share of NAC's training (Sec. 6.3)
	NACEpochs   int     // epochs that train NAC further in an iteration

	Baseline        BaselineRule
	BaselineEvery   int // iterations from one baseline to the next
	BaselineSamples int // architectures that may become the baseline: of 𝒮, or fresh ones, as the schedule has it

	NAC        comparator.Config
	Controller controller.Config

	// Reward is not the paper's unless it is [ProbabilityReward]. With [controller.Config.RewardDecay], it is for policies
	// that learn more than those of the paper.
	Reward RewardForm `json:",omitempty"`

	// Comparator, if set, is trained and asked in place of NAC: one's own.
	Comparator comparator.Design `json:",omitempty"`

	Seed uint64 // of everything; the seeds of NAC and Controller are derived from it
}

// Paper is Alg. 1 with Algorithms 2 and 3 and the settings of Sec. 5.1.
func Paper() Config {
	return Config{
		Labels: 423, Iterations: 100, PolicySteps: 100, PolicyBatch: 1,
		Schedule: AsPaper, Samples: 100, TopK: 100, PseudoRatio: 0.5, NACEpochs: 1,
		Baseline: CurriculumBaseline, BaselineEvery: 1, BaselineSamples: 100,
		NAC: comparator.Paper(), Controller: controller.Default(),
	}
}

// Released returns the authors' published code: its algorithm, comparator and settings.
func Released() Config {
	c := Paper()
	c.Schedule, c.Samples, c.TopK = AsReleased, 200, 100
	c.BaselineEvery, c.BaselineSamples = 5, 10
	c.NAC = comparator.Released()
	return c
}

// Quick is Alg. 1 for a laptop and a lesson: Algorithms 2 and 3, the comparator
// [comparator.Quick], and 400 steps of policy gradient on 16 architectures each
// instead of 10,000 on one, with the learning rate raised so that their sum stays
// the same. The baseline changes every 5th iteration and is chosen from 10 samples
// and all baselines before, so that one sees the reward rise in between.
func Quick() Config {
	c := Paper()
	c.Iterations, c.PolicySteps, c.PolicyBatch = 40, 10, 16
	c.BaselineEvery, c.BaselineSamples = 5, 10
	c.NAC = comparator.Quick()
	c.Controller.LearningRate = 5e-3
	return c
}

// Versions returns the versions of the algorithms behind a search of this configuration, for the keys of
// stored results.
func (c Config) Versions() rundir.Versions {
	return c.comparator().Versions().With(controller.Versions(), rundir.Versions{"ctnas": 2})
}

// comparator returns the design of the comparator.
func (c Config) comparator() comparator.Design {
	if c.Comparator != nil {
		return c.Comparator
	}
	return c.NAC
}

// pseudoOfBatch returns how many pseudo-labelled pairs a batch of the comparator's training gets.
func (c Config) pseudoOfBatch() float64 {
	nac := c.NAC
	if own, ok := c.Comparator.(comparator.Config); ok {
		nac = own
	}
	return c.PseudoRatio / (1 - c.PseudoRatio) * float64(nac.BatchSize)
}

// withSeed derives the seeds of the parts.
func (c Config) withSeed() (Config, error) {
	c.NAC.Seed, c.Controller.Seed = c.Seed, c.Seed
	if c.Comparator == nil {
		return c, nil
	}
	var err error
	c.Comparator, err = comparator.Seeded(c.Comparator, c.Seed)
	return c, err
}

// mostPseudo is more pseudo-labelled pairs than a search needs in a batch, and as many as memory has room for.
const mostPseudo = 1_000_000

func (c Config) check() error {
	for name, n := range map[string]int{
		"Iterations": c.Iterations, "PolicySteps": c.PolicySteps, "PolicyBatch": c.PolicyBatch,
		"Samples": c.Samples, "BaselineEvery": c.BaselineEvery, "BaselineSamples": c.BaselineSamples,
	} {
		if n < 1 {
			return fmt.Errorf("ctnas: %s must be at least 1, not %d", name, n)
		}
	}
	switch {
	case c.Labels < 2:
		return fmt.Errorf("ctnas: Labels must be at least 2, not %d", c.Labels)
	case c.Baseline != CurriculumBaseline && c.Baseline != FixedBaseline && c.Baseline != RandomBaseline:
		return fmt.Errorf("ctnas: unknown baseline rule %q; use ctnas.CurriculumBaseline, FixedBaseline or RandomBaseline", c.Baseline)
	case c.Reward != ProbabilityReward && c.Reward != LogitReward:
		return fmt.Errorf("ctnas: unknown form of the reward %q; use ctnas.ProbabilityReward or LogitReward", c.Reward)
	case c.TopK < 0 || c.NACEpochs < 0:
		return fmt.Errorf("ctnas: TopK and NACEpochs must not be negative, they are %d and %d", c.TopK, c.NACEpochs)
	case c.Schedule == AsPaper && c.BaselineSamples > c.Samples:
		return fmt.Errorf("ctnas: BaselineSamples (%d) is more than Samples (%d)", c.BaselineSamples, c.Samples)
	case c.Schedule != AsPaper && c.Schedule != AsReleased:
		return fmt.Errorf("ctnas: unknown schedule %q; use ctnas.AsPaper or ctnas.AsReleased", c.Schedule)
	case !(c.PseudoRatio >= 0 && c.PseudoRatio < 1):
		return fmt.Errorf("ctnas: PseudoRatio must be in [0, 1), not %g", c.PseudoRatio)
	case c.pseudoOfBatch() > mostPseudo:
		return fmt.Errorf("ctnas: with a PseudoRatio of %g a batch gets %.3g pseudo-labelled pairs, and can take %d; lower it, or the comparator's BatchSize", c.PseudoRatio, c.pseudoOfBatch(), mostPseudo)
	}
	if err := c.NAC.Check(); err != nil {
		return err
	}
	return c.Controller.Check()
}
