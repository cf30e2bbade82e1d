package supernet

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

func shapeOf(dims ...int) shapes.Shape { return shapes.Make(dtypes.Float32, dims...) }

// cosine is the learning rate of a step, falling from the first to 0 along a cosine.
func cosine(first float64, step, steps int) float64 {
	return first / 2 * (1 + math.Cos(math.Pi*float64(step)/float64(steps)))
}

// slot is the state that an optimiser keeps for a parameter, of the parameter's shape.
func slot(root *model.Scope, name string, like *model.Variable, initial float64) *model.Variable {
	fill := func(g *Graph, shape shapes.Shape) *Node { return AddScalar(Zeros(g, shape), initial) }
	return root.Store().VariableWithShape("/optimizer/"+name+like.Path(), like.Shape(), fill).SetTrainable(false)
}

// clipped are gradients scaled down so that their norm, all together, is at most
// limit; a limit of 0 is none.
func clipped(gradients []*Node, limit float64) []*Node {
	if limit == 0 {
		return gradients
	}
	norm := ScalarZero(gradients[0].Graph(), dtypes.Float32)
	for _, g := range gradients {
		norm = Add(norm, ReduceAllSum(Square(g)))
	}
	norm = Sqrt(norm)
	scale := Div(Const(norm.Graph(), float32(limit)), MaxScalar(norm, limit))
	scaled := make([]*Node, len(gradients))
	for i, g := range gradients {
		scaled[i] = times(scale, g)
	}
	return scaled
}

// momentum is stochastic gradient descent with momentum and weight decay, as in
// PyTorch:
//
//	m ← μ·m + g + λ·w,  w ← w − rate·m
//
// It changes a parameter only where used is 1, if there is a used for it.
type momentum struct{ momentum, decay float64 }

func (o momentum) step(root *model.Scope, parameters []*model.Variable, gradients []*Node, rate *Node, used []*Node) {
	for i, p := range parameters {
		w := p.NodeValue(rate)
		state := slot(root, "momentum", p, 0)
		m := state.NodeValue(rate)
		change := Add(Add(MulScalar(m, o.momentum), gradients[i]), MulScalar(w, o.decay))
		move := times(rate, change)
		if used != nil && used[i] != nil {
			gate := ExpandLeftToRank(used[i], w.Rank())
			change = Add(m, Mul(gate, Sub(change, m)))
			move = Mul(gate, move)
		}
		state.SetNodeValue(change)
		p.SetNodeValue(Sub(w, move))
	}
}

// rmsProp is the benchmark's optimiser, TensorFlow 1's RMSPropOptimizer:
//
//	s ← 0.9·s + 0.1·g²,  m ← μ·m + rate·g/√(s + ε),  w ← w − m
//
// with s = 1 at first, ε = 1, and λ·w added to g for the benchmark's L2 penalty.
type rmsProp struct{ momentum, decay float64 }

func (o rmsProp) step(root *model.Scope, parameters []*model.Variable, gradients []*Node, rate *Node) {
	const keep, epsilon = 0.9, 1
	for i, p := range parameters {
		w := p.NodeValue(rate)
		g := Add(gradients[i], MulScalar(w, o.decay))
		square, state := slot(root, "square", p, 1), slot(root, "momentum", p, 0)
		s := Add(MulScalar(square.NodeValue(rate), keep), MulScalar(Square(g), 1-keep))
		m := Add(MulScalar(state.NodeValue(rate), o.momentum), times(rate, Div(g, Sqrt(AddScalar(s, epsilon)))))
		square.SetNodeValue(s)
		state.SetNodeValue(m)
		p.SetNodeValue(Sub(w, m))
	}
}

// adam is Adam with weight decay as in PyTorch, which adds λ·w to the gradient; t is
// the number of the step, from 1.
type adam struct{ rate, beta1, beta2, decay float64 }

func (o adam) step(root *model.Scope, parameters []*model.Variable, gradients []*Node, t *Node) {
	correction := func(beta float64) *Node { return OneMinus(Exp(MulScalar(t, math.Log(beta)))) }
	for i, p := range parameters {
		w := p.NodeValue(t)
		g := Add(gradients[i], MulScalar(w, o.decay))
		first, second := slot(root, "first", p, 0), slot(root, "second", p, 0)
		m := Add(MulScalar(first.NodeValue(t), o.beta1), MulScalar(g, 1-o.beta1))
		v := Add(MulScalar(second.NodeValue(t), o.beta2), MulScalar(Square(g), 1-o.beta2))
		first.SetNodeValue(m)
		second.SetNodeValue(v)
		size := Sqrt(times(Inverse(correction(o.beta2)), v))
		p.SetNodeValue(Sub(w, times(MulScalar(Inverse(correction(o.beta1)), o.rate), Div(m, AddScalar(size, 1e-8)))))
	}
}
