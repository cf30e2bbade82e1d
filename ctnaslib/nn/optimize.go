package nn

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// The optimisers take the variables to change and their gradients, in one order and of one shape each, and keep their
// state in the variables' store. They are written here, and not taken from GoMLX, for what its own lack: weight decay
// as PyTorch's and TensorFlow's optimisers have it, a learning rate that is an input of the graph, TensorFlow 1's
// RMSProp, and parameters that take no part in a step.

// Cosine returns the learning rate of a step, counted from 0, of so many, falling from the first to 0 along a cosine.
func Cosine(first float64, step, steps int) float64 {
	return first / 2 * (1 + math.Cos(math.Pi*float64(step)/float64(steps)))
}

// state returns a variable that an optimiser keeps for another, of its shape, and that starts at initial.
func state(store *model.Store, name string, of *model.Variable, initial float64) *model.Variable {
	fill := func(g *Graph, shape shapes.Shape) *Node { return AddScalar(Zeros(g, shape), initial) }
	return store.VariableWithShape("/optimizer/"+name+of.Path(), of.Shape(), fill).SetTrainable(false)
}

// ClipNorm scales gradients down so that their norm, all together, is at most limit; a limit of 0 is none.
func ClipNorm(gradients []*Node, limit float64) []*Node {
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
		scaled[i] = Times(scale, g)
	}
	return scaled
}

// Momentum is stochastic gradient descent with momentum μ and weight decay λ, as in PyTorch:
//
//	m ← μ·m + g + λ·w,  w ← w − rate·m
type Momentum struct{ Momentum, WeightDecay float64 }

// Step builds a step at a learning rate, a scalar. Used, if it is not nil, has for each variable nil or where it takes
// part in the step, 1 there and 0 elsewhere, in its shape or one that spreads to it: neither it nor its m changes
// elsewhere.
func (o Momentum) Step(store *model.Store, variables []*model.Variable, gradients []*Node, rate *Node, used []*Node) {
	for i, p := range variables {
		w := p.NodeValue(rate)
		momentum := state(store, "momentum", p, 0)
		m := momentum.NodeValue(rate)
		change := Add(Add(MulScalar(m, o.Momentum), gradients[i]), MulScalar(w, o.WeightDecay))
		move := Times(rate, change)
		if used != nil && used[i] != nil {
			gate := ExpandLeftToRank(used[i], w.Rank())
			change = Add(m, Mul(gate, Sub(change, m)))
			move = Mul(gate, move)
		}
		momentum.SetNodeValue(change)
		p.SetNodeValue(Sub(w, move))
	}
}

// RMSProp is the optimiser of NAS-Bench-101, TensorFlow 1's RMSPropOptimizer, with momentum μ:
//
//	s ← 0.9·s + 0.1·g²,  m ← μ·m + rate·g/√(s + ε),  w ← w − m
//
// with s = 1 at first, ε = 1, and λ·w added to g, the gradient of the benchmark's L2 penalty.
type RMSProp struct{ Momentum, WeightDecay float64 }

// Step builds a step at a learning rate, a scalar.
func (o RMSProp) Step(store *model.Store, variables []*model.Variable, gradients []*Node, rate *Node) {
	const keep, epsilon = 0.9, 1
	for i, p := range variables {
		w := p.NodeValue(rate)
		g := Add(gradients[i], MulScalar(w, o.WeightDecay))
		square, momentum := state(store, "square", p, 1), state(store, "momentum", p, 0)
		s := Add(MulScalar(square.NodeValue(rate), keep), MulScalar(Square(g), 1-keep))
		m := Add(MulScalar(momentum.NodeValue(rate), o.Momentum), Times(rate, Div(g, Sqrt(AddScalar(s, epsilon)))))
		square.SetNodeValue(s)
		momentum.SetNodeValue(m)
		p.SetNodeValue(Sub(w, m))
	}
}

// Adam is Adam with DARTS's β of 0.5 and 0.999, and weight decay as in PyTorch, which adds λ·w to the gradient.
type Adam struct{ LearningRate, WeightDecay float64 }

// Step builds a step; t is its number from 1, a scalar.
func (o Adam) Step(store *model.Store, variables []*model.Variable, gradients []*Node, t *Node) {
	const beta1, beta2 = 0.5, 0.999
	correction := func(beta float64) *Node { return OneMinus(Exp(MulScalar(t, math.Log(beta)))) }
	for i, p := range variables {
		w := p.NodeValue(t)
		g := Add(gradients[i], MulScalar(w, o.WeightDecay))
		first, second := state(store, "first", p, 0), state(store, "second", p, 0)
		m := Add(MulScalar(first.NodeValue(t), beta1), MulScalar(g, 1-beta1))
		v := Add(MulScalar(second.NodeValue(t), beta2), MulScalar(Square(g), 1-beta2))
		first.SetNodeValue(m)
		second.SetNodeValue(v)
		size := Sqrt(Times(Inverse(correction(beta2)), v))
		p.SetNodeValue(Sub(w, Times(MulScalar(Inverse(correction(beta1)), o.LearningRate), Div(m, AddScalar(size, 1e-8)))))
	}
}
