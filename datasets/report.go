package datasets

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sort"

	"github.com/ctnas/ctnas/ctnaslib/space"
)

// Report tells how good cells really are: their test accuracies, which no search
// may use. Cells are found in whatever numbering. It is safe for concurrent use.
type Report struct {
	rows  []Row
	tests func() []float64
}

// Len returns the number of cells.
func (r *Report) Len() int { return len(r.rows) }

// Rows yields all that the table knows, in ascending order of the cells' hashes,
// for figures, statistics and models of the benchmark. Nothing is counted.
func (r *Report) Rows() iter.Seq[Row] { return slices.Values(r.rows) }

// Best returns the cell of highest test accuracy, the one of lowest hash if there are
// several.
func (r *Report) Best() Row {
	best := 0
	for i := range r.rows {
		if r.rows[i].Test > r.rows[best].Test {
			best = i
		}
	}
	return r.rows[best]
}

// Test returns the mean test accuracy of a, in [0, 1].
func (r *Report) Test(a space.Arch) (float64, error) {
	i, err := r.find(a)
	if err != nil {
		return 0, err
	}
	return r.rows[i].Test, nil
}

// find returns the row of a cell.
func (r *Report) find(a space.Arch) (int, error) {
	cell, err := asCell(a)
	if err != nil {
		return 0, err
	}
	i, found := findRow(r.rows, cell.Hash())
	if !found {
		return 0, fmt.Errorf("datasets: cell %v is not in the table", cell)
	}
	return i, nil
}

// Rank is 1 for a cell of highest test accuracy, and 1 more for each cell of
// strictly higher test accuracy than a's.
func (r *Report) Rank(a space.Arch) (int, error) {
	test, err := r.Test(a)
	if err != nil {
		return 0, err
	}
	tests := r.tests()
	notHigher := sort.Search(len(tests), func(i int) bool { return tests[i] > test })
	return 1 + len(tests) - notHigher, nil
}

// RankPercent returns the rank of a in percent of the number of cells.
func (r *Report) RankPercent(a space.Arch) (float64, error) {
	rank, err := r.Rank(a)
	if err != nil {
		return 0, err
	}
	return 100 * float64(rank) / float64(r.Len()), nil
}

// HeldOut draws n distinct cells uniformly from the whole table, none of them in
// exclude, with their test accuracies: what a ranking is measured on (paper,
// Sec. 5.1). The error says that there are not so many.
func (r *Report) HeldOut(rng *rand.Rand, n int, exclude []space.Arch) (archs []space.Arch, tests []float64, err error) {
	taken := make(map[int]bool, len(exclude)+n)
	for _, a := range exclude {
		i, err := r.find(a)
		if err != nil {
			return nil, nil, err
		}
		taken[i] = true
	}
	if n < 0 || n > len(r.rows)-len(taken) {
		return nil, nil, fmt.Errorf("datasets: cannot hold out %d cells: %s are left", n, thousands(len(r.rows)-len(taken)))
	}
	for len(archs) < n {
		i := rng.IntN(len(r.rows))
		if !taken[i] {
			taken[i] = true
			archs = append(archs, r.rows[i].Cell)
			tests = append(tests, r.rows[i].Test)
		}
	}
	return archs, tests, nil
}
