// Package onceforall trains the MobileNetV3 supernet of Once-for-All (Cai et al., ICLR 2020), one network that holds
// all networks of the space as parts, with the same weights: the labels of the paper's Sec. 5.2.
//
// # Three elastic dimensions
//
// A block of the [Supernet] holds its largest version, and a smaller one is a part of it. A smaller kernel is the
// middle of the next larger, transformed by a learned matrix; a smaller expansion takes the first channels; a smaller
// depth takes the first blocks of a unit. Which part is meant is an input of the graph, so there is one graph for all
// of them.
//
// # Progressive shrinking
//
// [Train] trains the largest network first. That is the teacher then, while stage after stage smaller kernels, depths
// and expansions join those that are drawn at random in each step ([Stage]):
//
//	data, err := nn.NewData(set, 10_000)
//	trained, err := onceforall.Train(ctx, "runs", onceforall.Training{
//		Backend: backend, Data: data, Config: onceforall.Proxy(),
//	})
//	accuracy, err := trained.Net.Validation(ctx, network) // of any network of the space
//	labels, err := trained.Benchmark(ctx, 0)              // what any search of this library can search
//
// [Supernet.Load] takes the weights that OFA's authors published instead.
//
// # Batch norm
//
// There are no moments that fit all parts, so they are measured for each part, on training images, before it is
// evaluated ([Config.Calibration]).
package onceforall

import (
	"context"
	"fmt"
	"path"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train/loss"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/nn"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
)

// Versions returns the versions of the algorithms behind the training of a supernet, for the keys of stored results.
func Versions() rundir.Versions { return nn.Versions().With(rundir.Versions{"onceforall": 1}) }

// Supernet is the once-for-all supernet. Each network that is evaluated changes its moments of batch norm, so it is not
// safe for concurrent use.
type Supernet struct {
	config  Config
	model   *nn.Model
	moments []nn.ParameterSpec // of batch norm, one mean and one variance each

	accumulate *nn.Program // accumulateGraph, without a teacher
	distil     *nn.Program // accumulateGraph, with one
	apply      *nn.Program // applyGraph
	calibrate  *nn.Program // calibrateGraph
	evaluate   *nn.Program // correctGraph

	calibration []nn.Batch // images, which are read once
}

// The streams of random numbers. They are called after package supernet, where they were drawn first, so that the
// numbers stay what they were.
const (
	weightsStream = "supernet: weights"
	stepStream    = "supernet: step"
)

// The scopes of the store, beside [nn.Weights].
const (
	scopeTeacher   = "/teacher"   // the weights after the first stage
	scopeGradients = "/gradients" // the sum over the sub-networks of a step
	scopeVelocity  = "/velocity"  // the momentum of every parameter
	scopeRunning   = "/running"   // the moments of batch norm
)

// The last parts of the names of running moments.
const (
	nameMean     = "mean"
	nameVariance = "variance"
)

// New makes a supernet with random weights. The error says what is wrong in the configuration or does not fit the data.
func New(backend compute.Backend, data *nn.Data, config Config) (*Supernet, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	s := &Supernet{config: config}
	var err error
	rng := engine.Stream(config.Seed, weightsStream, 0)
	s.model, err = nn.NewModel(backend, data, config.input(), rng, func(b nn.Builder, images *Node) *Node {
		ones := Ones(images.Graph(), nn.Shape(mobilenetv3.NumBlock, 3))
		b.Moments = func(name string, x *Node) (mean, variance *Node) {
			for _, moment := range []string{nameMean, nameVariance} {
				s.moments = append(s.moments, nn.ParameterSpec{Name: name + "/" + moment, Dims: []int{x.Shape().Dim(3)}})
			}
			return nn.BatchMoments(name, x)
		}
		return builder{b}.network(config.Skeleton, choice{ones, ones}, images)
	})
	if err != nil {
		return nil, fmt.Errorf("onceforall: %w", err)
	}
	if err := s.create(); err != nil {
		return nil, err
	}
	return s, s.compile()
}

// create makes the other variables, and the matrices between kernels ones that change nothing.
func (s *Supernet) create() error {
	parameters := s.model.Parameters
	for _, scope := range []struct {
		name string
		of   []nn.ParameterSpec
	}{{scopeTeacher, parameters}, {scopeGradients, parameters}, {scopeVelocity, parameters}, {scopeRunning, s.moments}} {
		for _, p := range scope.of {
			if err := s.model.Create(scope.name, p, func() float64 { return 0 }); err != nil {
				return err
			}
		}
	}
	for _, p := range parameters {
		if last := path.Base(p.Name); last != name7to5 && last != name5to3 {
			continue
		}
		identity, size := make([]float32, p.Size()), p.Dims[0]
		for i := range size {
			identity[i*size+i] = 1
		}
		if err := s.set(nn.Weights+"/"+p.Name, identity, p.Dims); err != nil {
			return err
		}
	}
	return nil
}

// compile makes the programs.
func (s *Supernet) compile() (err error) {
	const whole, batch = nn.Replicated, nn.Sharded
	if s.accumulate, err = s.model.Program(s.accumulateGraph, whole, whole, batch, batch); err != nil {
		return err
	}
	if s.distil, err = s.model.Program(s.distilGraph, whole, whole, batch, batch); err != nil {
		return err
	}
	if s.apply, err = s.model.Program(s.applyGraph, whole); err != nil {
		return err
	}
	if s.calibrate, err = s.model.Program(s.calibrateGraph, whole, whole, batch, whole); err != nil {
		return err
	}
	s.evaluate, err = s.model.Program(s.correctGraph, whole, whole, batch, batch)
	return err
}

// Config returns what the supernet was made with.
func (s *Supernet) Config() Config { return s.config }

// builder returns a builder with the weights of a scope, as they are at this point of a graph.
func (s *Supernet) builder(g *Graph, scope string) builder {
	return builder{s.model.Builder(nn.Values(g, s.model.Variables(scope)))}
}

// logits returns those, [batch, classes], of a sub-network, whose choice, [20, 3] each, is the first two inputs, for
// the third, images [batch, side, side, 3], with the given moments.
func (s *Supernet) logits(inputs []*Node, moments func(name string, x *Node) (mean, variance *Node)) *Node {
	b := s.builder(inputs[2].Graph(), nn.Weights)
	b.Moments = moments
	return b.network(s.config.Skeleton, choice{inputs[0], inputs[1]}, inputs[2])
}

// accumulateGraph adds the gradient of a sub-network, a choice [20, 3] and [20, 3], on images [batch, side, side, 3]
// with labels [batch] to the sum of a step. It returns, as scalars, the loss and how many images are right.
func (s *Supernet) accumulateGraph(_ *model.Scope, inputs []*Node) []*Node {
	return s.learn(inputs, nil)
}

// distilGraph is accumulateGraph with the teacher's answers as second labels.
func (s *Supernet) distilGraph(_ *model.Scope, inputs []*Node) []*Node {
	g := inputs[2].Graph()
	largest := choiceOf(s.config.largest())
	teacher := s.builder(g, scopeTeacher).network(s.config.Skeleton, choice{ConstTensor(g, largest[0]), ConstTensor(g, largest[1])}, inputs[2])
	return s.learn(inputs, StopGradient(Softmax(teacher)))
}

// learn is accumulateGraph with the answers of a teacher, [batch, classes], or nil for none.
func (s *Supernet) learn(inputs []*Node, teacher *Node) []*Node {
	logits, labels := s.logits(inputs, nn.BatchMoments), inputs[3]
	total := loss.CategoricalCrossEntropyLogits([]*Node{smoothed(labels, s.config.Classes, s.config.LabelSmoothing)}, []*Node{logits})
	if teacher != nil {
		total = Add(total, loss.CategoricalCrossEntropyLogits([]*Node{teacher}, []*Node{logits}))
	}
	g := total.Graph()
	gradients := Gradient(total, nn.Values(g, s.model.Variables(nn.Weights))...)
	for i, sum := range s.model.Variables(scopeGradients) {
		sum.SetNodeValue(Add(sum.NodeValue(g), gradients[i]))
	}
	return []*Node{total, nn.NumberCorrect(logits, labels)}
}

// smoothed returns labels [batch] as distributions [batch, classes], of which all classes divide a share among them.
func smoothed(labels *Node, classes int, share float64) *Node {
	return AddScalar(MulScalar(OneHot(labels, classes, nn.Shape().DType), 1-share), share/float64(classes))
}

// applyGraph moves the weights along the sum of gradients, by SGD with Nesterov momentum as in PyTorch, at a learning
// rate, a scalar,
//
//	v ← μ·v + g + λ·w,  w ← w − rate·(g + λ·w + μ·v),
//
// and sets the sum to zero. Scales, shifts and biases have no weight decay λ.
func (s *Supernet) applyGraph(_ *model.Scope, inputs []*Node) []*Node {
	rate := inputs[0]
	weights, sums, velocities := s.model.Variables(nn.Weights), s.model.Variables(scopeGradients), s.model.Variables(scopeVelocity)
	for i, p := range s.model.Parameters {
		w, gradient := weights[i].NodeValue(rate), sums[i].NodeValue(rate)
		if len(p.Dims) > 1 {
			gradient = Add(gradient, MulScalar(w, s.config.WeightDecay))
		}
		velocity := Add(MulScalar(velocities[i].NodeValue(rate), s.config.Momentum), gradient)
		velocities[i].SetNodeValue(velocity)
		weights[i].SetNodeValue(Sub(w, nn.Times(rate, Add(gradient, MulScalar(velocity, s.config.Momentum)))))
		sums[i].SetNodeValue(ZerosLike(gradient))
	}
	return []*Node{rate}
}

// moment returns the running mean or variance of a batch norm.
func (s *Supernet) moment(name, moment string) *model.Variable {
	return s.model.Store.GetVariable(scopeRunning + "/" + name + "/" + moment)
}

// calibrateGraph moves the running moments of a sub-network, a choice [20, 3] and [20, 3], towards those of images
// [batch, side, side, 3] by a share, a scalar: with 1/k for the k-th batch they are the means over all.
func (s *Supernet) calibrateGraph(_ *model.Scope, inputs []*Node) []*Node {
	share := inputs[3]
	move := func(running *model.Variable, of *Node) {
		old := running.NodeValue(share)
		running.SetNodeValue(Add(old, nn.Times(share, Sub(of, old))))
	}
	logits := s.logits(inputs, func(name string, x *Node) (mean, variance *Node) {
		mean, variance = nn.BatchMoments(name, x)
		move(s.moment(name, nameMean), mean)
		move(s.moment(name, nameVariance), variance)
		return mean, variance
	})
	return []*Node{ReduceAllMean(logits)}
}

// running returns the moments, [channels], of the sub-network that was last calibrated.
func (s *Supernet) running(name string, x *Node) (mean, variance *Node) {
	return s.moment(name, nameMean).NodeValue(x), s.moment(name, nameVariance).NodeValue(x)
}

// correctGraph returns how many, a scalar, of images [batch, side, side, 3] with labels [batch] the calibrated
// sub-network, a choice [20, 3] and [20, 3], gets right.
func (s *Supernet) correctGraph(_ *model.Scope, inputs []*Node) []*Node {
	return []*Node{nn.NumberCorrect(s.logits(inputs, s.running), inputs[3])}
}

// largest returns the network of the largest choices.
func (c Config) largest() mobilenetv3.Net {
	n, _ := mobilenetv3.Uniform(mobilenetv3.MaxDepth, mobilenetv3.Block{Kernel: 7, Expansion: 6}) // it is of the space
	return n
}

// Validation returns the accuracy of a sub-network on the held-out images, in [0, 1].
func (s *Supernet) Validation(ctx context.Context, n mobilenetv3.Net) (float64, error) {
	return s.evaluated(ctx, n, s.model.Validation)
}

// Test returns the accuracy of a sub-network on the test images, in [0, 1]. No search may see it.
func (s *Supernet) Test(ctx context.Context, n mobilenetv3.Net) (float64, error) {
	return s.evaluated(ctx, n, s.model.Test)
}

// evaluated calibrates a sub-network and returns its accuracy on some images.
func (s *Supernet) evaluated(ctx context.Context, n mobilenetv3.Net, on func(context.Context, *nn.Program, ...*tensors.Tensor) (float64, error)) (float64, error) {
	if err := s.recalibrate(ctx, n); err != nil {
		return 0, err
	}
	accuracy, err := on(ctx, s.evaluate, choiceOf(n)...)
	if err != nil {
		return 0, fmt.Errorf("onceforall: cannot evaluate %s: %w", n, err)
	}
	return accuracy, nil
}

// recalibrate gives batch norm the moments of a sub-network.
func (s *Supernet) recalibrate(ctx context.Context, n mobilenetv3.Net) (err error) {
	if s.calibration == nil {
		if s.calibration, err = s.model.Plain(ctx, s.config.Calibration); err != nil {
			return err
		}
	}
	for k, b := range s.calibration {
		if _, err := s.calibrate.Call(append(choiceOf(n), b.Images, tensors.FromScalar(float32(1/float64(k+1))))...); err != nil {
			return fmt.Errorf("onceforall: cannot calibrate %s: %w", n, err)
		}
	}
	return nil
}

// Ranker returns the supernet as a [space.Ranker] by its accuracies on the held-out images, until ctx ends. Its error
// says that an architecture is not a MobileNetV3 network.
func (s *Supernet) Ranker(ctx context.Context) space.Ranker {
	return nn.Ranker(ctx, "a network of the MobileNetV3 space", s.Validation)
}
