package onceforall

import (
	"fmt"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/layers/activation"

	"github.com/ctnas/ctnas/ctnaslib/nn"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
)

// choice is a sub-network in a graph: for each of 20 places for a block, four in a unit, its kernel and its expansion,
// one-hot, [20, 3] each, and zeros where there is no block. So one graph serves all sub-networks.
type choice struct{ kernels, expansions *Node }

// choiceOf returns the tensors of a sub-network's choice, in the order of its fields.
func choiceOf(n mobilenetv3.Net) []*tensors.Tensor {
	v := n.Vector()
	half := len(v) / 2
	return []*tensors.Tensor{
		tensors.FromFlatDataAndDimensions(v[:half], mobilenetv3.NumBlock, 3),
		tensors.FromFlatDataAndDimensions(v[half:], mobilenetv3.NumBlock, 3),
	}
}

// The last parts of the names of the matrices by which a kernel becomes a smaller one.
const (
	name7to5 = "7to5" // [25, 25]
	name5to3 = "5to3" // [9, 9]
)

// builder builds networks of elastic blocks.
type builder struct{ nn.Builder }

// network builds OFA's supernet: the logits [batch, classes] of images [batch, side, side, 3] for a sub-network. All of
// it is computed, and masked: the channels beyond a block's expansion are zero after each layer, and a block that is
// not there passes its input on.
func (b builder) network(s mobilenetv3.Skeleton, c choice, images *Node) *Node {
	channels := s.Channels()
	x := b.norm("stem", convolve(images, b.Parameter("stem/"+nn.NameKernel, 3, 3, 3, channels.Stem), s.Strides[0]))
	x = activate(x, mobilenetv3.HardSwish)

	first := s.First()
	y := b.norm("first/depthwise", nn.Depthwise(x, b.Parameter("first/depthwise/"+nn.NameDepthwiseKernel, first.Kernel, first.Kernel, first.Middle), first.Stride, 1))
	y = b.norm("first/project", b.Pointwise("first/project", activate(y, first.Activation), first.Out))
	x = Add(x, y)

	for u := range mobilenetv3.Units {
		for i := range mobilenetv3.MaxDepth {
			number := u*mobilenetv3.MaxDepth + i
			row := func(of *Node) *Node { return Squeeze(Slice(of, AxisElem(number)), 0) }
			x = b.block(blockName(number), s, u, i, row(c.kernels), row(c.expansions), x)
		}
	}
	x = activate(b.norm("final", b.Pointwise("final", x, channels.Final)), mobilenetv3.HardSwish)
	x = activate(MatMul(ReduceMean(x, 1, 2), b.Parameter("mix/"+nn.NameKernel, channels.Final, channels.Mix)), mobilenetv3.HardSwish)
	return b.Dense("dense", x, s.Classes)
}

// blockName returns the name of one of the 20 places for a block, in its parameters.
func blockName(number int) string { return fmt.Sprintf("block_%d", number) }

// largestBlock returns block i of a unit with the largest choices, which holds the weights of all others.
func largestBlock(s mobilenetv3.Skeleton, unit, i int) mobilenetv3.Bottleneck {
	return s.Bottleneck(unit, i, mobilenetv3.Block{Kernel: 7, Expansion: 6})
}

// block builds block i of a unit with a kernel and an expansion, one-hot, [3] each: [batch, height, width, in] →
// [batch, ⌈height/stride⌉, ⌈width/stride⌉, out].
func (b builder) block(name string, s mobilenetv3.Skeleton, unit, i int, kernel, expansion, x *Node) *Node {
	most := largestBlock(s, unit, i)
	middle := firstOf(expansion, most.Middle, func(e int) int { return mobilenetv3.Divisible(float64(most.In * e)) })

	h := b.norm(name+"/expand", b.Pointwise(name+"/expand", x, most.Middle))
	h = nn.PerChannel(activate(h, most.Activation), middle)
	h = b.norm(name+"/depthwise", nn.Depthwise(h, b.kernel(name+"/depthwise", kernel, most.Middle), most.Stride, 1))
	h = nn.PerChannel(activate(h, most.Activation), middle)
	if most.Squeeze > 0 {
		squeezed := firstOf(expansion, most.Squeeze, func(e int) int {
			return mobilenetv3.Squeezed(mobilenetv3.Divisible(float64(most.In * e)))
		})
		h = b.squeezeExcite(name+"/squeeze", h, squeezed)
	}
	h = b.norm(name+"/project", b.Pointwise(name+"/project", h, most.Out))
	if most.Residual() {
		there := ReduceAllSum(kernel) // the blocks that may be absent all have the shape of their input
		h = Add(x, nn.Times(there, h))
	}
	return h
}

// firstOf returns a mask [channels] of ones, as many as an expansion, one-hot [3], leaves.
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

// kernel returns the depthwise kernel [7, 7, channels] of a size chosen one-hot, [3], with zeros around a smaller one.
// That is the middle of the next larger, transformed by a learned matrix which all channels share.
func (b builder) kernel(name string, size *Node, channels int) *Node {
	k7 := b.Parameter(name+"/"+nn.NameDepthwiseKernel, 7, 7, channels)
	k5 := transformed(k7, b.Parameter(name+"/"+name7to5, 25, 25))
	k3 := transformed(k5, b.Parameter(name+"/"+name5to3, 9, 9))
	weight := func(i int) *Node { return Squeeze(Slice(size, AxisElem(i)), 0) }
	return Add(Add(nn.Times(weight(2), k7), nn.Times(weight(1), nn.ZeroBorder(k5, 1, 0, 1))), nn.Times(weight(0), nn.ZeroBorder(k3, 2, 0, 1)))
}

// transformed returns the middle of a kernel [size, size, channels], one pixel less on every side, times a matrix.
func transformed(kernel, matrix *Node) *Node {
	size, channels := kernel.Shape().Dim(0)-2, kernel.Shape().Dim(2)
	middle := Slice(kernel, AxisRange(1, size+1), AxisRange(1, size+1), AxisRange())
	return Reshape(MatMul(matrix, Reshape(middle, size*size, channels)), size, size, channels)
}

// convolve returns a convolution of x, [batch, height, width, in], with a kernel [size, size, in, out], padded by half
// the kernel on every side as in PyTorch: [batch, ⌈height/stride⌉, ⌈width/stride⌉, out].
func convolve(x, kernel *Node, stride int) *Node {
	half := kernel.Shape().Dim(0) / 2
	return Convolve(x, kernel).Strides(stride).PaddingPerDim([][2]int{{half, half}, {half, half}}).Done()
}

// squeezeExcite scales each channel of x, [batch, height, width, channels], by what two linear layers make of the means
// of all channels, with the hidden units of a mask, [hidden], between them.
func (b builder) squeezeExcite(name string, x, mask *Node) *Node {
	channels := x.Shape().Dim(3)
	y := b.Dense(name+"/reduce", ReduceMean(x, 1, 2), mask.Shape().Dim(0))
	y = b.Dense(name+"/excite", nn.PerChannel(activation.Relu(y), mask), channels)
	return Mul(x, Reshape(hardSigmoid(y), -1, 1, 1, channels))
}

// hardSigmoid returns (x + 3) in [0, 6], over 6, as PyTorch has it, of the shape of x.
func hardSigmoid(x *Node) *Node { return DivScalar(MinScalar(MaxScalar(AddScalar(x, 3), 0), 6), 6) }

// activate applies an activation to x, of its shape.
func activate(x *Node, a mobilenetv3.Activation) *Node {
	switch a {
	case mobilenetv3.ReLU:
		return activation.Relu(x)
	case mobilenetv3.HardSwish:
		return Mul(x, hardSigmoid(x))
	}
	return x
}

// norm returns batch norm with a scale and a shift of its own, of the shape of x.
func (b builder) norm(name string, x *Node) *Node {
	channels := x.Shape().Dim(3)
	return b.Normalize(name, x, b.Parameter(name+"/"+nn.NameScale, channels), b.Parameter(name+"/"+nn.NameShift, channels))
}
