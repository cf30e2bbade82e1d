package datasets

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sameRows compares all that nas_bench.json can hold of rows.
func sameRows(t *testing.T, got, want []Row) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	same := func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }
	for i, w := range want {
		g := got[i]
		if g.Cell != w.Cell || g.Hash != w.Hash || g.Test != w.Test || !same(g.Validation[last], w.Validation[last]) || !same(g.Seconds, w.Seconds) {
			t.Errorf("row %d is %v, want %v", i, g, w)
		}
	}
}

// What is written is read back equal, with the cells that no search can query.
func TestExportJSON(t *testing.T) {
	tempCache(t)
	tests, validations := csvPair(t)
	for name, source := range map[string]string{"all cells measured": only108Fixture, "few": writeCSV(t, zip(t, tests), zip(t, validations))} {
		t.Run(name, func(t *testing.T) {
			table := mustOpen(t, source)
			folder := filepath.Join(t.TempDir(), "new", "data")
			var told []Progress
			path, err := table.ExportJSON(t.Context(), folder, OnProgress(func(p Progress) { told = append(told, p) }))
			if err != nil {
				t.Fatal(err)
			}
			if want := filepath.Join(folder, "nasbench101", "nas_bench.json"); path != want {
				t.Errorf("written to %s, want %s", path, want)
			}
			if p := told[len(told)-1]; p != (Progress{Writing, jsonFile, 8, 8}) {
				t.Errorf("the last progress is %v", p)
			}
			again := mustOpen(t, folder)
			sameRows(t, again.rows, table.rows)
			if again.Benchmark().Len() != table.Benchmark().Len() {
				t.Errorf("%d cells can be queried, want %d", again.Benchmark().Len(), table.Benchmark().Len())
			}
			before := content(t, path)
			_, err = table.ExportJSON(t.Context(), folder)
			wantError(t, err, jsonFile, filepath.Dir(path), "another folder")
			if !bytes.Equal(content(t, path), before) {
				t.Error("the file was written again")
			}
		})
	}
}

func TestExportJSONErrors(t *testing.T) {
	tempCache(t)
	table := mustOpen(t, only108Fixture)
	folder := t.TempDir()

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := table.ExportJSON(ctx, folder)
	wantError(t, err, "cannot write", jsonFile)
	if left, err := os.ReadDir(filepath.Join(folder, nasbenchFolder)); len(left) > 0 || err != nil {
		t.Errorf("%v were left (%v)", left, err)
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v is not that of the context", err)
	}

	surrogate := newNASBench101(table.rows, Source{Kind: Surrogate, Description: "a surrogate"})
	_, err = surrogate.ExportJSON(t.Context(), folder)
	wantError(t, err, "a surrogate", "open the real table")

	_, err = table.ExportJSON(t.Context(), filepath.Dir(write(t, testFile, nil)))
	wantError(t, err, "not complete", validationFile)
	_, err = table.ExportJSON(t.Context(), write(t, "file", nil))
	wantError(t, err, "cannot export", "file")

	t.Chdir(t.TempDir())
	if path, err := table.ExportJSON(t.Context(), ""); err != nil || !filepath.IsAbs(path) {
		t.Errorf("%q, %v", path, err)
	}
	_, err = table.ExportJSON(t.Context(), "")
	wantError(t, err, jsonFile+" is in", "already")

	if err := table.WriteJSON(t.Context(), full{}); err == nil || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("error %v", err)
	}
}

// full is a file on a full disk.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("the disk is full") }
