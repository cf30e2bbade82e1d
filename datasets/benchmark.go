package datasets

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"sync"

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
// epochs unless it was made by [NASBench101.BenchmarkAt], and counts how many cells it was asked for. Only cells with a validation
// accuracy in the table can be queried or sampled. It is safe for concurrent use.
type Benchmark struct {
	labels  *labels
	kind    Kind
	version func() string

	mu   sync.Mutex
	seen map[[16]byte]bool
}

var _ space.Versioned = (*Benchmark)(nil)

// Space is the space of all NAS-Bench-101 cells, those that cannot be queried included.
func (b *Benchmark) Space() space.Space { return nasbench101.Space{} }

// Source is the [Kind] of the table, as text.
func (b *Benchmark) Source() string { return string(b.kind) }

// Version is the table's description and the digest of all its accuracies, with the number of
// epochs of these.
func (b *Benchmark) Version() string { return b.version() }

// Len is the number of cells that can be queried.
func (b *Benchmark) Len() int { return len(b.labels.cells) }

// Sample draws n distinct cells uniformly from those that can be queried. It is free.
func (b *Benchmark) Sample(rng *rand.Rand, n int) ([]space.Arch, error) {
	if n < 0 || n > b.Len() {
		return nil, fmt.Errorf("datasets: cannot sample %d cells: %s can be queried", n, thousands(b.Len()))
	}
	// The first n steps of a shuffle; moved holds the places that no longer hold
	// their own index.
	moved := make(map[int]int, n)
	at := func(place int) int {
		if i, ok := moved[place]; ok {
			return i
		}
		return place
	}
	archs := make([]space.Arch, n)
	for k := range archs {
		place := k + rng.IntN(b.Len()-k)
		archs[k] = b.labels.cells[at(place)]
		moved[place] = at(k)
	}
	return archs, nil
}

// Validation is the validation accuracy of a, in [0, 1]. The
// first query of a cell counts; one of the same cell, in whatever numbering, does
// not, nor does one that is refused.
func (b *Benchmark) Validation(a space.Arch) (float64, error) {
	cell, err := asCell(a)
	if err != nil {
		return 0, err
	}
	hash := cell.Hash()
	i, found := sort.Find(b.Len(), func(i int) int { return bytes.Compare(hash[:], b.labels.hashes[i][:]) })
	if !found {
		return 0, fmt.Errorf("datasets: cell %v has no validation accuracy in this table (%s of %s cells have one); take cells from Sample, or open a table that has them all",
			cell, thousands(b.Len()), thousands(b.labels.all))
	}
	b.mu.Lock()
	b.seen[hash] = true
	b.mu.Unlock()
	return b.labels.validation[i], nil
}

// Queries is the number of distinct cells whose accuracy was asked for so far.
func (b *Benchmark) Queries() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.seen)
}

func asCell(a space.Arch) (nasbench101.Cell, error) {
	if cell, ok := a.(nasbench101.Cell); ok {
		return cell, nil
	}
	return nasbench101.Cell{}, fmt.Errorf("datasets: %v is not a NAS-Bench-101 cell", a)
}
