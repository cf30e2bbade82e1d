package datasets

import (
	"fmt"
	"iter"
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

// Len is the number of cells.
func (r *Report) Len() int { return len(r.rows) }

// Rows yields all that the table knows, in ascending order of the cells' hashes,
// for figures, statistics and models of the benchmark. Nothing is counted.
func (r *Report) Rows() iter.Seq[Row] { return slices.Values(r.rows) }

// Best is the cell of highest test accuracy, the one of lowest hash if there are
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

// Test is the mean test accuracy of a, in [0, 1].
func (r *Report) Test(a space.Arch) (float64, error) {
	cell, err := asCell(a)
	if err != nil {
		return 0, err
	}
	i, found := findRow(r.rows, cell.Hash())
	if !found {
		return 0, fmt.Errorf("datasets: cell %v is not in the table", cell)
	}
	return r.rows[i].Test, nil
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

// RankPercent is the rank of a in percent of the number of cells.
func (r *Report) RankPercent(a space.Arch) (float64, error) {
	rank, err := r.Rank(a)
	if err != nil {
		return 0, err
	}
	return 100 * float64(rank) / float64(r.Len()), nil
}
