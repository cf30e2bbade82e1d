package encoder

import (
	"fmt"
	"math/rand/v2"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/layers/activation"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// MLP describes a multi-layer perceptron on a fixed vector of an architecture, for
// spaces that are [space.Featured]: linear layers with ReLU between them. It is what
// the authors' code has in place of the graph convolutions for the MobileNetV3 space,
// with 3 layers of width 512.
type MLP struct {
	Layers int // linear layers
	Width  int // outputs of each
}

// Check reports what is wrong with the description.
func (m MLP) Check() error {
	if m.Layers < 1 || m.Width < 1 {
		return fmt.Errorf("encoder: an MLP needs at least one layer of width one, not %d of %d", m.Layers, m.Width)
	}
	return nil
}

// Dim is Width.
func (m MLP) Dim(Sizes) int { return m.Width }

// Create makes the weights in scope, uniform ±1/√n with n the number of inputs. The
// error says that the space has no vectors.
func (m MLP) Create(scope *model.Scope, sizes Sizes, rng *rand.Rand) error {
	if sizes.Features == 0 {
		return fmt.Errorf("encoder: the architectures of this space have no vector for an MLP; use a GCN")
	}
	inputs := sizes.Features
	for l := range m.Layers {
		if err := engine.NewVariable(scope, fmt.Sprintf(nameWeight, l), Uniform(rng, inputs), inputs, m.Width); err != nil {
			return err
		}
		if err := engine.NewVariable(scope, fmt.Sprintf(nameBias, l), Uniform(rng, inputs), m.Width); err != nil {
			return err
		}
		inputs = m.Width
	}
	return nil
}

// Inputs lays out the vectors of archs: [batch, features]. The error names the first
// architecture without one of that length.
func (m MLP) Inputs(archs []space.Arch, sizes Sizes, batch int) ([]*tensors.Tensor, error) {
	flat := make([]float32, 0, batch*sizes.Features)
	for _, a := range archs {
		f, ok := a.(space.Vector)
		if !ok || len(f.Vector()) != sizes.Features {
			return nil, fmt.Errorf("encoder: architecture %s has no vector of %d numbers", a, sizes.Features)
		}
		flat = append(flat, f.Vector()...)
	}
	flat = append(flat, make([]float32, batch*sizes.Features-len(flat))...)
	return []*tensors.Tensor{tensors.FromFlatDataAndDimensions(flat, batch, sizes.Features)}, nil
}

// Encode builds the features from what [MLP.Inputs] laid out.
func (m MLP) Encode(scope *model.Scope, _ Sizes, inputs []*Node) *Node {
	x := inputs[0]
	for l := range m.Layers {
		if l > 0 {
			x = activation.Relu(x)
		}
		x = MatMul(x, scope.GetVariable(fmt.Sprintf(nameWeight, l)).NodeValue(x))
		x = Add(x, ExpandLeftToRank(scope.GetVariable(fmt.Sprintf(nameBias, l)).NodeValue(x), 2))
	}
	return x
}
