package datasets

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"sort"

	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// labels are the cells of a table that can be queried, in ascending order of
// hash, with their validation accuracies at one budget and nothing else.
type labels struct {
	hashes     [][16]byte
	cells      []nasbench101.Cell
	validation []float64
	all        int // number of cells of the table
}

func newLabels(rows []Row, budget int) *labels {
	l := &labels{all: len(rows)}
	for i := range rows {
		if v := rows[i].Validation[budget]; !math.IsNaN(v) {
			l.hashes = append(l.hashes, rows[i].Hash)
			l.cells = append(l.cells, rows[i].Cell)
			l.validation = append(l.validation, v)
		}
	}
	return l
}

// Benchmark answers for the validation accuracy of NAS-Bench-101 cells, after 108
// epochs unless it was made by [NASBench101.BenchmarkAt]. Only cells with a validation
// accuracy in the table can be queried or sampled. It is safe for concurrent use.
type Benchmark struct {
	labels  *labels
	kind    Kind
	version func() string
}

var _ space.Versioned = (*Benchmark)(nil)

// Space returns the space of all NAS-Bench-101 cells, those that cannot be queried included.
func (b *Benchmark) Space() space.Space { return nasbench101.Space{} }

// Source returns the [Kind] of the table, as text.
func (b *Benchmark) Source() string { return string(b.kind) }

// Version returns the table's description and the digest of all its accuracies, with the number of
// epochs of these.
func (b *Benchmark) Version() string { return b.version() }

// Len returns the number of cells that can be queried.
func (b *Benchmark) Len() int { return len(b.labels.cells) }

// Sample draws n distinct cells uniformly from those that can be queried. It is free.
func (b *Benchmark) Sample(rng *rand.Rand, n int) ([]space.Arch, error) {
	chosen, err := space.Choose(rng, b.Len(), n)
	if err != nil {
		return nil, fmt.Errorf("datasets: cannot sample %d cells: %s can be queried", n, thousands(b.Len()))
	}
	archs := make([]space.Arch, n)
	for k, i := range chosen {
		archs[k] = b.labels.cells[i]
	}
	return archs, nil
}

// Validation returns the validation accuracy of a, in whatever numbering, in [0, 1]. The error wraps
// [space.ErrNotQueryable] where the table has none.
func (b *Benchmark) Validation(a space.Arch) (float64, error) {
	cell, err := asCell(a)
	if err != nil {
		return 0, err
	}
	hash := cell.Hash()
	i, found := sort.Find(b.Len(), func(i int) int { return bytes.Compare(hash[:], b.labels.hashes[i][:]) })
	if !found {
		return 0, fmt.Errorf("datasets: cell %v: %w (%s of the table's %s cells have a validation accuracy); take cells from Sample, or open a table that has them all",
			cell, space.ErrNotQueryable, thousands(b.Len()), thousands(b.labels.all))
	}
	return b.labels.validation[i], nil
}

func asCell(a space.Arch) (nasbench101.Cell, error) {
	if cell, ok := a.(nasbench101.Cell); ok {
		return cell, nil
	}
	return nasbench101.Cell{}, fmt.Errorf("datasets: %v is not a NAS-Bench-101 cell", a)
}
