package supernet

import (
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	. "github.com/gomlx/gomlx/core/graph"
)

// cell is one module of the benchmark (google-research/nasbench, lib/model_builder.py,
// build_module): the input enters a vertex through a 1×1 projection, what else enters
// is added to it, and what leads to the output is put side by side there.
func (b builder) cell(c nasbench101.Cell, at place, x *Node) *Node {
	channels := c.Channels(at.in, at.out)
	output := c.N() - 1
	vertices := []*Node{x}
	var joined []*Node
	for v := 1; v < output; v++ {
		name := fmt.Sprintf("%s/vertex_%d", at.name, v)
		var sum *Node
		for from := 1; from < v; from++ {
			if c.Edge(from, v) {
				sum = plus(sum, firstChannels(vertices[from], channels[v]))
			}
		}
		if c.Edge(0, v) {
			sum = plus(sum, b.convNormReLU(name+"/projection", x, 1, channels[v]))
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
		out = plus(out, b.convNormReLU(at.name+"/output/projection", x, 1, at.out))
	}
	return out
}

// plus is a + b, or b if there is no a yet.
func plus(a, b *Node) *Node {
	if a == nil {
		return b
	}
	return Add(a, b)
}

// firstChannels are the first n channels of x.
func firstChannels(x *Node, n int) *Node {
	if x.Shape().Dim(3) == n {
		return x
	}
	return SliceAxis(x, 3, AxisRange(0, n))
}
