package datasets

import (
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/space"
)

func csvTable(t *testing.T) *NASBench101 {
	t.Helper()
	tests, validations := csvPair(t)
	return mustOpen(t, writeCSV(t, zip(t, tests), zip(t, validations)))
}

func TestBenchmark(t *testing.T) {
	tempCache(t)
	table := csvTable(t)
	b := table.Benchmark()
	rows := table.rows
	if b.Len() != 3 {
		t.Fatalf("%d cells, want 3", b.Len())
	}
	for _, i := range []int{1, 1, 4} {
		row := rows[i]
		got, err := b.Validation(row.Cell)
		if err != nil || got != row.Validation[last] {
			t.Errorf("validation accuracy %v, %v of row %v", got, err, row)
		}
	}
	_, err := b.Validation(rows[0].Cell)
	wantError(t, err, rows[0].Cell.String(), "3 of the table's 8 cells")
	if !errors.Is(err, space.ErrNotQueryable) {
		t.Errorf("the error %v does not wrap ErrNotQueryable", err)
	}
	_, err = b.Validation(stranger{})
	wantError(t, err, "stranger", "not a NAS-Bench-101 cell")
	if got := b.Space().Name(); got != "nasbench101" {
		t.Errorf("space %s", got)
	}
}

func TestBenchmarkAt(t *testing.T) {
	tempCache(t)
	table := csvTable(t)
	for budget, epochs := range Epochs {
		b, err := table.BenchmarkAt(epochs)
		if err != nil {
			t.Fatal(err)
		}
		row := table.rows[1]
		if got, err := b.Validation(row.Cell); err != nil || got != row.Validation[budget] {
			t.Errorf("after %d epochs: %v, %v, want %v", epochs, got, err, row.Validation[budget])
		}
	}
	_, err := table.BenchmarkAt(100)
	wantError(t, err, "100 epochs", "[4 12 36 108]")
	_, err = mustOpen(t, only108Fixture).BenchmarkAt(12)
	wantError(t, err, "no validation accuracies after 12 epochs")
}

type stranger struct{}

func (stranger) ID() string         { return "" }
func (stranger) String() string     { return "stranger" }
func (stranger) Graph() space.Graph { return space.Graph{} }

// Cells that differ only in their numbering are one cell.
func TestRenumbered(t *testing.T) {
	tempCache(t)
	table := mustOpen(t, only108Fixture)
	b, r := table.Benchmark(), table.Report()
	one, two := parse(t, "110011:AM"), parse(t, "110011:MA")
	v1, err1 := b.Validation(one)
	v2, err2 := b.Validation(two)
	if err1 != nil || err2 != nil || v1 != v2 {
		t.Errorf("validation accuracies %v, %v and %v, %v", v1, err1, v2, err2)
	}
	t1, err1 := r.Test(one)
	t2, err2 := r.Test(two)
	if err1 != nil || err2 != nil || t1 != t2 {
		t.Errorf("test accuracies %v, %v and %v, %v", t1, err1, t2, err2)
	}
}

// A search that holds a Benchmark has these ways to use it, and no other.
func TestBenchmarkHidesTestAccuracy(t *testing.T) {
	var methods []string
	kind := reflect.TypeFor[*Benchmark]()
	for i := range kind.NumMethod() {
		methods = append(methods, kind.Method(i).Name)
	}
	if want := []string{"Len", "Sample", "Source", "Space", "Validation", "Version"}; !slices.Equal(methods, want) {
		t.Errorf("Benchmark has the methods %v, want %v", methods, want)
	}
}

func TestSample(t *testing.T) {
	tempCache(t)
	b := mustOpen(t, only108Fixture).Benchmark()
	rng := rand.New(rand.NewPCG(1, 2))
	hits := make(map[string]int)
	const draws = 8000
	for range draws {
		archs, err := b.Sample(rng, 3)
		if err != nil {
			t.Fatal(err)
		}
		if archs[0] == archs[1] || archs[1] == archs[2] || archs[0] == archs[2] {
			t.Fatalf("sampled %v, want distinct cells", archs)
		}
		for place, a := range archs {
			hits[a.String()+"@"+string(rune('0'+place))]++
		}
	}
	if len(hits) != 3*8 {
		t.Errorf("%d cells and places, want 24", len(hits))
	}
	for cell, n := range hits {
		if math.Abs(float64(n)-draws/8) > 150 { // 5 standard deviations
			t.Errorf("%s was drawn %d times, want about %d", cell, n, draws/8)
		}
	}
	if all, err := b.Sample(rng, 8); err != nil || len(all) != 8 {
		t.Errorf("sampled %v, %v; want all 8", all, err)
	}
	for _, n := range []int{9, -1} {
		_, err := b.Sample(rng, n)
		wantError(t, err, "8 can be queried")
	}
	one, _ := b.Sample(rand.New(rand.NewPCG(3, 4)), 5)
	two, _ := b.Sample(rand.New(rand.NewPCG(3, 4)), 5)
	if !slices.Equal(one, two) {
		t.Error("the same seed gave two samples")
	}
}

func TestBenchmarkConcurrently(t *testing.T) {
	tempCache(t)
	table := mustOpen(t, only108Fixture)
	b, r := table.Benchmark(), table.Report()
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for i := range table.rows {
				if _, err := b.Validation(table.rows[i].Cell); err != nil {
					t.Error(err)
				}
				if _, err := r.Rank(table.rows[i].Cell); err != nil {
					t.Error(err)
				}
			}
		})
	}
	workers.Wait()
}

func TestReport(t *testing.T) {
	tempCache(t)
	table := csvTable(t)
	r := table.Report()
	want := expected(t)
	if r.Len() != len(want) {
		t.Fatalf("%d cells, want %d", r.Len(), len(want))
	}
	best := 0
	i := 0
	for row := range r.Rows() {
		w := want[i]
		i++
		higher := 0
		for _, other := range want {
			if other.TestHits > w.TestHits {
				higher++
			}
		}
		if higher == 0 {
			best = i - 1
		}
		if test, err := r.Test(row.Cell); err != nil || test != float64(w.TestHits)/(3*9984) {
			t.Errorf("test accuracy %v, %v of %v", test, err, w)
		}
		if rank, err := r.Rank(row.Cell); err != nil || rank != 1+higher {
			t.Errorf("rank %d, %v of %v, want %d", rank, err, w, 1+higher)
		}
		if percent, err := r.RankPercent(row.Cell); err != nil || percent != 100*float64(1+higher)/8 {
			t.Errorf("rank %v%%, %v of %v", percent, err, w)
		}
	}
	if got := r.Best().Cell.String(); got != want[best].Cell {
		t.Errorf("best cell %s, want %s", got, want[best].Cell)
	}
	unknown := parse(t, "101:B")
	_, err := r.Test(unknown)
	wantError(t, err, "101:B", "not in the table")
	_, err = r.RankPercent(unknown)
	wantError(t, err, "101:B")
	_, err = r.Rank(stranger{})
	wantError(t, err, "not a NAS-Bench-101 cell")
}

// Cells of equal accuracy share a rank, and the next one leaves out as many.
func TestRankOfTies(t *testing.T) {
	tempCache(t)
	rows := slices.Clone(mustOpen(t, only108Fixture).rows)
	for i, test := range []float64{0.1, 0.9, 0.5, 0.9, 0.5, 0.5, 0.2, 0.1} {
		rows[i].Test = test
	}
	r := newNASBench101(rows, Source{}).Report()
	for i, want := range []int{7, 1, 3, 1, 3, 3, 6, 7} {
		if rank, err := r.Rank(rows[i].Cell); err != nil || rank != want {
			t.Errorf("row %d has rank %d, %v; want %d", i, rank, err, want)
		}
	}
	if best := r.Best(); best.Hash != rows[1].Hash {
		t.Errorf("best cell %v, want row 1", best)
	}
}

func TestHeldOut(t *testing.T) {
	tempCache(t)
	table := mustOpen(t, only108Fixture)
	report := table.Report()
	rng := rand.New(rand.NewPCG(1, 2))
	exclude, err := table.Benchmark().Sample(rng, 2)
	if err != nil {
		t.Fatal(err)
	}
	archs, tests, err := report.HeldOut(rng, report.Len()-2, exclude)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{exclude[0].ID(): true, exclude[1].ID(): true}
	for i, a := range archs {
		if seen[a.ID()] {
			t.Errorf("cell %v was excluded or drawn before", a)
		}
		seen[a.ID()] = true
		if want, err := report.Test(a); err != nil || tests[i] != want {
			t.Errorf("cell %v has test accuracy %v, want %v, %v", a, tests[i], want, err)
		}
	}
	if _, _, err := report.HeldOut(rng, report.Len()-1, exclude); err == nil {
		t.Error("more cells were held out than are left")
	}
}
