// Package mlp is a multi-layer perceptron: linear layers with ReLU between them.
package mlp

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/gomlx/compute/dtypes/float16"
	"gonum.org/v1/gonum/mat"
)

// Layer is a linear layer: x ↦ x·Weightsᵀ + Bias.
type Layer struct {
	Weights *mat.Dense // [outputs, inputs]
	Bias    []float64
}

// Net is a perceptron, its first layer first.
type Net []Layer

// Inputs is the number of inputs.
func (n Net) Inputs() int { return n[0].Weights.RawMatrix().Cols }

// Apply computes the outputs [batch, outputs] of inputs [batch, inputs].
func (n Net) Apply(x mat.Matrix) *mat.Dense {
	activations := n.Activations(x)
	return activations[len(activations)-1]
}

// Activations are the outputs of all layers, those before the last after their ReLU.
func (n Net) Activations(x mat.Matrix) []*mat.Dense {
	activations := make([]*mat.Dense, len(n))
	for i, layer := range n {
		y := new(mat.Dense)
		y.Mul(x, layer.Weights.T())
		y.Apply(func(_, output int, v float64) float64 {
			v += layer.Bias[output]
			if i < len(n)-1 {
				v = max(v, 0)
			}
			return v
		}, y)
		activations[i], x = y, y
	}
	return activations
}

// Digest is the beginning of the SHA-256 of all weights.
func (n Net) Digest() string {
	h := sha256.New()
	for _, layer := range n {
		for _, values := range [][]float64{layer.Weights.RawMatrix().Data, layer.Bias} {
			for _, v := range values {
				h.Write(binary.LittleEndian.AppendUint64(nil, math.Float64bits(v)))
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Check reports a weight that is no finite number.
func (n Net) Check() error {
	for i, layer := range n {
		for _, values := range [][]float64{layer.Weights.RawMatrix().Data, layer.Bias} {
			for _, v := range values {
				if math.IsNaN(v) || math.IsInf(v, 0) {
					return fmt.Errorf("a weight of layer %d is %v", i+1, v)
				}
			}
		}
	}
	return nil
}

// Encode writes the perceptron, all little-endian: the number of layers, the number of
// inputs and of each layer's outputs (4 bytes each), of each layer the weights row by
// row as float16 and the bias as float32, and the CRC-32 (IEEE) of all this.
func (n Net) Encode() []byte {
	le := binary.LittleEndian
	data := le.AppendUint32(nil, uint32(len(n)))
	data = le.AppendUint32(data, uint32(n.Inputs()))
	for _, layer := range n {
		data = le.AppendUint32(data, uint32(len(layer.Bias)))
	}
	for _, layer := range n {
		for _, v := range layer.Weights.RawMatrix().Data {
			data = le.AppendUint16(data, float16.FromFloat64(v).Bits())
		}
		for _, v := range layer.Bias {
			data = le.AppendUint32(data, math.Float32bits(float32(v)))
		}
	}
	return le.AppendUint32(data, crc32.ChecksumIEEE(data))
}

// Decode reads what [Net.Encode] wrote. The error says that it is damaged.
func Decode(data []byte) (Net, error) {
	le := binary.LittleEndian
	damaged := errors.New("mlp: the weights are damaged")
	if len(data) < 4 {
		return nil, damaged
	}
	body, sum := data[:len(data)-4], le.Uint32(data[len(data)-4:])
	if crc32.ChecksumIEEE(body) != sum {
		return nil, damaged
	}
	next := func(size int) []byte {
		field := body[:size]
		body = body[size:]
		return field
	}
	n := make(Net, le.Uint32(next(4)))
	inputs := int(le.Uint32(next(4)))
	for i := range n {
		n[i].Bias = make([]float64, le.Uint32(next(4)))
	}
	for i := range n {
		outputs := len(n[i].Bias)
		n[i].Weights = mat.NewDense(outputs, inputs, nil)
		w := n[i].Weights.RawMatrix().Data
		for j := range w {
			w[j] = float16.FromBits(le.Uint16(next(2))).Float64()
		}
		for j := range n[i].Bias {
			n[i].Bias[j] = float64(math.Float32frombits(le.Uint32(next(4))))
		}
		inputs = outputs
	}
	return n, nil
}
