package experiment

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// newCountedData returns [counted] as data, which notes what it held out from whom.
func newCountedData() (data Data, excluded, held *[][]space.Arch) {
	b := counted{nasbench101.Space{}}
	excluded, held = new([][]space.Arch), new([][]space.Arch)
	var mu sync.Mutex
	return Data{Benchmark: b, HeldOut: func(rng *rand.Rand, n int, exclude []space.Arch) ([]space.Arch, []float64, error) {
		archs, err := space.Draw(rng, b.space, n, exclude)
		accuracies := make([]float64, len(archs))
		for i, a := range archs {
			// No two are equal, so that a ranking by accuracy has a tau of 1.
			accuracies[i], _ = b.Validation(a)
			accuracies[i] += float64(i) * 1e-9
		}
		mu.Lock()
		defer mu.Unlock()
		*excluded, *held = append(*excluded, exclude), append(*held, archs)
		return archs, accuracies, err
	}}, excluded, held
}

// oracle ranks the last held-out architectures by their accuracies, or the other way round.
type oracle struct {
	of   space.Benchmark
	sign float64
}

func (o oracle) Utilities(archs []space.Arch) ([]float64, error) {
	utilities := make([]float64, len(archs))
	for i, a := range archs {
		q, err := o.of.Validation(a)
		if err != nil {
			return nil, err
		}
		utilities[i] = o.sign * (q + float64(i)*1e-9)
	}
	return utilities, nil
}

// Kendall's tau is 1 for a ranker that knows the truth and −1 for one that turns it round; it is
// measured on architectures whose labels no search has seen; the accuracy is that of the answer.
func TestWhatIsMeasured(t *testing.T) {
	_, backend := open(t)
	data, excluded, held := newCountedData()
	labelled := 30
	own := func(name string, sign float64) Method {
		return Method{Name: name, Config: sign, Search: func(ctx context.Context, root string, p search.Problem, seed uint64) (*search.Found, error) {
			found, err := search.Random(ctx, root, p, search.RandomConfig{Labels: labelled, Seed: seed})
			if err == nil {
				found.Ranker = oracle{data.Benchmark, sign}
			}
			return found, err
		}}
	}
	e := Experiment{ID: "oracles", Seeds: 2, Methods: []Method{own("right", 1), own("wrong", -1)}}
	result, err := e.Run(context.Background(), t.TempDir(), data, backend, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{1, -1} {
		for seed, tau := range result.Rows[i].PerSeed["ktau"] {
			if tau < want-1e-9 || tau > want+1e-9 {
				t.Errorf("%s, seed %d: tau %g, want %g", result.Rows[i].Method, seed+1, tau, want)
			}
		}
	}
	if len(*held) != 8 {
		t.Fatalf("held out %d times, want 8: for Kendall's tau and for the order near the top", len(*held))
	}
	sizes := map[int]int{}
	for i, out := range *held {
		sizes[len(out)]++
		if len((*excluded)[i]) != labelled {
			t.Errorf("%d architectures were held out from %d labelled ones, want %d", len(out), len((*excluded)[i]), labelled)
		}
		for _, a := range (*excluded)[i] {
			if slices.ContainsFunc(out, func(h space.Arch) bool { return h.ID() == a.ID() }) {
				t.Errorf("%s is labelled and held out", a)
			}
		}
	}
	if sizes[heldOut] != 4 || sizes[topHeldOut] != 4 {
		t.Errorf("so many were held out, so often: %v", sizes)
	}
	for name, want := range map[string]float64{topTau: 1, bestOf10: 100 * best(*held), bestOf100: 100 * best(*held)} {
		right, wrong := result.Rows[0].PerSeed[name], result.Rows[1].PerSeed[name]
		if len(right) != 2 || len(wrong) != 2 || right[0] < want-1e-4 || right[0] > want+1e-4 || wrong[0] > want-0.1 {
			t.Errorf("%s is %v of a right ranking, and %v of a wrong one, want %g of the right one", name, right, wrong, want)
		}
	}
	for seed, accuracy := range result.Rows[0].PerSeed["accuracy"] {
		found, err := search.Random(context.Background(), t.TempDir(), search.Problem{Backend: backend, Benchmark: data.Benchmark}, search.RandomConfig{Labels: labelled, Seed: uint64(seed + 1)})
		if err != nil {
			t.Fatal(err)
		}
		want, _ := data.Benchmark.Validation(found.Best)
		if accuracy != 100*want {
			t.Errorf("seed %d: accuracy %g, want %g", seed+1, accuracy, 100*want)
		}
	}
}

// best returns the highest accuracy among the largest of the first seed's held-out sets.
func best(held [][]space.Arch) float64 {
	highest := 0.0
	for _, a := range slices.MaxFunc(held, func(a, b []space.Arch) int { return len(a) - len(b) }) {
		q, _ := counted{nasbench101.Space{}}.Validation(a)
		highest = max(highest, q)
	}
	return highest
}

// Methods share what they computed only where they are the same: not two of one's own whose
// configurations print alike, not one's own with one of the package, and not in two experiments.
func TestMethodsThatPrintAlike(t *testing.T) {
	_, backend := open(t)
	data, _, _ := newCountedData()
	root := t.TempDir()
	answer := func(index int) func(context.Context, string, search.Problem, uint64) (*search.Found, error) {
		return func(context.Context, string, search.Problem, uint64) (*search.Found, error) {
			return &search.Found{Best: nasbench101.Space{}.All()[index]}, nil
		}
	}
	copied := randomSearch("copied", 30)
	copied.Search = answer(4)
	for _, c := range []struct {
		id      string
		methods []Method
	}{
		{"first", []Method{
			{Name: "a", Config: struct{ X int }{1}, Search: answer(1)},
			{Name: "b", Config: struct{ X int }{1}, Search: answer(2)},
			randomSearch("random", 30), copied,
		}},
		{"second", []Method{{Name: "a", Config: struct{ X int }{1}, Search: answer(3)}}},
	} {
		result, err := Experiment{ID: c.id, Seeds: 1, Methods: c.methods}.Run(context.Background(), root, data, backend, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range map[string][]int{"first": {1, 2, -1, 4}, "second": {3}}[c.id] {
			if want < 0 {
				continue
			}
			accuracy, _ := data.Benchmark.Validation(nasbench101.Space{}.All()[want])
			if got := result.Rows[i].Metrics["accuracy_mean"]; got != 100*accuracy {
				t.Errorf("%s, %s: accuracy %g, want %g", c.id, result.Rows[i].Method, got, 100*accuracy)
			}
		}
	}
	// A row with a curve and one without do not share an outcome either.
	curve := randomOf("with a curve", 30)
	result, err := Experiment{ID: "curve", Seeds: 1, Methods: []Method{randomSearch("without", 30), curve}}.Run(context.Background(), root, data, backend, nil)
	if err != nil || result.Rows[0].Curves != nil || result.Rows[1].Curves == nil {
		t.Errorf("curves %v and %v (%v)", result.Rows[0].Curves, result.Rows[1].Curves, err)
	}
	// A configuration that is not written down whole is refused.
	hidden := Method{Name: "hidden", Config: struct{ x int }{1}, Search: answer(1)}
	if _, err := (Experiment{ID: "hidden", Seeds: 1, Methods: []Method{hidden}}).Run(context.Background(), root, data, backend, nil); err == nil || !strings.Contains(err.Error(), "not exported") {
		t.Errorf("a hidden setting: error %v", err)
	}
}

// A result says what computed it: versions of Go, GoMLX, backend and module, the data with a
// digest, the algorithms.
func TestResultsSayWhatComputedThem(t *testing.T) {
	table, backend := open(t)
	result, err := Experiment{ID: "random", Seeds: 1, Methods: []Method{randomSearch("random", 30)}}.Run(context.Background(), t.TempDir(), NASBench101(table), backend, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"go", "gomlx", "backend", "ctnas"} {
		if v := result.Versions[name]; v == "" {
			t.Errorf("the version of %s is %q", name, v)
		}
	}
	if !strings.Contains(result.Data, "digest ") || !strings.Contains(result.Data, "after 108 epochs") {
		t.Errorf("the data is %q", result.Data)
	}
	if got := fmt.Sprint(result.Algorithms); got != "map[labels:1 outcome:2 random:1]" {
		t.Errorf("the algorithms are %s", got)
	}
}

// Data that is a table of labels alone holds out what a search has not bought, as far as there is anything.
func TestHeldOutOfASmallTable(t *testing.T) {
	b := counted{nasbench101.Space{}}
	archs, err := b.Sample(rand.New(rand.NewPCG(1, 1)), 30)
	if err != nil {
		t.Fatal(err)
	}
	labelled := make([]space.Labelled, len(archs))
	for i, a := range archs {
		labelled[i].Arch = a
		labelled[i].Accuracy, _ = b.Validation(a)
	}
	table, err := space.NewTable(nasbench101.Space{}, "proxy", labelled)
	if err != nil {
		t.Fatal(err)
	}
	for bought, want := range map[int]int{0: 20, 10: 20, 25: 5, 30: 0} {
		others, accuracies, err := Data{Benchmark: table}.heldOut(rand.New(rand.NewPCG(2, 2)), 20, archs[:bought])
		if err != nil || len(others) != want || len(accuracies) != want {
			t.Errorf("of 30, of which %d were bought, %d are held out (%v), want %d", bought, len(others), err, want)
		}
		for i, a := range others {
			if known, _ := b.Validation(a); known != accuracies[i] || slices.Contains(archs[:bought], a) {
				t.Errorf("%v is held out with %g", a, accuracies[i])
			}
		}
	}
}
