// Package encoder turns architectures into features: the graph convolutional
// network of the paper (Sec. 4.1, Eq. 7), shared by the comparator and by the
// predictors it is measured against.
//
//	gcn := encoder.GCN{Layers: 2, Width: 128}
//	err := gcn.Create(scope, space.Ops(), rng)  // its weights
//	z := gcn.Encode(scope, adjacency, ops)      // in a graph function: [batch, width]
package encoder

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/layers/activation"
	"github.com/gomlx/gomlx/ml/model"
)

// Messages says along which edges a node of the graph hears from others.
type Messages string

const (
	// Forward messages follow the data: a node hears from its predecessors, as in
	// the paper's and the authors' comparators.
	Forward Messages = "forward"

	// Backward messages go against the data: a node hears from its successors.
	Backward Messages = "backward"

	// Both directions, with weights of their own.
	Both Messages = "both"
)

// GCN describes a graph convolutional network: learned embeddings of the
// operations, then layers
//
//	X ← φ(Â X W [+ Â' X W'] [+ X] [+ b])          (Eq. 7)
//
// with Â the adjacency matrix of the messages plus the identity, and the mean over
// all nodes, padding included, as the feature.
type GCN struct {
	Layers    int  // graph convolutions
	Width     int  // of the embeddings and of every layer
	Residual  bool // add a layer's input to its output
	Bias      bool // add a learned bias in every layer
	FinalReLU bool // apply ReLU after the last layer too
	Messages  Messages
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
	if c.Messages != Forward && c.Messages != Backward && c.Messages != Both {
		return fmt.Errorf("encoder: unknown messages %q; use encoder.Forward, encoder.Backward or encoder.Both", c.Messages)
	}
	return nil
}

// Create makes the weights in scope, drawn as in the authors' code: standard normal
// embeddings of the given number of operations, and uniform ±1/√n for the rest,
// with n the number of inputs.
func (c GCN) Create(scope *model.Scope, ops int, rng *rand.Rand) error {
	err := engine.NewVariable(scope, nameEmbedding, rng.NormFloat64, ops, c.Width)
	create := func(name string, layer int, dims ...int) {
		if err == nil {
			err = engine.NewVariable(scope, fmt.Sprintf(name, layer), Uniform(rng, c.Width), dims...)
		}
	}
	for l := range c.Layers {
		create(nameWeight, l, c.Width, c.Width)
		if c.Messages == Both {
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

// Encode builds the features [batch, width] from adjacency [batch, nodes, nodes], 1
// for an edge i → j, and ops [batch, nodes], int32, with the weights in scope.
func (c GCN) Encode(scope *model.Scope, adjacency, ops *Node) *Node {
	g := ops.Graph()
	variable := func(format string, args ...any) *Node {
		return scope.GetVariable(fmt.Sprintf(format, args...)).NodeValue(g)
	}
	self := ExpandAxes(DiagonalWithValue(ScalarOne(g, dtypes.Float32), ops.Shape().Dim(1)), 0)
	forward := Add(Transpose(adjacency, 1, 2), self) // row j selects the predecessors of j, and j
	backward := Add(adjacency, self)                 // row i selects the successors of i, and i
	if c.Messages == Backward {
		forward = backward
	}
	hear := func(from, x *Node, weight string, layer int) *Node {
		return Einsum("bij,bjw->biw", from, MatMul(x, variable(weight, layer)))
	}
	x := Gather(variable(nameEmbedding), ExpandAxes(ops, -1)) // [batch, nodes, width]
	for l := range c.Layers {
		h := hear(forward, x, nameWeight, l)
		if c.Messages == Both {
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
	return ReduceMean(x, 1)
}
