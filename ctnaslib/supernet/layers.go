package supernet

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path"
	"slices"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/layers/activation"
	"github.com/gomlx/gomlx/ml/model"
)

// builder builds the layers of a network. Images and features are [batch, height,
// width, channels].
type builder struct {
	// parameter is a trainable parameter of a shape: a new one, or the first entries
	// along each axis of one that several networks share.
	parameter func(name string, dims ...int) *Node

	// moments are the mean and the variance, [channels], by which a batch norm
	// normalises x.
	moments func(name string, x *Node) (mean, variance *Node)
}

// The last parts of the parameters' names.
const (
	nameKernel = "kernel"
	nameScale  = "scale"
	nameShift  = "shift"
	nameBias   = "bias"
)

// normEpsilon is the BN_EPSILON of NAS-Bench-101 and OFA's.
const normEpsilon = 1e-5

// convNormReLU is a size×size convolution without bias, batch norm and ReLU.
func (b builder) convNormReLU(name string, x *Node, size, channels int) *Node {
	kernel, scale, shift := b.layer(name, size, x.Shape().Dim(3), channels)
	return b.normReLU(name, convolve(x, kernel), scale, shift)
}

// layer are the parameters of a convolution and its batch norm: the kernel [size, size,
// in, out], the scale and the shift [out].
func (b builder) layer(name string, size, in, out int) (kernel, scale, shift *Node) {
	return b.parameter(name+"/"+nameKernel, size, size, in, out),
		b.parameter(name+"/"+nameScale, out), b.parameter(name+"/"+nameShift, out)
}

func convolve(x, kernel *Node) *Node { return Convolve(x, kernel).PadSame().Done() }

// normReLU is batch norm and ReLU. A scale and a shift times a number that is not
// negative multiply the result by it.
func (b builder) normReLU(name string, x, scale, shift *Node) *Node {
	return stored(activation.Relu(b.normalize(name, stored(x), scale, shift)))
}

// normalize is batch norm with the scale and the shift [channels].
func (b builder) normalize(name string, x, scale, shift *Node) *Node {
	mean, variance := b.moments(name, x)
	scale = Div(scale, Sqrt(AddScalar(variance, normEpsilon)))
	shift = Sub(shift, Mul(mean, scale))
	return Add(Mul(x, ExpandLeftToRank(scale, 4)), ExpandLeftToRank(shift, 4))
}

// op is the operation of a vertex.
func (b builder) op(name string, op nasbench101.Op, x *Node) *Node {
	name += "/" + op.String()
	switch op {
	case nasbench101.Conv3x3:
		return b.convNormReLU(name, x, 3, x.Shape().Dim(3))
	case nasbench101.Conv1x1:
		return b.convNormReLU(name, x, 1, x.Shape().Dim(3))
	}
	return maxPool3(x)
}

// stored is x, computed once: a barrier to the compiler, and one to the gradient on its
// way back. Without it XLA's CPU compiler computes x anew in each loop that reads it, and
// what x is made of in turn, which takes more and more time from vertex to vertex of a cell.
func stored(x *Node) *Node {
	if !x.Graph().Backend().Capabilities().Operations[compute.OpTypeOptimizationBarrier] {
		return x
	}
	// XLA's CPU plugin takes a barrier for nothing if there is one operand only.
	barrier := func(x *Node) *Node { return OptimizationBarriers(x, ScalarOne(x.Graph(), x.DType()))[0] }
	return IdentityWithCustomGradient(barrier(x), func(_, gradient *Node) *Node { return barrier(gradient) })
}

// maxPool3 is 3×3 max pooling of stride 1. A maximum of shifted copies along one axis
// and then the other has a gradient that XLA computes several times as fast as that
// of a window's. Columns and channels are one axis here, whose long rows it computes fastest.
func maxPool3(x *Node) *Node {
	dims := x.Shape().Dimensions
	batch, height, width, channels := dims[0], dims[1], dims[2], dims[3]
	highest := func(x *Node, step int) *Node { // of each entry of axis 1, and of those a step away
		border := shapeOf(x.Shape().Dimensions...)
		border.Dimensions[1] = step
		edge := AddScalar(Zeros(x.Graph(), border), -math.MaxFloat32)
		size := x.Shape().Dim(1)
		padded := stored(Concatenate([]*Node{edge, x, edge}, 1))
		at := func(i int) *Node { return SliceAxis(padded, 1, AxisRange(i*step, i*step+size)) }
		return stored(Max(Max(at(0), at(1)), at(2)))
	}
	x = highest(Reshape(x, batch, height, width*channels), 1)
	x = highest(Reshape(x, batch*height, width*channels), channels)
	return Reshape(x, dims...)
}

// maxPool2 is 2×2 max pooling of stride 2, of even sides.
func maxPool2(x *Node) *Node {
	for _, axis := range []int{1, 2} {
		dims := slices.Clone(x.Shape().Dimensions)
		dims[axis] /= 2
		pairs := Reshape(x, slices.Insert(dims, axis+1, 2)...)
		at := func(i int) *Node { return Squeeze(SliceAxis(pairs, axis+1, AxisElem(i)), axis+1) }
		x = Max(at(0), at(1))
	}
	return x
}

// batchMoments are the mean and the variance over a batch and its pixels, [channels].
// The variance is E[x²] − E[x]²: its gradient takes one pass less over x.
func batchMoments(_ string, x *Node) (mean, variance *Node) {
	mean = ReduceMean(x, 0, 1, 2)
	return mean, MaxScalar(Sub(ReduceMean(Square(x), 0, 1, 2), Square(mean)), 0)
}

// network is the skeleton with some modules in it: the logits [batch, classes] of
// images [batch, side, side, 3].
func (b builder) network(s Skeleton, images *Node, module func(at place, x *Node) *Node) *Node {
	x := b.convNormReLU("stem", images, 3, s.Channels)
	for _, at := range s.places() {
		if at.halve {
			x = maxPool2(x)
		}
		x = module(at, x)
	}
	x = ReduceMean(x, 1, 2)
	weights := b.parameter("dense/"+nameKernel, x.Shape().Dim(1), s.Classes)
	return Add(MatMul(x, weights), ExpandLeftToRank(b.parameter("dense/"+nameBias, s.Classes), 2))
}

// crossEntropy is the mean of −log softmax(logits)[label] over a batch.
func crossEntropy(logits, labels *Node) *Node {
	chosen := OneHot(labels, logits.Shape().Dim(1), logits.DType())
	return Neg(ReduceAllMean(ReduceSum(Mul(LogSoftmax(logits), chosen), -1)))
}

// hits is how many of a batch have their label as the largest logit.
func hits(logits, labels *Node) *Node {
	return ReduceAllSum(ConvertDType(Equal(ArgMax(logits, -1, labels.DType()), labels), dtypes.Float32))
}

// shape is the name and shape of a parameter.
type shape struct {
	name string
	dims []int
}

func (s shape) size() int {
	size := 1
	for _, d := range s.dims {
		size *= d
	}
	return size
}

// shapesOf lists the parameters that a network has, in the order in which it asks for
// them, by building it once. It computes nothing and takes no memory for weights.
func shapesOf(backend compute.Backend, side int, build func(b builder, images *Node) *Node) (parameters []shape, err error) {
	err = engine.Try(func() {
		g := NewGraph(backend, "shapes")
		defer g.Finalize()
		known := make(map[string]bool)
		b := builder{moments: batchMoments, parameter: func(name string, dims ...int) *Node {
			if !known[name] {
				known[name] = true
				parameters = append(parameters, shape{name, dims})
			}
			return Zeros(g, shapes.Make(dtypes.Float32, dims...))
		}}
		build(b, Zeros(g, shapes.Make(dtypes.Float32, 1, side, side, 3)))
	})
	return parameters, err
}

// restored reads the variables that [engine.EncodeStore] wrote. The error says that they
// are not those of a network like the fresh one.
func restored(state []byte, fresh *model.Store) (*model.Store, error) {
	store, err := engine.DecodeStore(state)
	if err != nil {
		return nil, err
	}
	if err := engine.SameVariables(store, fresh); err != nil {
		return nil, fmt.Errorf("supernet: the checkpoint is of another network: %w", err)
	}
	return store, nil
}

// scopeWeights holds the parameters of a network in a store.
const scopeWeights = "/weights"

// create makes random parameters in a store: kernels from a normal distribution of
// variance 1/(number of inputs), scales of 1, transformations of kernels that change
// nothing, and zeros. (The benchmark cuts that
// distribution off at two standard deviations.)
func create(store *model.Store, parameters []shape, rng *rand.Rand) error {
	for _, p := range parameters {
		layer, last := path.Split(p.name)
		draw := func() float64 { return 0 }
		switch last {
		case nameScale:
			draw = func() float64 { return 1 }
		case name7to5, name5to3:
			at, size := -1, p.dims[0]
			draw = func() float64 {
				if at++; at%(size+1) == 0 {
					return 1
				}
				return 0
			}
		case nameKernel, nameDepthwise:
			inputs := 1
			for _, d := range p.dims[:len(p.dims)-1] {
				inputs *= d
			}
			deviation := 1 / math.Sqrt(float64(inputs))
			draw = func() float64 { return deviation * rng.NormFloat64() }
		}
		if err := engine.NewVariable(store.Scope(path.Join(scopeWeights, layer)), last, draw, p.dims...); err != nil {
			return fmt.Errorf("supernet: %w", err)
		}
	}
	return nil
}
