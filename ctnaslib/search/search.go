// Package search finds architectures: Contrastive Neural Architecture Search
// (paper, Sec. 3.2, Alg. 1), with its baseline curriculum (Alg. 2,
// [UpdateBaseline]) and data exploration (Alg. 3, [Explore]).
//
//	found, err := search.CTNAS(ctx, "runs", search.Problem{Backend: backend, Benchmark: table.Benchmark()}, search.Released())
//	found.Best // an architecture; found.Queries labels were bought for it
//
// It knows a search space only through package space, and accuracies only through
// [space.Benchmark], which counts them.
package search

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/controller"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/gomlx/compute"
)

// Problem is what a search works on.
type Problem struct {
	Backend   compute.Backend // not needed by searches that train nothing, such as [Random]
	Benchmark space.Benchmark
	Watch     rundir.Watch // told of each label, of each epoch of a judge, and of each iteration, if set
}

// Found is the outcome of a search, of [CTNAS] or of a rival.
type Found struct {
	Best     space.Arch            // the answer
	Labelled []comparator.Labelled // what was bought to train a judge
	Queries  int                   // architectures whose validation accuracy this search asked for
	Ranker   space.Ranker          // the judge: NAC, or a rival's predictor; nil for random search
	Status   rundir.Status
	Dir      string           // the run directory
	Metrics  []rundir.Metrics // of each iteration, as the search's comment says

	// Of searches with a NAC.
	NAC *comparator.NAC

	// Of CTNAS: the best of Alg. 2 at the start, then after each iteration.
	Baselines []space.Arch
}

// CTNAS runs Alg. 1 in a run directory under root; NAC's first training is a run
// of its own beside it, shared with [comparator.Train]. A search that was finished
// before is loaded, one that was interrupted continues, and both give the result of
// an uninterrupted one. The answer is the last baseline. The errors are those of the
// configuration, the benchmark and the run directory, and ctx's.
//
// Its metrics are, of each iteration: "reward", the mean NAC(α, β) of its samples;
// "entropy", of the policy in nats; "policy_loss"; "nac_loss", where NAC was trained;
// "baseline_score", s of Eq. 5, where the baseline was chosen anew.
func CTNAS(ctx context.Context, root string, p Problem, config Config) (*Found, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	config = config.withSeed()
	buyer, err := p.buyer(root)
	if err != nil {
		return nil, err
	}
	labelled, err := buyer.random(ctx, config.Labels, config.Seed)
	if err != nil {
		return nil, err
	}
	a := newCTNAS(ctx, root, p, config, labelled)
	found, err := p.run(ctx, root, "ctnas", config, a, config.Iterations, &Found{Labelled: labelled}, buyer)
	if err != nil {
		return nil, err
	}
	a.policy.Release()
	nac := a.nac.(*comparator.NAC) // which training or a checkpoint made
	found.Baselines, found.NAC, found.Ranker = a.baselines, nac, nac
	return found, nil
}

// judge is what Alg. 1 asks of the comparator: a [*comparator.NAC].
type judge interface {
	comparator.Scorer
	TrainEpoch(epoch int, labelled []comparator.Labelled, pseudo []comparator.Pair, r float64) (loss float64, err error)
	Encode() ([]byte, error)
}

// policy is what Alg. 1 asks of π(α; θ): a [*controller.Controller].
type policy interface {
	Sample(rng *rand.Rand, n int) ([][]int, error)
	Improve(ctx context.Context, rng *rand.Rand, s space.Space, steps, batch int, reward func([]space.Arch) ([]float64, error)) (controller.Learned, error)
	Encode() ([]byte, error)
	Release()
}

// ctnas is the state of Alg. 1 between two iterations.
type ctnas struct {
	config   Config
	problem  Problem
	space    space.Space
	labelled []comparator.Labelled // the labelled part 𝒜 of 𝒞
	train    func() (*comparator.Trained, error)

	nac       judge
	policy    policy
	pseudo    []comparator.Pair // the pseudo-labelled part of 𝒞
	baselines []space.Arch      // ℬ, with the best of Alg. 2 last
	rival     space.Arch        // β of the reward: with the curriculum, the last of ℬ
}

func (a *ctnas) best() space.Arch { return a.baselines[len(a.baselines)-1] }

func newCTNAS(ctx context.Context, root string, p Problem, config Config, labelled []comparator.Labelled) *ctnas {
	s := p.Benchmark.Space()
	return &ctnas{config: config, problem: p, space: s, labelled: labelled,
		train: func() (*comparator.Trained, error) {
			return comparator.Train(ctx, root, comparator.Training{
				Backend: p.Backend, Space: s, Labelled: labelled, Config: config.NAC, Watch: p.Watch.Stage("comparator, epoch"),
			})
		}}
}

// Start does lines 3 to 5, and the first, full training of NAC (line 7).
func (a *ctnas) Start() error {
	trained, err := a.train()
	if err != nil {
		return err
	}
	a.nac = trained.NAC
	a.policy, err = controller.New(a.problem.Backend, a.space.Decisions(), a.config.Controller)
	if err != nil {
		return err
	}
	a.baselines, err = a.draw(engine.Stream(a.config.Seed, "search: first baseline", 0), 1)
	if err != nil {
		return err
	}
	a.rival = a.best()
	return nil
}

// Step does lines 7 to 15 of iteration t, counted from 0.
func (a *ctnas) Step(ctx context.Context, t int) (map[string]float64, error) {
	c := a.config
	rng := engine.Stream(c.Seed, "search: iteration", t)
	values := make(map[string]float64)
	if t > 0 {
		for e := range c.NACEpochs {
			epoch := c.NAC.Epochs + (t-1)*c.NACEpochs + e
			if err := ctx.Err(); err != nil {
				return nil, fmt.Errorf("stopped in iteration %d of %d; run it again to continue: %w", t+1, c.Iterations, err)
			}
			loss, err := a.nac.TrainEpoch(epoch, a.labelled, a.pseudo, c.PseudoRatio)
			if err != nil {
				return nil, err
			}
			values["nac_loss"] = loss
		}
	}
	if err := a.improvePolicy(ctx, rng, values); err != nil {
		return nil, err
	}
	samples, err := a.draw(rng, c.Samples)
	if err != nil {
		return nil, err
	}
	if err := a.explore(rng, samples); err != nil {
		return nil, err
	}
	if t%c.BaselineEvery != 0 {
		a.baselines = append(a.baselines, a.best())
		return values, nil
	}
	candidates := a.baselines
	if !c.AllBaselines {
		candidates = a.baselines[len(a.baselines)-1:]
	}
	next, score, err := UpdateBaseline(a.nac, candidates, samples[:c.BaselineSamples])
	if err != nil {
		return nil, err
	}
	values["baseline_score"] = score
	a.baselines = append(a.baselines, next)
	switch c.Baseline {
	case CurriculumBaseline:
		a.rival = next
	case RandomBaseline:
		a.rival = samples[rng.IntN(len(samples))]
	}
	return values, nil
}

// improvePolicy does lines 9 and 10: the reward of α is NAC(α, β).
func (a *ctnas) improvePolicy(ctx context.Context, rng *rand.Rand, values map[string]float64) error {
	baseline, err := a.nac.Scores([]space.Arch{a.rival})
	if err != nil {
		return err
	}
	reward := func(archs []space.Arch) ([]float64, error) {
		scores, err := a.nac.Scores(archs)
		rewards := make([]float64, len(scores))
		for i, s := range scores {
			rewards[i] = comparator.Probability(s, baseline[0])
		}
		return rewards, err
	}
	learned, err := a.policy.Improve(ctx, rng, a.space, a.config.PolicySteps, a.config.PolicyBatch, reward)
	values["reward"], values["policy_loss"], values["entropy"] = learned.Reward, learned.Loss, learned.Entropy
	return err
}

// explore does lines 12 to 14.
func (a *ctnas) explore(rng *rand.Rand, samples []space.Arch) error {
	if a.config.PseudoRatio == 0 {
		return nil
	}
	var pairs []comparator.Pair
	var err error
	if a.config.Exploration == Confident {
		pairs, err = Explore(a.nac, samples, a.config.TopK)
	} else {
		pairs, err = ExploreReleased(a.nac, samples, a.config.TopK, rng)
	}
	a.pseudo = append(a.pseudo, pairs...)
	return err
}

// draw samples n architectures from the policy.
func (a *ctnas) draw(rng *rand.Rand, n int) ([]space.Arch, error) {
	sequences, err := a.policy.Sample(rng, n)
	if err != nil {
		return nil, err
	}
	return controller.Decoded(a.space, sequences)
}

// savedCTNAS is a ctnas in a checkpoint.
type savedCTNAS struct {
	NAC, Policy []byte
	Baselines   []string
	Rival       string
	First       []string // of the pseudo-labelled pairs
	Second      []string
	Better      []bool
}

func (a *ctnas) Encode() ([]byte, error) {
	var s savedCTNAS
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
	s.Rival = a.rival.String()
	for _, p := range a.pseudo {
		s.First = append(s.First, p.First.String())
		s.Second = append(s.Second, p.Second.String())
		s.Better = append(s.Better, p.Better)
	}
	return toGob(s)
}

func (a *ctnas) Decode(state []byte) error {
	var s savedCTNAS
	err := fromGob(state, &s)
	if err != nil {
		return err
	}
	if a.nac, err = comparator.Decode(a.problem.Backend, a.space, a.config.NAC, s.NAC); err != nil {
		return err
	}
	if a.policy, err = controller.Decode(a.problem.Backend, a.space.Decisions(), a.config.Controller, s.Policy); err != nil {
		return err
	}
	archs := func(texts ...string) []space.Arch {
		archs := make([]space.Arch, len(texts))
		for i, text := range texts {
			if err == nil {
				archs[i], err = parse(a.space, text)
			}
		}
		return archs
	}
	a.baselines = archs(s.Baselines...)
	a.rival = archs(s.Rival)[0]
	first, second := archs(s.First...), archs(s.Second...)
	if err != nil {
		return err
	}
	for i := range first {
		a.pseudo = append(a.pseudo, comparator.Pair{First: first[i], Second: second[i], Better: s.Better[i]})
	}
	return nil
}
