// Package distilled is a small network that predicts what the published model of
// NAS-Bench-301 says of a genotype after all epochs: a perceptron of two hidden
// layers on the genotype's edges.
package distilled

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"sync"

	"github.com/ctnas/ctnas/ctnaslib/space/darts"
)

// The size of the network.
const (
	edges    = 14                             // that a cell could have
	Features = 2 * edges * numOps             // one for each operation on each of them
	Active   = 2 * 2 * darts.Nodes            // of them are 1, the rest 0
	Hidden   = 176                            // values of each hidden layer
	numOps   = int(darts.DilConv5x5) + 1      // operations of the space
	Size     = Hidden*(Features+Hidden+3) + 3 // numbers of the network
)

// Net is the network: the accuracy is Centre + Spread·(Out · relu(Second · relu(First ·
// x + FirstBias) + SecondBias) + OutBias), with x the features of a genotype.
type Net struct {
	First      []float32 // [Features, Hidden]
	FirstBias  []float32 // [Hidden]
	Second     []float32 // [Hidden, Hidden], from the first hidden layer to the second
	SecondBias []float32 // [Hidden]
	Out        []float32 // [Hidden]
	OutBias    float32

	Centre, Spread float32 // of the accuracies that the network was trained on
}

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
	accuracies := make([]float64, len(genotypes))
	var first, second [Hidden]float32
	for k, g := range genotypes {
		copy(first[:], n.FirstBias)
		for _, f := range Of(g) {
			add(first[:], 1, n.First[int(f)*Hidden:][:Hidden])
		}
		copy(second[:], n.SecondBias)
		for i, x := range first {
			if x > 0 {
				add(second[:], x, n.Second[i*Hidden:][:Hidden])
			}
		}
		score := n.OutBias
		for i, x := range second {
			if x > 0 {
				score += float32(x * n.Out[i])
			}
		}
		accuracies[k] = float64(min(max(n.Centre+float32(n.Spread*score), 0), 1))
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

// The file format: this line, the numbers of the network as float32 in the order of
// its fields, and the CRC-32C of all before, in little-endian order.
const magic = "ctnas NAS-Bench-301 surrogate 1\n"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Encode writes the network to bytes.
func (n *Net) Encode() []byte {
	le := binary.LittleEndian
	data := []byte(magic)
	for _, values := range [][]float32{n.First, n.FirstBias, n.Second, n.SecondBias, n.Out, {n.OutBias, n.Centre, n.Spread}} {
		for _, x := range values {
			data = le.AppendUint32(data, math.Float32bits(x))
		}
	}
	return le.AppendUint32(data, crc32.Checksum(data, castagnoli))
}

// Decode reads what Encode wrote.
func Decode(data []byte) (*Net, error) {
	le := binary.LittleEndian
	rest, ok := bytes.CutPrefix(data, []byte(magic))
	if !ok || len(rest) != 4*Size+4 {
		return nil, fmt.Errorf("nasbench301: the weights are of another version: they have %d bytes", len(data))
	}
	if crc32.Checksum(data[:len(data)-4], castagnoli) != le.Uint32(data[len(data)-4:]) {
		return nil, errors.New("nasbench301: the weights are damaged")
	}
	take := func(count int) []float32 {
		values := make([]float32, count)
		for i := range values {
			values[i], rest = math.Float32frombits(le.Uint32(rest)), rest[4:]
		}
		return values
	}
	n := &Net{
		First: take(Features * Hidden), FirstBias: take(Hidden),
		Second: take(Hidden * Hidden), SecondBias: take(Hidden), Out: take(Hidden),
	}
	last := take(3)
	n.OutBias, n.Centre, n.Spread = last[0], last[1], last[2]
	return n, nil
}

//go:embed weights.bin
var weights []byte

// loaded panics if the program was built with damaged weights, which a test excludes.
var loaded = sync.OnceValue(func() *Net {
	n, err := Decode(weights)
	if err != nil {
		panic(err)
	}
	return n
})

// Predict is [Net.Predict] of the network that is part of the program.
func Predict(genotypes []darts.Genotype) []float64 { return loaded().Predict(genotypes) }

// Version names the weights. It changes exactly when predictions do.
func Version() string { return fmt.Sprintf("%x", weights[max(0, len(weights)-4):]) }
