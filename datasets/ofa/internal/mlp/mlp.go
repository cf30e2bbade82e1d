// Package mlp is a multi-layer perceptron: linear layers with ReLU between them.
package mlp

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/datasets/internal/weights"
)

// layer is a linear layer: x ↦ x·weightsᵀ + bias.
type layer struct {
	weights *mat.Dense // [outputs, inputs]
	bias    []float64
}

// Net is a perceptron, its first layer first. It is safe for concurrent use.
type Net []layer

// Parts returns the numbers of a perceptron, all zero, with so many inputs and then so many
// outputs of each layer: of each layer the weights [outputs, inputs], which files have in
// half precision, then the bias.
func Parts(widths ...int) []weights.Part {
	var parts []weights.Part
	for i, outputs := range widths[1:] {
		w := weights.NewPart(fmt.Sprintf("weights_%d", i), outputs, widths[i])
		w.Half = true
		parts = append(parts, w, weights.NewPart(fmt.Sprintf("bias_%d", i), outputs))
	}
	return parts
}

// New makes the perceptron with these [Parts], which it copies.
func New(parts []weights.Part) Net {
	var n Net
	for i := 0; i < len(parts); i += 2 {
		w, bias := parts[i], parts[i+1]
		n = append(n, layer{mat.NewDense(w.Dims[0], w.Dims[1], wide(w.Values)), wide(bias.Values)})
	}
	return n
}

func wide(values []float32) []float64 {
	all := make([]float64, len(values))
	for i, v := range values {
		all[i] = float64(v)
	}
	return all
}

// Embedded are the inputs, and the outputs of the layers, of the model that is part of the
// program.
var Embedded = []int{mobilenetv3.Features, 240, 240, 1}

// name is that of this model in its file.
const name = "Once-for-All predictor surrogate 1"

// Encode writes the parts of the [Embedded] model to bytes.
func Encode(parts []weights.Part) []byte { return weights.Encode(name, parts) }

// Decode reads what [Encode] wrote.
func Decode(data []byte) ([]weights.Part, error) {
	parts := Parts(Embedded...)
	if err := weights.Decode(name, data, parts, nil); err != nil {
		return nil, fmt.Errorf("ofa: %w", err)
	}
	return parts, nil
}

// Inputs returns the number of inputs.
func (n Net) Inputs() int { return n[0].weights.RawMatrix().Cols }

// Apply computes the outputs [batch, outputs] of inputs [batch, inputs].
func (n Net) Apply(x mat.Matrix) *mat.Dense {
	var y *mat.Dense
	for i, l := range n {
		y = new(mat.Dense)
		y.Mul(x, l.weights.T())
		y.Apply(func(_, output int, v float64) float64 {
			v += l.bias[output]
			if i < len(n)-1 {
				v = max(v, 0)
			}
			return v
		}, y)
		x = y
	}
	return y
}

// Digest returns the beginning of the SHA-256 of all weights.
func (n Net) Digest() string {
	h := sha256.New()
	for _, l := range n {
		for _, values := range [][]float64{l.weights.RawMatrix().Data, l.bias} {
			for _, v := range values {
				h.Write(binary.LittleEndian.AppendUint64(nil, math.Float64bits(v)))
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
