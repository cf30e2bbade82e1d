package ctnas

import (
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/controller"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
)

// Exploration says how pseudo-labelled pairs are chosen (Alg. 1, line 13).
type Exploration string

const (
	Confident Exploration = "alg. 3"   // [Explore]
	Probable  Exploration = "released" // [ExploreReleased]
)

// BaselineRule says with what the reward compares an architecture (Sec. 6.2).
type BaselineRule string

const (
	CurriculumBaseline BaselineRule = "curriculum" // the baseline of Alg. 2
	FixedBaseline      BaselineRule = "fixed"      // the architecture that the search began with
	RandomBaseline     BaselineRule = "random"     // a random one of 𝒮, drawn at every update
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
// N = 100 for 𝒮. [Released] is the schedule of the authors' code, which is the same
// 10,000 steps but departs from Algorithms 2 and 3:
//
//	                      Paper                     Released
//	comparator            comparator.Paper          comparator.Released
//	pseudo-labelled pairs Alg. 3: the K = 100 most  of 200 samples, each paired with
//	                      confident of all pairs    one other, the 100 of highest p
//	new baseline          every iteration           every 5th (500 steps)
//	chosen from           all baselines before,     the last baseline and 10
//	                      and the whole of 𝒮        samples
//
// (The authors' code also starts with one exploration of the untrained policy, and
// takes the reward's baseline from the 10 samples alone, keeping the best so far
// only for the answer. The paper does not give K.)
type Config struct {
	Labels     int // M: architectures whose accuracy is queried
	Iterations int // T

	PolicySteps int // steps of policy gradient in an iteration
	PolicyBatch int // architectures sampled for each step; N = PolicySteps·PolicyBatch

	Samples     int         // size of 𝒮
	Exploration Exploration // how 𝒮 becomes pseudo-labelled pairs
	TopK        int         // K: pseudo-labelled pairs that join 𝒞 in an iteration
	PseudoRatio float64     // r: their share of NAC's training (Sec. 6.3)
	NACEpochs   int         // epochs that train NAC further in every iteration but the first

	Baseline        BaselineRule
	BaselineEvery   int  // iterations from one baseline to the next
	BaselineSamples int  // architectures of 𝒮 that may become the baseline
	AllBaselines    bool // ℬ holds every baseline so far, else only the last

	NAC        comparator.Config
	Controller controller.Config

	// Comparator, if set, is trained and asked in place of NAC: one's own.
	Comparator comparator.Design `json:",omitempty"`

	Seed uint64 // of everything; the seeds of NAC and Controller are derived from it
}

// Paper is Alg. 1 with Algorithms 2 and 3 and the settings of Sec. 5.1.
func Paper() Config {
	return Config{
		Labels: 423, Iterations: 100, PolicySteps: 100, PolicyBatch: 1,
		Samples: 100, Exploration: Confident, TopK: 100, PseudoRatio: 0.5, NACEpochs: 1,
		Baseline: CurriculumBaseline, BaselineEvery: 1, BaselineSamples: 100, AllBaselines: true,
		NAC: comparator.Paper(), Controller: controller.Default(),
	}
}

// Released returns the schedule and the comparator of the authors' published code.
func Released() Config {
	c := Paper()
	c.Samples, c.Exploration, c.TopK = 200, Probable, 100
	c.BaselineEvery, c.BaselineSamples, c.AllBaselines = 5, 10, false
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
	return c.comparator().Versions().With(controller.Versions(), rundir.Versions{"ctnas": 1})
}

// comparator returns the design of the comparator.
func (c Config) comparator() comparator.Design {
	if c.Comparator != nil {
		return c.Comparator
	}
	return c.NAC
}

// withSeed derives the seeds of the parts.
func (c Config) withSeed() Config {
	c.NAC.Seed, c.Controller.Seed = c.Seed, c.Seed
	if c.Comparator != nil {
		c.Comparator = c.Comparator.WithSeed(c.Seed)
	}
	return c
}

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
	case c.TopK < 0 || c.NACEpochs < 0:
		return fmt.Errorf("ctnas: TopK and NACEpochs must not be negative, they are %d and %d", c.TopK, c.NACEpochs)
	case c.BaselineSamples > c.Samples:
		return fmt.Errorf("ctnas: BaselineSamples (%d) is more than Samples (%d)", c.BaselineSamples, c.Samples)
	case c.Exploration != Confident && c.Exploration != Probable:
		return fmt.Errorf("ctnas: unknown exploration %q; use ctnas.Confident or ctnas.Probable", c.Exploration)
	case !(c.PseudoRatio >= 0 && c.PseudoRatio < 1):
		return fmt.Errorf("ctnas: PseudoRatio must be in [0, 1), not %g", c.PseudoRatio)
	}
	if err := c.NAC.Check(); err != nil {
		return err
	}
	return c.Controller.Check()
}
