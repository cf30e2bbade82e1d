package datasets

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// No test may see or touch the cache of whoever runs it.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "ctnas-datasets-test-")
	if err != nil {
		panic(err)
	}
	os.Setenv(envCache, dir)
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

const (
	only108Fixture = "testdata/" + only108File
	fullFixture    = "testdata/" + fullFile
	jsonFixture    = "testdata/" + jsonFile
)

// wantRow is a row of testdata/expected.json, which Python wrote.
type wantRow struct {
	Cell           string
	Hash           string
	Params         int
	ValidationHits [len(Epochs)]int `json:"validation_hits"`
	TestHits       int              `json:"test_hits"`
	Seconds        float64
}

func expected(t testing.TB) []wantRow {
	t.Helper()
	var rows []wantRow
	if err := json.Unmarshal(content(t, "testdata/expected.json"), &rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

// checkRows compares rows with the expected ones, at the epochs that the file has.
func checkRows(t *testing.T, rows []Row, epochs ...int) {
	t.Helper()
	want := expected(t)
	if len(rows) != len(want) {
		t.Fatalf("%d rows, want %d", len(rows), len(want))
	}
	for i, w := range want {
		row := rows[i]
		if got := row.Cell.String(); got != w.Cell || hex.EncodeToString(row.Hash[:]) != w.Hash || row.Cell.Params() != w.Params {
			t.Errorf("row %d: cell %s, hash %x, %d parameters; want %s, %s, %d", i, got, row.Hash, row.Cell.Params(), w.Cell, w.Hash, w.Params)
		}
		if want := float64(w.TestHits) / (3 * 9984); row.Test != want {
			t.Errorf("row %d: test accuracy %v, want %v", i, row.Test, want)
		}
		if math.Abs(row.Seconds-w.Seconds) > 1e-9*w.Seconds {
			t.Errorf("row %d: %v seconds, want %v", i, row.Seconds, w.Seconds)
		}
		for e, budget := range Epochs {
			want := math.NaN()
			for _, has := range epochs {
				if has == budget {
					want = float64(w.ValidationHits[e]) / (3 * 9984)
				}
			}
			if got := row.Validation[e]; got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
				t.Errorf("row %d: validation accuracy %v after %d epochs, want %v", i, got, budget, want)
			}
		}
	}
}

// acceptAll stands for checkWhole where a test has a few cells.
func acceptAll([]Row) error { return nil }

// open opens a small table, with CTNAS_DATA unset.
func open(t *testing.T, path string) (*NASBench101, error) {
	t.Helper()
	t.Setenv(envData, "")
	return openNASBench101(context.Background(), path, acceptAll)
}

func mustOpen(t *testing.T, path string) *NASBench101 {
	t.Helper()
	table, err := open(t, path)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// tempCache makes a new, empty cache folder.
func tempCache(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv(envCache, dir)
	return dir
}

// wantError checks that an error is one line that has all the parts.
func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("the error has several lines: %v", err)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

func content(t testing.TB, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// write writes a file in a new folder and returns its path.
func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func zip(t testing.TB, text string) []byte {
	t.Helper()
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return zipped.Bytes()
}

// csvPair is the fixture as the text of a CSV pair. Of its eight cells, the rows
// 1, 4 and 5 have validation accuracies.
func csvPair(t testing.TB) (tests, validations string) {
	t.Helper()
	tests = "edges,ops,params,test3\n"
	validations = "row,hash,val4,val12,val36,val108,train_seconds_108\n"
	for i, w := range expected(t) {
		edges, ops, _ := strings.Cut(w.Cell, ":")
		tests += fmt.Sprintf("%s,%s,%d,%d\n", edges, ops, w.Params, w.TestHits)
		if i == 1 || i == 4 || i == 5 {
			validations += fmt.Sprintf("%d,%s,%d,%d,%d,%d,%.1f\n", i, w.Hash, 1000+i, 2000+i, 3000+i, 4000+i, 100.5)
		}
	}
	return tests, validations
}

// writeCSV writes a CSV pair in a new folder.
func writeCSV(t *testing.T, tests, validations []byte) (folder string) {
	t.Helper()
	folder = filepath.Dir(write(t, testFile, tests))
	if err := os.WriteFile(filepath.Join(folder, validationFile), validations, 0o644); err != nil {
		t.Fatal(err)
	}
	return folder
}

func parse(t *testing.T, text string) nasbench101.Cell {
	t.Helper()
	cell, err := nasbench101.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return cell
}
