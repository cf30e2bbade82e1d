package search

import (
	"context"
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/controller"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/train"
)

// RegressionConfig is the configuration of [RegressionNAS]. The search is
// Iterations·PolicySteps steps of policy gradient; an iteration is what may be lost
// when the process is killed.
type RegressionConfig struct {
	Labels int // architectures whose accuracy is queried

	Iterations  int
	PolicySteps int // steps of policy gradient in an iteration
	PolicyBatch int // architectures sampled for each step

	Predictor  RegressionPredictorConfig
	Controller controller.Config

	Seed uint64 // of everything; the seeds of Predictor and Controller are derived from it
}

// PaperRegression is RegressionNAS with the settings of Sec. 5.1 and the encoder of
// Sec. 4.1: what ctnas.Paper is to CTNAS.
func PaperRegression() RegressionConfig {
	return RegressionConfig{
		Labels: 423, Iterations: 100, PolicySteps: 100, PolicyBatch: 1,
		Predictor: PaperRegressionPredictor(), Controller: controller.Default(),
	}
}

// ReleasedRegression is RegressionNAS with the encoder of the authors' published
// code: what ctnas.Released is to CTNAS.
func ReleasedRegression() RegressionConfig {
	c := PaperRegression()
	c.Predictor = ReleasedRegressionPredictor()
	return c
}

// QuickRegression is RegressionNAS for a laptop and a lesson: what ctnas.Quick is to CTNAS.
func QuickRegression() RegressionConfig {
	c := PaperRegression()
	c.Iterations, c.PolicySteps, c.PolicyBatch = 40, 10, 16
	c.Predictor = QuickRegressionPredictor()
	c.Controller.LearningRate = 5e-3
	return c
}

// Versions returns the versions of the algorithms behind a search of this configuration.
func (RegressionConfig) Versions() rundir.Versions {
	return predictorVersions().With(controller.Versions(), rundir.Versions{"regressionnas": 1})
}

// withSeed derives the seeds of the parts.
func (c RegressionConfig) withSeed() RegressionConfig {
	c.Predictor.Seed, c.Controller.Seed = c.Seed, c.Seed
	return c
}

func (c RegressionConfig) check() error {
	switch {
	case c.Labels < 2:
		return fmt.Errorf("search: Labels must be at least 2, not %d", c.Labels)
	case c.Iterations < 1 || c.PolicySteps < 1 || c.PolicyBatch < 1:
		return fmt.Errorf("search: Iterations, PolicySteps and PolicyBatch must be at least 1, not %d, %d and %d", c.Iterations, c.PolicySteps, c.PolicyBatch)
	}
	if err := c.Predictor.Check(); err != nil {
		return err
	}
	return c.Controller.Check()
}

// RegressionNAS is CTNAS with the accuracy that a regression predicts as the reward
// (paper, Sec. 5.1): the labels of CTNAS of that seed train a
// [RegressionPredictor], the policy learns by policy gradient as in Alg. 1, and the
// answer is the architecture of highest predicted accuracy of all that it sampled.
//
// It works in a run directory under root, resumes and is loaded as CTNAS is. Its
// metrics, of each iteration, are "reward", the mean predicted accuracy of the
// samples; "entropy", of the policy in nats; "policy_loss"; "best", the highest
// predicted accuracy so far.
func RegressionNAS(ctx context.Context, root string, p Problem, config RegressionConfig) (*Found, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	config = config.withSeed()
	labels, labelled, err := p.label(ctx, root, config.Labels, config.Seed)
	if err != nil {
		return nil, err
	}
	s := p.Benchmark.Space()
	trained, err := TrainRegressionPredictor(ctx, root, PredictorTraining[RegressionPredictorConfig]{
		Backend: p.Backend, Space: s, Labelled: labelled, Config: config.Predictor, Watch: p.Watch.Stage("predictor, epoch"),
	})
	if err != nil {
		return nil, err
	}
	r := &regressionSearch{config: config, space: s, predictor: trained.Predictor}
	if r.policy, err = controller.New(s.Decisions(), config.Controller); err != nil {
		return nil, err
	}
	return Run(ctx, root, p, "regressionnas", config, config.Iterations, r, labels, &Found{Labelled: labelled, Ranker: trained.Predictor})
}

// regressionSearch is the policy, which the predicted accuracy rewards, and the best
// it sampled so far, the first of equal ones.
type regressionSearch struct {
	config    RegressionConfig
	space     space.Space
	predictor space.Ranker

	policy *controller.Controller
	found  individual
}

func (r *regressionSearch) Best() space.Arch { return r.found.arch }

func (r *regressionSearch) Step(ctx context.Context, t int) (map[string]float64, error) {
	c := r.config
	rng := engine.Stream(c.Seed, "search: iteration", t)
	reward := func(archs []space.Arch) ([]float64, error) {
		accuracies, err := r.predictor.Utilities(archs)
		for i, accuracy := range accuracies {
			if r.found.arch == nil || accuracy > r.found.utility {
				r.found = individual{archs[i], accuracy}
			}
		}
		return accuracies, err
	}
	learned, err := r.policy.Improve(ctx, rng, r.space, c.PolicySteps, c.PolicyBatch, reward)
	return map[string]float64{
		"reward": learned.Reward, "policy_loss": learned.Loss, "entropy": learned.Entropy, "best": r.found.utility,
	}, err
}

// savedRegression is a regressionSearch in a checkpoint.
type savedRegression struct {
	Policy  []byte
	Best    string
	Utility float64
}

func (r *regressionSearch) Encode() ([]byte, error) {
	policy, err := r.policy.Encode()
	if err != nil {
		return nil, err
	}
	return train.EncodeState(savedRegression{policy, r.found.arch.String(), r.found.utility})
}

func (r *regressionSearch) Restore(state []byte) error {
	var s savedRegression
	err := train.DecodeState(state, &s)
	if err != nil {
		return err
	}
	r.found.utility = s.Utility
	if r.found.arch, err = Parse(r.space, s.Best); err != nil {
		return err
	}
	return r.policy.Restore(s.Policy)
}
