package supernet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path"
	"time"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/nn"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/ctnaslib/train"
)

// ScratchConfig describes the network of one cell and its training from scratch. It is stored with every run, so all of
// it is exported and plain.
type ScratchConfig struct {
	Skeleton
	Epochs             int
	BatchSize          int // images in a step
	CheckpointInterval int // steps from one checkpoint to the next

	// The benchmark's RMSProp, with a cosine learning rate that ends at 0.
	LearningRate, Momentum, WeightDecay float64

	NormMomentum float64 // of the running moments of batch norm: the share that a step keeps

	Devices int `json:",omitempty"` // of the backend, such as GPUs, that share every batch; 0 is one

	Seed uint64 // of the initial weights and the batches
}

// BenchmarkScratch returns the recipe of NAS-Bench-101 (google-research/nasbench, lib/config.py, with the learning rate
// of its two TPU shards): 108 epochs.
func BenchmarkScratch() ScratchConfig {
	return ScratchConfig{
		Skeleton: BenchmarkSkeleton(), Epochs: 108, BatchSize: 256, CheckpointInterval: 500,
		LearningRate: 0.2, Momentum: 0.9, WeightDecay: 1e-4, NormMomentum: 0.997,
	}
}

// ProxyScratch returns that recipe for the network and the images of [Proxy].
func ProxyScratch() ScratchConfig {
	c := BenchmarkScratch()
	c.Skeleton, c.Epochs, c.BatchSize, c.CheckpointInterval, c.NormMomentum = Proxy(SPOS).Skeleton, 30, 128, 100, 0.99
	return c
}

// SmallScratch returns that recipe for the network and the images of [Small].
func SmallScratch(classes int) ScratchConfig {
	c := BenchmarkScratch()
	c.Skeleton, c.Epochs, c.BatchSize, c.CheckpointInterval, c.NormMomentum = Small(SPOS, classes).Skeleton, 2, 16, 20, 0.9
	return c
}

func (c ScratchConfig) input() nn.Input {
	return nn.Input{Side: c.Side, Classes: c.Classes, BatchSize: c.BatchSize, Devices: c.Devices, Seed: c.Seed}
}

func (c ScratchConfig) check() error {
	if err := c.Skeleton.check(); err != nil {
		return err
	}
	switch {
	case c.Epochs < 1 || c.CheckpointInterval < 1:
		return fmt.Errorf("supernet: training needs epochs and a checkpoint interval, not %d and %d", c.Epochs, c.CheckpointInterval)
	case !nn.IsRate(c.LearningRate) || !nn.IsFraction(c.Momentum) || !nn.IsFraction(c.NormMomentum) || !nn.IsDecay(c.WeightDecay):
		return fmt.Errorf("supernet: the learning rate must be positive, the momenta in [0, 1) and the weight decay not negative; not %g, %g, %g and %g", c.LearningRate, c.Momentum, c.NormMomentum, c.WeightDecay)
	}
	return nil
}

// Scratch is the benchmark's network of one cell, with weights of its own. It is not safe for concurrent use.
type Scratch struct {
	cell     nasbench101.Cell
	config   ScratchConfig
	model    *nn.Model
	step     *nn.Program // stepGraph
	evaluate *nn.Program // correctGraph
}

// NewScratch makes the network of a cell with random weights. The error says what is wrong in the configuration or does
// not fit the data.
func NewScratch(backend compute.Backend, data *nn.Data, c nasbench101.Cell, config ScratchConfig) (*Scratch, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	s := &Scratch{cell: c, config: config}
	var err error
	if s.model, err = nn.NewModel(backend, data, config.input(), weightsStream(config.Seed), config.builds(c)); err != nil {
		return nil, fmt.Errorf("supernet: %s: %w", c, err)
	}
	if s.step, err = s.model.Program(s.stepGraph, nn.Sharded, nn.Sharded, nn.Replicated); err != nil {
		return nil, err
	}
	s.evaluate, err = s.model.Program(s.correctGraph, nn.Sharded, nn.Sharded)
	return s, err
}

// builds returns the function that builds the network of a cell.
func (s Skeleton) builds(c nasbench101.Cell) func(b nn.Builder, images *Node) *Node {
	return func(b nn.Builder, images *Node) *Node { return builder{b}.cellNetwork(s, c, images) }
}

// parameters returns those of the network of a cell.
func (s Skeleton) parameters(backend compute.Backend, c nasbench101.Cell) ([]nn.ParameterSpec, error) {
	parameters, err := nn.Parameters(backend, s.Side, s.builds(c))
	if err != nil {
		return nil, fmt.Errorf("supernet: cannot build the network of %s: %w", c, err)
	}
	return parameters, nil
}

// Params returns the number of trainable parameters of the network of a cell. With [BenchmarkSkeleton] it is what
// NAS-Bench-101 publishes for the cell.
func (s Skeleton) Params(backend compute.Backend, c nasbench101.Cell) (int, error) {
	parameters, err := s.parameters(backend, c)
	total := 0
	for _, p := range parameters {
		total += p.Size()
	}
	return total, err
}

// FLOPs returns the number of floating point operations, multiplications and additions, of the convolutions and the
// dense layer of the network of a cell for one image, forward. Training takes about three times as many.
func (s Skeleton) FLOPs(backend compute.Backend, c nasbench101.Cell) (int, error) {
	parameters, err := s.parameters(backend, c)
	return s.flops(parameters), err
}

// flops returns that number for the kernels among a network's parameters.
func (s Skeleton) flops(parameters []nn.ParameterSpec) int {
	total := 0
	for _, p := range parameters {
		layer, last := path.Split(p.Name)
		if last != nn.NameKernel {
			continue
		}
		stack, side := 0, s.Side
		if n, _ := fmt.Sscanf(layer, "stack_%d/", &stack); n == 1 {
			side >>= stack
		}
		if layer == "dense/" {
			side = 1
		}
		total += 2 * side * side * p.Size()
	}
	return total
}

// cellNetwork returns the network of a cell: the logits [batch, classes] of images [batch, side, side, 3].
func (b builder) cellNetwork(s Skeleton, c nasbench101.Cell, images *Node) *Node {
	return b.network(s, images, func(m module, x *Node) *Node { return b.cell(c, m, x) })
}

// scopeRunning holds the running moments of batch norm in a store.
const scopeRunning = "/running"

// logits returns those of images [batch, side, side, 3], [batch, classes]. In training batch norm takes the moments of
// the batch and moves the running ones towards them, else it takes the running ones.
func (s *Scratch) logits(images *Node, training bool) *Node {
	g := images.Graph()
	b := s.model.Builder(nn.Values(g, s.model.Variables(nn.Weights)))
	b.Moments = func(name string, x *Node) (mean, variance *Node) {
		channels := nn.Shape(x.Shape().Dim(3))
		runMean := s.model.Store.VariableWithShape(scopeRunning+"/"+name+"/mean", channels, Zeros).SetTrainable(false)
		runVariance := s.model.Store.VariableWithShape(scopeRunning+"/"+name+"/variance", channels, Ones).SetTrainable(false)
		if !training {
			return runMean.NodeValue(g), runVariance.NodeValue(g)
		}
		move := func(running *model.Variable, of *Node) {
			keep := s.config.NormMomentum
			running.SetNodeValue(Add(MulScalar(running.NodeValue(g), keep), MulScalar(of, 1-keep)))
		}
		mean, variance = nn.BatchMoments(name, x)
		move(runMean, mean)
		move(runVariance, variance)
		return mean, variance
	}
	return builder{b}.cellNetwork(s.config.Skeleton, s.cell, images)
}

// stepGraph builds one step of training on images [batch, side, side, 3] and labels [batch] at a learning rate, a
// scalar, and returns the loss and the number of images that are right, scalars.
func (s *Scratch) stepGraph(_ *model.Scope, inputs []*Node) []*Node {
	images, labels, rate := inputs[0], inputs[1], inputs[2]
	logits := s.logits(images, true)
	loss := nn.CrossEntropy(logits, labels)
	variables := s.model.Variables(nn.Weights)
	gradients := Gradient(loss, nn.Values(images.Graph(), variables)...)
	nn.RMSProp{Momentum: s.config.Momentum, WeightDecay: s.config.WeightDecay}.Step(s.model.Store, variables, gradients, rate)
	return []*Node{loss, nn.NumberCorrect(logits, labels)}
}

// correctGraph returns the number, a scalar, of images [batch, side, side, 3] with labels [batch] that are right.
func (s *Scratch) correctGraph(_ *model.Scope, inputs []*Node) []*Node {
	return []*Node{nn.NumberCorrect(s.logits(inputs[0], false), inputs[1])}
}

// Test returns the accuracy on the test images, in [0, 1].
func (s *Scratch) Test(ctx context.Context) (float64, error) {
	accuracy, err := s.model.Test(ctx, s.evaluate)
	if err != nil {
		return 0, fmt.Errorf("supernet: cannot evaluate %s: %w", s.cell, err)
	}
	return accuracy, nil
}

// StepTime returns how long a step of training takes: the median of so many, after a first one that compiles. The steps
// train the network.
func (s *Scratch) StepTime(ctx context.Context, steps int) (time.Duration, error) {
	return s.model.StepTime(ctx, steps, func(_ int, b nn.Batch) error {
		_, _, err := s.trainStep(b, s.config.LearningRate)
		return err
	})
}

func (s *Scratch) trainStep(b nn.Batch, rate float64) (loss, accuracy float64, err error) {
	if loss, accuracy, err = s.step.Measure(b, b.Images, b.Labels, tensors.FromScalar(float32(rate))); err != nil {
		return 0, 0, fmt.Errorf("supernet: cannot train %s: %w", s.cell, err)
	}
	return loss, accuracy, nil
}

// ScratchTraining is the training of one cell from scratch. What it leads to is a function of all fields but Watch.
type ScratchTraining struct {
	Backend compute.Backend
	Data    *nn.Data
	Cell    nasbench101.Cell
	Config  ScratchConfig
	Watch   train.Watch // told of each round; nil is nobody
}

// TrainedScratch is what [TrainFromScratch] leads to.
type TrainedScratch struct {
	Net           *Scratch
	train.Outcome // its metrics are those of [nn.Process]
}

// TrainFromScratch trains the network of one cell from scratch in a run directory under root, which it continues or
// loads as [Train] does.
func TrainFromScratch(ctx context.Context, root string, t ScratchTraining) (*TrainedScratch, error) {
	net, err := NewScratch(t.Backend, t.Data, t.Cell, t.Config)
	if err != nil {
		return nil, err
	}
	steps := t.Config.Epochs * net.model.Augmented().Len()
	if steps == 0 {
		return nil, fmt.Errorf("supernet: %d images do not fill a batch of %d; choose a smaller BatchSize", t.Data.Train.Len(), t.Config.BatchSize)
	}
	p := &nn.Process{Model: net.model, Rounds: nn.Rounds(0, steps, t.Config.CheckpointInterval)}
	p.TrainStep = func(_ context.Context, step int, b nn.Batch) (loss, accuracy float64, err error) {
		return net.trainStep(b, nn.Cosine(t.Config.LearningRate, step, steps))
	}
	type cellConfig struct {
		Cell   string
		Config ScratchConfig
	}
	run := nn.Training[cellConfig]{Backend: t.Backend, Data: t.Data, Config: cellConfig{t.Cell.String(), t.Config}, Watch: t.Watch}
	outcome, err := run.Run(ctx, root, "from scratch", Versions(), p, len(p.Rounds))
	if err != nil {
		return nil, fmt.Errorf("supernet: %w", err)
	}
	return &TrainedScratch{net, outcome}, nil
}

// weightsStream draws the initial weights of a seed.
func weightsStream(seed uint64) *rand.Rand { return engine.Stream(seed, "supernet: weights", 0) }
