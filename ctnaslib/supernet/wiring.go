package supernet

import (
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/ctnas/ctnas/ctnaslib/nn"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

const (
	vertices = nasbench101.MaxVertices - 2 // interior vertices
	ends     = nasbench101.MaxVertices     // vertices that an edge may begin or end at
	ops      = 3                           // operations of a vertex
)

// wiring says which of the shared network's parts a cell is made of. Its numbers are 0 and 1 for a cell; DARTS and
// FBNet put the weights of their continuous relaxation there. A cell's interior vertices are the first ones, and vertex
// 6 is the output.
//
// All cells with the same number of slots, the vertices that lead to the output, share one computation graph: their
// interior vertices all have the same number of channels, or one more (Cell.Channels).
type wiring struct {
	edges    *tensors.Tensor // [7, 7]: of each edge i → j
	ops      *tensors.Tensor // [5, 3]: of each operation of the interior vertices
	slots    *tensors.Tensor // [slots, 5]: of the vertex that fills a slot of the output
	channels *tensors.Tensor // [5, sum of the modules' channels]: of each channel of the vertices
}

func (w wiring) inputs() []*tensors.Tensor {
	return []*tensors.Tensor{w.edges, w.ops, w.slots, w.channels}
}

// wire returns the wiring of a cell in a skeleton.
func (s Skeleton) wire(c nasbench101.Cell) wiring {
	output := c.N() - 1
	vertex := func(v int) int { // of the wiring, for one of the cell
		if v == output {
			return ends - 1
		}
		return v
	}
	edges := make([]float32, ends*ends)
	operations := make([]float32, vertices*ops)
	var leading []int
	for v := range output {
		for to := v + 1; to <= output; to++ {
			if c.Edge(v, to) {
				edges[vertex(v)*ends+vertex(to)] = 1
			}
		}
		if v > 0 {
			operations[(v-1)*ops+int(c.Op(v))] = 1
			if c.Edge(v, output) {
				leading = append(leading, v)
			}
		}
	}
	slots := make([]float32, max(1, len(leading))*vertices)
	for slot, v := range leading {
		slots[slot*vertices+v-1] = 1
	}
	total := s.channels()
	channels := make([]float32, vertices*total)
	offset := 0
	for _, m := range s.modules() {
		for v, n := range c.Channels(m.in, m.out)[:output] {
			if v > 0 {
				for i := range n {
					channels[(v-1)*total+offset+i] = 1
				}
			}
		}
		offset += m.out
	}
	return wiring{
		edges:    tensors.FromFlatDataAndDimensions(edges, ends, ends),
		ops:      tensors.FromFlatDataAndDimensions(operations, vertices, ops),
		slots:    tensors.FromFlatDataAndDimensions(slots, max(1, len(leading)), vertices),
		channels: tensors.FromFlatDataAndDimensions(channels, vertices, total),
	}
}

// channels returns the sum of all modules' channels.
func (s Skeleton) channels() int {
	total := 0
	for _, m := range s.modules() {
		total += m.out
	}
	return total
}

// wiringNodes is a wiring in a graph, of the same shapes.
type wiringNodes struct {
	edges, ops, slots, channels *Node
	relaxed                     bool // a continuous relaxation of cells, which leaves no channel out and has no channels
}

func wiringOf(inputs []*Node) wiringNodes {
	return wiringNodes{edges: inputs[0], ops: inputs[1], slots: inputs[2], channels: inputs[3]}
}

func (w wiringNodes) edge(from, to int) *Node { return entry(w.edges, from, to) }

func (w wiringNodes) op(v int, op nasbench101.Op) *Node { return entry(w.ops, v-1, int(op)) }

func (w wiringNodes) slot(slot, v int) *Node { return entry(w.slots, slot, v-1) }

// mask returns [n]: which of the first n channels of vertex v are used, in the module whose channels begin at offset.
func (w wiringNodes) mask(v, offset, n int) *Node {
	if w.relaxed {
		return Ones(w.edges.Graph(), nn.Shape(n))
	}
	return Squeeze(Slice(w.channels, AxisElem(v-1), AxisRange(offset, offset+n)), 0)
}

// entry returns one number of a matrix [rows, columns], as a scalar.
func entry(matrix *Node, row, column int) *Node {
	return Reshape(Slice(matrix, AxisElem(row), AxisElem(column)))
}
