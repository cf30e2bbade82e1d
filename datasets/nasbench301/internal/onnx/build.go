package onnx

import (
	"fmt"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/layers/activation"
)

// Build builds the graph on its inputs, which are by name, and returns its outputs.
// As GoMLX's own graph-building functions do, it panics with an error where
// operations and shapes do not fit.
func (g *Model) Build(inputs map[string]*Node) []*Node {
	values := make(map[string]value)
	var graph *Node
	for _, name := range g.Inputs {
		input, ok := inputs[name]
		if !ok {
			panic(fmt.Errorf("onnx: the graph's input %q is not given", name))
		}
		values[name], graph = value{node: input}, input
	}
	b := builder{any: graph}
	for name, c := range g.constants {
		values[name] = b.constant(c)
	}
	for _, n := range g.nodes {
		arguments := make([]value, len(n.inputs))
		for i, name := range n.inputs {
			arguments[i] = values[name]
		}
		op := operators[n.op]
		if len(arguments) < op.least {
			panic(fmt.Errorf("onnx: %s needs %d inputs, it has %d", n.op, op.least, len(arguments)))
		}
		values[n.outputs[0]] = op.build(b, n, arguments)
	}
	outputs := make([]*Node, len(g.Outputs))
	for i, name := range g.Outputs {
		outputs[i] = values[name].tensor(name)
	}
	return outputs
}

// value is a node of GoMLX's graph; or integers that are known while it is built, of
// which shapes and indices are made.
type value struct {
	node   *Node
	ints   []int64
	scalar bool // ints is a scalar, not a vector
}

func (v value) tensor(what string) *Node {
	if v.node == nil {
		panic(fmt.Errorf("onnx: %s is made of integers, a tensor was expected", what))
	}
	return v.node
}

func (v value) integers(what string) []int64 {
	if v.node != nil || len(v.ints) == 0 {
		panic(fmt.Errorf("onnx: %s is not known while the graph is built", what))
	}
	return v.ints
}

// builder builds one graph.
type builder struct{ any *Node }

func (b builder) constant(c constant) value {
	if c.ints != nil {
		return value{ints: c.ints, scalar: len(c.dims) == 0}
	}
	return value{node: Const(b.any.Graph(), tensors.FromFlatDataAndDimensions(c.floats, c.dims...))}
}

// operator is one of the format's, and the least number of its inputs.
type operator struct {
	least int
	build func(b builder, n node, x []value) value
}

var operators = map[string]operator{
	"Constant":           {0, func(b builder, n node, _ []value) value { return b.constantNode(n) }},
	"Gather":             {2, gather},
	"Concat":             {1, concat},
	"Unsqueeze":          {2, unsqueeze},
	"Slice":              {4, slice},
	"Shape":              {1, shape},
	"Cast":               {1, cast},
	"Gemm":               {3, gemm},
	"BatchNormalization": {5, batchNormalization},
	"Add":                elementwise(Add, func(x, y int64) int64 { return x + y }),
	"Sub":                elementwise(Sub, func(x, y int64) int64 { return x - y }),
	"Mul":                elementwise(Mul, func(x, y int64) int64 { return x * y }),
	"Div":                elementwise(Div, divide),
	"Max":                elementwise(Max, func(x, y int64) int64 { return max(x, y) }),
	"Min":                elementwise(Min, func(x, y int64) int64 { return min(x, y) }),
	"Relu":               unary(activation.Relu),
	"Sigmoid":            unary(Sigmoid),
	"Exp":                unary(Exp),
}

func (b builder) constantNode(n node) value {
	if n.value == nil {
		panic(fmt.Errorf("onnx: a Constant has no tensor"))
	}
	return b.constant(*n.value)
}

func unary(f func(*Node) *Node) operator {
	return operator{1, func(_ builder, n node, x []value) value { return value{node: f(x[0].tensor(n.op))} }}
}

// elementwise is an operator on tensors of one shape, up to leading axes that one lacks and
// axes of one element, or on integers.
func elementwise(tensors func(x, y *Node) *Node, ints func(x, y int64) int64) operator {
	return operator{2, func(_ builder, n node, x []value) value {
		if x[0].node != nil || x[1].node != nil {
			l, r := x[0].tensor(n.op), x[1].tensor(n.op)
			rank := max(l.Rank(), r.Rank())
			return value{node: tensors(ExpandLeftToRank(l, rank), ExpandLeftToRank(r, rank))}
		}
		l, r := x[0].integers(n.op), x[1].integers(n.op)
		if len(l) != 1 || len(r) != 1 {
			panic(fmt.Errorf("onnx: %s of %d and %d integers is not supported", n.op, len(l), len(r)))
		}
		return value{ints: []int64{ints(l[0], r[0])}, scalar: x[0].scalar && x[1].scalar}
	}}
}

func divide(x, y int64) int64 {
	if y == 0 {
		panic(fmt.Errorf("onnx: Div of integers by 0"))
	}
	return x / y
}

// within is an index or axis, of which there are count; negative ones count from the end.
func (n node) within(i int64, count int) int {
	wrapped := i
	if i < 0 {
		wrapped += int64(count)
	}
	if wrapped < 0 || wrapped >= int64(count) {
		panic(fmt.Errorf("onnx: %s at %d, of %d", n.op, i, count))
	}
	return int(wrapped)
}

// axis reads the attribute axis of a tensor of this rank.
func (n node) axis(rank int) int {
	if axis := n.ints["axis"]; len(axis) == 1 {
		return n.within(axis[0], rank)
	}
	return 0
}

// gather takes one element along an axis, whose index is known; or rows of a table.
func gather(_ builder, n node, x []value) value {
	if x[1].node != nil {
		from := x[0].tensor(n.op)
		if n.axis(from.Rank()) != 0 {
			panic(fmt.Errorf("onnx: Gather along another axis than 0 with an index that is a tensor is not supported"))
		}
		return value{node: Gather(from, ExpandAxes(x[1].node, -1))}
	}
	index := x[1].integers(n.op)
	if len(index) != 1 || x[0].node != nil && !x[1].scalar {
		panic(fmt.Errorf("onnx: Gather of several indices is not supported"))
	}
	if x[0].node == nil {
		from := x[0].integers(n.op)
		return value{ints: []int64{from[n.within(index[0], len(from))]}, scalar: x[1].scalar}
	}
	from := x[0].node
	axis := n.axis(from.Rank())
	at := n.within(index[0], from.Shape().Dim(axis))
	return value{node: Squeeze(SliceAxis(from, axis, AxisElem(at)), axis)}
}

func concat(_ builder, n node, x []value) value {
	nodes := make([]*Node, len(x))
	for i, v := range x {
		nodes[i] = v.tensor(n.op)
	}
	return value{node: Concatenate(nodes, n.axis(nodes[0].Rank()))}
}

// unsqueeze adds an axis.
func unsqueeze(_ builder, n node, x []value) value {
	axes := x[1].integers(n.op)
	if len(axes) != 1 {
		panic(fmt.Errorf("onnx: Unsqueeze of %d axes is not supported", len(axes)))
	}
	return value{node: ExpandAxes(x[0].tensor(n.op), int(axes[0]))}
}

// slice takes a range along one axis.
func slice(_ builder, n node, x []value) value {
	from := x[0].tensor(n.op)
	start, end, axis := x[1].integers(n.op), x[2].integers(n.op), x[3].integers(n.op)
	if len(start) != 1 || len(end) != 1 || len(axis) != 1 || len(x) > 4 {
		panic(fmt.Errorf("onnx: Slice along several axes, or with steps, is not supported"))
	}
	along := n.within(axis[0], from.Rank())
	first, stop := start[0], min(end[0], int64(from.Shape().Dim(along)))
	if first < 0 || stop <= first {
		panic(fmt.Errorf("onnx: Slice from %d to %d along axis %d of %s", first, end[0], along, from.Shape()))
	}
	return value{node: SliceAxis(from, along, AxisRange(int(first), int(stop)))}
}

func shape(_ builder, n node, x []value) value {
	var dims []int64
	for _, d := range x[0].tensor(n.op).Shape().Dimensions {
		dims = append(dims, int64(d))
	}
	return value{ints: dims}
}

func cast(_ builder, n node, x []value) value {
	if to := n.ints["to"]; len(to) != 1 || to[0] != typeFloat32 {
		panic(fmt.Errorf("onnx: Cast to the data type %v is not supported", to))
	}
	return value{node: ConvertDType(x[0].tensor(n.op), dtypes.Float32)}
}

// gemm is x·wᵀ + c.
func gemm(_ builder, n node, x []value) value {
	one := func(name string) bool { f, given := n.floats[name]; return !given || f == 1 }
	set := func(name string) bool { i := n.ints[name]; return len(i) == 1 && i[0] != 0 }
	if !one("alpha") || !one("beta") || set("transA") || !set("transB") {
		panic(fmt.Errorf("onnx: Gemm with factors, or other transpositions than of its second input, is not supported"))
	}
	product := Einsum("bi,oi->bo", x[0].tensor(n.op), x[1].tensor(n.op))
	return value{node: Add(product, ExpandLeftToRank(x[2].tensor(n.op), 2))}
}

// batchNormalization is that of inference, on [batch, channels].
func batchNormalization(_ builder, n node, x []value) value {
	rows := make([]*Node, 5)
	for i := range rows {
		rows[i] = ExpandLeftToRank(x[i].tensor(n.op), 2)
	}
	epsilon, given := n.floats["epsilon"]
	if !given {
		epsilon = 1e-5
	}
	in, scale, shift, mean, variance := rows[0], rows[1], rows[2], rows[3], rows[4]
	deviation := Sqrt(AddScalar(variance, float64(epsilon)))
	return value{node: Add(Mul(Div(Sub(in, mean), deviation), scale), shift)}
}
