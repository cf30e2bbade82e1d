package datasets

import (
	"context"
	"fmt"
	"math"
	"os"
	"testing"
	"time"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"

	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// The real table, where there is one. Opening it checks all hashes and parameter
// counts; the facts below are published ones.
func TestRealNASBench101(t *testing.T) {
	if os.Getenv(envData) == "" {
		t.Skip(envData + " is not set")
	}
	if testing.Short() {
		t.Skip("reads and times the whole table")
	}
	tempCache(t)
	quickest := time.Hour // of the later openings, as other tests may keep one waiting
	for opening := range 4 {
		start := time.Now()
		table, err := OpenNASBench101(context.Background(), "")
		if err != nil {
			t.Fatal(err)
		}
		took := time.Since(start)
		t.Logf("opening %d: %v: %v", opening+1, took, table.Source())
		if opening > 0 {
			quickest = min(quickest, took)
		}
		if opening < 2 {
			checkReal(t, table)
		}
	}
	if quickest > time.Second {
		t.Errorf("a later opening took %v, want less than 1 s", quickest)
	}
}

func checkReal(t *testing.T, table *NASBench101) {
	t.Helper()
	r, b := table.Report(), table.Benchmark()
	var tests []float64
	labelled := 0
	for row := range r.Rows() {
		if len(tests) == 0 && fmt.Sprintf("%x", row.Hash) != "00005c142e6f48ac74fdcf73e3439874" {
			t.Errorf("the first hash is %x", row.Hash)
		}
		tests = append(tests, row.Test)
		if !math.IsNaN(row.Validation[last]) {
			labelled++
		}
	}
	if len(tests) != nasbench101.NumCells || r.Len() != nasbench101.NumCells {
		t.Fatalf("%d rows, want %d", len(tests), nasbench101.NumCells)
	}
	if labelled != b.Len() || labelled < 30001 {
		t.Errorf("%d cells with validation accuracy, %d can be queried, want 30,001 or all", labelled, b.Len())
	}
	best := r.Best()
	if got := best.Cell.ID(); got != bestHash || math.Abs(best.Test-0.943176) > 5e-7 {
		t.Errorf("the best cell is %s with %v", got, best.Test)
	}
	if rank, err := r.Rank(best.Cell); err != nil || rank != 1 {
		t.Errorf("the best cell has rank %d, %v", rank, err)
	}
	if v, err := b.Validation(best.Cell); err != nil || math.Abs(v-0.95) > 0.01 {
		t.Errorf("the best cell has validation accuracy %v, %v", v, err)
	}
	sorted := table.tests()
	if mean, median := stat.Mean(tests, nil), sorted[len(sorted)/2]; math.Abs(mean-0.8968) > 5e-5 || math.Abs(median-0.9064) > 5e-5 {
		t.Errorf("mean test accuracy %.4f, median %.4f; want 0.8968, 0.9064", mean, median)
	}
	if lowest := floats.Min(tests); math.Abs(lowest-0.0998) > 5e-5 {
		t.Errorf("the lowest test accuracy is %.4f, want 0.0998", lowest)
	}
}
