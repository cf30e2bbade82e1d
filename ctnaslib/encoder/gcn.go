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

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/layers/activation"
	"github.com/gomlx/gomlx/ml/model"
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

// Encode builds the features from what [GCN.Inputs] laid out.
func (c GCN) Encode(scope *model.Scope, sizes Sizes, inputs []*Node) *Node {
	adjacency, ops := inputs[0], inputs[1]
	g := ops.Graph()
	variable := func(format string, args ...any) *Node {
		return scope.GetVariable(fmt.Sprintf(format, args...)).NodeValue(g)
	}
	self := ExpandAxes(DiagonalWithValue(ScalarOne(g, dtypes.Float32), ops.Shape().Dim(1)), 0)
	forward := Add(Transpose(adjacency, 1, 2), self) // row j selects the predecessors of j, and j
	backward := Add(adjacency, self)                 // row i selects the successors of i, and i
	if c.Direction == Backward {
		forward = backward
	}
	hear := func(from, x *Node, weight string, layer int) *Node {
		return Einsum("bij,bjw->biw", from, MatMul(x, variable(weight, layer)))
	}
	x := Gather(variable(nameEmbedding), ExpandAxes(ops, -1)) // [batch, nodes, width]
	for l := range c.Layers {
		h := hear(forward, x, nameWeight, l)
		if c.Direction == Both {
			h = Add(h, hear(backward, x, nameBackward, l))
		}
		if c.Residual {
			h = Add(h, x)
		}
		if c.Bias {
			h = Add(h, ExpandLeftToRank(variable(nameBias, l), 3))
		}
		if l < c.Layers-1 || c.FinalReLU {
			h = activation.Relu(h)
		}
		x = h
	}
	cells := Reshape(x, ops.Shape().Dim(0), sizes.Cells, sizes.Nodes/sizes.Cells, c.Width)
	return Reshape(ReduceMean(cells, 2), ops.Shape().Dim(0), c.Dim(sizes))
}
