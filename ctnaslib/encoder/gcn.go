// Package encoder turns architectures into features: the graph convolutional
// network of the paper (Sec. 4.1, Eq. 7), shared by the comparator and by the
// predictors it is measured against.
//
//	gcn := encoder.GCN{Layers: 2, Width: 128, Direction: encoder.Forward}
//	err := gcn.Create(scope, sizes, rng)   // its weights
//	inputs, err := gcn.Inputs(archs, sizes, len(archs))
//	z := gcn.Encode(scope, sizes, inputs)  // in a graph function: [batch, gcn.Dim(sizes)]
package encoder

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/nn"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// Direction says along which edges a node of the graph hears from others.
type Direction string

const (
	// Forward messages follow the data: a node hears from its predecessors, as in
	// the paper's and the authors' comparators.
	Forward Direction = "forward"

	// Backward messages go against the data: a node hears from its successors.
	Backward Direction = "backward"

	// Both directions, with weights of their own.
	Both Direction = "both"
)

// GCN describes a graph convolutional network: learned embeddings of the
// operations, then layers
//
//	X ← φ(Â X W [+ Â' X W'] [+ X] [+ b])          (Eq. 7)
//
// with Â the adjacency matrix of the messages plus the identity, and the mean over
// all nodes of each cell, padding included, as the feature: one cell's after the other,
// where an architecture has several (see [space.Cellular]).
type GCN struct {
	Layers    int  // graph convolutions
	Width     int  // of the embeddings and of every layer
	Residual  bool // add a layer's input to its output
	Bias      bool // add a learned bias in every layer
	FinalReLU bool // apply ReLU after the last layer too
	Direction Direction
}

// The names of the weights in their scope.
const (
	nameEmbedding = "embedding"      // [ops, width]
	nameWeight    = "weight_%d"      // of each layer, [width, width]
	nameBackward  = "weight_back_%d" // of each layer, for backward messages beside forward ones
	nameBias      = "bias_%d"        // of each layer, [width]
)

// Check reports what is wrong with the description.
func (c GCN) Check() error {
	if c.Layers < 1 || c.Width < 1 {
		return fmt.Errorf("encoder: a GCN needs at least one layer of width one, not %d of %d", c.Layers, c.Width)
	}
	if c.Direction != Forward && c.Direction != Backward && c.Direction != Both {
		return fmt.Errorf("encoder: unknown messages %q; use encoder.Forward, encoder.Backward or encoder.Both", c.Direction)
	}
	return nil
}

// Dim is Width for every cell of an architecture.
func (c GCN) Dim(sizes Sizes) int { return sizes.Cells * c.Width }

// Create makes the weights in scope, drawn as in the authors' code: standard normal
// embeddings of the operations, and uniform ±1/√n for the rest, with n the number of
// inputs.
func (c GCN) Create(scope *model.Scope, sizes Sizes, rng *rand.Rand) error {
	err := engine.NewVariable(scope, nameEmbedding, rng.NormFloat64, sizes.Ops, c.Width)
	create := func(name string, layer int, dims ...int) {
		if err == nil {
			err = engine.NewVariable(scope, fmt.Sprintf(name, layer), Uniform(rng, c.Width), dims...)
		}
	}
	for l := range c.Layers {
		create(nameWeight, l, c.Width, c.Width)
		if c.Direction == Both {
			create(nameBackward, l, c.Width, c.Width)
		}
		if c.Bias {
			create(nameBias, l, c.Width)
		}
	}
	return err
}

// Uniform draws from ±1/√inputs: the initial weights of a linear layer.
func Uniform(rng *rand.Rand, inputs int) func() float64 {
	bound := 1 / math.Sqrt(float64(inputs))
	return func() float64 { return bound * (2*rng.Float64() - 1) }
}

// Inputs lays out the graphs of archs: the adjacency matrices [batch, nodes, nodes], 1
// for an edge i → j, and the operations [batch, nodes], int32.
func (c GCN) Inputs(archs []space.Arch, sizes Sizes, batch int) ([]*tensors.Tensor, error) {
	b, err := space.NewBatch(archs, sizes.Nodes)
	if err != nil {
		return nil, err
	}
	n, padding := sizes.Nodes, batch-b.Size
	b.Adjacency = append(b.Adjacency, make([]float32, padding*n*n)...)
	b.Ops = append(b.Ops, make([]int32, padding*n)...)
	return []*tensors.Tensor{tensors.FromFlatDataAndDimensions(b.Adjacency, batch, n, n), tensors.FromFlatDataAndDimensions(b.Ops, batch, n)}, nil
}

// Encode builds the features from what [GCN.Inputs], or [Inputs], laid out.
func (c GCN) Encode(scope *model.Scope, sizes Sizes, inputs []*Node) *Node {
	z, _ := c.EncodeWithGradient(scope, sizes, inputs)
	return z
}

// EncodeWithGradient builds the features, [batch, Dim], and returns what builds the gradients of a loss
// with respect to the weights, by their names, from that with respect to the features. Differentiated
// automatically, most of the time of a step would go into laying out matrices again: here every product
// reads its operands as they are, but one for each weight.
func (c GCN) EncodeWithGradient(scope *model.Scope, sizes Sizes, inputs []*Node) (z *Node, gradient func(dz *Node) map[string]*Node) {
	n := c.network(scope, sizes, inputs)
	var layers []gcnLayer
	var x *Node // [rows, width]; nil for the embeddings, which n has
	for l := range c.Layers {
		layer := n.layer(l, x)
		layers, x = append(layers, layer), layer.y
	}
	mean := n.rows.mean(x)
	return Reshape(mean, -1, c.Dim(sizes)), func(dz *Node) map[string]*Node {
		gradients := make(map[string]*Node)
		dy := n.rows.spread(Reshape(dz, mean.Shape().Dimensions...))
		for l := c.Layers - 1; l >= 0; l-- {
			dy = n.backward(l, layers[l], dy, gradients)
		}
		return gradients
	}
}

// rows is how the nodes of a batch of graphs are laid out as rows of matrices. What it builds reads a layer's
// input of [rows, width] for its output, or the other way for gradients.
type rows interface {
	// chosen builds the operations of the first layer's rows, one-hot, and heard how often a row hears each
	// operation, itself included, in a direction: [rows, ops].
	chosen() *Node
	heard(direction int) *Node

	// hear builds Â X of layer l > 0, and tell Âᵀ G.
	hear(l, direction int, x *Node) *Node
	tell(l, direction int, g *Node) *Node

	// keep builds the inputs of layer l > 0 at the rows of its outputs, and giveBack the gradient of the inputs.
	keep(l int, x *Node) *Node
	giveBack(l int, g *Node) *Node

	// mean builds the mean over the nodes of each cell, [batch·cells, width], and spread the gradient of the rows.
	mean(x *Node) *Node
	spread(dz *Node) *Node
}

// gcnNetwork is a GCN in a graph.
type gcnNetwork struct {
	GCN
	scope     *model.Scope
	rows      rows
	embedding *Node    // [ops, width]
	weights   []string // of each direction
}

// gcnLayer is what a layer has computed.
type gcnLayer struct {
	heard    []*Node // Â X of each direction, [rows, width]; of the first layer how often each operation is heard, [rows, ops]
	positive *Node   // 1 where the output is, else 0, [rows, width]; nil for a linear layer
	y        *Node   // the output, [rows, width]
}

func (c GCN) network(scope *model.Scope, sizes Sizes, inputs []*Node) *gcnNetwork {
	n := &gcnNetwork{GCN: c, scope: scope, weights: []string{nameWeight}}
	if c.Direction == Both {
		n.weights = append(n.weights, nameBackward)
	}
	n.embedding = scope.GetVariable(nameEmbedding).NodeValue(inputs[0])
	if len(inputs) == sharedInputs {
		n.rows = newSharedRows(sizes, inputs)
	} else {
		n.rows = newCellRows(c.Direction, sizes, inputs)
	}
	return n
}

// variable returns the value of a weight.
func (n *gcnNetwork) variable(format string, args ...any) *Node {
	return n.scope.GetVariable(fmt.Sprintf(format, args...)).NodeValue(n.embedding)
}

// layer builds layer l on x, [rows, width]. The first layer has the embeddings in place of x: as they
// are few, it multiplies those, and counts how often each is heard.
func (n *gcnNetwork) layer(l int, x *Node) gcnLayer {
	var layer gcnLayer
	var h *Node
	add := func(term *Node) {
		if h == nil {
			h = term
		} else {
			h = Add(h, term)
		}
	}
	for d, name := range n.weights {
		w := n.variable(name, l)
		var heard *Node
		if l == 0 {
			heard, w = n.rows.heard(d), MatMul(n.embedding, w)
		} else {
			heard = n.rows.hear(l, d, x)
		}
		layer.heard = append(layer.heard, heard)
		var bias *Node
		if n.Bias && d == 0 {
			bias = n.variable(nameBias, l)
		}
		add(nn.Dense(heard, w, bias, compute.DenseLayoutInputOutputs))
	}
	if n.Residual && l == 0 {
		add(MatMul(n.rows.chosen(), n.embedding))
	} else if n.Residual {
		add(n.rows.keep(l, x))
	}
	layer.y = h
	if l < n.Layers-1 || n.FinalReLU {
		layer.y = Max(h, ScalarZero(h.Graph(), dtypes.Float32))
		layer.positive = Sign(layer.y)
	}
	return layer
}

// ones builds a matrix of ones. Sums by products are several times as fast on the pure Go backend.
func ones(like *Node, dims ...int) *Node {
	return Ones(like.Graph(), shapes.Make(dtypes.Float32, dims...))
}

// transposedProduct builds Aᵀ B of [rows, n] and [rows, m]. The pure Go backend would lay both out again, number by
// number, which takes several times as long as a product with the identity matrix.
func transposedProduct(a, b *Node) *Node {
	if engine.Describe(a.Graph().Backend()) != "go" {
		return DotGeneral(a, []int{0}, nil, b, []int{0}, nil)
	}
	identity := DiagonalWithValue(ScalarOne(a.Graph(), dtypes.Float32), a.Shape().Dim(1))
	return MatMul(DotGeneral(identity, []int{1}, nil, a, []int{1}, nil), b)
}

// backward builds the gradients of the weights of layer l from that of its output, and returns that of its
// input, nil for the first layer; all but the weights' are [rows, width].
func (n *gcnNetwork) backward(l int, layer gcnLayer, dy *Node, gradients map[string]*Node) (dx *Node) {
	if layer.positive != nil {
		dy = Mul(dy, layer.positive)
	}
	if n.Bias {
		gradients[fmt.Sprintf(nameBias, l)] = Reshape(MatMul(ones(dy, 1, dy.Shape().Dim(0)), dy), n.Width)
	}
	if l == 0 {
		n.backwardEmbedding(layer, dy, gradients)
		return nil
	}
	if n.Residual {
		dx = n.rows.giveBack(l, dy)
	}
	for d, name := range n.weights {
		gradients[fmt.Sprintf(name, l)] = transposedProduct(layer.heard[d], dy)
		term := n.rows.tell(l, d, DotGeneral(dy, []int{1}, nil, n.variable(name, l), []int{1}, nil))
		if dx == nil {
			dx = term
		} else {
			dx = Add(dx, term)
		}
	}
	return dx
}

// backwardEmbedding builds the gradients of the embedding and of the first layer's weights.
func (n *gcnNetwork) backwardEmbedding(layer gcnLayer, dy *Node, gradients map[string]*Node) {
	dEmbedding := ZerosLike(n.embedding)
	if n.Residual {
		dEmbedding = transposedProduct(n.rows.chosen(), dy)
	}
	for d, name := range n.weights {
		heard := transposedProduct(layer.heard[d], dy) // of E W, [ops, width]
		gradients[fmt.Sprintf(name, 0)] = transposedProduct(n.embedding, heard)
		dEmbedding = Add(dEmbedding, DotGeneral(heard, []int{1}, nil, n.variable(name, 0), []int{1}, nil))
	}
	gradients[nameEmbedding] = dEmbedding
}

// cellRows has a row for each node of each cell, padding included: [batch·nodes, width]. It multiplies by the
// adjacency matrices.
type cellRows struct {
	sizes  Sizes
	batch  int
	onehot *Node   // the operations, [batch, nodes, ops]
	from   []*Node // Â of each direction, [batch, nodes, nodes]: row j selects what j hears from
	to     []*Node // their transposes
}

// newCellRows takes what [GCN.Inputs] lays out.
func newCellRows(direction Direction, sizes Sizes, inputs []*Node) *cellRows {
	adjacency, ops := inputs[0], inputs[1]
	self := ExpandAxes(DiagonalWithValue(ScalarOne(ops.Graph(), dtypes.Float32), ops.Shape().Dim(1)), 0)
	predecessors, successors := Add(Transpose(adjacency, 1, 2), self), Add(adjacency, self)
	r := &cellRows{sizes: sizes, batch: ops.Shape().Dim(0), onehot: OneHot(ops, sizes.Ops, dtypes.Float32)}
	if direction != Backward {
		r.from, r.to = append(r.from, predecessors), append(r.to, successors)
	}
	if direction != Forward {
		r.from, r.to = append(r.from, successors), append(r.to, predecessors)
	}
	return r
}

// messages builds Â X, [batch·nodes, width], from Â, [batch, nodes, nodes], and X, [batch·nodes, width].
func (r *cellRows) messages(from, x *Node) *Node {
	return Reshape(Einsum("bij,bjw->biw", from, Reshape(x, r.batch, r.sizes.Nodes, -1)), r.batch*r.sizes.Nodes, -1)
}

func (r *cellRows) chosen() *Node { return Reshape(r.onehot, r.batch*r.sizes.Nodes, -1) }

func (r *cellRows) heard(direction int) *Node { return r.messages(r.from[direction], r.onehot) }

func (r *cellRows) hear(_, direction int, x *Node) *Node { return r.messages(r.from[direction], x) }

func (r *cellRows) tell(_, direction int, g *Node) *Node { return r.messages(r.to[direction], g) }

func (r *cellRows) keep(_ int, x *Node) *Node { return x }

func (r *cellRows) giveBack(_ int, g *Node) *Node { return g }

func (r *cellRows) mean(x *Node) *Node {
	cells, nodes := r.batch*r.sizes.Cells, r.sizes.Nodes/r.sizes.Cells
	mean := DivScalar(ones(x, cells, 1, nodes), nodes)
	return Reshape(Einsum("bij,bjw->biw", mean, Reshape(x, cells, nodes, -1)), cells, -1)
}

func (r *cellRows) spread(dz *Node) *Node {
	cells, nodes := r.batch*r.sizes.Cells, r.sizes.Nodes/r.sizes.Cells
	mean := DivScalar(ones(dz, cells, nodes, 1), nodes)
	return Reshape(Einsum("bij,bjw->biw", mean, Reshape(dz, cells, 1, -1)), cells*nodes, -1)
}
