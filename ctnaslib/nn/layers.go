package nn

import (
	"math"
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/layers/activation"
)

// Builder builds the layers of a network in a graph. Images and features are [batch, height, width, channels], float32,
// and a layer's parameters have its name and one of those below after it.
type Builder struct {
	// Parameter returns the parameter of a name, of a shape: all of it, or the first entries along each axis of one
	// that several networks share.
	Parameter func(name string, dims ...int) *Node

	// Moments returns the mean and the variance, [channels] each, by which the batch norm of a name normalises x.
	Moments func(name string, x *Node) (mean, variance *Node)
}

// The last parts of the names of parameters, which say how they start (see [NewModel]).
const (
	NameKernel          = "kernel"           // of a convolution, [size, size, in, out], or a linear layer, [in, out]
	NameDepthwiseKernel = "depthwise_kernel" // [size, size, channels]
	NameScale           = "scale"            // of batch norm, [channels]
	NameShift           = "shift"            // of batch norm, [channels]
	NameBias            = "bias"             // [out]
)

// normEpsilon is added to the variance in batch norm: the BN_EPSILON of NAS-Bench-101, and OFA's.
const normEpsilon = 1e-5

// Shape returns a shape of float32.
func Shape(dims ...int) shapes.Shape { return shapes.Make(dtypes.Float32, dims...) }

// ConvNormReLU returns a convolution without bias, with a kernel of size×size pixels, batch norm and ReLU: [batch,
// height, width, in] → [batch, height, width, channels].
func (b Builder) ConvNormReLU(name string, x *Node, size, channels int) *Node {
	kernel, scale, shift := b.ConvNorm(name, size, x.Shape().Dim(3), channels)
	return b.NormReLU(name, Convolution(x, kernel), scale, shift)
}

// ConvNorm returns the parameters of a convolution and its batch norm: the kernel [size, size, in, out], the scale and
// the shift [out].
func (b Builder) ConvNorm(name string, size, in, out int) (kernel, scale, shift *Node) {
	return b.Parameter(name+"/"+NameKernel, size, size, in, out), b.Parameter(name+"/"+NameScale, out), b.Parameter(name+"/"+NameShift, out)
}

// Convolution returns a convolution of stride 1 that keeps the size of x: [batch, height, width, in] with a kernel
// [size, size, in, out] → [batch, height, width, out].
func Convolution(x, kernel *Node) *Node { return Convolve(x, kernel).PadSame().Done() }

// Pointwise returns a convolution without bias with a kernel of one pixel: [batch, height, width, in] → [batch, height,
// width, channels].
func (b Builder) Pointwise(name string, x *Node, channels int) *Node {
	return Einsum("bhwi,io->bhwo", x, b.Parameter(name+"/"+NameKernel, x.Shape().Dim(3), channels))
}

// Depthwise returns a convolution of every channel of x, [batch, height, width, channels], with its own kernel, [size,
// size, channels], whose pixels stand dilation apart, padded by half of that on every side as in PyTorch: → [batch,
// ⌈height/stride⌉, ⌈width/stride⌉, channels].
//
// It is a sum of shifted images: XLA needs many times as long to compile the gradient of a grouped convolution on a
// processor, and longer to run it.
func Depthwise(x, kernel *Node, stride, dilation int) *Node {
	size, height, width := kernel.Shape().Dim(0), x.Shape().Dim(1), x.Shape().Dim(2)
	x = ZeroBorder(x, size/2*dilation, 1, 2)
	from := func(start, length int) SliceAxisSpec {
		return AxisRange(start, start+(length-1)/stride*stride+1).Stride(stride)
	}
	var sum *Node
	for i := range size {
		for j := range size {
			weights := Squeeze(Slice(kernel, AxisElem(i), AxisElem(j), AxisRange()), 0, 1)
			sum = Plus(sum, PerChannel(Slice(x, AxisRange(), from(i*dilation, height), from(j*dilation, width), AxisRange()), weights))
		}
	}
	return sum
}

// Dense returns a linear layer with bias: [batch, in] → [batch, out].
func (b Builder) Dense(name string, x *Node, out int) *Node {
	kernel := b.Parameter(name+"/"+NameKernel, x.Shape().Dim(1), out)
	return Add(MatMul(x, kernel), ExpandLeftToRank(b.Parameter(name+"/"+NameBias, out), 2))
}

// NormReLU returns batch norm with a scale and a shift, [channels] each, and ReLU, of the shape of x. A scale and a
// shift times a number that is not negative multiply the result by it.
func (b Builder) NormReLU(name string, x, scale, shift *Node) *Node {
	return Barrier(activation.Relu(b.Normalize(name, Barrier(x), scale, shift)))
}

// Normalize returns batch norm with a scale and a shift, [channels] each, of the shape of x.
func (b Builder) Normalize(name string, x, scale, shift *Node) *Node {
	mean, variance := b.Moments(name, x)
	scale = Div(scale, Sqrt(AddScalar(variance, normEpsilon)))
	shift = Sub(shift, Mul(mean, scale))
	return Add(PerChannel(x, scale), ExpandLeftToRank(shift, 4))
}

// BatchMoments returns the mean and the variance over a batch and its pixels, [channels] each, for [Builder.Moments].
// The variance is E[x²] − E[x]²: its gradient takes one pass less over x.
func BatchMoments(_ string, x *Node) (mean, variance *Node) {
	mean = ReduceMean(x, 0, 1, 2)
	return mean, MaxScalar(Sub(ReduceMean(Square(x), 0, 1, 2), Square(mean)), 0)
}

// MaxPool3x3 returns max pooling of 3×3 pixels with stride 1, of the shape of x. A maximum of shifted copies along one
// axis and then the other has a gradient that XLA computes several times as fast as that of a window's. Columns and
// channels are one axis here, whose long rows it computes fastest.
func MaxPool3x3(x *Node) *Node {
	dims := x.Shape().Dimensions
	batch, height, width, channels := dims[0], dims[1], dims[2], dims[3]
	highest := func(x *Node, step int) *Node { // of each entry of axis 1, and of those a step away
		border := Shape(x.Shape().Dimensions...)
		border.Dimensions[1] = step
		edge := AddScalar(Zeros(x.Graph(), border), -math.MaxFloat32)
		size := x.Shape().Dim(1)
		padded := Barrier(Concatenate([]*Node{edge, x, edge}, 1))
		at := func(i int) *Node { return SliceAxis(padded, 1, AxisRange(i*step, i*step+size)) }
		return Barrier(Max(Max(at(0), at(1)), at(2)))
	}
	x = highest(Reshape(x, batch, height, width*channels), 1)
	x = highest(Reshape(x, batch*height, width*channels), channels)
	return Reshape(x, dims...)
}

// MaxPool2x2 returns max pooling of 2×2 pixels with stride 2, of even sides: [batch, height, width, channels] → [batch,
// height/2, width/2, channels].
func MaxPool2x2(x *Node) *Node {
	for _, axis := range []int{1, 2} {
		dims := slices.Clone(x.Shape().Dimensions)
		dims[axis] /= 2
		pairs := Reshape(x, slices.Insert(dims, axis+1, 2)...)
		at := func(i int) *Node { return Squeeze(SliceAxis(pairs, axis+1, AxisElem(i)), axis+1) }
		x = Max(at(0), at(1))
	}
	return x
}

// Barrier returns x, computed once: a barrier to the compiler, and one to the gradient on its way back. Without it
// XLA's CPU compiler computes x again in each loop that reads it, and what x is made of in turn, which takes more and
// more time from vertex to vertex of a cell.
func Barrier(x *Node) *Node {
	if !x.Graph().Backend().Capabilities().Operations[compute.OpTypeOptimizationBarrier] {
		return x
	}
	// XLA's CPU plugin takes a barrier for nothing if there is one operand only.
	barrier := func(x *Node) *Node { return OptimizationBarriers(x, ScalarOne(x.Graph(), x.DType()))[0] }
	return IdentityWithCustomGradient(barrier(x), func(_, gradient *Node) *Node { return barrier(gradient) })
}

// ZeroBorder puts width zeros before and after x along each of some axes.
func ZeroBorder(x *Node, width int, axes ...int) *Node {
	for _, axis := range axes {
		dims := slices.Clone(x.Shape().Dimensions)
		dims[axis] = width
		border := Zeros(x.Graph(), Shape(dims...))
		x = Concatenate([]*Node{border, x, border}, axis)
	}
	return x
}

// Plus returns a + b, of one shape, or b if a is nil: a step of a sum.
func Plus(a, b *Node) *Node {
	if a == nil {
		return b
	}
	return Add(a, b)
}

// Times returns a scalar, [], times x, of the shape of x.
func Times(scalar, x *Node) *Node { return Mul(x, ExpandLeftToRank(scalar, x.Rank())) }

// PerChannel returns x, whose last axis are channels, with each channel times its number of factors, [channels].
func PerChannel(x, factors *Node) *Node { return Mul(x, ExpandLeftToRank(factors, x.Rank())) }

// StopGradients returns nodes as constants for later gradients.
func StopGradients(nodes []*Node) []*Node {
	constants := make([]*Node, len(nodes))
	for i, n := range nodes {
		constants[i] = StopGradient(n)
	}
	return constants
}
