package relaxation

import (
	"fmt"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/layers/activation"

	"github.com/ctnas/ctnas/ctnaslib/nn"
	"github.com/ctnas/ctnas/ctnaslib/space/darts"
)

// The continuous relaxation: on every edge of a cell all operations, "none" first, which is zero.
const (
	kinds = 2  // of cells, normal and reduction
	edges = 14 // that may enter a cell's nodes: 2 + 3 + 4 + 5
	ops   = 8  // "none" and the seven of package darts
)

// builder builds networks of relaxed cells.
type builder struct{ nn.Builder }

// network returns the network that DARTS searches in (quark0/darts, cnn/model_search.py): the logits [batch, classes]
// of images [batch, side, side, 3], where each edge is the sum of its operations times their weights, [2, 14, 8]. With
// weights of ones and zeros it is the network of a genotype. Batch norm has no scale and no shift, as there.
func (b builder) network(c Config, weights, images *Node) *Node {
	const stem = 3 // times the channels of the first cell
	x := b.convNorm("stem", images, 3, stem*c.Channels)
	before, previous, halved := x, x, false
	channels := c.Channels
	for i := range c.Cells {
		reduce := i == c.Cells/3 || i == 2*c.Cells/3
		kind := 0
		if reduce {
			kind, channels = 1, 2*channels
		}
		name := fmt.Sprintf("cell_%d", i)
		first := b.reluConvNorm(name+"/input_0", before, channels, halved)
		second := b.reluConvNorm(name+"/input_1", previous, channels, false)
		w := Squeeze(Slice(weights, AxisElem(kind)), 0)
		before, previous, halved = previous, b.cell(name, first, second, w, reduce), reduce
	}
	return b.Dense("dense", ReduceMean(previous, 1, 2), c.Classes)
}

// cell returns a relaxed cell of two inputs, [batch, height, width, channels] each, with the weights of its edges, [14,
// 8]: its nodes side by side, [batch, height, width, 4·channels], of half the height and width if it reduces.
func (b builder) cell(name string, first, second, weights *Node, reduce bool) *Node {
	nodes := []*Node{first, second}
	edge := 0
	for n := range darts.Nodes {
		var sum *Node
		for from := range darts.Inputs + n {
			stride := 1
			if reduce && from < darts.Inputs {
				stride = 2
			}
			w := Squeeze(Slice(weights, AxisElem(edge)), 0)
			sum = nn.Plus(sum, b.edge(fmt.Sprintf("%s/edge_%d", name, edge), nodes[from], w, stride))
			edge++
		}
		nodes = append(nodes, sum)
	}
	return Concatenate(nodes[darts.Inputs:], 3)
}

// edge returns the sum of the operations on x, [batch, height, width, channels], times their weights, [8]: [batch,
// ⌈height/stride⌉, ⌈width/stride⌉, channels].
func (b builder) edge(name string, x, weights *Node, stride int) *Node {
	var sum *Node
	for op := range ops - 1 {
		weight := Squeeze(Slice(weights, AxisElem(op+1)), 0)
		sum = nn.Plus(sum, nn.Times(weight, b.op(name+"/"+darts.Op(op).String(), darts.Op(op), x, stride)))
	}
	return sum
}

// op returns an operation of DARTS (cnn/operations.py; pooling with batch norm, as in its search): [batch, height,
// width, channels] → [batch, ⌈height/stride⌉, ⌈width/stride⌉, channels].
func (b builder) op(name string, op darts.Op, x *Node, stride int) *Node {
	switch op {
	case darts.MaxPool3x3:
		return b.standardized(name, everyOther(nn.MaxPool3x3(x), stride))
	case darts.AvgPool3x3:
		window := Ones(x.Graph(), nn.Shape(3, 3, x.Shape().Dim(3)))
		return b.standardized(name, Div(nn.Depthwise(x, window, stride, 1), nn.Depthwise(OnesLike(x), window, stride, 1)))
	case darts.SkipConnect:
		if stride == 1 {
			return x
		}
		return b.reluConvNorm(name, x, x.Shape().Dim(3), true)
	case darts.SepConv3x3:
		return b.separable(name+"/second", b.separable(name+"/first", x, 3, stride, 1), 3, 1, 1)
	case darts.SepConv5x5:
		return b.separable(name+"/second", b.separable(name+"/first", x, 5, stride, 1), 5, 1, 1)
	case darts.DilConv3x3:
		return b.separable(name, x, 3, stride, 2)
	}
	return b.separable(name, x, 5, stride, 2) // DilConv5x5
}

// separable returns ReLU, a depthwise and a 1×1 convolution, and batch norm, of the shapes of [builder.op].
func (b builder) separable(name string, x *Node, size, stride, dilation int) *Node {
	channels := x.Shape().Dim(3)
	x = nn.Depthwise(activation.Relu(x), b.Parameter(name+"/"+nn.NameDepthwiseKernel, size, size, channels), stride, dilation)
	return b.standardized(name, b.Pointwise(name, x, channels))
}

// reluConvNorm returns ReLU, a 1×1 convolution, and batch norm: [batch, height, width, in] → [batch, height, width,
// channels]. If halve, height and width are halved: half of the channels come from the even pixels and half from the
// odd ones.
func (b builder) reluConvNorm(name string, x *Node, channels int, halve bool) *Node {
	x = activation.Relu(x)
	if !halve {
		return b.standardized(name, b.Pointwise(name, x, channels))
	}
	even := b.Pointwise(name+"/even", everyOther(x, 2), channels/2)
	odd := b.Pointwise(name+"/odd", Slice(x, AxisRange(), AxisRange(1).Stride(2), AxisRange(1).Stride(2), AxisRange()), channels-channels/2)
	return b.standardized(name, Concatenate([]*Node{even, odd}, 3))
}

// everyOther takes every stride-th pixel: [batch, height, width, channels] → [batch, ⌈height/stride⌉, ⌈width/stride⌉,
// channels].
func everyOther(x *Node, stride int) *Node {
	if stride == 1 {
		return x
	}
	return Slice(x, AxisRange(), AxisRange().Stride(stride), AxisRange().Stride(stride), AxisRange())
}

// convNorm returns a size×size convolution and batch norm: [batch, height, width, in] → [batch, height, width,
// channels].
func (b builder) convNorm(name string, x *Node, size, channels int) *Node {
	return b.standardized(name, nn.Convolution(x, b.Parameter(name+"/"+nn.NameKernel, size, size, x.Shape().Dim(3), channels)))
}

// standardized returns batch norm without scale and shift, of the shape of x.
func (b builder) standardized(name string, x *Node) *Node {
	channels := nn.Shape(x.Shape().Dim(3))
	return b.Normalize(name, x, Ones(x.Graph(), channels), Zeros(x.Graph(), channels))
}
