package supernet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/nn"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/ctnaslib/train"
)

// Training is the training of shared weights.
type Training = nn.Training[Config]

// Trained is what [Train] leads to.
type Trained struct {
	Net *Supernet

	// Its metrics are those of [nn.Process]; for ENAS also, after each round, "reward", the mean accuracy of the
	// policy's cells on held-out images, in [0, 1], and "entropy", of the policy, in nats.
	train.Outcome
}

// Train trains a network with shared weights from random ones in a run directory under root. If that training was done
// before it returns the stored network; if it was interrupted, by ctx or by the end of the process, it continues from
// the last round, and leads to the same weights. Its errors are those of the configuration, the images and the run
// directory.
func Train(ctx context.Context, root string, t Training) (*Trained, error) {
	net, err := New(t.Backend, t.Data, t.Config)
	if err != nil {
		return nil, err
	}
	p := &process{net: net}
	p.Model, p.TrainStep, p.Rounds = net.model, net.trainStep, nn.Rounds(0, t.Config.Steps, t.Config.CheckpointInterval)
	outcome, err := t.Run(ctx, root, "supernet", t.Config.Versions(), p, len(p.Rounds))
	if err != nil {
		return nil, fmt.Errorf("supernet: %w", err)
	}
	return &Trained{net, outcome}, nil
}

// Benchmark makes a benchmark of the trained network, until ctx ends.
func (t *Trained) Benchmark(ctx context.Context) *nn.Benchmark {
	return nn.NewBenchmark(t.Dir, nasbench101.Space{}, t.Net.Ranker(ctx))
}

// process is the training of a supernet, with ENAS's policy.
type process struct {
	nn.Process
	net *Supernet
}

func (p *process) Step(ctx context.Context, round int) (map[string]float64, error) {
	values, err := p.Process.Step(ctx, round)
	if err == nil && p.net.policy != nil {
		err = p.net.improvePolicy(ctx, round, values)
	}
	return values, err
}

// saved is a process in a checkpoint.
type saved struct{ Store, Policy []byte }

func (p *process) Encode() (state []byte, err error) {
	var s saved
	if s.Store, err = p.Process.Encode(); err != nil {
		return nil, err
	}
	if p.net.policy != nil {
		if s.Policy, err = p.net.policy.Encode(); err != nil {
			return nil, err
		}
	}
	return train.EncodeState(s)
}

func (p *process) Restore(state []byte) error {
	var s saved
	if err := train.DecodeState(state, &s); err != nil {
		return err
	}
	if p.net.policy != nil {
		if err := p.net.policy.Restore(s.Policy); err != nil {
			return err
		}
	}
	return p.Process.Restore(s.Store)
}

// trainStep does a step of the method.
func (s *Supernet) trainStep(ctx context.Context, step int, b nn.Batch) (loss, accuracy float64, err error) {
	c := s.config
	rng := engine.Stream(c.Seed, "supernet: step", step)
	rate := nn.Cosine(c.LearningRate, step, c.Steps)
	if c.isRelaxed() {
		held, err := s.model.Held(ctx)
		if err != nil {
			return 0, 0, err
		}
		return s.relaxationStep(step, b, held[rng.IntN(len(held))], rate, rng)
	}
	cell, err := s.draw(rng)
	if err != nil {
		return 0, 0, err
	}
	cells := []nasbench101.Cell{cell}
	if c.Method == FairNAS {
		if cells, err = fair(rng, cell); err != nil {
			return 0, 0, err
		}
	}
	return s.trainOn(cells, b, rate)
}

// StepTime returns how long a step of training takes, with the time to read its images: the mean of the first so many,
// at least 1, after they were done once to compile what they need. The steps train the network.
func (s *Supernet) StepTime(ctx context.Context, steps int) (time.Duration, error) {
	var start time.Time
	for range 2 {
		start = time.Now()
		err := nn.Stream(ctx, s.model.Augmented(), 0, steps, func(step int, b nn.Batch) error {
			_, _, err := s.trainStep(ctx, step, b)
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	return time.Since(start) / time.Duration(steps), nil
}

// fair returns three cells with the edges of a cell, in which every vertex has each of the three operations once.
func fair(rng *rand.Rand, c nasbench101.Cell) ([]nasbench101.Cell, error) {
	var names [ops][]string
	for k := range names {
		names[k] = c.OpNames()
	}
	for v := 1; v < c.N()-1; v++ {
		for k, op := range rng.Perm(ops) {
			names[k][v] = nasbench101.Op(op).String()
		}
	}
	cells := make([]nasbench101.Cell, ops)
	for k := range cells {
		var err error
		if cells[k], err = nasbench101.New(c.Matrix(), names[k]); err != nil {
			return nil, err
		}
	}
	return cells, nil
}

// improvePolicy does ENAS's steps of policy gradient after a round. The reward of a cell is its accuracy on one batch
// of held-out images.
func (s *Supernet) improvePolicy(ctx context.Context, round int, values map[string]float64) error {
	c := s.config
	rng := engine.Stream(c.Seed, "supernet: policy", round)
	held, err := s.model.Held(ctx)
	if err != nil {
		return err
	}
	reward := func(archs []space.Arch) ([]float64, error) {
		b := held[rng.IntN(len(held))]
		rewards := make([]float64, len(archs))
		for i, arch := range archs {
			var err error
			if rewards[i], err = s.accuracy(ctx, arch.(nasbench101.Cell), b); err != nil {
				return nil, err
			}
		}
		return rewards, nil
	}
	learned, err := s.policy.Improve(ctx, rng, nasbench101.Space{}, c.PolicySteps, c.PolicyBatch, reward)
	values["reward"], values["entropy"] = learned.Reward, learned.Entropy
	return err
}
