package experiment

import (
	_ "embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/datasets"
)

// authorsResults is what the program of the paper's authors reached, a line for each seed: authors/README.md says how
// it was measured.
//
//go:embed authors/results.csv
var authorsResults string

// authorsLabels is the digest of the table whose labels that program was given.
const authorsLabels = "d320c4349932967a"

const nameAuthors = "authors' code (PyTorch), same labels"

// withAuthors adds the row of the authors' program to a result on the labels that the program was given.
func withAuthors(_ fs.FS, r report.Result) (report.Result, error) {
	if !strings.Contains(r.Data, "digest "+authorsLabels) {
		return r, nil
	}
	row, err := authorsRow(authorsResults)
	if err != nil {
		return r, err
	}
	return withRow(r, row), nil
}

// authorsRow returns the row of the authors' program from its results.
func authorsRow(results string) (report.Row, error) {
	lines, err := csv.NewReader(strings.NewReader(results)).ReadAll()
	if err != nil {
		return report.Row{}, fmt.Errorf("experiment: authors/results.csv is damaged: %w", err)
	}
	columns := make(map[string][]float64)
	for _, line := range lines[1:] {
		for i, text := range line {
			value, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return report.Row{}, fmt.Errorf("experiment: authors/results.csv is damaged: %w", err)
			}
			columns[lines[0][i]] = append(columns[lines[0][i]], value)
		}
	}
	row := report.NewRow(nameAuthors, map[string][]float64{"accuracy": columns["answer_test_percent"], "ktau_authors": columns["ktau_at_end"]})
	row.Metrics["best_rank_percent"] = 100 * slices.Min(columns["answer_rank"]) / nasbench101.NumCells
	row.Metrics["queries"] = 423
	row.Source, row.Backend, row.Seeds = string(datasets.Real), "PyTorch 2.15, CPU", len(columns["seed"])
	row.Note = "The authors' own program with its defaults and seeds, run on the labels of this table (ctnaslib/experiment/authors)."
	return row, nil
}

// withRow returns a result with a row in the place of that of its method, else after the others. The result of before
// is left as it was.
func withRow(r report.Result, row report.Row) report.Result {
	r.Rows = slices.Clone(r.Rows)
	i := slices.IndexFunc(r.Rows, func(other report.Row) bool { return other.Method == row.Method })
	if i < 0 {
		r.Rows = append(r.Rows, row)
	} else {
		r.Rows[i] = row
	}
	return r
}

// withSharingAndAuthors adds to Table 1 the rows of the result of [WeightSharing] beside it, if there is one, and that of
// the authors' program.
func withSharingAndAuthors(beside fs.FS, r report.Result) (report.Result, error) {
	sharing, err := report.ReadResultFS(beside, "weightsharing/result.json")
	if err == nil {
		r = withSharing(r, sharing)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	return withAuthors(beside, r)
}

// withSharing returns Table 1 with the rows of weight sharing filled in from a result of [WeightSharing]: each says that its
// source is a proxy, and how many seeds it has.
func withSharing(table1, sharing report.Result) report.Result {
	for _, row := range sharing.Rows {
		row.Source, row.Backend, row.Curves = sharing.Source, sharing.Backend, nil
		if row.Seeds == 0 {
			row.Seeds = sharing.Seeds
		}
		row.Note = "Measured by go run ./figures weightsharing: it trains on small images instead of asking the table; the test accuracy of the cell that it ends in is looked up there."
		i := slices.IndexFunc(table1.Rows, func(r report.Row) bool { return r.Method == row.Method })
		switch {
		case i >= 0:
			row.Paper = table1.Rows[i].Paper
		case row.Method != nameSharedCTNAS:
			continue // of the other experiment alone
		}
		table1 = withRow(table1, row)
	}
	return table1
}
