package supernet

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/darts"
	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
)

// MixedConfig describes the network in which DARTS searches its own space, and its
// training. It is stored with every run, so all of it is exported and plain.
type MixedConfig struct {
	Channels int // of the first cell; each reduction cell doubles them
	Cells    int // those after a third and two thirds reduce the image
	Side     int // of the images, in pixels
	Classes  int

	Steps     int
	BatchSize int
	Round     int // steps between two checkpoints

	// Of the weights: stochastic gradient descent with a cosine learning rate.
	LearningRate, Momentum, WeightDecay, Clip float64

	// Of the mixture: Adam on held-out images, a step before each of the weights'.
	MixtureRate, MixtureDecay float64

	Seed uint64 // of the initial weights and the batches
}

// DARTSSearch is the search of the DARTS code on CIFAR-10 (cnn/train_search.py), first
// order: 8 cells of 16 channels, 50 epochs of 25,000 images.
func DARTSSearch() MixedConfig {
	return MixedConfig{
		Channels: 16, Cells: 8, Side: 32, Classes: 10, Steps: 50 * 25_000 / 64, BatchSize: 64, Round: 390,
		LearningRate: 0.025, Momentum: 0.9, WeightDecay: 3e-4, Clip: 5, MixtureRate: 3e-4, MixtureDecay: 1e-3,
	}
}

// SmallMixed is that search for a lesson, a test and CI: a minute on the pure Go backend,
// on images of 8 pixels.
func SmallMixed(classes int) MixedConfig {
	c := DARTSSearch()
	c.Channels, c.Cells, c.Side, c.Classes = 2, 3, 8, classes
	c.Steps, c.BatchSize, c.Round = 20, 16, 5
	return c
}

func (c MixedConfig) check() error {
	switch {
	case c.Channels < 1 || c.Cells < 3 || c.Side < 4 || c.Side%4 != 0 || c.Classes < 1:
		return fmt.Errorf("supernet: a network of mixed operations needs channels, at least 3 cells, a side that 4 divides, and classes, not %d, %d, %d and %d", c.Channels, c.Cells, c.Side, c.Classes)
	case c.Steps < 1 || c.BatchSize < 2 || c.Round < 1:
		return fmt.Errorf("supernet: training needs steps, batches of at least 2 images and rounds, not %d, %d and %d", c.Steps, c.BatchSize, c.Round)
	case !positive(c.LearningRate) || !positive(c.MixtureRate) || !share(c.Momentum) || !decay(c.WeightDecay) || !decay(c.MixtureDecay) || !decay(c.Clip):
		return fmt.Errorf("supernet: learning rates must be positive, the momentum in [0, 1), decays and the limit of the gradient not negative")
	}
	return nil
}

// Mixed is the network in which DARTS searches: all operations on all edges. It is a
// [space.Ranker] of genotypes, by the accuracy on held-out images with the shared weights
// of their operations and the moments of the batch. It is not safe for concurrent use.
type Mixed struct {
	config     MixedConfig
	data       *Data
	store      *model.Store
	parameters []shape
	held       []batch

	step     *program // stepGraph
	evaluate *program // hitsGraph
}

// nameAlpha is the mixture before its softmax, [2, 14, 8].
const nameAlpha = "alpha"

// NewMixed makes a network with random weights and a mixture that is nearly even. The
// error says what is wrong in the configuration or does not fit the data.
func NewMixed(backend compute.Backend, data *Data, config MixedConfig) (*Mixed, error) {
	m, err := openMixed(backend, data, config, model.NewStore())
	if err != nil {
		return nil, err
	}
	rng := engine.Stream(config.Seed, "supernet: weights", 0)
	if err := create(m.store, m.parameters, rng); err != nil {
		return nil, err
	}
	small := func() float64 { return 1e-3 * rng.NormFloat64() }
	if err := engine.NewVariable(m.store.Scope(scopeMixture), nameAlpha, small, mixedCells, mixedEdges, mixedOps); err != nil {
		return nil, fmt.Errorf("supernet: %w", err)
	}
	return m, nil
}

func openMixed(backend compute.Backend, data *Data, config MixedConfig, store *model.Store) (*Mixed, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	if err := data.check(config.Classes); err != nil {
		return nil, err
	}
	m := &Mixed{config: config, data: data, store: store}
	var err error
	m.parameters, err = shapesOf(backend, config.Side, func(b builder, images *Node) *Node {
		return b.mixedNetwork(config, Ones(images.Graph(), shapeOf(mixedCells, mixedEdges, mixedOps)), images)
	})
	if err != nil {
		return nil, fmt.Errorf("supernet: %w", err)
	}
	const whole, split = false, true
	if m.step, err = newProgram(backend, store, nil, []bool{split, split, split, split, whole, whole}, m.stepGraph); err != nil {
		return nil, err
	}
	m.evaluate, err = newProgram(backend, store, nil, []bool{whole, split, split}, m.hitsGraph)
	return m, err
}

// Config returns what the network was made with.
func (m *Mixed) Config() MixedConfig { return m.config }

// network is the mixed network with the given values of its parameters.
func (m *Mixed) network(values []*Node, weights, images *Node) *Node {
	byName := make(map[string]*Node, len(values))
	for i, p := range m.parameters {
		byName[p.name] = values[i]
	}
	b := builder{moments: batchMoments, parameter: func(name string, _ ...int) *Node { return byName[name] }}
	return b.mixedNetwork(m.config, weights, images)
}

// stepGraph builds a step of DARTS, first order: the mixture moves by its gradient on
// held-out images, then the weights by theirs on training images. The inputs are training
// images and labels, held-out images and labels, the learning rate, and the number of the
// step from 1. It returns the training loss, and how many of the images are right.
func (m *Mixed) stepGraph(root *model.Scope, inputs []*Node) []*Node {
	rate, t := inputs[4], inputs[5]
	variables, alpha := variables(root, m.parameters), root.Store().GetVariable(scopeMixture+"/"+nameAlpha)
	a := alpha.NodeValue(t)
	held := crossEntropy(m.network(values(t.Graph(), variables), Softmax(a, -1), inputs[2]), inputs[3])
	adam{rate: m.config.MixtureRate, beta1: 0.5, beta2: 0.999, decay: m.config.MixtureDecay}.step(root, []*model.Variable{alpha}, Gradient(held, a), t)

	weights := values(t.Graph(), variables)
	moved := StopGradient(alpha.NodeValue(t))
	logits := m.network(weights, Softmax(moved, -1), inputs[0])
	loss := crossEntropy(logits, inputs[1])
	momentum{m.config.Momentum, m.config.WeightDecay}.step(root, variables, clipped(Gradient(loss, weights...), m.config.Clip), rate, nil)
	return []*Node{loss, hits(logits, inputs[1])}
}

// hitsGraph builds how many of the images, with labels, the network of a mixture [2, 14,
// 8] gets right.
func (m *Mixed) hitsGraph(root *model.Scope, inputs []*Node) []*Node {
	logits := m.network(values(inputs[1].Graph(), variables(root, m.parameters)), inputs[0], inputs[1])
	return []*Node{hits(logits, inputs[2])}
}

// edgeOf is the number of the edge into a node, from 0, from one of its predecessors.
func edgeOf(node, from int) int { return node*darts.Inputs + node*(node-1)/2 + from }

// mixtureOf has ones at the operations of a genotype, else zeros: [2, 14, 8]. It is the
// genotype's vector with a zero for "none" on every edge.
func mixtureOf(g darts.Genotype) []float32 {
	var mixture []float32
	for edge := range slices.Chunk(g.Vector(), mixedOps-1) {
		mixture = append(append(mixture, 0), edge...)
	}
	return mixture
}

// strongestGenotype is what DARTS derives from a mixture [2, 14, 8]: for each node the two
// edges on which the strongest operation, "none" left out, is strongest.
func strongestGenotype(mixture []float32) (darts.Genotype, error) {
	var cells [mixedCells]darts.Cell
	for kind := range cells {
		for n := range darts.Nodes {
			type candidate struct {
				edge   darts.Edge
				weight float32
			}
			var candidates []candidate
			for from := range darts.Inputs + n {
				at := (kind*mixedEdges + edgeOf(n, from)) * mixedOps
				weights := mixture[at+1 : at+mixedOps]
				op := slices.Index(weights, slices.Max(weights))
				candidates = append(candidates, candidate{darts.Edge{Op: darts.Op(op), From: from}, weights[op]})
			}
			slices.SortStableFunc(candidates, func(a, b candidate) int { return cmp.Compare(b.weight, a.weight) })
			cells[kind][n] = [2]darts.Edge{candidates[0].edge, candidates[1].edge}
		}
	}
	return darts.New(cells[0], cells[1])
}

// Best is the genotype that DARTS ends in: the strongest operations of the mixture.
func (m *Mixed) Best() (darts.Genotype, error) {
	value, err := m.store.GetVariable(scopeMixture + "/" + nameAlpha).Value()
	if err != nil {
		return darts.Genotype{}, fmt.Errorf("supernet: %w", err)
	}
	mixture := tensors.MustCopyFlatData[float32](value)
	for edge := range slices.Chunk(mixture, mixedOps) { // softmax
		sum := 0.0
		for _, a := range edge {
			sum += math.Exp(float64(a))
		}
		for op, a := range edge {
			edge[op] = float32(math.Exp(float64(a)) / sum)
		}
	}
	return strongestGenotype(mixture)
}

// Validation is the accuracy of a genotype on the held-out images, in [0, 1].
func (m *Mixed) Validation(ctx context.Context, g darts.Genotype) (float64, error) {
	if err := m.readHeld(ctx); err != nil {
		return 0, err
	}
	mixture := tensors.FromFlatDataAndDimensions(mixtureOf(g), mixedCells, mixedEdges, mixedOps)
	right, total := 0.0, 0
	for _, b := range m.held {
		if err := ctx.Err(); err != nil {
			return 0, fmt.Errorf("supernet: the evaluation was stopped: %w", err)
		}
		out, err := m.evaluate.call(mixture, b.images, b.labels)
		if err != nil {
			return 0, fmt.Errorf("supernet: cannot evaluate %s: %w", g, err)
		}
		right, total = right+scalar(out[0]), total+b.size
	}
	return right / float64(total), nil
}

// Ranker is Mixed as a [space.Ranker] by its accuracies on the held-out images, until ctx ends. Its
// error says that an architecture is not a genotype.
func (m *Mixed) Ranker(ctx context.Context) space.Ranker {
	return ranker[darts.Genotype]{ctx, "a genotype of the DARTS space", m.Validation}
}

// readHeld reads the held-out images, once.
func (m *Mixed) readHeld(ctx context.Context) (err error) {
	if m.held == nil {
		m.held, err = batches(ctx, m.data.plain(m.data.Validation, m.config.Side, m.config.BatchSize))
	}
	return err
}

// MixedTraining is the training of a [Mixed] network. What it leads to is a function of
// all fields but Watch.
type MixedTraining struct {
	Backend compute.Backend
	Data    *Data
	Config  MixedConfig
	Watch   rundir.Watch // told of each round, if set
}

// TrainedMixed is what [TrainMixed] leads to.
type TrainedMixed struct {
	Net     *Mixed
	Status  rundir.Status
	Dir     string           // the run directory
	Metrics []rundir.Metrics // of each round: "loss" and "accuracy", means over its steps
}

// TrainMixed runs DARTS in a run directory under root, which it continues or loads as
// [Train] does.
func TrainMixed(ctx context.Context, root string, t MixedTraining) (*TrainedMixed, error) {
	run, err := t.Data.open(root, "mixed", t.Backend, t.Config)
	if err != nil {
		return nil, err
	}
	defer run.Close()
	p := &mixedTraining{MixedTraining: t}
	status, err := run.Do(ctx, p, (t.Config.Steps+t.Config.Round-1)/max(1, t.Config.Round), 1, t.Watch)
	if err != nil {
		return nil, fmt.Errorf("supernet: %w", err)
	}
	trained := &TrainedMixed{Net: p.net, Status: status, Dir: run.Dir()}
	trained.Metrics, err = run.Metrics()
	return trained, err
}

// Labels makes a benchmark of the trained network, as [Trained.Labels] does.
func (t *TrainedMixed) Labels(ctx context.Context) (*Labels, error) {
	return newLabels(t.Dir, darts.Space{}, t.Net.Ranker(ctx)), nil
}

// mixedTraining is a MixedTraining as a [rundir.Process]. A step is a round.
type mixedTraining struct {
	MixedTraining
	net *Mixed
}

func (p *mixedTraining) Start() (err error) {
	p.net, err = NewMixed(p.Backend, p.Data, p.Config)
	return err
}

func (p *mixedTraining) Encode() ([]byte, error) { return engine.EncodeStore(p.net.store) }

func (p *mixedTraining) Decode(state []byte) error {
	fresh, err := NewMixed(p.Backend, p.Data, p.Config)
	if err != nil {
		return err
	}
	store, err := restored(state, fresh.store)
	if err != nil {
		return err
	}
	p.net, err = openMixed(p.Backend, p.Data, p.Config, store)
	return err
}

func (p *mixedTraining) Step(ctx context.Context, round int) (map[string]float64, error) {
	c := p.Config
	if err := p.net.readHeld(ctx); err != nil {
		return nil, err
	}
	first, last := round*c.Round, min((round+1)*c.Round, c.Steps)
	return trainRound(ctx, p.Data.augmented(c.Side, c.BatchSize, c.Seed), first, last, p.net.trainStep)
}

// trainStep does one step of DARTS. The held-out images were read.
func (m *Mixed) trainStep(step int, b batch) (loss, accuracy float64, err error) {
	c := m.config
	rng := engine.Stream(c.Seed, "supernet: step", step)
	held := m.held[rng.IntN(len(m.held))]
	out, err := m.step.call(b.images, b.labels, held.images, held.labels,
		tensors.FromScalar(float32(cosine(c.LearningRate, step, c.Steps))), tensors.FromScalar(float32(step+1)))
	if err != nil {
		return 0, 0, fmt.Errorf("supernet: cannot train: %w", err)
	}
	return scalar(out[0]), scalar(out[1]) / float64(b.size), nil
}

// StepTime is how long a step of training takes, without reading its images: the median of
// some, after a first one that compiles. The steps train the network.
func (m *Mixed) StepTime(ctx context.Context, steps int) (time.Duration, error) {
	if err := m.readHeld(ctx); err != nil {
		return 0, err
	}
	return stepTime(ctx, m.data.augmented(m.config.Side, m.config.BatchSize, m.config.Seed), steps, func(step int, b batch) error {
		_, _, err := m.trainStep(step, b)
		return err
	})
}
