package search

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
)

// mobileBenchmark likes large kernels early and small ones late.
type mobileBenchmark struct {
	space mobilenetv3.Space
	seen  map[string]bool
}

func newMobileBenchmark(t *testing.T) *mobileBenchmark {
	t.Helper()
	s, err := mobilenetv3.New(mobilenetv3.OFA(), 500e6)
	if err != nil {
		t.Fatal(err)
	}
	return &mobileBenchmark{s, make(map[string]bool)}
}

func (b *mobileBenchmark) Space() space.Space { return b.space }
func (b *mobileBenchmark) Source() string     { return "toy" }

func (b *mobileBenchmark) Sample(rng *rand.Rand, n int) ([]space.Arch, error) {
	archs := make([]space.Arch, n)
	for i := range archs {
		archs[i] = b.space.Sample(rng)
	}
	return archs, nil
}

func (b *mobileBenchmark) Validation(a space.Arch) (float64, error) {
	b.seen[a.ID()] = true
	sum, n := 0.0, a.(mobilenetv3.Net)
	for u := range mobilenetv3.Units {
		for _, block := range n.Blocks(u) {
			if u < 2 == (block.Kernel == 7) {
				sum += 1.0 / mobilenetv3.NumBlock
			}
		}
	}
	return sum, nil
}

// Both evolutions spend exactly their labels, beginning with those of random search,
// find what random search with as many does not, answer the best that they queried, and
// do so again from the same directory.
func TestEvolutionByQueries(t *testing.T) {
	const labels = 200
	for name, evolve := range map[string]func(root string, p Problem) (*Found, error){
		"evolution": func(root string, p Problem) (*Found, error) {
			return Evolution(t.Context(), root, p, EvolutionConfig{Labels: labels, Population: 40, Tournament: 10, Seed: 1})
		},
		"generations": func(root string, p Problem) (*Found, error) {
			return Genetic(t.Context(), root, p, GeneticConfig{Labels: labels, Population: 40, Parents: 10, Mutants: 20, Seed: 1})
		},
	} {
		root, p := t.TempDir(), Problem{Backend: toyProblem(t).Backend, Benchmark: newMobileBenchmark(t)}
		found, err := evolve(root, p)
		if err != nil {
			t.Fatal(err)
		}
		if found.Queries != labels || len(found.Labelled) != labels || found.Status != rundir.Trained {
			t.Errorf("%s: %d queries, %d labels, %s", name, found.Queries, len(found.Labelled), found.Status)
		}
		p.Benchmark = newMobileBenchmark(t)
		random, err := Random(t.Context(), root, p, RandomConfig{Labels: labels, Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 40 {
			if found.Labelled[i].Arch != random.Labelled[i].Arch {
				t.Fatalf("%s: label %d is not that of random search", name, i)
			}
		}
		best, _ := p.Benchmark.Validation(found.Best)
		for _, l := range found.Labelled {
			if l.Accuracy > best {
				t.Errorf("%s: queried %g, but answered %g", name, l.Accuracy, best)
			}
		}
		if other, _ := p.Benchmark.Validation(random.Best); best <= other {
			t.Errorf("%s found %g, random search %g", name, best, other)
		}
		p.Benchmark = newMobileBenchmark(t)
		again, err := evolve(root, p)
		if err != nil || again.Best != found.Best || again.Status != rundir.Trained || again.Queries != labels {
			t.Errorf("%s, again: %s, %v", name, again.Status, err)
		}
	}
}

func TestEvolutionByQueriesErrors(t *testing.T) {
	p := Problem{Backend: toyProblem(t).Backend, Benchmark: newMobileBenchmark(t)}
	for _, c := range []EvolutionConfig{{Labels: 10, Population: 20, Tournament: 5}, {Labels: 10, Population: 5, Tournament: 6}, {Labels: 10, Population: 5}} {
		if _, err := Evolution(t.Context(), t.TempDir(), p, c); err == nil || !strings.Contains(err.Error(), "Evolution needs") {
			t.Errorf("%+v: error %v", c, err)
		}
	}
	for _, c := range []GeneticConfig{{Labels: 10, Population: 20, Parents: 5}, {Labels: 10, Population: 5, Parents: 6}, {Labels: 10, Population: 5, Parents: 2, Mutants: 6}} {
		if _, err := Genetic(t.Context(), t.TempDir(), p, c); err == nil || !strings.Contains(err.Error(), "Genetic needs") {
			t.Errorf("%+v: error %v", c, err)
		}
	}
	if _, err := Genetic(t.Context(), t.TempDir(), toyProblem(t), OFAGenetic(200)); err == nil || !strings.Contains(err.Error(), "cannot be crossed") {
		t.Errorf("a space without crossing: error %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := Genetic(ctx, t.TempDir(), p, OFAGenetic(200)); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: error %v", err)
	}
}
