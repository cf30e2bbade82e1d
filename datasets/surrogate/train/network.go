package main

import (
	"slices"

	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/datasets/internal/training"
	"github.com/ctnas/ctnas/datasets/internal/weights"
	"github.com/ctnas/ctnas/datasets/surrogate/internal/dagnet"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/layers/activation"
	"github.com/gomlx/gomlx/ml/model"
)

// Cells have as many vertices and edges as the largest here; of a smaller one the output is
// still the last vertex, what is missing before it has no edges and no operation, and a
// missing edge is from and to no vertex.
const (
	vertices   = nasbench101.MaxVertices
	edges      = nasbench101.MaxEdges
	operations = 3
)

// inputsOf are cells as the inputs of [predict], all numbers 0 or 1 but the last two: where
// edges are from and where they lead [batch, edges, vertices], the operations [batch,
// vertices, operations], the kinds of the sinks [batch, 1], and the features [batch,
// dagnet.NumFeatures].
func inputsOf(cells []nasbench101.Cell) []*tensors.Tensor {
	from, to := make([]float32, len(cells)*edges*vertices), make([]float32, len(cells)*edges*vertices)
	ops := make([]float32, len(cells)*vertices*operations)
	sinks := make([]int32, len(cells))
	var features []float32
	for i, c := range cells {
		place := func(v int) int {
			if v == c.N()-1 {
				return vertices - 1
			}
			return v
		}
		edge := i * edges
		for w := 1; w < c.N(); w++ {
			for v := range w {
				if c.Edge(v, w) {
					from[edge*vertices+place(v)], to[edge*vertices+place(w)] = 1, 1
					edge++
				}
			}
			if w < c.N()-1 {
				ops[(i*vertices+w)*operations+int(c.Op(w))] = 1
			}
		}
		sinks[i] = int32(dagnet.Sink(c))
		features = dagnet.AppendFeatures(features, c)
	}
	return []*tensors.Tensor{
		tensors.FromFlatDataAndDimensions(from, len(cells), edges, vertices),
		tensors.FromFlatDataAndDimensions(to, len(cells), edges, vertices),
		tensors.FromFlatDataAndDimensions(ops, len(cells), vertices, operations),
		tensors.FromFlatDataAndDimensions(sinks, len(cells), 1),
		tensors.FromFlatDataAndDimensions(features, len(cells), dagnet.NumFeatures),
	}
}

// predict builds the network of package dagnet, whose parts these are, on [inputsOf] some
// cells, and returns one number for each, [batch].
func predict(root *model.Scope, parts []weights.Part, inputs []*Node) *Node {
	from, to, ops, sinks, features := inputs[0], inputs[1], inputs[2], inputs[3], inputs[4]
	adjacency := Einsum("bev,bew->bvw", from, to)
	next := func() *Node {
		part := training.Weight(root, from, parts[0].Name)
		parts = parts[1:]
		return part
	}
	linear := func() func(x *Node) *Node {
		weight, bias := next(), next()
		return func(x *Node) *Node { return Add(MatMul(x, weight), ExpandLeftToRank(bias, x.Rank())) }
	}
	// at is a column of adjacency or operations, [batch, 1].
	at := func(x *Node, v, k int) *Node { return Squeeze(Slice(x, AxisRange(), AxisElem(v), AxisElem(k)), 2) }
	var meetings [2]*Node // of each direction, [batch, vertices, 2·width]
	for d, order := range [2][]int{{0, 1, 2, 3, 4, 5}, {6, 5, 4, 3, 2, 1}} {
		sources := next()
		kind := []*Node{ZerosLike(sinks), sinks}[d]
		var layers [operations]func(*Node) *Node
		for op := range layers {
			layers[op] = linear()
		}
		first := Gather(sources, kind)
		states := slices.Repeat([]*Node{ZerosLike(first)}, vertices) // [batch, width] each
		states[order[0]] = first
		for k, v := range order[1:] {
			sum, state := ZerosLike(first), ZerosLike(first)
			for _, u := range order[:k+1] {
				sum = Add(sum, Mul(at(adjacency, min(u, v), max(u, v)), states[u]))
			}
			for op, layer := range layers {
				state = Add(state, Mul(at(ops, v, op), layer(sum)))
			}
			states[v] = activation.Relu(state)
		}
		meetings[d] = linear()(Stack(states, 1))
	}
	width := meetings[0].Shape().Dim(-1) / 2
	half := func(d, i int) *Node {
		return Slice(meetings[d], AxisRange(), AxisRange(), AxisRange(i*width, (i+1)*width))
	}
	there := ReduceAndKeep(ops, ReduceSum, 2) // [batch, vertices, 1]
	atVertices := ReduceSum(Mul(there, activation.Relu(Add(half(0, 0), half(1, 0)))), 1)
	ends := Add(Einsum("bev,bvd->bed", from, half(0, 1)), Einsum("bew,bwd->bed", to, half(1, 1)))
	alongEdges := ReduceSum(activation.Relu(ends), 1)
	z := Concatenate([]*Node{atVertices, alongEdges, features}, 1)
	for range 2 {
		z = activation.Relu(linear()(z))
	}
	return Squeeze(linear()(z), 1)
}
