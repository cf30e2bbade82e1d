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

// Cells have as many vertices as the largest here; of a smaller one the output is still the
// last, and what is missing before it has no edges and no operation.
const (
	vertices   = nasbench101.MaxVertices
	operations = 3
)

// inputsOf are cells as the inputs of [predict]: their edges [batch, vertices, vertices],
// their operations [batch, vertices, operations], the kinds of their sinks [batch, 1] and
// their features [batch, dagnet.NumFeatures].
func inputsOf(cells []nasbench101.Cell) []*tensors.Tensor {
	edges := make([]float32, len(cells)*vertices*vertices)
	ops := make([]float32, len(cells)*vertices*operations)
	sinks := make([]int32, len(cells))
	var features []float32
	for i, c := range cells {
		place := func(v int) int {
			if v == c.N()-1 {
				v = vertices - 1
			}
			return i*vertices + v
		}
		for w := 1; w < c.N(); w++ {
			for v := range w {
				if c.Edge(v, w) {
					edges[place(v)*vertices+place(w)-i*vertices] = 1
				}
			}
			if w < c.N()-1 {
				ops[place(w)*operations+int(c.Op(w))] = 1
			}
		}
		sinks[i] = int32(dagnet.Sink(c))
		features = dagnet.AppendFeatures(features, c)
	}
	return []*tensors.Tensor{
		tensors.FromFlatDataAndDimensions(edges, len(cells), vertices, vertices),
		tensors.FromFlatDataAndDimensions(ops, len(cells), vertices, operations),
		tensors.FromFlatDataAndDimensions(sinks, len(cells), 1),
		tensors.FromFlatDataAndDimensions(features, len(cells), dagnet.NumFeatures),
	}
}

// predict builds the network of package dagnet, whose parts these are, on [inputsOf] some
// cells, and returns one number for each, [batch].
func predict(root *model.Scope, parts []weights.Part, inputs []*Node) *Node {
	edges, ops, sinks, features := inputs[0], inputs[1], inputs[2], inputs[3]
	next := func() *Node {
		part := training.Weight(root, edges, parts[0].Name)
		parts = parts[1:]
		return part
	}
	linear := func() func(x *Node) *Node {
		weight, bias := next(), next()
		return func(x *Node) *Node { return Add(MatMul(x, weight), ExpandLeftToRank(bias, x.Rank())) }
	}
	// at is a column of edges or operations, [batch, 1].
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
				sum = Add(sum, Mul(at(edges, min(u, v), max(u, v)), states[u]))
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
	alongEdges := ReduceSum(Mul(ExpandAxes(edges, -1), activation.Relu(Add(ExpandAxes(half(0, 1), 2), ExpandAxes(half(1, 1), 1)))), 1, 2)
	z := Concatenate([]*Node{atVertices, alongEdges, features}, 1)
	for range 2 {
		z = activation.Relu(linear()(z))
	}
	return Squeeze(linear()(z), 1)
}
