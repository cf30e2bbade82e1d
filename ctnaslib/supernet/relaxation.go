package supernet

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/ctnas/ctnas/ctnaslib/nn"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// scopeArchitecture holds the architecture weights of the continuous relaxation of all cells, before softmax. They
// start at zero.
const scopeArchitecture = "/architecture"

// architecture returns them: of the operations [5, 3], and of the edges i → j, where i < j, [7, 7].
func architecture() []nn.ParameterSpec {
	return []nn.ParameterSpec{{Name: "ops", Dims: []int{vertices, ops}}, {Name: "edges", Dims: []int{ends, ends}}}
}

func (s *Supernet) createArchitecture() error {
	for _, p := range architecture() {
		if err := s.model.Create(scopeArchitecture, p, func() float64 { return 0 }); err != nil {
			return err
		}
	}
	return nil
}

// architectureVariables returns the variables of [architecture], in its order.
func (s *Supernet) architectureVariables() []*model.Variable {
	var variables []*model.Variable
	for _, p := range architecture() {
		variables = append(variables, s.model.Store.GetVariable(scopeArchitecture+"/"+p.Name))
	}
	return variables
}

// noise is Gumbel noise that is added to the architecture weights, [5, 3] and [7, 7], and the temperature that they are
// divided by then, a scalar: zeros and one for DARTS.
type noise struct{ ops, edges, temperature *Node }

// relax returns the wiring of the continuous relaxation with some architecture weights, [5, 3] and [7, 7]: softmax over
// the operations of each vertex, and over the edges that enter each vertex. All vertices have all channels; the output
// is the sum of what enters it.
func relax(architecture []*Node, z noise) wiringNodes {
	warm := func(logits, noise *Node) *Node {
		return Mul(Add(logits, noise), ExpandLeftToRank(Inverse(z.temperature), 2))
	}
	g := architecture[0].Graph()
	row, column := Iota(g, nn.Shape(ends, ends), 0), Iota(g, nn.Shape(ends, ends), 1)
	forward := ConvertDType(LessThan(row, column), row.DType()) // 1 for i → j with i < j
	logits := Add(warm(architecture[1], z.edges), MulScalar(OneMinus(forward), -1e9))
	edges := Mul(Softmax(logits, 0), forward)
	leading := Slice(edges, AxisRange(1, ends-1), AxisElem(ends-1))
	return wiringNodes{edges: edges, ops: Softmax(warm(architecture[0], z.ops), -1), slots: Transpose(leading, 0, 1), relaxed: true}
}

// relaxationGraph builds one step of DARTS or FBNet: of the architecture weights on held-out images, and then of the
// network's on training images. The inputs are training images [batch, side, side, 3] and labels [batch], held-out
// images and labels likewise, the learning rate, the number of the step from 1 and the temperature, scalars, and the
// noise of the operations [5, 3] and the edges [7, 7]. It returns, as scalars, the loss on the training images, and how
// many of them are right.
func (s *Supernet) relaxationGraph(_ *model.Scope, inputs []*Node) []*Node {
	train, held := inputs[0:2], inputs[2:4]
	rate, t := inputs[4], inputs[5]
	z := noise{temperature: inputs[6], ops: inputs[7], edges: inputs[8]}
	g, variables, architecture := t.Graph(), s.model.Variables(nn.Weights), s.architectureVariables()

	gradients := s.architectureGradient(nn.Values(g, variables), nn.Values(g, architecture), train, held, rate, z)
	adam := nn.Adam{LearningRate: s.config.ArchitectureLearningRate, WeightDecay: s.config.ArchitectureWeightDecay}
	adam.Step(s.model.Store, architecture, gradients, t)

	weights := nn.Values(g, variables)
	moved := nn.StopGradients(nn.Values(g, architecture)) // it was moved by a gradient that depends on the weights
	loss, logits := s.relaxationLoss(weights, moved, train, z)
	s.optimizer().Step(s.model.Store, variables, nn.ClipNorm(Gradient(loss, weights...), s.config.GradientClip), rate, nil)
	return []*Node{loss, nn.NumberCorrect(logits, train[1])}
}

// relaxationLoss returns the loss of the continuous relaxation, a scalar, on a batch's images [batch, side, side, 3]
// and labels [batch], and its logits [batch, classes].
func (s *Supernet) relaxationLoss(weights, architecture, batch []*Node, z noise) (loss, logits *Node) {
	logits = builder{s.model.Builder(weights)}.sharedNetwork(s.config.Skeleton, relax(architecture, z), batch[0])
	return nn.CrossEntropy(logits, batch[1]), logits
}

// architectureGradient returns the gradient of the architecture weights α, [5, 3] and [7, 7]: that of the loss on
// held-out images, or for second order (DARTS, Eq. 7 and 8), with w' = w − ξ·∇w Ltrain(w, α),
//
//	∇α Lval(w', α) − ξ·(∇α Ltrain(w⁺, α) − ∇α Ltrain(w⁻, α))/2ε
//
// where w± = w ± ε·∇w' Lval(w', α), ε = 0.01/‖∇w' Lval‖, and ξ is the learning rate, a scalar.
func (s *Supernet) architectureGradient(weights, architecture, train, held []*Node, rate *Node, z noise) []*Node {
	if !s.config.SecondOrder {
		loss, _ := s.relaxationLoss(weights, architecture, held, z)
		return Gradient(loss, architecture...)
	}
	moved := func(by *Node, along []*Node) []*Node {
		to := make([]*Node, len(weights))
		for i, w := range weights {
			to[i] = Add(w, nn.Times(by, along[i]))
		}
		return to
	}
	loss, _ := s.relaxationLoss(weights, architecture, train, z)
	ahead := nn.StopGradients(moved(Neg(rate), Gradient(loss, weights...)))
	loss, _ = s.relaxationLoss(ahead, architecture, held, z)
	all := Gradient(loss, append(slices.Clone(ahead), architecture...)...)
	direction, direct := nn.StopGradients(all[:len(ahead)]), all[len(ahead):]
	square := ScalarZero(rate.Graph(), rate.DType())
	for _, d := range direction {
		square = Add(square, ReduceAllSum(Square(d)))
	}
	epsilon := MulScalar(Inverse(Sqrt(AddScalar(square, 1e-12))), 0.01)
	up, _ := s.relaxationLoss(moved(epsilon, direction), architecture, train, z)
	down, _ := s.relaxationLoss(moved(Neg(epsilon), direction), architecture, train, z)
	difference := Gradient(Sub(up, down), architecture...)
	gradients := make([]*Node, len(architecture))
	for i := range gradients {
		gradients[i] = Sub(direct[i], nn.Times(Div(rate, MulScalar(epsilon, 2)), difference[i]))
	}
	return gradients
}

// relaxationStep does a step of DARTS or FBNet, counted from 0. Only FBNet draws from rng.
func (s *Supernet) relaxationStep(step int, train, held nn.Batch, rate float64, rng *rand.Rand) (loss, accuracy float64, err error) {
	temperature := 1.0
	operations, edges := make([]float32, vertices*ops), make([]float32, ends*ends)
	if s.config.Method == FBNet {
		done := float64(step) / float64(s.config.Steps)
		temperature = s.config.Temperature * math.Pow(s.config.FinalTemperature/s.config.Temperature, done)
		for _, values := range [][]float32{operations, edges} {
			for i := range values {
				values[i] = float32(-math.Log(rng.ExpFloat64())) // Gumbel
			}
		}
	}
	loss, accuracy, err = s.relaxation.Measure(train, train.Images, train.Labels, held.Images, held.Labels,
		tensors.FromScalar(float32(rate)), tensors.FromScalar(float32(step+1)), tensors.FromScalar(float32(temperature)),
		tensors.FromFlatDataAndDimensions(operations, vertices, ops), tensors.FromFlatDataAndDimensions(edges, ends, ends))
	if err != nil {
		return 0, 0, fmt.Errorf("supernet: cannot train: %w", err)
	}
	return loss, accuracy, nil
}

// strongest returns the cell of the strongest parts of the continuous relaxation: the first operation of each vertex,
// the first edge into each vertex, and the strongest of all other edges until there are nine. Vertices that lead
// nowhere are pruned then.
func (s *Supernet) strongest() (nasbench101.Cell, error) {
	var weights [2][]float32
	for i, v := range s.architectureVariables() {
		value, err := v.Value()
		if err != nil {
			return nasbench101.Cell{}, fmt.Errorf("supernet: %w", err)
		}
		weights[i] = tensors.MustCopyFlatData[float32](value)
	}
	return strongestCell(weights[0], weights[1])
}

// strongestCell returns that cell for the weights of the ops [5, 3] and the edges [7, 7].
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
