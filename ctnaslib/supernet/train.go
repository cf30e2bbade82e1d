package supernet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/gomlx/compute"
)

// Training is the training of shared weights from scratch. What it leads to is a
// function of all fields but Watch.
type Training struct {
	Backend compute.Backend
	Data    *Data
	Config  Config
	Watch   rundir.Watch // told of each round, if set
}

// Trained is what [Train] leads to.
type Trained struct {
	Net    *Net
	Status rundir.Status
	Dir    string // the run directory

	// Metrics are, of each round, means over its steps: "loss" and "accuracy" on the
	// training images; for ENAS also "reward", the mean accuracy of the policy's cells on
	// held-out images, and "entropy", of the policy in nats.
	Metrics []rundir.Metrics
}

// Train trains a network with shared weights in a run directory under root. If that
// training was done before it returns the stored network; if it was interrupted, by ctx
// or by the end of the process, it continues from the last round, and leads to the same
// weights. Its errors are those of the configuration, the images and the run directory.
func Train(ctx context.Context, root string, t Training) (*Trained, error) {
	run, err := t.Data.open(root, "supernet", t.Backend, t.Config)
	if err != nil {
		return nil, err
	}
	defer run.Close()
	p := &training{Training: t}
	rounds := (t.Config.Steps + t.Config.Round - 1) / max(1, t.Config.Round)
	status, err := run.Do(ctx, p, rounds, 1, t.Watch)
	if err != nil {
		return nil, fmt.Errorf("supernet: %w", err)
	}
	trained := &Trained{Net: p.net, Status: status, Dir: run.Dir()}
	trained.Metrics, err = run.Metrics()
	return trained, err
}

// training is a Training as a [rundir.Process]. A step is a round.
type training struct {
	Training
	net *Net
}

func (p *training) Start() (err error) {
	p.net, err = NewNet(p.Backend, p.Data, p.Config)
	return err
}

func (p *training) Decode(state []byte) (err error) {
	p.net, err = Decode(p.Backend, p.Data, p.Config, state)
	return err
}

func (p *training) Encode() ([]byte, error) { return p.net.Encode() }

func (p *training) Step(ctx context.Context, round int) (map[string]float64, error) {
	c := p.Config
	first, last := round*c.Round, min((round+1)*c.Round, c.Steps)
	loader := p.Data.augmented(c.Side, c.BatchSize, c.Seed)
	values, err := trainRound(ctx, loader, first, last, func(step int, b batch) (loss, accuracy float64, err error) {
		return p.net.trainStep(ctx, step, b)
	})
	if err == nil && p.net.policy != nil {
		err = p.net.improvePolicy(ctx, round, values)
	}
	return values, err
}

// trainStep does a step of the method.
func (n *Net) trainStep(ctx context.Context, step int, b batch) (loss, accuracy float64, err error) {
	c := n.config
	rng := engine.Stream(c.Seed, "supernet: step", step)
	rate := cosine(c.LearningRate, step, c.Steps)
	if c.relaxed() {
		held, err := n.held(ctx)
		if err != nil {
			return 0, 0, err
		}
		return n.relaxedStep(step, b, held[rng.IntN(len(held))], rate, rng)
	}
	cell, err := n.draw(rng)
	if err != nil {
		return 0, 0, err
	}
	cells := []nasbench101.Cell{cell}
	if c.Method == FairNAS {
		if cells, err = fair(rng, cell); err != nil {
			return 0, 0, err
		}
	}
	return n.trainOn(cells, b, rate)
}

// StepTime is how long a step of training takes, with reading its images: the mean of the
// first so many, after they were done once to compile what they need. The steps train the
// network.
func (n *Net) StepTime(ctx context.Context, steps int) (time.Duration, error) {
	var start time.Time
	for range 2 {
		start = time.Now()
		err := stream(ctx, n.data.augmented(n.config.Side, n.config.BatchSize, n.config.Seed), 0, steps, func(step int, b batch) error {
			_, _, err := n.trainStep(ctx, step, b)
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	return time.Since(start) / time.Duration(steps), nil
}

// fair are three cells with the edges of a cell, in which every vertex has each of the
// three operations once.
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

// improvePolicy does ENAS's steps of policy gradient after a round. The reward of a cell
// is its accuracy on one batch of held-out images.
func (n *Net) improvePolicy(ctx context.Context, round int, values map[string]float64) error {
	c := n.config
	rng := engine.Stream(c.Seed, "supernet: policy", round)
	held, err := n.held(ctx)
	if err != nil {
		return err
	}
	reward := func(archs []space.Arch) ([]float64, error) {
		b := held[rng.IntN(len(held))]
		rewards := make([]float64, len(archs))
		for i, arch := range archs {
			var err error
			if rewards[i], err = n.accuracy(ctx, arch.(nasbench101.Cell), b); err != nil {
				return nil, err
			}
		}
		return rewards, nil
	}
	learned, err := n.policy.Improve(ctx, rng, nasbench101.Space{}, c.PolicySteps, c.PolicyBatch, reward)
	values["reward"], values["entropy"] = learned.Reward, learned.Entropy
	return err
}
