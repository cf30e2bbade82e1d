package search_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/ctnas"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/internal/toy"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/train"
)

// searchFunc is a search with its configuration.
type searchFunc func(ctx context.Context, root string, p search.Problem) (*search.Found, error)

func openBackend(t testing.TB) compute.Backend {
	t.Helper()
	b, err := engine.Open()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// everySearch is each search at a size for tests.
func everySearch() map[string]searchFunc {
	small := ctnas.Paper()
	small.Labels, small.Iterations, small.PolicySteps, small.PolicyBatch, small.Seed = 20, 2, 4, 8, 1
	small.Samples, small.BaselineSamples, small.TopK = 20, 20, 30
	small.NAC.Width, small.NAC.Epochs, small.Controller.Hidden = 16, 3, 16
	ranking := search.RankingConfig{Labels: 20, Pool: 300, NAC: small.NAC, Seed: 1}
	regression, renas := search.PaperRegression(), search.PaperReNAS()
	regression.Labels, regression.Iterations, regression.PolicySteps, regression.PolicyBatch, regression.Seed = 20, 2, 4, 8, 1
	regression.Predictor.Width, regression.Predictor.Epochs, regression.Controller.Hidden = 16, 3, 16
	renas.Labels, renas.Seed, renas.Evolution = 20, 1, search.EvolveConfig{Population: 20, Tournament: 10, Cycles: 100}
	renas.Predictor.Channels, renas.Predictor.Hidden, renas.Predictor.Epochs = [2]int{8, 8}, [2]int{16, 8}, 3
	return map[string]searchFunc{
		"Random": func(ctx context.Context, root string, p search.Problem) (*search.Found, error) {
			return search.Random(ctx, root, p, search.RandomConfig{Labels: 20, Seed: 1})
		},
		"Evolution": func(ctx context.Context, root string, p search.Problem) (*search.Found, error) {
			return search.Evolution(ctx, root, p, search.EvolutionConfig{Labels: 20, Population: 12, Tournament: 4, Seed: 1})
		},
		"Local": func(ctx context.Context, root string, p search.Problem) (*search.Found, error) {
			return search.Local(ctx, root, p, search.LocalConfig{Labels: 20, First: 12, Patience: 4, Seed: 1})
		},
		"Thompson": func(ctx context.Context, root string, p search.Problem) (*search.Found, error) {
			c := search.DefaultThompson(20)
			c.First, c.Random, c.Generations, c.Seed = 12, 20, 2, 1
			return search.Thompson(ctx, root, p, c)
		},
		"Bananas": func(ctx context.Context, root string, p search.Problem) (*search.Found, error) {
			c := search.BananasConfig{Labels: 20, First: 12, Batch: 4, Members: 2, Predictor: regression.Predictor, Parents: 4, Children: 4, Seed: 1}
			return search.Bananas(ctx, root, p, c)
		},
		"Ranking": func(ctx context.Context, root string, p search.Problem) (*search.Found, error) {
			return search.Ranking(ctx, root, p, ranking)
		},
		"CTNAS": func(ctx context.Context, root string, p search.Problem) (*search.Found, error) {
			return ctnas.Search(ctx, root, p, small)
		},
		"RegressionNAS": func(ctx context.Context, root string, p search.Problem) (*search.Found, error) {
			return search.RegressionNAS(ctx, root, p, regression)
		},
		"ReNAS": func(ctx context.Context, root string, p search.Problem) (*search.Found, error) {
			return search.ReNAS(ctx, root, p, renas)
		},
	}
}

// In one run root a search with other labels is another search, though the benchmark has the same
// type, source and space and the search the same configuration.
func TestOtherLabelsAreAnotherSearch(t *testing.T) {
	backend := openBackend(t)
	for name, s := range everySearch() {
		root := t.TempDir()
		run := func(sign float64) *search.Found {
			b := &toy.Trained{Of: func(a space.Arch) (float64, error) { return 2 + sign*toy.Quality(a), nil }}
			found, err := s(t.Context(), root, search.Problem{Backend: backend, Benchmark: b})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, l := range found.Labelled {
				if want := 2 + sign*toy.Quality(l.Arch); l.Accuracy != want {
					t.Fatalf("%s: the label of %s is %g, want %g", name, l.Arch, l.Accuracy, want)
				}
			}
			if found.Queries != len(b.Asked) || found.Queries != 20 {
				t.Errorf("%s: %d queries, the benchmark was asked %d times, want 20", name, found.Queries, len(b.Asked))
			}
			return found
		}
		up, down := run(1), run(-1)
		if down.Status != rundir.Trained || down.Dir == up.Dir {
			t.Errorf("%s: with opposite labels it was %s in %s, with the others in %s", name, down.Status, down.Dir, up.Dir)
		}
		again := run(1)
		if again.Dir != up.Dir || again.Best.ID() != up.Best.ID() {
			t.Errorf("%s: the first labels again lead to %s in %s, not %s in %s", name, again.Best, again.Dir, up.Best, up.Dir)
		}
	}
}

// A search whose context ends while the benchmark computes a label asks for no other, says so as an error, and buys
// none twice, however often it is stopped.
func TestLabelsThatWereBoughtAreKept(t *testing.T) {
	backend := openBackend(t)
	for name, s := range everySearch() {
		root := t.TempDir()
		asked := map[string]int{}
		var found *search.Found
		for stops := 0; found == nil; stops++ {
			ctx, cancel := context.WithCancel(t.Context())
			b := &toy.Trained{Takes: 15 * time.Millisecond}
			b.Of = func(a space.Arch) (float64, error) {
				asked[a.ID()]++
				if stops < 4 && len(b.Asked) == 4 {
					cancel()
				}
				return toy.Quality(a), nil
			}
			var err error
			found, err = s(ctx, root, search.Problem{Backend: backend, Benchmark: b})
			cancel()
			if stops >= 4 {
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				continue
			}
			if !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "\n") || found != nil || len(b.Asked) != 4 {
				t.Fatalf("%s: after %d labels of 4 it returned %v and the error %v", name, len(b.Asked), found, err)
			}
		}
		for id, n := range asked {
			if n > 1 {
				t.Errorf("%s bought the label of %s %d times", name, id, n)
			}
		}
		if len(asked) != found.Queries {
			t.Errorf("%s: %d labels were bought, %d queries reported", name, len(asked), found.Queries)
		}
		b := &toy.Trained{Takes: 15 * time.Millisecond}
		again, err := s(t.Context(), root, search.Problem{Backend: backend, Benchmark: b})
		if err != nil || len(b.Asked) != 0 || again.Status != rundir.Loaded || again.Best.ID() != found.Best.ID() || again.Queries != found.Queries {
			t.Errorf("%s, again: %d labels were bought, status %s (%v)", name, len(b.Asked), again.Status, err)
		}
	}
}

// A label that is no number, a benchmark that fails or panics: one sentence with the architecture.
func TestBadLabels(t *testing.T) {
	backend := openBackend(t)
	for name, s := range everySearch() {
		for want, of := range map[string]func(space.Arch) (float64, error){
			"NaN":                func(space.Arch) (float64, error) { return math.NaN(), nil },
			"+Inf":               func(space.Arch) (float64, error) { return math.Inf(1), nil },
			"-Inf":               func(space.Arch) (float64, error) { return math.Inf(-1), nil },
			"CUDA out of memory": func(space.Arch) (float64, error) { return 0, errors.New("CUDA out of memory") },
			"index out of range": func(space.Arch) (float64, error) { return make([]float64, 0, len(name))[0], nil },
		} {
			n, bad := 0, ""
			b := &toy.Trained{}
			b.Of = func(a space.Arch) (float64, error) {
				if n++; n < 5 {
					return toy.Quality(a), nil
				}
				bad = a.String()
				return of(a)
			}
			_, err := s(t.Context(), t.TempDir(), search.Problem{Backend: backend, Benchmark: b})
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), bad) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s, %s: error %v", name, want, err)
			}
		}
	}
}

// Progress is shown of labels, of the training of judges, of rankings and of iterations.
func TestEverythingShowsProgress(t *testing.T) {
	for name, stages := range map[string][]string{
		"Random":        {"labels"},
		"Evolution":     {"labels", ""},
		"Ranking":       {"labels", "comparator, epoch", "ranking"},
		"Thompson":      {"labels", ""},
		"CTNAS":         {"labels", "comparator, epoch", ""},
		"RegressionNAS": {"labels", "predictor, epoch", ""},
		"ReNAS":         {"labels", "predictor, epoch", ""},
	} {
		seen := map[string]bool{}
		p := search.Problem{Backend: openBackend(t), Benchmark: toy.Benchmark{}}
		p.Watch = func(step train.Progress) {
			seen[step.Stage] = true
			if step.Done < 1 || step.Done > step.Total || step.Total == 1 && step.Stage == "labels" {
				t.Errorf("%s, %q: step %d of %d", name, step.Stage, step.Done, step.Total)
			}
		}
		if _, err := everySearch()[name](t.Context(), t.TempDir(), p); err != nil {
			t.Fatal(err)
		}
		for _, stage := range stages {
			if !seen[stage] {
				t.Errorf("%s: nothing was said of the stage %q, only of %v", name, stage, seen)
			}
		}
	}
}

// Searches that train nothing need no backend; the others say so.
func TestNoBackend(t *testing.T) {
	for name, s := range everySearch() {
		b := toy.Benchmark{}
		_, err := s(t.Context(), t.TempDir(), search.Problem{Benchmark: b})
		if name == "Random" || name == "Evolution" || name == "Local" || name == "Thompson" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "Backend") {
			t.Errorf("%s without a backend: error %v", name, err)
		}
		if _, err := s(t.Context(), t.TempDir(), search.Problem{}); err == nil || !strings.Contains(err.Error(), "Benchmark") {
			t.Errorf("%s without a benchmark: error %v", name, err)
		}
	}
}

// The labels of a seed are those of random search of that seed, whatever the search.
func TestLabelIsWhatEverySearchBegins(t *testing.T) {
	want, err := search.Label(t.Context(), toy.Benchmark{}, 12, 1)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range everySearch() {
		found, err := s(t.Context(), t.TempDir(), search.Problem{Backend: openBackend(t), Benchmark: toy.Benchmark{}})
		if err != nil {
			t.Fatal(err)
		}
		if got := train.Digest(found.Labelled[:12]); got != train.Digest(want) {
			t.Errorf("%s begins with other labels", name)
		}
	}
}
