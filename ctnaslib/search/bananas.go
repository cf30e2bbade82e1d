package search

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/train"
	"gonum.org/v1/gonum/stat"
)

// BananasConfig is the configuration of [Bananas].
type BananasConfig struct {
	Labels int // architectures whose accuracy is queried
	First  int // of them, at random
	Batch  int // labels of a round

	Members   int                       // predictors of the ensemble
	Predictor RegressionPredictorConfig // of each; they differ by their seeds
	Parents   int                       // best labels, whose mutants are the candidates of a round
	Children  int                       // mutants of each

	Seed uint64 // of everything; the seeds of the predictors are derived from it
}

// Versions returns the versions of the algorithms behind a search of this configuration.
func (BananasConfig) Versions() rundir.Versions {
	return predictorVersions().With(rundir.Versions{"bananas": 1})
}

func (c BananasConfig) check() error {
	if c.First < 2 || c.First > c.Labels || c.Batch < 1 || c.Members < 2 || c.Parents < 1 || c.Children < 1 {
		return fmt.Errorf("search: Bananas needs a First from 2 to Labels (%d), at least 2 Members, and at least 1 for Batch, Parents and Children, not First %d, Members %d, Batch %d, Parents %d and Children %d",
			c.Labels, c.First, c.Members, c.Batch, c.Parents, c.Children)
	}
	return c.Predictor.Check()
}

// Bananas is a search like BANANAS (White, Neiswanger and Savani, AAAI 2021), the strongest rival of its kind. A round
// trains an ensemble of accuracy predictors from scratch on the labels so far, makes mutants of the best of them, and
// buys by independent Thompson sampling: for each label to buy it draws an accuracy for each mutant, from the normal
// distribution with the mean and the standard deviation of the ensemble's predictions, and takes the highest. It answers
// the architecture of the highest label.
//
// The predictors are [RegressionPredictor], with any encoder and the L2 loss, where BANANAS has path encodings, which are
// of cells alone, and the mean absolute percentage error. As to tables of a part of the space, its run directory and its
// metric it is like [Thompson].
func Bananas(ctx context.Context, root string, p Problem, config BananasConfig) (*Found, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	if p.Benchmark != nil && p.Backend == nil {
		return nil, errors.New("search: Bananas trains predictors, so it needs a Backend, as engine.Open gives it")
	}
	labels, first, err := p.label(ctx, root, config.First, config.Seed)
	if err != nil {
		return nil, err
	}
	b := &bananas{rounds: newRounds(ctx, p.Benchmark, labels, first), config: config}
	for i := range config.Members {
		c := config.Predictor
		c.Seed = config.Seed*uint64(config.Members) + uint64(i)
		member, err := NewRegressionPredictor(p.Backend, p.Benchmark.Space(), first, c)
		if err != nil {
			return nil, err
		}
		fresh, err := member.Encode()
		if err != nil {
			return nil, err
		}
		b.members, b.fresh = append(b.members, member), append(b.fresh, fresh)
	}
	steps := numberOfRounds(config.Labels, config.First, config.Batch)
	return b.search(ctx, root, p, "bananas", config, steps, b, func(found *Found) error {
		found.Best = b.best(1)[0]
		return nil
	})
}

// bananas is the search as a [train.Process]. A step is a round.
type bananas struct {
	*rounds
	config  BananasConfig
	members []*RegressionPredictor
	fresh   [][]byte // each member before its training
}

func (b *bananas) Step(ctx context.Context, round int) (map[string]float64, error) {
	rng := engine.Stream(b.config.Seed, "search: bananas, round", round)
	candidates, err := b.mutants(rng)
	if err != nil {
		return nil, err
	}
	predictions := make([][]float64, len(b.members)) // [member][candidate]
	for i := range b.members {
		if predictions[i], err = b.predict(ctx, i, candidates); err != nil {
			return nil, err
		}
	}
	functions := min(b.config.Batch, b.config.Labels-len(b.labelled))
	return b.buy(ctx, rng, sampled(rng, candidates, predictions, functions), functions)
}

// mutants returns those of the best labels that have no label, each once.
func (b *bananas) mutants(rng *rand.Rand) ([]space.Arch, error) {
	var mutants []space.Arch
	met := make(map[string]bool)
	for _, parent := range b.best(b.config.Parents) {
		for range b.config.Children {
			child, err := b.benchmark.Space().Mutate(rng, parent)
			if err != nil {
				return nil, err
			}
			if id := child.ID(); !met[id] && !b.known[id] {
				met[id] = true
				mutants = append(mutants, child)
			}
		}
	}
	return mutants, nil
}

// predict trains a member from scratch on the labels so far, and returns the accuracies that it predicts.
func (b *bananas) predict(ctx context.Context, i int, archs []space.Arch) ([]float64, error) {
	member := b.members[i]
	if err := member.Restore(b.fresh[i]); err != nil {
		return nil, err
	}
	if err := member.standardise(b.labelled); err != nil {
		return nil, err
	}
	for epoch := range b.config.Predictor.Epochs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if _, err := member.TrainEpoch(epoch, b.labelled); err != nil {
			return nil, err
		}
	}
	return member.Utilities(archs)
}

// sampled returns candidates with as many accuracies as there are functions, each drawn from the normal distribution of
// the members' predictions.
func sampled(rng *rand.Rand, archs []space.Arch, predictions [][]float64, functions int) []candidate {
	pool := make([]candidate, len(archs))
	of := make([]float64, len(predictions))
	for k, a := range archs {
		for i := range predictions {
			of[i] = predictions[i][k]
		}
		mean, deviation := stat.MeanStdDev(of, nil)
		pool[k] = candidate{a, make([]float64, functions)}
		for f := range functions {
			pool[k].values[f] = mean + deviation*rng.NormFloat64()
		}
	}
	return pool
}

// savedBananas is the search in a checkpoint: what it bought in its rounds, and could not buy.
type savedBananas struct {
	Archs      []string
	Accuracies []float64
	Refused    []string // IDs
}

func (b *bananas) Encode() ([]byte, error) {
	archs, accuracies := b.bought()
	return train.EncodeState(savedBananas{archs, accuracies, b.refused})
}

func (b *bananas) Restore(state []byte) error {
	var s savedBananas
	if err := train.DecodeState(state, &s); err != nil {
		return err
	}
	b.refuse(s.Refused...)
	return b.restore(s.Archs, s.Accuracies)
}
