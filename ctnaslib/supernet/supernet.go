// Package supernet trains networks of NAS-Bench-101 cells on images: all cells with shared weights, by the five methods
// of the paper's Table 1, and one cell from scratch, by the benchmark's recipe. Shared weights label architectures
// without training each of them (Sec. 3.2, "Obtain their accuracy by training a supernet").
//
// # Shared weights
//
// A [Supernet] is one network in which every cell of the space is a part. [Train] trains it by a [Method]: SPOS,
// FairNAS and ENAS train the weights of one cell at a time, or of three; DARTS and FBNet train a continuous relaxation
// of all cells at once.
//
//	set, err := images.Open(ctx, "")
//	data, err := nn.NewData(set, 10_000)
//	trained, err := supernet.Train(ctx, "runs", supernet.Training{
//		Backend: backend, Data: data, Config: supernet.Proxy(supernet.SPOS),
//	})
//	accuracies, err := trained.Net.Ranker(ctx).Utilities(cells) // on the held-out images
//	best, accuracy, err := trained.Net.Best(ctx)                // the cell that the method ends in
//	labels := trained.Benchmark(ctx)                            // what any search of this library can search
//
// # From scratch
//
// [Scratch] is the benchmark's network of one cell, with weights of its own, and [TrainFromScratch] trains it.
// [Skeleton.Params] and [Skeleton.FLOPs] count what such a network has without training it.
//
// # Sizes
//
// [Small] and [SmallScratch] take seconds on the pure Go backend and learn next to nothing; [Proxy] and [ProxyScratch]
// take minutes with XLA; [Paper] and [BenchmarkScratch] are the benchmark's own size, for a GPU.
package supernet

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/ctnas/ctnas/ctnaslib/controller"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/nn"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// Versions returns the versions of the algorithms behind the training of any network, for the keys of stored results.
func Versions() rundir.Versions {
	return nn.Versions().With(controller.Versions(), rundir.Versions{"supernet": 1})
}

// Supernet is a network with shared weights: every cell of the space is a part of it. Batch norm takes the moments of
// the batch, in evaluation too: running ones would be those of no cell. It is not safe for concurrent use.
type Supernet struct {
	config Config
	model  *nn.Model
	policy *controller.Controller // of ENAS, else nil

	step       *nn.Program // stepGraph
	relaxation *nn.Program // relaxationGraph
	evaluate   *nn.Program // correctGraph
}

// New makes a supernet with random weights. The error says what is wrong in the configuration or does not fit the data.
func New(backend compute.Backend, data *nn.Data, config Config) (*Supernet, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	s := &Supernet{config: config}
	var err error
	s.model, err = nn.NewModel(backend, data, config.input(), weightsStream(config.Seed), func(b nn.Builder, images *Node) *Node {
		g := images.Graph()
		w := wiringNodes{edges: Ones(g, nn.Shape(ends, ends)), ops: Ones(g, nn.Shape(vertices, ops)), slots: Ones(g, nn.Shape(1, vertices)), relaxed: true}
		return builder{b}.sharedNetwork(config.Skeleton, w, images)
	})
	if err != nil {
		return nil, fmt.Errorf("supernet: %w", err)
	}
	if config.isRelaxed() {
		if err := s.createArchitecture(); err != nil {
			return nil, err
		}
	}
	if config.Method == ENAS {
		policy := config.Policy
		policy.Seed = config.Seed
		if s.policy, err = controller.New(nasbench101.Space{}.Decisions(), policy); err != nil {
			return nil, err
		}
	}
	return s, s.compile()
}

// compile makes the programs.
func (s *Supernet) compile() (err error) {
	const whole, batch = nn.Replicated, nn.Sharded
	if s.step, err = s.model.Program(s.stepGraph, whole, whole, whole, whole, batch, batch, whole); err != nil {
		return err
	}
	if s.relaxation, err = s.model.Program(s.relaxationGraph, batch, batch, batch, batch, whole, whole, whole, whole, whole); err != nil {
		return err
	}
	s.evaluate, err = s.model.Program(s.correctGraph, whole, whole, whole, whole, batch, batch)
	return err
}

// Config returns what the supernet was made with.
func (s *Supernet) Config() Config { return s.config }

// FLOPs returns the number of floating point operations, forward, of the convolutions and the dense layer that a step
// of training needs for one image: those of the cells that it trains, the mean of 100 random ones; or for a continuous
// relaxation those of all parts, for the network's step and for the architecture weights', of first order. Training
// takes about three times as many.
func (s *Supernet) FLOPs(backend compute.Backend) (float64, error) {
	if s.config.isRelaxed() {
		return 2 * float64(s.config.flops(s.model.Parameters)), nil
	}
	const cells = 100
	rng := engine.Stream(s.config.Seed, "supernet: cells to count", 0)
	total := 0
	for range cells {
		count, err := s.config.FLOPs(backend, nasbench101.Space{}.Sample(rng).(nasbench101.Cell))
		if err != nil {
			return 0, err
		}
		total += s.config.paths() * count
	}
	return float64(total) / cells, nil
}

// stepGraph builds one step of training on some cells of the same edges: their ops [cells, 5, 3] and the rest of a
// [wiring], images [batch, side, side, 3], labels [batch] and the learning rate, a scalar. It returns, as scalars, the
// mean loss of the cells, and how many images they get right on average.
func (s *Supernet) stepGraph(_ *model.Scope, inputs []*Node) []*Node {
	w, images, labels, rate := wiringOf(inputs[:4]), inputs[4], inputs[5], inputs[6]
	variables := s.model.Variables(nn.Weights)
	values := nn.Values(rate.Graph(), variables)
	b := builder{s.model.Builder(values)}
	cells := w.ops.Shape().Dim(0)
	var loss, correct *Node
	for k := range cells {
		one := w
		one.ops = Squeeze(Slice(w.ops, AxisElem(k)), 0)
		logits := b.sharedNetwork(s.config.Skeleton, one, images)
		loss, correct = nn.Plus(loss, nn.CrossEntropy(logits, labels)), nn.Plus(correct, nn.NumberCorrect(logits, labels))
	}
	gradients := nn.ClipNorm(Gradient(loss, values...), s.config.GradientClip)
	w.ops = ReduceMax(w.ops, 0)
	byName := w.used(s.config.Skeleton)
	used := make([]*Node, len(variables))
	for i, p := range s.model.Parameters {
		used[i] = byName[p.Name]
	}
	s.optimizer().Step(s.model.Store, variables, gradients, rate, used)
	return []*Node{DivScalar(loss, cells), DivScalar(correct, cells)}
}

// optimizer returns that of the network's weights.
func (s *Supernet) optimizer() nn.Momentum {
	return nn.Momentum{Momentum: s.config.Momentum, WeightDecay: s.config.WeightDecay}
}

// correctGraph returns how many, a scalar, of images [batch, side, side, 3] with labels [batch] a cell, the first four
// inputs being its [wiring], gets right.
func (s *Supernet) correctGraph(_ *model.Scope, inputs []*Node) []*Node {
	w, images, labels := wiringOf(inputs[:4]), inputs[4], inputs[5]
	b := builder{s.model.Builder(nn.Values(images.Graph(), s.model.Variables(nn.Weights)))}
	return []*Node{nn.NumberCorrect(b.sharedNetwork(s.config.Skeleton, w, images), labels)}
}

// trainOn does a step of training on cells that differ in their operations only.
func (s *Supernet) trainOn(cells []nasbench101.Cell, b nn.Batch, rate float64) (loss, accuracy float64, err error) {
	var w wiring
	all := make([]float32, 0, len(cells)*vertices*ops)
	for _, c := range cells {
		w = s.config.wire(c)
		all = append(all, tensors.MustCopyFlatData[float32](w.ops)...)
	}
	w.ops = tensors.FromFlatDataAndDimensions(all, len(cells), vertices, ops)
	loss, accuracy, err = s.step.Measure(b, append(w.inputs(), b.Images, b.Labels, tensors.FromScalar(float32(rate)))...)
	if err != nil {
		return 0, 0, fmt.Errorf("supernet: cannot train: %w", err)
	}
	return loss, accuracy, nil
}

// Validation returns the accuracy of a cell on the held-out images, in [0, 1].
func (s *Supernet) Validation(ctx context.Context, c nasbench101.Cell) (float64, error) {
	accuracy, err := s.model.Validation(ctx, s.evaluate, s.config.wire(c).inputs()...)
	return accuracy, evaluated(c, err)
}

// Test returns the accuracy of a cell on the test images, in [0, 1]. No search may see it.
func (s *Supernet) Test(ctx context.Context, c nasbench101.Cell) (float64, error) {
	accuracy, err := s.model.Test(ctx, s.evaluate, s.config.wire(c).inputs()...)
	return accuracy, evaluated(c, err)
}

// accuracy returns the accuracy of a cell on some batches, in [0, 1].
func (s *Supernet) accuracy(ctx context.Context, c nasbench101.Cell, batches ...nn.Batch) (float64, error) {
	accuracy, err := s.evaluate.Accuracy(ctx, batches, s.config.wire(c).inputs()...)
	return accuracy, evaluated(c, err)
}

// evaluated adds to an error, if there is one, which cell could not be evaluated.
func evaluated(c nasbench101.Cell, err error) error {
	if err != nil {
		return fmt.Errorf("supernet: cannot evaluate %s: %w", c, err)
	}
	return nil
}

// Ranker returns the supernet as a [space.Ranker] by its accuracies on the held-out images, until ctx ends. Its error
// says that an architecture is not a cell of NAS-Bench-101.
func (s *Supernet) Ranker(ctx context.Context) space.Ranker {
	return nn.Ranker(ctx, "a cell of NAS-Bench-101", s.Validation)
}

// Best returns the cell that the method ends in, and its accuracy on the held-out images, in [0, 1]: the best of the
// candidates, or for DARTS and FBNet the strongest parts of the continuous relaxation.
func (s *Supernet) Best(ctx context.Context) (best nasbench101.Cell, accuracy float64, err error) {
	if s.config.isRelaxed() {
		if best, err = s.strongest(); err != nil {
			return best, 0, err
		}
		accuracy, err = s.Validation(ctx, best)
		return best, accuracy, err
	}
	rng := engine.Stream(s.config.Seed, "supernet: candidates", 0)
	for i := range s.config.Candidates {
		c, err := s.draw(rng)
		if err != nil {
			return best, 0, err
		}
		a, err := s.Validation(ctx, c)
		if err != nil {
			return best, 0, err
		}
		if i == 0 || a > accuracy {
			best, accuracy = c, a
		}
	}
	return best, accuracy, nil
}

// draw returns a random cell: the policy's, if there is one.
func (s *Supernet) draw(rng *rand.Rand) (nasbench101.Cell, error) {
	cells := nasbench101.Space{}
	if s.policy == nil {
		return cells.Sample(rng).(nasbench101.Cell), nil
	}
	sequences, err := s.policy.Sample(rng, 1)
	if err != nil {
		return nasbench101.Cell{}, err
	}
	archs, err := controller.Decoded(cells, sequences)
	if err != nil {
		return nasbench101.Cell{}, err
	}
	return archs[0].(nasbench101.Cell), nil
}
