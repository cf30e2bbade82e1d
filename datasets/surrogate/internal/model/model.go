// Package model is what the surrogate of NAS-Bench-101 consists of: a network that
// predicts the mean test accuracy of a cell, and the distribution of what one
// training run deviates from it.
package model

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"runtime"
	"slices"
	"sync"

	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
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

// Score is the score of a mean test accuracy.
func Score(test float64) float64 { return (-math.Log(ceiling-test) - centre) / spread }

// Accuracy is the mean test accuracy of a score. It is rounded so far that it is the
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
			var pass dagnet.Pass
			for part := range chunks {
				batch := make([]nasbench101.Cell, len(part))
				for k, i := range part {
					batch[k] = cells[i]
				}
				for k, score := range pass.Predict(m.Net, dagnet.NewPlan(batch)) {
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

// The file format: this line, the width as uint32, the weights and the noise as
// float32, and the CRC-32C of all before, in little-endian order.
const magic = "ctnas NAS-Bench-101 surrogate 1\n"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Encode writes the model to bytes.
func (m *Model) Encode() []byte {
	le := binary.LittleEndian
	data := le.AppendUint32([]byte(magic), uint32(m.Net.Width()))
	for _, values := range [][]float32{m.Net.Weights(), m.Noise.flat()} {
		for _, x := range values {
			data = le.AppendUint32(data, math.Float32bits(x))
		}
	}
	return le.AppendUint32(data, crc32.Checksum(data, castagnoli))
}

// Decode reads what Encode wrote.
func Decode(data []byte) (*Model, error) {
	le := binary.LittleEndian
	rest, ok := bytes.CutPrefix(data, []byte(magic))
	if !ok || len(rest) < 8 || crc32.Checksum(data[:len(data)-4], castagnoli) != le.Uint32(data[len(data)-4:]) {
		return nil, errors.New("surrogate: the weights are damaged or of another version")
	}
	width := le.Uint32(rest)
	rest = rest[4 : len(rest)-4]
	if width == 0 || width > 1024 || width%dagnet.Lane != 0 {
		return nil, fmt.Errorf("surrogate: the weights are of a network of impossible width %d", width)
	}
	m := &Model{Net: dagnet.New(int(width))}
	weights := m.Net.Weights()
	noise := make([]float32, max(0, len(rest)/4-len(weights)))
	const level = 1 + noiseQuantiles
	if len(rest) != 4*(len(weights)+len(noise)) || len(noise)%level != 0 || len(noise) < 2*level {
		return nil, errors.New("surrogate: the weights have the wrong length")
	}
	for _, values := range [][]float32{weights, noise} {
		for i := range values {
			values[i] = math.Float32frombits(le.Uint32(rest))
			rest = rest[4:]
		}
	}
	m.Noise.setFlat(noise)
	return m, nil
}
