package supernet

import (
	"fmt"

	. "github.com/gomlx/gomlx/core/graph"

	"github.com/ctnas/ctnas/ctnaslib/nn"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// builder builds networks of cells.
type builder struct{ nn.Builder }

// cell returns one module of the benchmark (google-research/nasbench, lib/model_builder.py, build_module), [batch,
// height, width, m.in] → [batch, height, width, m.out]: the input enters a vertex through a 1×1 projection, what else
// enters is added to it, and what leads to the output is put side by side there.
func (b builder) cell(c nasbench101.Cell, m module, x *Node) *Node {
	channels := c.Channels(m.in, m.out)
	output := c.N() - 1
	vertices := []*Node{x}
	var joined []*Node
	for v := 1; v < output; v++ {
		name := fmt.Sprintf("%s/vertex_%d", m.name, v)
		var sum *Node
		for from := 1; from < v; from++ {
			if c.Edge(from, v) {
				sum = nn.Plus(sum, firstChannels(vertices[from], channels[v]))
			}
		}
		if c.Edge(0, v) {
			sum = nn.Plus(sum, b.ConvNormReLU(name+"/projection", x, 1, channels[v]))
		}
		vertices = append(vertices, b.op(name, c.Op(v), sum))
		if c.Edge(v, output) {
			joined = append(joined, vertices[v])
		}
	}
	var out *Node
	if len(joined) > 0 {
		out = Concatenate(joined, 3)
	}
	if c.Edge(0, output) {
		out = nn.Plus(out, b.ConvNormReLU(m.name+"/output/projection", x, 1, m.out))
	}
	return out
}

// op returns the operation of a vertex, of the shape of x.
func (b builder) op(name string, op nasbench101.Op, x *Node) *Node {
	name += "/" + op.String()
	switch op {
	case nasbench101.Conv3x3:
		return b.ConvNormReLU(name, x, 3, x.Shape().Dim(3))
	case nasbench101.Conv1x1:
		return b.ConvNormReLU(name, x, 1, x.Shape().Dim(3))
	}
	return nn.MaxPool3x3(x)
}

// firstChannels returns the first n channels of x: [batch, height, width, n].
func firstChannels(x *Node, n int) *Node {
	if x.Shape().Dim(3) == n {
		return x
	}
	return SliceAxis(x, 3, AxisRange(0, n))
}
