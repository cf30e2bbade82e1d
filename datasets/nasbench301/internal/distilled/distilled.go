// Package distilled is a small network that predicts what the published model of
// NAS-Bench-301 says of a genotype after all epochs: a perceptron of two hidden
// layers on the genotype's edges.
package distilled

import (
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/space/darts"
	"github.com/ctnas/ctnas/datasets/internal/weights"
)

// The size of the network.
const (
	edges    = 14                        // that a cell could have
	Features = 2 * edges * numOps        // one for each operation on each of them
	Active   = 2 * 2 * darts.Nodes       // of them are 1, the rest 0
	Hidden   = 176                       // values of each hidden layer
	numOps   = int(darts.DilConv5x5) + 1 // operations of the space
)

// Net is the network: the accuracy is centre + spread·(out · relu(second · relu(first ·
// x + first bias) + second bias) + out bias), with x the features of a genotype. It is
// safe for concurrent use while nobody writes to its parts.
type Net struct{ parts []weights.Part }

// The parts of the network by their indices in [Net.Parts].
const (
	First      = iota // [Features, Hidden]
	FirstBias         // [Hidden]
	Second            // [Hidden, Hidden], from the first hidden layer to the second
	SecondBias        // [Hidden]
	Out               // [Hidden, 1]
	OutBias           // [1]
	Scale             // centre and spread of the accuracies that the network was trained on
)

// New makes a network with all numbers zero.
func New() *Net {
	return &Net{[]weights.Part{
		weights.NewPart("first", Features, Hidden), weights.NewPart("first_bias", Hidden),
		weights.NewPart("second", Hidden, Hidden), weights.NewPart("second_bias", Hidden),
		weights.NewPart("out", Hidden, 1), weights.NewPart("out_bias", 1), weights.NewPart("scale", 2),
	}}
}

// Parts returns all numbers of the network.
func (n *Net) Parts() []weights.Part { return n.parts }

// Of returns the positions of the features that are 1: of each edge, in the order of
// the genotype.
func Of(g darts.Genotype) (active [Active]int32) {
	k := 0
	for c, cell := range [2]darts.Cell{g.Normal(), g.Reduce()} {
		for i, node := range cell {
			for _, e := range node {
				edge := c*edges + i*(i+3)/2 + e.From
				active[k] = int32(edge*numOps + int(e.Op))
				k++
			}
		}
	}
	return active
}

// Predict returns the validation accuracy of each genotype, in [0, 1]. It is the same
// on every machine.
func (n *Net) Predict(genotypes []darts.Genotype) []float64 {
	of := func(part int) []float32 { return n.parts[part].Values }
	accuracies := make([]float64, len(genotypes))
	var first, second [Hidden]float32
	for k, g := range genotypes {
		copy(first[:], of(FirstBias))
		for _, f := range Of(g) {
			add(first[:], 1, of(First)[int(f)*Hidden:][:Hidden])
		}
		copy(second[:], of(SecondBias))
		for i, x := range first {
			if x > 0 {
				add(second[:], x, of(Second)[i*Hidden:][:Hidden])
			}
		}
		score := of(OutBias)[0]
		for i, x := range second {
			if x > 0 {
				score += float32(x * of(Out)[i])
			}
		}
		centre, spread := of(Scale)[0], of(Scale)[1]
		accuracies[k] = float64(min(max(centre+float32(spread*score), 0), 1))
	}
	return accuracies
}

// add adds x·row to sum. The conversion keeps the compiler from fusing the product and
// the sum, which would make the result depend on the processor.
func add(sum []float32, x float32, row []float32) {
	for i, w := range row {
		sum[i] += float32(x * w)
	}
}

// name is that of the network in its file.
const name = "NAS-Bench-301 surrogate 1"

// Encode writes the network to bytes.
func (n *Net) Encode() []byte { return weights.Encode(name, n.parts) }

// Decode reads what Encode wrote.
func Decode(data []byte) (*Net, error) {
	n := New()
	if err := weights.Decode(name, data, n.parts, nil); err != nil {
		return nil, fmt.Errorf("nasbench301: %w", err)
	}
	return n, nil
}
