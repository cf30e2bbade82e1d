package supernet

import (
	"context"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/datasets/images"
	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
)

// AloneConfig describes the network of one cell and its training from scratch. It is
// stored with every run, so all of it is exported and plain.
type AloneConfig struct {
	Skeleton
	Epochs    int
	BatchSize int
	Round     int // steps between two checkpoints

	// The benchmark's RMSProp, with a cosine learning rate that ends at 0.
	LearningRate, Momentum, WeightDecay float64

	NormMomentum float64 // of the running moments of batch norm

	// Devices of the backend, such as GPUs, that share every batch; 0 is one.
	Devices int `json:",omitempty"`

	Seed uint64 // of the initial weights and the batches
}

// BenchmarkAlone is the recipe of NAS-Bench-101 (google-research/nasbench,
// lib/config.py, with the learning rate of its two TPU shards): 108 epochs.
func BenchmarkAlone() AloneConfig {
	return AloneConfig{
		Skeleton: Benchmark(), Epochs: 108, BatchSize: 256, Round: 500,
		LearningRate: 0.2, Momentum: 0.9, WeightDecay: 1e-4, NormMomentum: 0.997,
	}
}

// ProxyAlone is that recipe for the network and the images of [Proxy].
func ProxyAlone() AloneConfig {
	c := BenchmarkAlone()
	c.Skeleton, c.Epochs, c.BatchSize, c.Round, c.NormMomentum = Proxy(SPOS).Skeleton, 30, 128, 100, 0.99
	return c
}

// SmallAlone is that recipe for the network and the images of [Small].
func SmallAlone(classes int) AloneConfig {
	c := BenchmarkAlone()
	c.Skeleton, c.Epochs, c.BatchSize, c.Round, c.NormMomentum = Small(SPOS, classes).Skeleton, 2, 16, 20, 0.9
	return c
}

func (c AloneConfig) check() error {
	if err := c.Skeleton.check(); err != nil {
		return err
	}
	switch {
	case c.Epochs < 1 || c.BatchSize < 2 || c.Round < 1:
		return fmt.Errorf("supernet: training needs epochs, batches of at least 2 images and rounds, not %d, %d and %d", c.Epochs, c.BatchSize, c.Round)
	case c.Devices < 0 || c.Devices > 1 && c.BatchSize%c.Devices != 0:
		return fmt.Errorf("supernet: a batch of %d images cannot be shared by %d devices", c.BatchSize, c.Devices)
	case !positive(c.LearningRate) || !share(c.Momentum) || !share(c.NormMomentum) || !decay(c.WeightDecay):
		return fmt.Errorf("supernet: the learning rate must be positive, the momenta in [0, 1) and the weight decay not negative; not %g, %g, %g and %g", c.LearningRate, c.Momentum, c.NormMomentum, c.WeightDecay)
	}
	return nil
}

// Alone is the benchmark's network of one cell, with weights of its own. It is not safe
// for concurrent use.
type Alone struct {
	cell       nasbench101.Cell
	config     AloneConfig
	data       *Data
	store      *model.Store
	parameters []shape
	step       *program // stepGraph
	evaluate   *program // hitsGraph
}

// NewAlone makes the network of a cell with random weights.
func NewAlone(backend compute.Backend, data *Data, c nasbench101.Cell, config AloneConfig) (*Alone, error) {
	a, err := newAlone(backend, data, c, config, model.NewStore())
	if err != nil {
		return nil, err
	}
	rng := engine.Stream(config.Seed, "supernet: weights", 0)
	return a, create(a.store, a.parameters, rng)
}

func newAlone(backend compute.Backend, data *Data, c nasbench101.Cell, config AloneConfig, store *model.Store) (*Alone, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	if err := data.check(config.Classes); err != nil {
		return nil, err
	}
	a := &Alone{cell: c, config: config, data: data, store: store}
	var err error
	if a.parameters, err = config.Skeleton.parameters(backend, c); err != nil {
		return nil, err
	}
	mesh, err := newMesh(backend, config.Devices)
	if err != nil {
		return nil, err
	}
	const whole, split = false, true
	if a.step, err = newProgram(backend, store, mesh, []bool{split, split, whole}, a.stepGraph); err != nil {
		return nil, err
	}
	a.evaluate, err = newProgram(backend, store, mesh, []bool{split, split}, a.hitsGraph)
	return a, err
}

// parameters are those of the network of a cell.
func (s Skeleton) parameters(backend compute.Backend, c nasbench101.Cell) ([]shape, error) {
	parameters, err := shapesOf(backend, s.Side, func(b builder, images *Node) *Node { return b.cellNetwork(s, c, images) })
	if err != nil {
		return nil, fmt.Errorf("supernet: cannot build the network of %s: %w", c, err)
	}
	return parameters, nil
}

// Params is the number of trainable parameters of the network of a cell. With the
// skeleton of [Benchmark] it is what NAS-Bench-101 publishes for the cell.
func (s Skeleton) Params(backend compute.Backend, c nasbench101.Cell) (int, error) {
	parameters, err := s.parameters(backend, c)
	total := 0
	for _, p := range parameters {
		total += p.size()
	}
	return total, err
}

// FLOPs is the number of floating point operations of the convolutions and the dense
// layer of the network of a cell for one image, forward. Training takes about three
// times as many.
func (s Skeleton) FLOPs(backend compute.Backend, c nasbench101.Cell) (int, error) {
	parameters, err := s.parameters(backend, c)
	return s.flops(parameters), err
}

// flops is that number for the kernels among a network's parameters.
func (s Skeleton) flops(parameters []shape) int {
	total := 0
	for _, p := range parameters {
		layer, last := path.Split(p.name)
		if last != nameKernel {
			continue
		}
		stack, side := 0, s.Side
		if n, _ := fmt.Sscanf(layer, "stack_%d/", &stack); n == 1 {
			side >>= stack
		}
		if layer == "dense/" {
			side = 1
		}
		total += 2 * side * side * p.size()
	}
	return total
}

// cellNetwork is the network of a cell: the logits of images.
func (b builder) cellNetwork(s Skeleton, c nasbench101.Cell, images *Node) *Node {
	return b.network(s, images, func(at place, x *Node) *Node { return b.cell(c, at, x) })
}

// scopeRunning holds the running moments of batch norm in a store.
const scopeRunning = "/running"

// builder builds the network with the parameters of the store. In training batch norm
// takes the moments of the batch and moves the running ones towards them, else it takes
// the running ones.
func (a *Alone) builder(root *model.Scope, g *Graph, training bool) builder {
	store := root.Store()
	return builder{
		parameter: func(name string, _ ...int) *Node {
			return store.GetVariable(scopeWeights + "/" + name).NodeValue(g)
		},
		moments: func(name string, x *Node) (mean, variance *Node) {
			channels := shapeOf(x.Shape().Dim(3))
			runMean := store.VariableWithShape(scopeRunning+"/"+name+"/mean", channels, Zeros).SetTrainable(false)
			runVariance := store.VariableWithShape(scopeRunning+"/"+name+"/variance", channels, Ones).SetTrainable(false)
			if !training {
				return runMean.NodeValue(g), runVariance.NodeValue(g)
			}
			mean, variance = batchMoments(name, x)
			for _, v := range []struct {
				running *model.Variable
				of      *Node
			}{{runMean, mean}, {runVariance, variance}} {
				keep := a.config.NormMomentum
				v.running.SetNodeValue(Add(MulScalar(v.running.NodeValue(g), keep), MulScalar(v.of, 1-keep)))
			}
			return mean, variance
		},
	}
}

// stepGraph builds one step of training on images and labels at a learning rate, and
// returns the loss and how many images the network gets right.
func (a *Alone) stepGraph(root *model.Scope, inputs []*Node) []*Node {
	images, labels, rate := inputs[0], inputs[1], inputs[2]
	g := images.Graph()
	logits := a.builder(root, g, true).cellNetwork(a.config.Skeleton, a.cell, images)
	loss := crossEntropy(logits, labels)
	variables := variables(root, a.parameters)
	gradients := Gradient(loss, values(g, variables)...)
	rmsProp{a.config.Momentum, a.config.WeightDecay}.step(root, variables, gradients, rate)
	return []*Node{loss, hits(logits, labels)}
}

// hitsGraph builds how many of the images, with labels, the network gets right.
func (a *Alone) hitsGraph(root *model.Scope, inputs []*Node) []*Node {
	images, labels := inputs[0], inputs[1]
	return []*Node{hits(a.builder(root, images.Graph(), false).cellNetwork(a.config.Skeleton, a.cell, images), labels)}
}

// Test is the accuracy on the test images, in [0, 1].
func (a *Alone) Test(ctx context.Context) (float64, error) {
	right, total := 0.0, 0
	l := a.data.plain(a.data.Test, a.config.Side, a.config.BatchSize)
	err := stream(ctx, l, 0, l.Len(), func(_ int, b batch) error {
		out, err := a.evaluate.call(b.images, b.labels)
		if err != nil {
			return fmt.Errorf("supernet: cannot evaluate %s: %w", a.cell, err)
		}
		right, total = right+scalar(out[0]), total+b.size
		return nil
	})
	return right / float64(total), err
}

// StepTime is how long a step of training takes: the median of some, after a first one
// that compiles. The steps train the network.
func (a *Alone) StepTime(ctx context.Context, steps int) (time.Duration, error) {
	return stepTime(ctx, a.data.augmented(a.config.Side, a.config.BatchSize, a.config.Seed), steps, func(_ int, b batch) error {
		_, _, err := a.trainStep(b, a.config.LearningRate)
		return err
	})
}

// stepTime is how long a step on the batches of a loader takes, without reading them: the
// median of some, after a first one that compiles.
func stepTime(ctx context.Context, l images.Loader, steps int, do func(step int, b batch) error) (time.Duration, error) {
	var times []time.Duration
	err := stream(ctx, l, 0, steps+1, func(step int, b batch) error {
		start := time.Now()
		err := do(step, b)
		if step > 0 {
			times = append(times, time.Since(start))
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}

func (a *Alone) trainStep(b batch, rate float64) (loss, accuracy float64, err error) {
	out, err := a.step.call(b.images, b.labels, tensors.FromScalar(float32(rate)))
	if err != nil {
		return 0, 0, fmt.Errorf("supernet: cannot train %s: %w", a.cell, err)
	}
	return scalar(out[0]), scalar(out[1]) / float64(b.size), nil
}

// AloneTraining is the training of one cell from scratch. What it leads to is a
// function of all fields but Watch.
type AloneTraining struct {
	Backend compute.Backend
	Data    *Data
	Cell    nasbench101.Cell
	Config  AloneConfig
	Watch   rundir.Watch // told of each round, if set
}

// TrainedAlone is what [TrainAlone] leads to.
type TrainedAlone struct {
	Net     *Alone
	Status  rundir.Status
	Dir     string           // the run directory
	Metrics []rundir.Metrics // of each round: "loss" and "accuracy", means over its steps
}

// TrainAlone trains the network of one cell from scratch in a run directory under root,
// which it continues or loads as [Train] does.
func TrainAlone(ctx context.Context, root string, t AloneTraining) (*TrainedAlone, error) {
	run, err := t.Data.open(root, "alone", t.Backend, struct {
		Cell   string
		Config AloneConfig
	}{t.Cell.String(), t.Config})
	if err != nil {
		return nil, err
	}
	defer run.Close()
	p := &aloneTraining{AloneTraining: t}
	p.steps = t.Config.Epochs * p.loader().Len()
	status, err := run.Do(ctx, p, (p.steps+t.Config.Round-1)/max(1, t.Config.Round), 1, t.Watch)
	if err != nil {
		return nil, fmt.Errorf("supernet: %w", err)
	}
	trained := &TrainedAlone{Net: p.net, Status: status, Dir: run.Dir()}
	trained.Metrics, err = run.Metrics()
	return trained, err
}

// aloneTraining is an AloneTraining as a [rundir.Process]. A step is a round.
type aloneTraining struct {
	AloneTraining
	steps int
	net   *Alone
}

func (p *aloneTraining) Start() (err error) {
	p.net, err = NewAlone(p.Backend, p.Data, p.Cell, p.Config)
	return err
}

func (p *aloneTraining) Encode() ([]byte, error) { return engine.EncodeStore(p.net.store) }

func (p *aloneTraining) Decode(state []byte) error {
	fresh, err := NewAlone(p.Backend, p.Data, p.Cell, p.Config)
	if err != nil {
		return err
	}
	store, err := restored(state, fresh.store)
	if err != nil {
		return err
	}
	p.net, err = newAlone(p.Backend, p.Data, p.Cell, p.Config, store)
	return err
}

func (p *aloneTraining) loader() images.Loader {
	return p.Data.augmented(p.Config.Side, p.Config.BatchSize, p.Config.Seed)
}

func (p *aloneTraining) Step(ctx context.Context, round int) (map[string]float64, error) {
	c := p.Config
	first, last := round*c.Round, min((round+1)*c.Round, p.steps)
	return trainRound(ctx, p.loader(), first, last, func(step int, b batch) (loss, accuracy float64, err error) {
		return p.net.trainStep(b, cosine(c.LearningRate, step, p.steps))
	})
}
