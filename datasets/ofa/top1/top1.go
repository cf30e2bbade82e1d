// Package top1 is a model of the top-1 accuracies on ImageNet of the sub-networks of Once-for-All's supernet of
// width 1.0, fitted to those that were measured:
//
//	accuracy = limit − exp(−(bias + Σ wⱼ xⱼ + Σ qⱼₖ xⱼ xₖ))
//
// where x are the numbers of [mobilenetv3.Net.Vector], and the second sum is over pairs j < k. So each choice of a
// block, and each pair of choices, adds to the logarithm of the distance to a limit that no network reaches. README.md
// says how good it is.
package top1

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/datasets/internal/weights"
)

// Model is a fitted model. It is safe for concurrent use.
type Model struct {
	limit, bias float64
	single      [features]float64           // w
	pair        [features][features]float64 // q, in its upper triangle
}

const (
	features = mobilenetv3.Features
	pairs    = features * (features - 1) / 2
)

// Config says how a model is fitted.
type Config struct {
	Limit float64 `json:"limit"` // the accuracy that no network reaches, in (0, 1]
	Ridge float64 `json:"ridge"` // the L2 penalty, positive: larger weighs the weights more, and the measurements less
	Pairs float64 `json:"pairs"` // the variance of the weights of pairs, as a share of that of single choices; 0: without pairs
}

// Default returns the configuration of the embedded model. The limit and the share of pairs were chosen by the errors on
// networks that have more multiply-adds, or are more accurate, than all that a model was fitted to.
func Default() Config { return Config{Limit: 0.795, Ridge: 1, Pairs: 0.005} }

// Fit fits a model to the accuracies of networks, in [0, 1]: by least squares on −log(limit − accuracy), with an L2 penalty
// on all weights but the bias. The error says that an accuracy is not below the limit, or that there are no networks.
func Fit(nets []mobilenetv3.Net, accuracies []float64, c Config) (*Model, error) {
	n := len(nets)
	if n == 0 || len(accuracies) != n {
		return nil, fmt.Errorf("top1: a model takes networks with an accuracy each, got %d networks and %d accuracies", n, len(accuracies))
	}
	if !(c.Limit > 0 && c.Limit <= 1 && c.Ridge > 0 && c.Pairs >= 0) {
		return nil, fmt.Errorf("top1: the limit must be in (0, 1], Ridge positive and Pairs not negative, not %+v", c)
	}
	z := make([]float64, n)
	for i, accuracy := range accuracies {
		if !(accuracy < c.Limit) {
			return nil, fmt.Errorf("top1: network %v has the accuracy %g, which is not below the limit of %g", nets[i], accuracy, c.Limit)
		}
		z[i] = -math.Log(c.Limit - accuracy)
	}
	mean := stat.Mean(z, nil)
	x := mat.NewDense(n, features, nil)
	right := mat.NewVecDense(n, nil)
	for i, net := range nets {
		for j, v := range net.Vector() {
			x.Set(i, j, float64(v))
		}
		right.SetVec(i, z[i]-mean)
	}
	// The weights are a combination of the networks' features, of which all inner products are known: s + Pairs·s² where
	// s is that of two vectors. So there is one equation for each network, and not one for each pair of features.
	gram := mat.NewSymDense(n, nil)
	gram.SymOuterK(1, x)
	for i := range n {
		for j := i; j < n; j++ {
			s := gram.At(i, j)
			if s += c.Pairs * s * s; i == j {
				s += c.Ridge
			}
			gram.SetSym(i, j, s)
		}
	}
	var factored mat.Cholesky
	var share mat.VecDense
	if !factored.Factorize(gram) {
		return nil, fmt.Errorf("top1: the penalty %g is too small to fit %d networks", c.Ridge, n)
	}
	if err := factored.SolveVecTo(&share, right); err != nil {
		return nil, fmt.Errorf("top1: cannot fit %d networks: %w", n, err)
	}
	return combined(x, share.RawVector().Data, c, mean), nil
}

// combined returns the model whose weights are the sum of the features of networks x [n, features], each times its share.
func combined(x *mat.Dense, share []float64, c Config, bias float64) *Model {
	m := &Model{limit: c.Limit, bias: bias}
	for i, a := range share {
		row := x.RawRowView(i)
		for j, v := range row {
			if v == 0 {
				continue
			}
			m.single[j] += a * (1 + c.Pairs) // a feature is 0 or 1, and its own square
			for k := j + 1; k < features; k++ {
				m.pair[j][k] += 2 * c.Pairs * a * row[k]
			}
		}
	}
	return m
}

// Accuracies returns the predicted accuracies of networks.
func (m *Model) Accuracies(nets []mobilenetv3.Net) []float64 {
	accuracies := make([]float64, len(nets))
	on := make([]int, 0, features)
	for i, net := range nets {
		on = on[:0]
		for j, v := range net.Vector() {
			if v != 0 {
				on = append(on, j)
			}
		}
		z := m.bias
		for at, j := range on {
			z += m.single[j]
			for _, k := range on[at+1:] {
				z += m.pair[j][k]
			}
		}
		accuracies[i] = m.limit - math.Exp(-z)
	}
	return accuracies
}

// Digest returns the beginning of the SHA-256 of all numbers of the model.
func (m *Model) Digest() string {
	sum := sha256.Sum256(m.Encode())
	return hex.EncodeToString(sum[:8])
}

// name is that of the model in its file.
const name = "ImageNet top-1 at width 1.0, model 1"

// parts returns the parts of a file, all zero.
func parts() []weights.Part {
	return []weights.Part{weights.NewPart("limit_and_bias", 2), weights.NewPart("single", features), weights.NewPart("pairs", pairs)}
}

// Encode writes the model to bytes, in single precision.
func (m *Model) Encode() []byte {
	all := parts()
	all[0].Values[0], all[0].Values[1] = float32(m.limit), float32(m.bias)
	at := 0
	for j := range features {
		all[1].Values[j] = float32(m.single[j])
		for k := j + 1; k < features; k++ {
			all[2].Values[at] = float32(m.pair[j][k])
			at++
		}
	}
	return weights.Encode(name, all)
}

// Decode reads what [Model.Encode] wrote. The error says that the bytes are damaged or of another model.
func Decode(data []byte) (*Model, error) {
	all := parts()
	err := weights.Decode(name, data, all, nil)
	if err == nil {
		err = weights.Check(all)
	}
	if err != nil {
		return nil, fmt.Errorf("top1: %w", err)
	}
	m := &Model{limit: float64(all[0].Values[0]), bias: float64(all[0].Values[1])}
	at := 0
	for j := range features {
		m.single[j] = float64(all[1].Values[j])
		for k := j + 1; k < features; k++ {
			m.pair[j][k] = float64(all[2].Values[at])
			at++
		}
	}
	return m, nil
}

//go:embed weights.bin
var file []byte

// Embedded returns the model that is part of the program: fitted to all measured networks of [datasets.OFAMeasured].
var Embedded = weights.Once(file, Decode)
