package supernet

import (
	"context"
	"fmt"
	"path"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/datasets/images"
	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
)

// Elastic is the MobileNetV3 supernet of Once-for-All (Cai et al., ICLR 2020), whose
// blocks have elastic kernels, expansions and depths: every network of the space is a
// part of it. It is a [space.Ranker], by the accuracy on held-out images. Batch norm has
// no moments that fit all sub-networks, so they are taken anew for each, from training
// images, before it is evaluated. An Elastic is not safe for concurrent use.
type Elastic struct {
	config     ElasticConfig
	data       *Data
	store      *model.Store
	parameters []shape
	moments    []shape // of batch norm, one mean and one variance each

	accumulate *program // accumulateGraph, without a teacher
	distil     *program // accumulateGraph, with one
	apply      *program // applyGraph
	calibrate  *program // calibrateGraph
	evaluate   *program // hitsGraph

	held, calibration []batch // images, which are read once
}

// The scopes of an elastic network's store, beside [scopeWeights] and [scopeRunning].
const (
	scopeTeacher   = "/teacher"   // the weights after the first stage
	scopeGradients = "/gradients" // the sum over the sub-networks of a step
)

// NewElastic makes a supernet with random weights. The error says what is wrong in the
// configuration or does not fit the data.
func NewElastic(backend compute.Backend, data *Data, config ElasticConfig) (*Elastic, error) {
	e, err := openElastic(backend, data, config, model.NewStore())
	if err != nil {
		return nil, err
	}
	if err := create(e.store, e.parameters, engine.Stream(config.Seed, "supernet: weights", 0)); err != nil {
		return nil, err
	}
	fill := func(scope string, shapes []shape, value float64) error {
		for _, s := range shapes {
			layer, last := path.Split(s.name)
			if err := engine.NewVariable(e.store.Scope(path.Join(scope, layer)), last, func() float64 { return value }, s.dims...); err != nil {
				return fmt.Errorf("supernet: %w", err)
			}
		}
		return nil
	}
	for _, scope := range []string{scopeTeacher, scopeGradients, scopeVelocity} {
		if err := fill(scope, e.parameters, 0); err != nil {
			return nil, err
		}
	}
	return e, fill(scopeRunning, e.moments, 0)
}

// openElastic makes a supernet with the weights that are in a store, or will be.
func openElastic(backend compute.Backend, data *Data, config ElasticConfig, store *model.Store) (*Elastic, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	if err := data.check(config.Classes); err != nil {
		return nil, err
	}
	e := &Elastic{config: config, data: data, store: store}
	var err error
	e.parameters, err = shapesOf(backend, config.Resolution, func(b builder, images *Node) *Node {
		ones := Ones(images.Graph(), shapeOf(mobilenetv3.NumBlock, 3))
		b.moments = func(name string, x *Node) (mean, variance *Node) {
			for _, moment := range []string{nameMean, nameVariance} {
				e.moments = append(e.moments, shape{name + "/" + moment, []int{x.Shape().Dim(3)}})
			}
			return batchMoments(name, x)
		}
		return b.elasticNetwork(config.Skeleton, choice{ones, ones}, images)
	})
	if err != nil {
		return nil, fmt.Errorf("supernet: %w", err)
	}
	mesh, err := newMesh(backend, config.Devices)
	if err != nil {
		return nil, err
	}
	const whole, split = false, true
	for _, p := range []struct {
		program **program
		batches []bool
		graph   func(*model.Scope, []*Node) []*Node
	}{
		{&e.accumulate, []bool{whole, whole, split, split}, e.accumulateGraph},
		{&e.distil, []bool{whole, whole, split, split}, e.distilGraph},
		{&e.apply, []bool{whole}, e.applyGraph},
		{&e.calibrate, []bool{whole, whole, split, whole}, e.calibrateGraph},
		{&e.evaluate, []bool{whole, whole, split, split}, e.hitsGraph},
	} {
		if *p.program, err = newProgram(backend, store, mesh, p.batches, p.graph); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// Config returns what the supernet was made with.
func (e *Elastic) Config() ElasticConfig { return e.config }

// The last parts of the names of running moments.
const (
	nameMean     = "mean"
	nameVariance = "variance"
)

// builder builds networks with the weights of a scope, as they are at this point of a
// graph, and the batch's moments.
func (e *Elastic) builder(root *model.Scope, g *Graph, scope string) builder {
	return builder{moments: batchMoments, parameter: func(name string, _ ...int) *Node {
		return root.Store().GetVariable(scope + "/" + name).NodeValue(g)
	}}
}

// logits are those of a sub-network, its choice being the first two inputs and the images
// the third, with the given moments.
func (e *Elastic) logits(root *model.Scope, inputs []*Node, moments func(name string, x *Node) (mean, variance *Node)) *Node {
	b := e.builder(root, inputs[2].Graph(), scopeWeights)
	b.moments = moments
	return b.elasticNetwork(e.config.Skeleton, choice{inputs[0], inputs[1]}, inputs[2])
}

// accumulateGraph adds the gradient of a sub-network on images, with labels, to the sum
// of a step, and returns the loss and how many images it gets right.
func (e *Elastic) accumulateGraph(root *model.Scope, inputs []*Node) []*Node {
	return e.learn(root, inputs, nil)
}

// distilGraph is accumulateGraph with the teacher's answers as second labels.
func (e *Elastic) distilGraph(root *model.Scope, inputs []*Node) []*Node {
	g := inputs[2].Graph()
	largest := choiceOf(e.config.largest())
	teacher := e.builder(root, g, scopeTeacher).elasticNetwork(e.config.Skeleton, choice{ConstTensor(g, largest[0]), ConstTensor(g, largest[1])}, inputs[2])
	return e.learn(root, inputs, StopGradient(Softmax(teacher)))
}

func (e *Elastic) learn(root *model.Scope, inputs []*Node, teacher *Node) []*Node {
	logits, labels := e.logits(root, inputs, batchMoments), inputs[3]
	loss := softCrossEntropy(logits, smoothed(labels, e.config.Classes, e.config.Smoothing))
	if teacher != nil {
		loss = Add(loss, softCrossEntropy(logits, teacher))
	}
	weights := variables(root, e.parameters)
	gradients := Gradient(loss, values(loss.Graph(), weights)...)
	for i, sum := range scoped(root, scopeGradients, e.parameters) {
		sum.SetNodeValue(Add(sum.NodeValue(loss), gradients[i]))
	}
	return []*Node{loss, hits(logits, labels)}
}

// smoothed are labels [batch] as distributions [batch, classes], of which all classes
// divide a share among them.
func smoothed(labels *Node, classes int, share float64) *Node {
	return AddScalar(MulScalar(OneHot(labels, classes, shapeOf().DType), 1-share), share/float64(classes))
}

// softCrossEntropy is the mean of −Σ target·log softmax(logits) over a batch.
func softCrossEntropy(logits, target *Node) *Node {
	return Neg(ReduceAllMean(ReduceSum(Mul(LogSoftmax(logits), target), -1)))
}

// scopeVelocity holds the momentum of every parameter.
const scopeVelocity = "/velocity"

// applyGraph moves the weights along the sum of gradients, by SGD with Nesterov momentum
// as in PyTorch, at a learning rate,
//
//	v ← μ·v + g + λ·w,  w ← w − rate·(g + λ·w + μ·v),
//
// and sets the sum to zero.
func (e *Elastic) applyGraph(root *model.Scope, inputs []*Node) []*Node {
	rate := inputs[0]
	weights, sums, velocities := variables(root, e.parameters), scoped(root, scopeGradients, e.parameters), scoped(root, scopeVelocity, e.parameters)
	for i, p := range e.parameters {
		w, gradient := weights[i].NodeValue(rate), sums[i].NodeValue(rate)
		if len(p.dims) > 1 {
			gradient = Add(gradient, MulScalar(w, e.config.WeightDecay))
		}
		velocity := Add(MulScalar(velocities[i].NodeValue(rate), e.config.Momentum), gradient)
		velocities[i].SetNodeValue(velocity)
		weights[i].SetNodeValue(Sub(w, times(rate, Add(gradient, MulScalar(velocity, e.config.Momentum)))))
		sums[i].SetNodeValue(ZerosLike(gradient))
	}
	return []*Node{rate}
}

// calibrateGraph moves the running moments towards those of a batch by a share, the
// fourth input: with 1/k for the k-th batch they are the means over all.
func (e *Elastic) calibrateGraph(root *model.Scope, inputs []*Node) []*Node {
	share := inputs[3]
	logits := e.logits(root, inputs, func(name string, x *Node) (mean, variance *Node) {
		mean, variance = batchMoments(name, x)
		for _, m := range []struct {
			name string
			of   *Node
		}{{nameMean, mean}, {nameVariance, variance}} {
			running := root.Store().GetVariable(scopeRunning + "/" + name + "/" + m.name)
			old := running.NodeValue(x)
			running.SetNodeValue(Add(old, times(share, Sub(m.of, old))))
		}
		return mean, variance
	})
	return []*Node{ReduceAllMean(logits)}
}

// running are the moments of the sub-network that was last calibrated.
func running(root *model.Scope) func(name string, x *Node) (mean, variance *Node) {
	return func(name string, x *Node) (mean, variance *Node) {
		at := func(moment string) *Node {
			return root.Store().GetVariable(scopeRunning + "/" + name + "/" + moment).NodeValue(x)
		}
		return at(nameMean), at(nameVariance)
	}
}

// hitsGraph builds how many of the images, with labels, the calibrated sub-network gets
// right.
func (e *Elastic) hitsGraph(root *model.Scope, inputs []*Node) []*Node {
	return []*Node{hits(e.logits(root, inputs, running(root)), inputs[3])}
}

// largest is the network of the largest choices.
func (c ElasticConfig) largest() mobilenetv3.Net {
	n, _ := mobilenetv3.Uniform(mobilenetv3.MaxDepth, mobilenetv3.Block{Kernel: 7, Expansion: 6}) // it is of the space
	return n
}

// training streams the training images, augmented.
func (e *Elastic) training() images.Loader {
	l := e.data.augmented(e.config.Resolution, e.config.BatchSize, e.config.Seed)
	if e.config.Crops {
		l.Augment = images.RandomResizedCrop()
	}
	return l
}

// plain streams images as they are.
func (e *Elastic) plain(part images.Images) images.Loader {
	l := e.data.plain(part, e.config.Resolution, e.config.BatchSize)
	if e.config.Crops {
		l.Augment = images.CenterCrop(0.875) // 224 of 256 pixels
	}
	return l
}

// Validation is the accuracy of a sub-network on the held-out images, in [0, 1].
func (e *Elastic) Validation(ctx context.Context, n mobilenetv3.Net) (float64, error) {
	if e.held == nil {
		var err error
		if e.held, err = batches(ctx, e.plain(e.data.Validation)); err != nil {
			return 0, err
		}
	}
	if err := e.recalibrate(ctx, n); err != nil {
		return 0, err
	}
	right, total := 0.0, 0
	for _, b := range e.held {
		if err := ctx.Err(); err != nil {
			return 0, fmt.Errorf("supernet: the evaluation was stopped: %w", err)
		}
		r, err := e.right(n, b)
		if err != nil {
			return 0, err
		}
		right, total = right+r, total+b.size
	}
	return right / float64(total), nil
}

// Test is the accuracy of a sub-network on the test images, in [0, 1]. No search may see
// it.
func (e *Elastic) Test(ctx context.Context, n mobilenetv3.Net) (float64, error) {
	if err := e.recalibrate(ctx, n); err != nil {
		return 0, err
	}
	right, total := 0.0, 0
	l := e.plain(e.data.Test)
	err := stream(ctx, l, 0, l.Len(), func(_ int, b batch) error {
		r, err := e.right(n, b)
		right, total = right+r, total+b.size
		return err
	})
	return right / float64(total), err
}

// recalibrate gives batch norm the moments of a sub-network.
func (e *Elastic) recalibrate(ctx context.Context, n mobilenetv3.Net) error {
	if e.calibration == nil {
		l := e.plain(e.data.Train)
		count := min((e.config.Calibration+l.BatchSize-1)/l.BatchSize, l.Len())
		err := stream(ctx, l, 0, count, func(_ int, b batch) error {
			e.calibration = append(e.calibration, b)
			return nil
		})
		if err != nil {
			e.calibration = nil
			return err
		}
	}
	chosen := choiceOf(n)
	for k, b := range e.calibration {
		if _, err := e.calibrate.call(append(chosen[:2:2], b.images, tensors.FromScalar(float32(1/float64(k+1))))...); err != nil {
			return fmt.Errorf("supernet: cannot calibrate %s: %w", n, err)
		}
	}
	return nil
}

// right is how many images of a batch the sub-network gets right that was recalibrated
// last.
func (e *Elastic) right(n mobilenetv3.Net, b batch) (float64, error) {
	out, err := e.evaluate.call(append(choiceOf(n), b.images, b.labels)...)
	if err != nil {
		return 0, fmt.Errorf("supernet: cannot evaluate %s: %w", n, err)
	}
	return scalar(out[0]), nil
}

// Ranker is Elastic as a [space.Ranker] by its accuracies on the held-out images, until ctx ends. Its
// error says that an architecture is not a MobileNetV3 network.
func (e *Elastic) Ranker(ctx context.Context) space.Ranker {
	return ranker[mobilenetv3.Net]{ctx, "a network of the MobileNetV3 space", e.Validation}
}

// Encode writes the weights and the optimiser's state to bytes.
func (e *Elastic) Encode() ([]byte, error) { return engine.EncodeStore(e.store) }

// DecodeElastic makes a supernet from what [Elastic.Encode] wrote. The error says that
// the weights do not fit the configuration.
func DecodeElastic(backend compute.Backend, data *Data, config ElasticConfig, state []byte) (*Elastic, error) {
	fresh, err := NewElastic(backend, data, config)
	if err != nil {
		return nil, err
	}
	store, err := restored(state, fresh.store)
	if err != nil {
		return nil, err
	}
	return openElastic(backend, data, config, store)
}
