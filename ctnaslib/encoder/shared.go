package encoder

import (
	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// Inputs lays out archs for an encoder on a backend, as [Encoder] says. For a [GCN] whose messages go in one
// direction, nodes that compute the same share a row where that is faster: on XLA's CPU plugin, which reads and adds
// up rows fast enough. Pure Go does that number by number, which takes longer than to compute all.
func Inputs(backend compute.Backend, e Encoder, archs []space.Arch, sizes Sizes, batch int) ([]*tensors.Tensor, error) {
	if gcn, ok := e.(GCN); ok && gcn.Direction != Both && batch >= leastToShare && engine.Describe(backend) == "xla:cpu" {
		return gcn.shareRows(archs, sizes, batch)
	}
	return e.Inputs(archs, sizes, batch)
}

// leastToShare is the size of a batch from which on nodes share rows: single architectures have little in common.
const leastToShare = 32

// sharedInputs is the number of tensors that make up a sharedRows.
const sharedInputs = 5

// sharedRows has one row for all nodes of a batch that look the same so far: in layer l, those whose graphs of what
// they hear in l steps are the same (which are told apart by l rounds of Weisfeiler and Lehman's refinement of
// colours). In a batch of 256 cells of NAS-Bench-101, a layer has so 720 rows at most in place of 1,792. All
// layers have the same number of rows, rounded up, and four times as many edges, so that few sizes are ever
// compiled. The last row is of no node.
type sharedRows struct {
	ops   *Node // of the first layer's rows, one-hot, [rows, ops]
	count *Node // [rows, ops]
	kept  *Node // of each layer but the first, its input that is at the place of each output, [layers−1, rows]
	edges *Node // of each layer but the first, inputs and the outputs that hear them, [layers−1, 2, edges]
	cells *Node // the last layer's row of each node, [batch·cells, nodes of a cell]
}

func newSharedRows(sizes Sizes, inputs []*Node) *sharedRows {
	return &sharedRows{OneHot(inputs[0], sizes.Ops, dtypes.Float32), inputs[1], inputs[2], inputs[3], inputs[4]}
}

// sum builds [rows, width], to whose row to[k] it adds row from[k] of x for all k; from and to are [edges, 1].
func (r *sharedRows) sum(x, from, to *Node) *Node {
	return Scatter(to, Gather(x, from), shapes.Make(dtypes.Float32, r.ops.Shape().Dim(0), x.Shape().Dim(1)), false, false)
}

// edge builds the inputs (0), or the outputs (1), of the edges of layer l, [edges, 1].
func (r *sharedRows) edge(l, end int) *Node {
	return Reshape(Slice(r.edges, AxisElem(l-1), AxisElem(end)), -1, 1)
}

func (r *sharedRows) place(l int) *Node { return Reshape(Slice(r.kept, AxisElem(l-1)), -1, 1) }

func (r *sharedRows) chosen() *Node { return r.ops }

func (r *sharedRows) heard(int) *Node { return r.count }

func (r *sharedRows) hear(l, _ int, x *Node) *Node { return r.sum(x, r.edge(l, 0), r.edge(l, 1)) }

func (r *sharedRows) tell(l, _ int, g *Node) *Node { return r.sum(g, r.edge(l, 1), r.edge(l, 0)) }

func (r *sharedRows) keep(l int, x *Node) *Node { return Gather(x, r.place(l)) }

func (r *sharedRows) giveBack(l int, g *Node) *Node {
	return Scatter(r.place(l), g, g.Shape(), false, false)
}

func (r *sharedRows) mean(x *Node) *Node { return ReduceMean(Gather(x, ExpandAxes(r.cells, -1)), 1) }

func (r *sharedRows) spread(dz *Node) *Node {
	nodes := r.cells.Shape().Dim(1)
	shape := shapes.Make(dtypes.Float32, r.ops.Shape().Dim(0), dz.Shape().Dim(1))
	each := BroadcastToDims(ExpandAxes(DivScalar(dz, nodes), 1), r.cells.Shape().Dim(0), nodes, dz.Shape().Dim(1))
	return Scatter(ExpandAxes(r.cells, -1), each, shape, false, false)
}

// refinement are the colours of nodes after a round of refinement.
type refinement struct {
	colours []int32 // of every node
	first   []int32 // the first node of each colour
	edges   int     // heard by the colours, self included
}

// edgesOfRow bounds how many edges there is room for, for each row.
const edgesOfRow = 4

// shareRows lays out the graphs of archs as [sharedRows].
func (c GCN) shareRows(archs []space.Arch, sizes Sizes, batch int) ([]*tensors.Tensor, error) {
	b, err := space.NewBatch(archs, sizes.Nodes)
	if err != nil {
		return nil, err
	}
	n := sizes.Nodes
	heard := c.neighbours(b, n)
	rounds := make([]refinement, c.Layers)
	before := b.Ops
	for l := range rounds {
		rounds[l] = refine(before, heard)
		before = rounds[l].colours
	}
	step := max(16, (batch*n+15)/16)
	size := 0
	for _, round := range rounds {
		size = max(size, len(round.first)+1, (round.edges+edgesOfRow-1)/edgesOfRow)
	}
	size = (size + step - 1) / step * step

	ops, count := make([]int32, size), make([]float32, size*sizes.Ops)
	for row, node := range rounds[0].first {
		ops[row] = b.Ops[node]
		for _, from := range heard[node] {
			count[row*sizes.Ops+int(b.Ops[from])]++
		}
	}
	further := max(1, c.Layers-1) // of one layer, too: a list of nothing has no graph
	places, edges := make([]int32, further*size), make([]int32, further*2*edgesOfRow*size)
	for l := 1; l < c.Layers; l++ {
		room := edgesOfRow * size
		place, from, to := places[(l-1)*size:], edges[(l-1)*2*room:][:room], edges[(l-1)*2*room+room:][:room]
		for k := range to {
			to[k] = int32(size - 1)
		}
		k := 0
		for row, node := range rounds[l].first {
			place[row] = rounds[l-1].colours[node]
			for _, heard := range heard[node] {
				from[k], to[k] = rounds[l-1].colours[heard], int32(row)
				k++
			}
		}
	}
	cells := make([]int32, batch*n)
	copy(cells, rounds[c.Layers-1].colours)
	return []*tensors.Tensor{
		tensors.FromFlatDataAndDimensions(ops, size), tensors.FromFlatDataAndDimensions(count, size, sizes.Ops),
		tensors.FromFlatDataAndDimensions(places, further, size), tensors.FromFlatDataAndDimensions(edges, further, 2, edgesOfRow*size),
		tensors.FromFlatDataAndDimensions(cells, batch*sizes.Cells, n/sizes.Cells),
	}, nil
}

// neighbours returns what each node of a batch hears, itself included.
func (c GCN) neighbours(b space.Batch, nodes int) [][]int32 {
	heard := make([][]int32, b.Size*nodes)
	room := make([]int32, 0, 4*len(heard))
	for node := range heard {
		start := len(room)
		room = append(room, int32(node))
		for other := range nodes {
			from, to := other, node%nodes
			if c.Direction == Backward {
				from, to = to, from
			}
			if b.Adjacency[(node/nodes*nodes+from)*nodes+to] != 0 {
				room = append(room, int32(node/nodes*nodes+other))
			}
		}
		heard[node] = room[start:len(room):len(room)]
	}
	return heard
}

// refine tells nodes apart by their colours before and by those they hear.
func refine(before []int32, heard [][]int32) refinement {
	r := refinement{colours: make([]int32, len(heard))}
	known := make(map[uint64]int32, len(heard)/4)
	for node, from := range heard {
		key := mix(uint64(before[node])) * 3
		for _, f := range from {
			key += mix(uint64(before[f])) // a sum: their order is none
		}
		colour, ok := known[key]
		if !ok {
			colour = int32(len(known))
			known[key] = colour
			r.first = append(r.first, int32(node))
			r.edges += len(from)
		}
		r.colours[node] = colour
	}
	return r
}

// mix is the last step of the generator SplitMix64 (Steele et al., 2014): sums of what it returns for small numbers
// are as good as never the same by chance.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
