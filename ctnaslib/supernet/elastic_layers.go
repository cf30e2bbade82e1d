package supernet

import (
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/layers/activation"
)

// choice is a sub-network in a graph: for each of 20 places for a block, four in a unit,
// its kernel and its expansion, one-hot, [20, 3] each, and zeros where there is no block.
// So one graph serves all sub-networks.
type choice struct{ kernels, expansions *Node }

// choiceOf are the tensors of a sub-network's choice.
func choiceOf(n mobilenetv3.Net) []*tensors.Tensor {
	v := n.Vector()
	half := len(v) / 2
	return []*tensors.Tensor{
		tensors.FromFlatDataAndDimensions(v[:half], mobilenetv3.NumBlock, 3),
		tensors.FromFlatDataAndDimensions(v[half:], mobilenetv3.NumBlock, 3),
	}
}

// The last parts of the names of an elastic network's parameters, beside those of
// layers.go.
const (
	nameDepthwise = "depthwise_kernel" // [size, size, channels]
	name7to5      = "7to5"             // [25, 25]
	name5to3      = "5to3"             // [9, 9]
)

// elasticNetwork is OFA's supernet: the logits [batch, classes] of images [batch, side,
// side, 3] for a sub-network. All of it is computed, and masked: the channels beyond a
// block's expansion are zero after each layer, and a block that is not there passes its
// input on.
func (b builder) elasticNetwork(s mobilenetv3.Skeleton, c choice, images *Node) *Node {
	channels := s.Channels()
	x := b.norm("stem", convolveAt(images, b.parameter("stem/"+nameKernel, 3, 3, 3, channels.Stem), s.Strides[0]))
	x = activate(x, mobilenetv3.HardSwish)

	first := s.First()
	y := b.norm("first/depthwise", depthwise(x, b.parameter("first/depthwise/"+nameDepthwise, first.Kernel, first.Kernel, first.Middle), first.Stride, 1))
	y = b.norm("first/project", b.pointwise("first/project", activate(y, first.Activation), first.Out))
	x = Add(x, y)

	for u := range mobilenetv3.Units {
		for i := range mobilenetv3.MaxDepth {
			place := u*mobilenetv3.MaxDepth + i
			row := func(of *Node) *Node { return Squeeze(Slice(of, AxisElem(place)), 0) }
			x = b.elasticBlock(blockName(place), s, u, i, row(c.kernels), row(c.expansions), x)
		}
	}
	x = activate(b.norm("final", b.pointwise("final", x, channels.Final)), mobilenetv3.HardSwish)
	x = activate(MatMul(ReduceMean(x, 1, 2), b.parameter("mix/"+nameKernel, channels.Final, channels.Mix)), mobilenetv3.HardSwish)
	return Add(MatMul(x, b.parameter("dense/"+nameKernel, channels.Mix, s.Classes)), ExpandLeftToRank(b.parameter("dense/"+nameBias, s.Classes), 2))
}

func blockName(place int) string { return fmt.Sprintf("block_%d", place) }

// largestBlock is block i of a unit with the largest choices, which holds the weights of
// all others.
func largestBlock(s mobilenetv3.Skeleton, unit, i int) mobilenetv3.Bottleneck {
	return s.Bottleneck(unit, i, mobilenetv3.Block{Kernel: 7, Expansion: 6})
}

// elasticBlock is block i of a unit with a kernel and an expansion, [3] each.
func (b builder) elasticBlock(name string, s mobilenetv3.Skeleton, unit, i int, kernel, expansion, x *Node) *Node {
	most := largestBlock(s, unit, i)
	middle := firstOf(expansion, most.Middle, func(e int) int { return mobilenetv3.Divisible(float64(most.In * e)) })

	h := b.norm(name+"/expand", b.pointwise(name+"/expand", x, most.Middle))
	h = masked(activate(h, most.Activation), middle)
	h = b.norm(name+"/depthwise", depthwise(h, b.elasticKernel(name+"/depthwise", kernel, most.Middle), most.Stride, 1))
	h = masked(activate(h, most.Activation), middle)
	if most.Squeeze > 0 {
		squeezed := firstOf(expansion, most.Squeeze, func(e int) int {
			return mobilenetv3.Squeezed(mobilenetv3.Divisible(float64(most.In * e)))
		})
		h = b.squeezeExcite(name+"/squeeze", h, squeezed)
	}
	h = b.norm(name+"/project", b.pointwise(name+"/project", h, most.Out))
	if most.Residual() {
		there := ReduceAllSum(kernel) // the blocks that may be absent all have the shape of their input
		h = Add(x, times(there, h))
	}
	return h
}

// firstOf is a mask [channels] of ones, as many as an expansion, one-hot [3], leaves.
func firstOf(expansion *Node, channels int, count func(expansion int) int) *Node {
	rows := make([][]float32, len(mobilenetv3.Expansions))
	for i, e := range mobilenetv3.Expansions {
		rows[i] = make([]float32, channels)
		for c := range count(e) {
			rows[i][c] = 1
		}
	}
	return Einsum("e,ec->c", expansion, Const(expansion.Graph(), rows))
}

// masked is x, whose last axis are channels, times a mask of them.
func masked(x, mask *Node) *Node { return Mul(x, ExpandLeftToRank(mask, x.Rank())) }

// elasticKernel is the depthwise kernel [7, 7, channels] of a size chosen one-hot, [3],
// with zeros around a smaller one. That is the middle of the next larger, transformed by
// a learned matrix which all channels share.
func (b builder) elasticKernel(name string, kernel *Node, channels int) *Node {
	k7 := b.parameter(name+"/"+nameDepthwise, 7, 7, channels)
	k5 := transformed(k7, b.parameter(name+"/"+name7to5, 25, 25))
	k3 := transformed(k5, b.parameter(name+"/"+name5to3, 9, 9))
	weight := func(i int) *Node { return Squeeze(Slice(kernel, AxisElem(i)), 0) }
	return Add(Add(times(weight(2), k7), times(weight(1), bordered(k5, 1))), times(weight(0), bordered(k3, 2)))
}

// transformed is the middle of a kernel [size, size, channels], one pixel less on every
// side, times a matrix.
func transformed(kernel, matrix *Node) *Node {
	size, channels := kernel.Shape().Dim(0)-2, kernel.Shape().Dim(2)
	middle := Slice(kernel, AxisRange(1, size+1), AxisRange(1, size+1), AxisRange())
	return Reshape(MatMul(matrix, Reshape(middle, size*size, channels)), size, size, channels)
}

// bordered is a kernel with some rows and columns of zeros on every side.
func bordered(kernel *Node, width int) *Node { return withBorder(kernel, width, 0, 1) }

// withBorder puts zeros before and after x along some axes.
func withBorder(x *Node, width int, axes ...int) *Node {
	for _, axis := range axes {
		dims := append([]int(nil), x.Shape().Dimensions...)
		dims[axis] = width
		border := Zeros(x.Graph(), shapeOf(dims...))
		x = Concatenate([]*Node{border, x, border}, axis)
	}
	return x
}

// pointwise is a 1×1 convolution to so many channels.
func (b builder) pointwise(name string, x *Node, channels int) *Node {
	return Einsum("bhwi,io->bhwo", x, b.parameter(name+"/"+nameKernel, x.Shape().Dim(3), channels))
}

// convolveAt is a convolution of a stride, padded by half the kernel on every side as in
// PyTorch.
func convolveAt(x, kernel *Node, stride int) *Node {
	half := kernel.Shape().Dim(0) / 2
	return Convolve(x, kernel).Strides(stride).PaddingPerDim([][2]int{{half, half}, {half, half}}).Done()
}

// depthwise is a convolution of every channel with its own kernel, [size, size,
// channels], whose pixels stand dilation apart, padded by half of that on every side. A sum of shifted images: XLA needs
// many times as long to compile the gradient of a grouped convolution on a processor,
// and longer to run it.
func depthwise(x, kernel *Node, stride, dilation int) *Node {
	size, height, width := kernel.Shape().Dim(0), x.Shape().Dim(1), x.Shape().Dim(2)
	x = withBorder(x, size/2*dilation, 1, 2)
	from := func(start, length int) SliceAxisSpec {
		return AxisRange(start, start+(length-1)/stride*stride+1).Stride(stride)
	}
	var sum *Node
	for i := range size {
		for j := range size {
			weights := Squeeze(Slice(kernel, AxisElem(i), AxisElem(j), AxisRange()), 0, 1)
			sum = plus(sum, masked(Slice(x, AxisRange(), from(i*dilation, height), from(j*dilation, width), AxisRange()), weights))
		}
	}
	return sum
}

// squeezeExcite scales each channel of x by what two linear layers make of the means of
// all channels, with the hidden units of a mask between them.
func (b builder) squeezeExcite(name string, x, squeezed *Node) *Node {
	channels, hidden := x.Shape().Dim(3), squeezed.Shape().Dim(0)
	y := ReduceMean(x, 1, 2)
	y = Add(MatMul(y, b.parameter(name+"/reduce/"+nameKernel, channels, hidden)), ExpandLeftToRank(b.parameter(name+"/reduce/"+nameBias, hidden), 2))
	y = masked(activation.Relu(y), squeezed)
	y = Add(MatMul(y, b.parameter(name+"/excite/"+nameKernel, hidden, channels)), ExpandLeftToRank(b.parameter(name+"/excite/"+nameBias, channels), 2))
	return Mul(x, Reshape(hardSigmoid(y), -1, 1, 1, channels))
}

func hardSigmoid(x *Node) *Node { return DivScalar(MinScalar(MaxScalar(AddScalar(x, 3), 0), 6), 6) }

func activate(x *Node, a mobilenetv3.Activation) *Node {
	switch a {
	case mobilenetv3.ReLU:
		return activation.Relu(x)
	case mobilenetv3.HardSwish:
		return Mul(x, hardSigmoid(x))
	}
	return x
}

// norm is batch norm of a layer.
func (b builder) norm(name string, x *Node) *Node {
	channels := x.Shape().Dim(3)
	return b.normalize(name, x, b.parameter(name+"/"+nameScale, channels), b.parameter(name+"/"+nameShift, channels))
}
