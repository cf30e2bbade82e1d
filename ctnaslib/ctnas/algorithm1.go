// Package ctnas is Contrastive Neural Architecture Search (CVPR 2021) from top to bottom: Alg. 1,
// with its baseline curriculum (Alg. 2, [UpdateBaseline]) and data exploration (Alg. 3, [Explore]), a
// file each; and, in one more, what the authors' published code does in their place ([Released]).
//
//	found, err := ctnas.Search(ctx, "runs", search.Problem{Backend: backend, Benchmark: table.Benchmark()}, ctnas.Released())
//	found.Best // an architecture; found.Queries labels were bought for it
//
// Its parts are the comparator (package comparator) and the policy (package controller). What it is
// measured against is in package search.
package ctnas

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/controller"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/train"
)

// Search runs Alg. 1 in a run directory under root; the comparator's first training is a run
// of its own beside it, shared with [comparator.Train]. A search that was finished
// before is loaded, one that was interrupted continues, and both give the result of
// an uninterrupted one. The answer is the last of its baselines. The errors are those of the
// configuration, the benchmark and the run directory, and ctx's.
//
// Its metrics are, of each iteration: "reward", the mean NAC(α, β) of its samples, or its logit;
// "entropy", of the policy in nats; "policy_loss"; "nac_loss", where NAC was trained;
// "baseline_score", s of Eq. 5, where a new β of the reward was chosen; and those of the problem's Probe.
func Search(ctx context.Context, root string, p search.Problem, config Config) (*search.Found, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	config, err := config.withSeed()
	if err != nil {
		return nil, err
	}
	labels, err := search.OpenLabels(root, p)
	if err != nil {
		return nil, err
	}
	labelled, err := labels.Random(ctx, config.Labels, config.Seed) // line 1
	if err != nil {
		return nil, err
	}
	a, err := initialise(root, p, config, labelled)
	if err != nil {
		return nil, err
	}
	found, err := search.Run(ctx, root, p, "ctnas", config, config.Iterations, a, labels, &search.Found{Labelled: labelled})
	if err != nil {
		return nil, err
	}
	found.NAC, _ = a.nac.(*comparator.NAC)
	found.Ranker, found.Baselines = comparator.Ranker(a.nac), a.baselines
	return found, nil
}

// policy is what Alg. 1 asks of π(α; θ): a [*controller.Controller].
type policy interface {
	Sample(rng *rand.Rand, n int) ([][]int, error)
	Improve(ctx context.Context, rng *rand.Rand, s space.Space, steps, batch int, reward func([]space.Arch) ([]float64, error)) (controller.Learned, error)
	Encode() ([]byte, error)
	Restore(state []byte) error
}

// algorithm1 is the state of Alg. 1 between two iterations, as a [search.Algorithm].
type algorithm1 struct {
	root     string
	problem  search.Problem
	config   Config
	space    space.Space
	labelled []space.Labelled // the labelled part 𝒜 of 𝒞

	nac       comparator.Comparator // nil before the first iteration
	policy    policy
	pseudo    []comparator.Pair // the pseudo-labelled part of 𝒞
	baselines []space.Arch      // ℬ, with the best of Alg. 2 last; [AsReleased], the best so far after each iteration
	baseline  space.Arch        // β of the reward: with the curriculum, the last of ℬ; [AsReleased], of the fresh samples
}

// initialise does lines 2 and 3.
func initialise(root string, p search.Problem, config Config, labelled []space.Labelled) (*algorithm1, error) {
	if p.Backend == nil {
		return nil, fmt.Errorf("ctnas: the problem has no Backend, as engine.Open gives it, to train on")
	}
	s := p.Benchmark.Space()
	policy, err := controller.New(s.Decisions(), config.Controller)
	if err != nil {
		return nil, err
	}
	return &algorithm1{root: root, problem: p, config: config, space: s, labelled: labelled, policy: policy}, nil
}

// Best returns the last of ℬ.
func (a *algorithm1) Best() space.Arch { return a.baselines[len(a.baselines)-1] }

// Step does iteration t, counted from 0.
func (a *algorithm1) Step(ctx context.Context, t int) (map[string]float64, error) {
	if t == 0 {
		if err := a.begin(ctx); err != nil {
			return nil, err
		}
	}
	rng, values := engine.Stream(a.config.Seed, "search: iteration", t), make(map[string]float64)
	if t == 0 {
		if err := a.probe(-1, values); err != nil {
			return nil, err
		}
	}
	iterate := a.iterate
	if a.config.Schedule == AsReleased {
		iterate = a.released
	}
	if err := iterate(ctx, t, rng, values); err != nil {
		return nil, err
	}
	return values, a.probe(t, values)
}

// probe adds what the problem's probe measures after iteration t, −1 for the beginning, of what the policy samples
// then. No random numbers are drawn for it but its own, so that the search is the same without it.
func (a *algorithm1) probe(t int, values map[string]float64) error {
	p := a.problem.Probe
	if p.Measure == nil || (t+1)%p.Every != 0 {
		return nil
	}
	samples, err := a.draw(engine.Stream(a.config.Seed, "search: probe", t), p.Samples)
	if err != nil {
		return err
	}
	measured, err := p.Measure(samples)
	for name, value := range measured {
		if t < 0 {
			name = search.ProbedAtStart + name
		}
		values[name] = value
	}
	return err
}

// iterate does lines 7 to 15 of iteration t.
func (a *algorithm1) iterate(ctx context.Context, t int, rng *rand.Rand, values map[string]float64) error {
	c := a.config
	if t > 0 { // before the first iteration NAC was trained in full
		if err := a.trainNAC(ctx, t-1, values); err != nil { // line 7
			return err
		}
	}
	if err := a.improvePolicy(ctx, rng, c.PolicySteps, values); err != nil { // lines 8 to 10
		return err
	}
	samples, err := a.draw(rng, c.Samples) // line 12
	if err != nil {
		return err
	}
	if c.PseudoRatio > 0 {
		pairs, err := Explore(a.nac, samples, c.TopK) // line 13
		if err != nil {
			return err
		}
		a.pseudo = append(a.pseudo, pairs...) // line 14
	}
	if t%c.BaselineEvery != 0 {
		a.baselines = append(a.baselines, a.Best())
		return nil
	}
	next, score, err := UpdateBaseline(a.nac, a.baselines, samples[:c.BaselineSamples]) // line 15
	if err != nil {
		return err
	}
	values["baseline_score"] = score
	a.baselines = append(a.baselines, next)
	a.reward(next, samples, rng)
	return nil
}

// begin does the first, full training of NAC (line 7), which depends on nothing that comes between, and lines 4
// and 5: the first baseline is the policy's. In the authors' code it decides uniformly, whatever its weights.
func (a *algorithm1) begin(ctx context.Context) error {
	if a.nac == nil {
		trained, err := comparator.Train(ctx, a.root, comparator.Training{
			Backend: a.problem.Backend, Space: a.space, Labelled: a.labelled, Config: a.config.comparator(),
			Watch: a.problem.Watch.Stage("comparator, epoch"),
		})
		if err != nil {
			return err
		}
		a.nac = trained.Comparator
	}
	rng := engine.Stream(a.config.Seed, "search: first baseline", 0)
	var first space.Arch
	if a.config.Schedule == AsReleased {
		arch, err := a.space.Decode(a.space.Decisions().Walk(rng))
		if err != nil {
			return fmt.Errorf("ctnas: the space %s cannot decode a walk through its own decisions: %w", a.space.Name(), err)
		}
		first = arch
	} else {
		drawn, err := a.draw(rng, 1)
		if err != nil {
			return err
		}
		first = drawn[0]
	}
	a.baselines, a.baseline = []space.Arch{first}, first
	return nil
}

// trainNAC trains NAC further, after so many times before (line 7).
func (a *algorithm1) trainNAC(ctx context.Context, times int, values map[string]float64) error {
	c := a.config
	for e := range c.NACEpochs {
		epoch := c.comparator().FirstEpochs() + times*c.NACEpochs + e
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("stopped before epoch %d of NAC; run it again to continue: %w", epoch+1, err)
		}
		loss, err := a.nac.TrainEpoch(epoch, a.labelled, a.pseudo, c.PseudoRatio)
		if err != nil {
			return err
		}
		values["nac_loss"] = loss
	}
	return nil
}

// improvePolicy does some of an iteration's steps of policy gradient (lines 8 to 10) and adds up the
// means over all of them: the reward of α is NAC(α, β), or its logit.
func (a *algorithm1) improvePolicy(ctx context.Context, rng *rand.Rand, steps int, values map[string]float64) error {
	baseline, err := a.nac.Scores([]space.Arch{a.baseline})
	if err != nil {
		return err
	}
	reward := func(archs []space.Arch) ([]float64, error) {
		scores, err := a.nac.Scores(archs)
		rewards := make([]float64, len(scores))
		for i, s := range scores {
			rewards[i] = comparator.Probability(s, baseline[0])
			if a.config.Reward == LogitReward {
				rewards[i] = comparator.Logit(s, baseline[0])
			}
		}
		return rewards, err
	}
	learned, err := a.policy.Improve(ctx, rng, a.space, steps, a.config.PolicyBatch, reward)
	share := float64(steps) / float64(a.config.PolicySteps)
	values["reward"] += share * learned.Reward
	values["policy_loss"] += share * learned.Loss
	values["entropy"] += share * learned.Entropy
	return err
}

// reward sets the β of the reward, from the best of Alg. 2 and the samples that it was chosen from.
func (a *algorithm1) reward(best space.Arch, samples []space.Arch, rng *rand.Rand) {
	switch a.config.Baseline {
	case CurriculumBaseline:
		a.baseline = best
	case RandomBaseline:
		a.baseline = samples[rng.IntN(len(samples))]
	}
}

// draw samples n architectures from the policy.
func (a *algorithm1) draw(rng *rand.Rand, n int) ([]space.Arch, error) {
	sequences, err := a.policy.Sample(rng, n)
	if err != nil {
		return nil, err
	}
	return controller.Decoded(a.space, sequences)
}

// saved is the state of Alg. 1 in a checkpoint.
type saved struct {
	NAC, Policy   []byte
	Baselines     []string
	Baseline      string
	First, Second []string // of the pseudo-labelled pairs
	Better        []bool
}

func (a *algorithm1) Encode() ([]byte, error) {
	var s saved
	var err error
	if s.NAC, err = a.nac.Encode(); err != nil {
		return nil, err
	}
	if s.Policy, err = a.policy.Encode(); err != nil {
		return nil, err
	}
	for _, b := range a.baselines {
		s.Baselines = append(s.Baselines, b.String())
	}
	s.Baseline = a.baseline.String()
	for _, p := range a.pseudo {
		s.First = append(s.First, p.First.String())
		s.Second = append(s.Second, p.Second.String())
		s.Better = append(s.Better, p.Better)
	}
	return train.EncodeState(s)
}

func (a *algorithm1) Restore(state []byte) error {
	var s saved
	err := train.DecodeState(state, &s)
	if err != nil {
		return err
	}
	if a.nac, err = a.config.comparator().New(a.problem.Backend, a.space); err != nil {
		return err
	}
	if err = a.nac.Restore(s.NAC); err != nil {
		return err
	}
	if err = a.policy.Restore(s.Policy); err != nil {
		return err
	}
	archs := func(texts ...string) []space.Arch {
		archs := make([]space.Arch, len(texts))
		for i, text := range texts {
			if err == nil {
				archs[i], err = search.Parse(a.space, text)
			}
		}
		return archs
	}
	a.baselines, a.baseline = archs(s.Baselines...), archs(s.Baseline)[0]
	first, second := archs(s.First...), archs(s.Second...)
	if err != nil {
		return err
	}
	for i := range first {
		a.pseudo = append(a.pseudo, comparator.Pair{First: first[i], Second: second[i], Better: s.Better[i]})
	}
	return nil
}
