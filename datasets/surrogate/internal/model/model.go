// Package model is what the surrogate of NAS-Bench-101 consists of: a network that
// predicts the mean test accuracy of a cell, and the distribution of what one
// training run deviates from it.
package model

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"

	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/datasets/internal/weights"
	"github.com/ctnas/ctnas/datasets/surrogate/internal/dagnet"
)

// Model is a trained surrogate.
type Model struct {
	Net   *dagnet.Net
	Noise Noise
}

// The network predicts a score: the accuracy t as (−ln(ceiling−t) − centre) / spread.
// Differences between good cells, which are small, count more on this scale, and the
// noise between runs is about the same everywhere.
const (
	ceiling = 0.95 // above the accuracy of every cell
	centre  = 3.13
	spread  = 0.4
)

// Score returns the score of a mean test accuracy.
func Score(test float64) float64 { return (-math.Log(ceiling-test) - centre) / spread }

// Accuracy returns the mean test accuracy of a score. It is rounded so far that it is the
// same on machines whose math.Exp differ in the last bit.
func Accuracy(score float64) float64 {
	const digits = 1e7
	test := ceiling - math.Exp(-spread*score-centre)
	return math.Round(digits*max(test, 0)) / digits
}

// chunk is how many cells the network reads at once: enough to share most states,
// few enough to need little memory.
const chunk = 16384

// Predict returns the mean test accuracy of each cell, on all cores. It is the same
// for every numbering of a cell, whatever the other cells are. The error is ctx's.
func (m *Model) Predict(ctx context.Context, cells []nasbench101.Cell) ([]float64, error) {
	// Cells with similar graphs share states, so they go into the same chunk.
	order := make([]int, len(cells))
	codes := make([]uint64, len(cells))
	for i, c := range cells {
		order[i], codes[i] = i, c.Code()
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(codes[i], codes[j]) })

	tests := make([]float64, len(cells))
	chunks := make(chan []int)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			var memory dagnet.Memory
			for part := range chunks {
				batch := make([]nasbench101.Cell, len(part))
				for k, i := range part {
					batch[k] = cells[i]
				}
				for k, score := range m.Net.Predict(&memory, dagnet.NewPlan(batch)) {
					tests[part[k]] = Accuracy(float64(score))
				}
			}
		})
	}
	for part := range slices.Chunk(order, chunk) {
		if ctx.Err() != nil {
			break
		}
		chunks <- part
	}
	close(chunks)
	workers.Wait()
	return tests, ctx.Err()
}

// name is that of the model in its file.
const name = "NAS-Bench-101 surrogate 1"

// Encode writes the model to bytes: the width of the network, as the bits of a number, the
// network and the noise.
func (m *Model) Encode() []byte {
	width := weights.Part{Values: []float32{math.Float32frombits(uint32(m.Net.Width()))}}
	parts := append([]weights.Part{width}, m.Net.Parts()...)
	return weights.Encode(name, append(parts, weights.Part{Values: m.Noise.flat()}))
}

// Decode reads what Encode wrote.
func Decode(data []byte) (*Model, error) {
	var numbers []float32
	if err := weights.Decode(name, data, nil, &numbers); err != nil {
		return nil, fmt.Errorf("surrogate: %w", err)
	}
	if len(numbers) == 0 {
		return nil, errors.New("surrogate: there are no weights")
	}
	width := math.Float32bits(numbers[0])
	if width == 0 || width > 1024 || width%dagnet.Lane != 0 {
		return nil, fmt.Errorf("surrogate: the weights are of a network of impossible width %d", width)
	}
	m := &Model{Net: dagnet.New(int(width))}
	rest := numbers[1:]
	const level = 1 + noiseQuantiles
	noise := len(rest) - weights.Count(m.Net.Parts())
	if noise < 2*level || noise%level != 0 {
		return nil, errors.New("surrogate: the weights have the wrong length")
	}
	for _, p := range m.Net.Parts() {
		rest = rest[copy(p.Values, rest):]
	}
	m.Noise.setFlat(rest)
	return m, nil
}
