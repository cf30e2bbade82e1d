// Package relaxation is DARTS in its own space (Liu et al., ICLR 2019): one network in which every edge of a cell has
// all operations at once, each times a weight, so that what an architecture is becomes a number that can be
// differentiated.
//
// # The network
//
// A [Network] is the continuous relaxation of all genotypes of package space/darts. The architecture weights go through
// a softmax over the operations of each edge. A step of training moves them by the gradient of the loss on held-out
// images, and then the network's weights by that on training images, both of first order. [Train] does so many steps;
// [Network.Best] is the genotype that the architecture weights point to in the end.
//
//	data, err := nn.NewData(set, 25_000)
//	trained, err := relaxation.Train(ctx, "runs", relaxation.Training{
//		Backend: backend, Data: data, Config: relaxation.Paper(),
//	})
//	best, err := trained.Net.Best()
//
// # Labels
//
// With ones at a genotype's operations and zeros elsewhere, the same network is that genotype's, so it also labels
// genotypes ([Trained.Benchmark]), with the weights that they share.
//
// The continuous relaxation of NAS-Bench-101's cells is in package supernet, as a method beside others.
package relaxation

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/nn"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/darts"
	"github.com/ctnas/ctnas/ctnaslib/train"
)

// Versions returns the versions of the algorithms behind the training of a network, for the keys of stored results.
func Versions() rundir.Versions { return nn.Versions().With(rundir.Versions{"relaxation": 1}) }

// Config describes the network in which DARTS searches, and its training. It is stored with every run, so all of it is
// exported and plain.
type Config struct {
	Channels int // of the first cell; each reduction cell doubles them
	Cells    int // those after a third and two thirds reduce the image
	Side     int // height and width of the images, in pixels
	Classes  int // of the images

	Steps              int // of training
	BatchSize          int // images in a step
	CheckpointInterval int // steps from one checkpoint to the next, a round

	// Of the network's weights: stochastic gradient descent with a cosine learning rate that ends at 0.
	LearningRate, Momentum, WeightDecay float64
	GradientClip                        float64 // the largest norm of the gradient; 0 is no limit

	// Of the architecture weights: Adam on held-out images, a step before each of the network's weights.
	ArchitectureLearningRate, ArchitectureWeightDecay float64

	Seed uint64 // of the initial weights and the batches
}

// Paper returns the search of the DARTS code on CIFAR-10 (cnn/train_search.py), first order: 8 cells of 16 channels, 50
// epochs of 25,000 images.
func Paper() Config {
	return Config{
		Channels: 16, Cells: 8, Side: 32, Classes: 10, Steps: 50 * 25_000 / 64, BatchSize: 64, CheckpointInterval: 390,
		LearningRate: 0.025, Momentum: 0.9, WeightDecay: 3e-4, GradientClip: 5, ArchitectureLearningRate: 3e-4, ArchitectureWeightDecay: 1e-3,
	}
}

// Small returns that search for a lesson, a test and CI: a minute on the pure Go backend, on images of 8 pixels.
func Small(classes int) Config {
	c := Paper()
	c.Channels, c.Cells, c.Side, c.Classes = 2, 3, 8, classes
	c.Steps, c.BatchSize, c.CheckpointInterval = 20, 16, 5
	return c
}

func (c Config) check() error {
	switch {
	case c.Channels < 1 || c.Cells < 3 || c.Side < 4 || c.Side%4 != 0 || c.Classes < 1:
		return fmt.Errorf("relaxation: a network needs channels, at least 3 cells, a side that 4 divides, and classes, not %d, %d, %d and %d", c.Channels, c.Cells, c.Side, c.Classes)
	case c.Steps < 1 || c.CheckpointInterval < 1:
		return fmt.Errorf("relaxation: training needs steps and a checkpoint interval, not %d and %d", c.Steps, c.CheckpointInterval)
	case !nn.IsRate(c.LearningRate) || !nn.IsRate(c.ArchitectureLearningRate) || !nn.IsFraction(c.Momentum) ||
		!nn.IsDecay(c.WeightDecay) || !nn.IsDecay(c.ArchitectureWeightDecay) || !nn.IsDecay(c.GradientClip):
		return fmt.Errorf("relaxation: learning rates must be positive, the momentum in [0, 1), decays and the limit of the gradient not negative; not %g and %g, %g, %g and %g, and %g",
			c.LearningRate, c.ArchitectureLearningRate, c.Momentum, c.WeightDecay, c.ArchitectureWeightDecay, c.GradientClip)
	}
	return nil
}

// Network is the network in which DARTS searches: all operations on all edges. It is not safe for concurrent use.
type Network struct {
	config Config
	model  *nn.Model

	step     *nn.Program // stepGraph
	evaluate *nn.Program // correctGraph
}

// The streams of random numbers. They are called after package supernet, where they were drawn first, so that the
// numbers stay what they were.
const (
	weightsStream = "supernet: weights"
	stepStream    = "supernet: step"
)

// The architecture weights before their softmax, [2, 14, 8], in a scope of the store of their own.
const scopeArchitecture = "/architecture"

var alpha = nn.ParameterSpec{Name: "alpha", Dims: []int{kinds, edges, ops}}

// New makes a network with random weights and architecture weights that are nearly even. The error says what is wrong
// in the configuration or does not fit the data.
func New(backend compute.Backend, data *nn.Data, config Config) (*Network, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	n := &Network{config: config}
	in := nn.Input{Side: config.Side, Classes: config.Classes, BatchSize: config.BatchSize, Seed: config.Seed}
	rng := engine.Stream(config.Seed, weightsStream, 0)
	var err error
	n.model, err = nn.NewModel(backend, data, in, rng, func(b nn.Builder, images *Node) *Node {
		return builder{b}.network(config, Ones(images.Graph(), nn.Shape(alpha.Dims...)), images)
	})
	if err != nil {
		return nil, fmt.Errorf("relaxation: %w", err)
	}
	if err := n.model.Create(scopeArchitecture, alpha, func() float64 { return 1e-3 * rng.NormFloat64() }); err != nil {
		return nil, err
	}
	const whole, batch = nn.Replicated, nn.Sharded
	if n.step, err = n.model.Program(n.stepGraph, batch, batch, batch, batch, whole, whole); err != nil {
		return nil, err
	}
	n.evaluate, err = n.model.Program(n.correctGraph, whole, batch, batch)
	return n, err
}

// Config returns what the network was made with.
func (n *Network) Config() Config { return n.config }

// architecture returns the variable of the architecture weights.
func (n *Network) architecture() *model.Variable {
	return n.model.Store.GetVariable(scopeArchitecture + "/" + alpha.Name)
}

// logits returns those of images [batch, side, side, 3], [batch, classes], with the given values of the network's
// weights and weights of its operations, [2, 14, 8].
func (n *Network) logits(values []*Node, weights, images *Node) *Node {
	return builder{n.model.Builder(values)}.network(n.config, weights, images)
}

// stepGraph builds a step of DARTS, first order: the architecture weights move by their gradient on held-out images,
// then the network's weights by theirs on training images. The inputs are training images [batch, side, side, 3] and
// labels [batch], held-out images and labels likewise, the learning rate and the number of the step from 1, scalars. It
// returns, as scalars, the training loss, and how many of the images are right.
func (n *Network) stepGraph(_ *model.Scope, inputs []*Node) []*Node {
	rate, t := inputs[4], inputs[5]
	variables, architecture := n.model.Variables(nn.Weights), n.architecture()
	a := architecture.NodeValue(t)
	held := nn.CrossEntropy(n.logits(nn.Values(t.Graph(), variables), Softmax(a, -1), inputs[2]), inputs[3])
	adam := nn.Adam{LearningRate: n.config.ArchitectureLearningRate, WeightDecay: n.config.ArchitectureWeightDecay}
	adam.Step(n.model.Store, []*model.Variable{architecture}, Gradient(held, a), t)

	weights := nn.Values(t.Graph(), variables)
	moved := StopGradient(architecture.NodeValue(t))
	logits := n.logits(weights, Softmax(moved, -1), inputs[0])
	loss := nn.CrossEntropy(logits, inputs[1])
	momentum := nn.Momentum{Momentum: n.config.Momentum, WeightDecay: n.config.WeightDecay}
	momentum.Step(n.model.Store, variables, nn.ClipNorm(Gradient(loss, weights...), n.config.GradientClip), rate, nil)
	return []*Node{loss, nn.NumberCorrect(logits, inputs[1])}
}

// correctGraph returns how many, a scalar, of images [batch, side, side, 3] with labels [batch], the last two inputs,
// the network with weights of its operations, [2, 14, 8], gets right.
func (n *Network) correctGraph(_ *model.Scope, inputs []*Node) []*Node {
	logits := n.logits(nn.Values(inputs[1].Graph(), n.model.Variables(nn.Weights)), inputs[0], inputs[1])
	return []*Node{nn.NumberCorrect(logits, inputs[2])}
}

// edgeOf returns the number of the edge into a node, from 0, from one of its predecessors.
func edgeOf(node, from int) int { return node*darts.Inputs + node*(node-1)/2 + from }

// weightsOf returns the weights of the operations, [2, 14, 8], that make the network a genotype's: ones at its
// operations, else zeros. It is the genotype's vector with a zero for "none" on every edge.
func weightsOf(g darts.Genotype) []float32 {
	var weights []float32
	for edge := range slices.Chunk(g.Vector(), ops-1) {
		weights = append(append(weights, 0), edge...)
	}
	return weights
}

// strongestGenotype returns what DARTS derives from weights of the operations, [2, 14, 8]: for each node the two edges
// on which the strongest operation, "none" left out, is strongest.
func strongestGenotype(weights []float32) (darts.Genotype, error) {
	var cells [kinds]darts.Cell
	for kind := range cells {
		for n := range darts.Nodes {
			type candidate struct {
				edge   darts.Edge
				weight float32
			}
			var candidates []candidate
			for from := range darts.Inputs + n {
				at := (kind*edges + edgeOf(n, from)) * ops
				of := weights[at+1 : at+ops]
				op := slices.Index(of, slices.Max(of))
				candidates = append(candidates, candidate{darts.Edge{Op: darts.Op(op), From: from}, of[op]})
			}
			slices.SortStableFunc(candidates, func(a, b candidate) int { return cmp.Compare(b.weight, a.weight) })
			cells[kind][n] = [2]darts.Edge{candidates[0].edge, candidates[1].edge}
		}
	}
	return darts.New(cells[0], cells[1])
}

// Best returns the genotype that DARTS ends in: the strongest operations by the architecture weights.
func (n *Network) Best() (darts.Genotype, error) {
	value, err := n.architecture().Value()
	if err != nil {
		return darts.Genotype{}, fmt.Errorf("relaxation: %w", err)
	}
	weights := tensors.MustCopyFlatData[float32](value)
	for edge := range slices.Chunk(weights, ops) { // softmax
		sum := 0.0
		for _, a := range edge {
			sum += math.Exp(float64(a))
		}
		for op, a := range edge {
			edge[op] = float32(math.Exp(float64(a)) / sum)
		}
	}
	return strongestGenotype(weights)
}

// Validation returns the accuracy of a genotype on the held-out images, in [0, 1], with the shared weights of its
// operations and the moments of the batch.
func (n *Network) Validation(ctx context.Context, g darts.Genotype) (float64, error) {
	accuracy, err := n.model.Validation(ctx, n.evaluate, tensors.FromFlatDataAndDimensions(weightsOf(g), alpha.Dims...))
	if err != nil {
		return 0, fmt.Errorf("relaxation: cannot evaluate %s: %w", g, err)
	}
	return accuracy, nil
}

// Ranker returns the network as a [space.Ranker] by its accuracies on the held-out images, until ctx ends. Its error
// says that an architecture is not a genotype.
func (n *Network) Ranker(ctx context.Context) space.Ranker {
	return nn.Ranker(ctx, "a genotype of the DARTS space", n.Validation)
}

// Training is the training of a [Network].
type Training = nn.Training[Config]

// Trained is what [Train] leads to.
type Trained struct {
	Net           *Network
	train.Outcome // its metrics are those of [nn.Process]
}

// Train runs DARTS from random weights in a run directory under root, which it continues or loads as [nn.Training.Run]
// does. Its errors are those of the configuration, the images and the run directory.
func Train(ctx context.Context, root string, t Training) (*Trained, error) {
	net, err := New(t.Backend, t.Data, t.Config)
	if err != nil {
		return nil, err
	}
	p := &nn.Process{Model: net.model, TrainStep: net.trainStep, Rounds: nn.Rounds(0, t.Config.Steps, t.Config.CheckpointInterval)}
	outcome, err := t.Run(ctx, root, "relaxation", Versions(), p, len(p.Rounds))
	if err != nil {
		return nil, fmt.Errorf("relaxation: %w", err)
	}
	return &Trained{net, outcome}, nil
}

// Benchmark makes a benchmark of the trained network, until ctx ends.
func (t *Trained) Benchmark(ctx context.Context) *nn.Benchmark {
	return nn.NewBenchmark(t.Dir, darts.Space{}, t.Net.Ranker(ctx))
}

// trainStep does one step of DARTS, counted from 0.
func (n *Network) trainStep(ctx context.Context, step int, b nn.Batch) (loss, accuracy float64, err error) {
	all, err := n.model.Held(ctx)
	if err != nil {
		return 0, 0, err
	}
	held := all[engine.Stream(n.config.Seed, stepStream, step).IntN(len(all))]
	rate := nn.Cosine(n.config.LearningRate, step, n.config.Steps)
	loss, accuracy, err = n.step.Measure(b, b.Images, b.Labels, held.Images, held.Labels,
		tensors.FromScalar(float32(rate)), tensors.FromScalar(float32(step+1)))
	if err != nil {
		return 0, 0, fmt.Errorf("relaxation: cannot train: %w", err)
	}
	return loss, accuracy, nil
}

// StepTime returns how long a step of training takes, without the time to read its images: the median of so many, at
// least 1, after a first one that compiles. The steps train the network.
func (n *Network) StepTime(ctx context.Context, steps int) (time.Duration, error) {
	return n.model.StepTime(ctx, steps, func(step int, b nn.Batch) error {
		_, _, err := n.trainStep(ctx, step, b)
		return err
	})
}
