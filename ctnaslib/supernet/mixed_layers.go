package supernet

import (
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/space/darts"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/layers/activation"
)

// The mixture of DARTS: on every edge of a cell all operations, "none" first, which is
// zero.
const (
	mixedCells = 2  // kinds of cells, normal and reduction
	mixedEdges = 14 // that may enter a cell's nodes: 2 + 3 + 4 + 5
	mixedOps   = 8  // "none" and the seven of package darts
)

// mixedNetwork is the network that DARTS searches in (quark0/darts, cnn/model_search.py):
// the logits [batch, classes] of images, where each edge is the sum of its operations
// times their weights, [2, 14, 8]. With weights of ones and zeros it is the network of a
// genotype. Batch norm has no scale and no shift, as there.
func (b builder) mixedNetwork(c MixedConfig, weights, images *Node) *Node {
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
		first := b.bring(name+"/input_0", before, channels, halved)
		second := b.bring(name+"/input_1", previous, channels, false)
		nodes := []*Node{first, second}
		edge := 0
		for n := range darts.Nodes {
			var sum *Node
			for from := range darts.Inputs + n {
				stride := 1
				if reduce && from < darts.Inputs {
					stride = 2
				}
				w := Squeeze(Slice(weights, AxisElem(kind), AxisElem(edge), AxisRange()), 0, 1)
				sum = plus(sum, b.mixedEdge(fmt.Sprintf("%s/edge_%d", name, edge), nodes[from], w, stride))
				edge++
			}
			nodes = append(nodes, sum)
		}
		before, previous, halved = previous, Concatenate(nodes[darts.Inputs:], 3), reduce
	}
	x = ReduceMean(previous, 1, 2)
	return Add(MatMul(x, b.parameter("dense/"+nameKernel, x.Shape().Dim(1), c.Classes)), ExpandLeftToRank(b.parameter("dense/"+nameBias, c.Classes), 2))
}

// mixedEdge is the weighted sum of the operations on x.
func (b builder) mixedEdge(name string, x, weights *Node, stride int) *Node {
	var sum *Node
	for op := range mixedOps - 1 {
		weight := Squeeze(Slice(weights, AxisElem(op+1)), 0)
		sum = plus(sum, times(weight, b.dartsOp(name+"/"+darts.Op(op).String(), darts.Op(op), x, stride)))
	}
	return sum
}

// dartsOp is an operation of DARTS with as many channels as x (cnn/operations.py; pooling
// with batch norm, as in its search).
func (b builder) dartsOp(name string, op darts.Op, x *Node, stride int) *Node {
	switch op {
	case darts.MaxPool3x3:
		return b.standardized(name, everyOther(maxPool3(x), stride))
	case darts.AvgPool3x3:
		window := Ones(x.Graph(), shapeOf(3, 3, x.Shape().Dim(3)))
		return b.standardized(name, Div(depthwise(x, window, stride, 1), depthwise(OnesLike(x), window, stride, 1)))
	case darts.SkipConnect:
		if stride == 1 {
			return x
		}
		return b.bring(name, x, x.Shape().Dim(3), true)
	case darts.SepConv3x3:
		return b.separable(name+"/second", b.separable(name+"/first", x, 3, stride, 1), 3, 1, 1)
	case darts.SepConv5x5:
		return b.separable(name+"/second", b.separable(name+"/first", x, 5, stride, 1), 5, 1, 1)
	case darts.DilConv3x3:
		return b.separable(name, x, 3, stride, 2)
	}
	return b.separable(name, x, 5, stride, 2) // DilConv5x5
}

// separable is ReLU, a depthwise and a 1×1 convolution, and batch norm.
func (b builder) separable(name string, x *Node, size, stride, dilation int) *Node {
	channels := x.Shape().Dim(3)
	x = depthwise(activation.Relu(x), b.parameter(name+"/"+nameDepthwise, size, size, channels), stride, dilation)
	return b.standardized(name, b.pointwise(name, x, channels))
}

// bring is ReLU, a 1×1 convolution to so many channels, and batch norm. If halve, half of
// the channels come from the even pixels and half from the odd ones.
func (b builder) bring(name string, x *Node, channels int, halve bool) *Node {
	x = activation.Relu(x)
	if !halve {
		return b.standardized(name, b.pointwise(name, x, channels))
	}
	even := b.pointwise(name+"/even", everyOther(x, 2), channels/2)
	odd := b.pointwise(name+"/odd", Slice(x, AxisRange(), AxisRange(1).Stride(2), AxisRange(1).Stride(2), AxisRange()), channels-channels/2)
	return b.standardized(name, Concatenate([]*Node{even, odd}, 3))
}

// everyOther takes every stride-th pixel.
func everyOther(x *Node, stride int) *Node {
	if stride == 1 {
		return x
	}
	return Slice(x, AxisRange(), AxisRange().Stride(stride), AxisRange().Stride(stride), AxisRange())
}

// convNorm is a size×size convolution and batch norm.
func (b builder) convNorm(name string, x *Node, size, channels int) *Node {
	return b.standardized(name, convolve(x, b.parameter(name+"/"+nameKernel, size, size, x.Shape().Dim(3), channels)))
}

// standardized is batch norm without scale and shift.
func (b builder) standardized(name string, x *Node) *Node {
	channels := shapeOf(x.Shape().Dim(3))
	return b.normalize(name, x, Ones(x.Graph(), channels), Zeros(x.Graph(), channels))
}
