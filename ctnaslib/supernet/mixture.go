package supernet

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
)

// The weights of a mixture of cells, before softmax, which start at zero.
const (
	scopeMixture = "/mixture"
	nameOps      = "ops"   // [5, 3]
	nameEdges    = "edges" // [7, 7], of i → j where i < j
)

func createMixture(store *model.Store) error {
	scope, zero := store.Scope(scopeMixture), func() float64 { return 0 }
	err := engine.NewVariable(scope, nameOps, zero, vertices, ops)
	if err == nil {
		err = engine.NewVariable(scope, nameEdges, zero, ends, ends)
	}
	if err != nil {
		return fmt.Errorf("supernet: %w", err)
	}
	return nil
}

func mixtureVariables(root *model.Scope) []*model.Variable {
	store := root.Store()
	return []*model.Variable{store.GetVariable(scopeMixture + "/" + nameOps), store.GetVariable(scopeMixture + "/" + nameEdges)}
}

// noise is Gumbel noise for the mixture's weights, and the temperature they are divided
// by: zero and one for DARTS.
type noise struct{ ops, edges, temperature *Node }

// mixed is the wiring of a mixture: softmax over the operations of each vertex, and
// over the edges that enter each vertex. All vertices have all channels; the output is
// the sum of what enters it.
func mixed(weights []*Node, z noise) wires {
	warm := func(logits, noise *Node) *Node {
		return Mul(Add(logits, noise), ExpandLeftToRank(Inverse(z.temperature), 2))
	}
	g := weights[0].Graph()
	row, column := Iota(g, shapeOf(ends, ends), 0), Iota(g, shapeOf(ends, ends), 1)
	forward := ConvertDType(LessThan(row, column), row.DType()) // 1 for i → j with i < j
	logits := Add(warm(weights[1], z.edges), MulScalar(OneMinus(forward), -1e9))
	edges := Mul(Softmax(logits, 0), forward)
	leading := Slice(edges, AxisRange(1, ends-1), AxisElem(ends-1))
	return wires{edges: edges, ops: Softmax(warm(weights[0], z.ops), -1), slots: Transpose(leading, 0, 1), mixed: true}
}

// relaxedGraph builds one step of DARTS or FBNet: of the mixture's weights on
// validation images, and then of the network's on training images. The inputs are
// training images and labels, validation images and labels, the learning rate, the
// number of the step from 1, the temperature, and the noise of the ops [5, 3] and the
// edges [7, 7]. It returns the loss on the training images, and how many it gets right.
func (n *Net) relaxedGraph(root *model.Scope, inputs []*Node) []*Node {
	train, validation := inputs[0:2], inputs[2:4]
	rate, t := inputs[4], inputs[5]
	z := noise{temperature: inputs[6], ops: inputs[7], edges: inputs[8]}
	variables, mixture := variables(root, n.parameters), mixtureVariables(root)

	gradients := n.mixtureGradient(values(t.Graph(), variables), values(t.Graph(), mixture), train, validation, rate, z)
	adam{rate: n.config.MixtureRate, beta1: 0.5, beta2: 0.999, decay: n.config.MixtureDecay}.step(root, mixture, gradients, t)

	weights, moved := values(t.Graph(), variables), values(t.Graph(), mixture)
	fix(moved) // it was moved by a gradient that depends on the weights
	loss, logits := n.mixedLoss(weights, moved, train, z)
	momentum{n.config.Momentum, n.config.WeightDecay}.step(root, variables, clipped(Gradient(loss, weights...), n.config.Clip), rate, nil)
	return []*Node{loss, hits(logits, train[1])}
}

// mixedLoss is the loss on images and labels of the mixture.
func (n *Net) mixedLoss(weights, mixture, batch []*Node, z noise) (loss, logits *Node) {
	logits = n.builder(weights).sharedNetwork(n.config.Skeleton, mixed(mixture, z), batch[0])
	return crossEntropy(logits, batch[1]), logits
}

// mixtureGradient is the gradient of the mixture's weights α: that of the validation
// loss, or for second order (DARTS, Eq. 7 and 8), with w' = w − ξ·∇w Ltrain(w, α),
//
//	∇α Lval(w', α) − ξ·(∇α Ltrain(w⁺, α) − ∇α Ltrain(w⁻, α))/2ε
//
// where w± = w ± ε·∇w' Lval(w', α), ε = 0.01/‖∇w' Lval‖, and ξ is the learning rate.
func (n *Net) mixtureGradient(weights, mixture, train, validation []*Node, rate *Node, z noise) []*Node {
	if !n.config.SecondOrder {
		loss, _ := n.mixedLoss(weights, mixture, validation, z)
		return Gradient(loss, mixture...)
	}
	moved := func(by *Node, along []*Node) []*Node {
		to := make([]*Node, len(weights))
		for i, w := range weights {
			to[i] = Add(w, times(by, along[i]))
		}
		return to
	}
	loss, _ := n.mixedLoss(weights, mixture, train, z)
	ahead := moved(Neg(rate), Gradient(loss, weights...))
	fix(ahead)
	loss, _ = n.mixedLoss(ahead, mixture, validation, z)
	all := Gradient(loss, append(slices.Clone(ahead), mixture...)...)
	direction, direct := all[:len(ahead)], all[len(ahead):]
	fix(direction)
	square := ScalarZero(rate.Graph(), rate.DType())
	for _, d := range direction {
		square = Add(square, ReduceAllSum(Square(d)))
	}
	epsilon := MulScalar(Inverse(Sqrt(AddScalar(square, 1e-12))), 0.01)
	up, _ := n.mixedLoss(moved(epsilon, direction), mixture, train, z)
	down, _ := n.mixedLoss(moved(Neg(epsilon), direction), mixture, train, z)
	difference := Gradient(Sub(up, down), mixture...)
	gradients := make([]*Node, len(mixture))
	for i := range gradients {
		gradients[i] = Sub(direct[i], times(Div(rate, MulScalar(epsilon, 2)), difference[i]))
	}
	return gradients
}

// fix makes nodes constants for later gradients.
func fix(nodes []*Node) {
	for i, node := range nodes {
		nodes[i] = StopGradient(node)
	}
}

// relaxedStep does a step of DARTS or FBNet.
func (n *Net) relaxedStep(step int, train, validation batch, rate float64, rng *rand.Rand) (loss, accuracy float64, err error) {
	temperature := 1.0
	operations, edges := make([]float32, vertices*ops), make([]float32, ends*ends)
	if n.config.Method == FBNet {
		done := float64(step) / float64(n.config.Steps)
		temperature = n.config.Temperature * math.Pow(n.config.Cooling/n.config.Temperature, done)
		for _, values := range [][]float32{operations, edges} {
			for i := range values {
				values[i] = float32(-math.Log(rng.ExpFloat64())) // Gumbel
			}
		}
	}
	out, err := n.relaxed.call(train.images, train.labels, validation.images, validation.labels,
		tensors.FromScalar(float32(rate)), tensors.FromScalar(float32(step+1)), tensors.FromScalar(float32(temperature)),
		tensors.FromFlatDataAndDimensions(operations, vertices, ops), tensors.FromFlatDataAndDimensions(edges, ends, ends))
	if err != nil {
		return 0, 0, fmt.Errorf("supernet: cannot train: %w", err)
	}
	return scalar(out[0]), scalar(out[1]) / float64(train.size), nil
}

// strongest is the cell of the strongest parts of the mixture: the first operation of
// each vertex, the first edge into each vertex, and the strongest of all other edges
// until there are nine. Vertices that lead nowhere are pruned then.
func (n *Net) strongest() (nasbench101.Cell, error) {
	var weights [2][]float32
	for i, v := range mixtureVariables(n.store.RootScope()) {
		value, err := v.Value()
		if err != nil {
			return nasbench101.Cell{}, fmt.Errorf("supernet: %w", err)
		}
		weights[i] = tensors.MustCopyFlatData[float32](value)
	}
	return strongestCell(weights[0], weights[1])
}

// strongestCell is that cell for the weights of the ops [5, 3] and the edges [7, 7].
func strongestCell(opWeights, edgeWeights []float32) (nasbench101.Cell, error) {
	names := []string{"input"}
	for v := range vertices {
		best := 0
		for op := range ops {
			if opWeights[v*ops+op] > opWeights[v*ops+best] {
				best = op
			}
		}
		names = append(names, nasbench101.Op(best).String())
	}
	names = append(names, "output")

	type edge struct {
		from, to int
		share    float64 // of what enters the vertex
	}
	matrix := make([][]int, ends)
	for i := range matrix {
		matrix[i] = make([]int, ends)
	}
	var others []edge
	for to := 1; to < ends; to++ {
		sum, first := 0.0, 0
		for from := range to {
			sum += math.Exp(float64(edgeWeights[from*ends+to]))
			if edgeWeights[from*ends+to] > edgeWeights[first*ends+to] {
				first = from
			}
		}
		matrix[first][to] = 1
		for from := range to {
			if from != first {
				others = append(others, edge{from, to, math.Exp(float64(edgeWeights[from*ends+to])) / sum})
			}
		}
	}
	slices.SortStableFunc(others, func(a, b edge) int { return cmp.Compare(b.share, a.share) })
	for _, e := range others[:nasbench101.MaxEdges-(ends-1)] {
		matrix[e.from][e.to] = 1
	}
	return nasbench101.New(matrix, names)
}
