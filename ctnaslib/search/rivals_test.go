package search

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/internal/toy"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/ctnaslib/train"
)

func toyProblem(t testing.TB) Problem {
	t.Helper()
	return Problem{Backend: backend(t), Benchmark: toy.Benchmark{}}
}

func summary(f *Found) string { return fmt.Sprint(f.Best, f.Queries, f.Metrics) }

// smallNAC is the paper's comparator at a size for tests.
func smallNAC() comparator.Config {
	c := comparator.Paper()
	c.Width, c.Epochs, c.BatchSize, c.LearningRate = 16, 25, 32, 5e-3
	return c
}

// smallRegression is RegressionNAS at a size for tests.
func smallRegression(seed uint64) RegressionConfig {
	c := PaperRegression()
	c.Labels, c.Iterations, c.PolicySteps, c.PolicyBatch = 60, 8, 4, 8
	c.Predictor.Width, c.Predictor.Epochs, c.Predictor.BatchSize, c.Predictor.LearningRate = 16, 25, 32, 5e-3
	c.Controller.Hidden, c.Controller.LearningRate = 16, 1e-2
	c.Seed = seed
	return c
}

// smallReNAS is ReNAS at a size for tests.
func smallReNAS(seed uint64) ReNASConfig {
	c := PaperReNAS()
	c.Labels, c.Evolution = 60, EvolveConfig{Population: 20, Tournament: 10, Cycles: 450}
	c.Predictor.Channels, c.Predictor.Hidden = [2]int{8, 8}, [2]int{16, 8}
	c.Predictor.Epochs, c.Predictor.LearningRate = 40, 5e-3
	c.Seed = seed
	return c
}

func renas(c ReNASConfig) search {
	return func(ctx context.Context, root string, p Problem) (*Found, error) { return ReNAS(ctx, root, p, c) }
}

// search is a rival's search with its configuration.
type search func(ctx context.Context, root string, p Problem) (*Found, error)

func regressionNAS(c RegressionConfig) search {
	return func(ctx context.Context, root string, p Problem) (*Found, error) {
		return RegressionNAS(ctx, root, p, c)
	}
}

func (s search) must(t *testing.T, root string) *Found {
	t.Helper()
	found, err := s(t.Context(), root, toyProblem(t))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// random is the mean quality of random cells.
func random() float64 {
	rng, mean := rand.New(rand.NewPCG(1, 1)), 0.0
	for range 500 {
		mean += toy.Quality(nasbench101.Space{}.Sample(rng)) / 500
	}
	return mean
}

// testRival checks what holds for each search that a predictor guides.
func testRival(t *testing.T, s, other search, iterations int) {
	found := s.must(t, t.TempDir())
	if got := toy.Quality(found.Best); got < random()+0.1 {
		t.Errorf("the cell found has quality %.2f, a random one %.2f on average", got, random())
	}
	if found.Queries != 60 || len(found.Metrics) != iterations {
		t.Errorf("%d queries and %d metrics, want 60 and %d", found.Queries, len(found.Metrics), iterations)
	}
	utilities, err := found.Ranker.Utilities([]space.Arch{found.Best})
	if err != nil {
		t.Fatal(err)
	}
	if best := found.Metrics[iterations-1].Values["best"]; best < utilities[0]-1e-5 || best > utilities[0]+1e-5 {
		t.Errorf("the cell found has a utility of %.6f, the best seen %.6f", utilities[0], best)
	}
	want := summary(found)
	if summary(other.must(t, t.TempDir())) == want {
		t.Error("another seed gave the same search")
	}

	root := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	p := toyProblem(t)
	p.Watch = func(step train.Progress) {
		if step.Stage != "" {
			return
		}
		done, total := step.Done, step.Total

		if done == 3 && total == iterations {
			cancel()
		}
	}
	if _, err := s(ctx, root, p); !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted: %v, want context.Canceled", err)
	}
	for _, status := range []rundir.Status{rundir.Resumed, rundir.Loaded} {
		found := s.must(t, root)
		if found.Status != status || summary(found) != want {
			t.Errorf("status %s, want %s; same outcome as uninterrupted: %v", found.Status, status, summary(found) == want)
		}
	}

	path := filepath.Join(found.Dir, "checkpoint")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s(t.Context(), filepath.Dir(found.Dir), toyProblem(t)); !errors.Is(err, rundir.ErrDamaged) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v, want one line wrapping ErrDamaged", err)
	}
}

func TestRegressionNAS(t *testing.T) {
	testRival(t, regressionNAS(smallRegression(1)), regressionNAS(smallRegression(2)), 8)
}

func TestReNAS(t *testing.T) {
	testRival(t, renas(smallReNAS(0)), renas(smallReNAS(2)), 5)
}

// A search without a cycle answers the best of the first population.
func TestReNASWithoutCycles(t *testing.T) {
	c := smallReNAS(3)
	c.Evolution.Cycles = 0
	if found := renas(c).must(t, t.TempDir()); found.Best == nil || len(found.Metrics) != 0 {
		t.Errorf("found %v with %d metrics", found.Best, len(found.Metrics))
	}
}

func TestReNASErrors(t *testing.T) {
	for name, change := range map[string]func(*ReNASConfig){
		"Labels":     func(c *ReNASConfig) { c.Labels = 1 },
		"Tournament": func(c *ReNASConfig) { c.Evolution.Tournament = 0 },
		"Channels":   func(c *ReNASConfig) { c.Predictor.Channels[0] = 0 },
	} {
		c := smallReNAS(1)
		change(&c)
		if _, err := ReNAS(t.Context(), t.TempDir(), toyProblem(t), c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestRegressionNASErrors(t *testing.T) {
	for name, change := range map[string]func(*RegressionConfig){
		"Labels":      func(c *RegressionConfig) { c.Labels = 1 },
		"PolicySteps": func(c *RegressionConfig) { c.PolicySteps = 0 },
		"layer":       func(c *RegressionConfig) { c.Predictor.Layers = 0 },
		"hidden":      func(c *RegressionConfig) { c.Controller.Hidden = 0 },
	} {
		c := smallRegression(1)
		change(&c)
		if _, err := RegressionNAS(t.Context(), t.TempDir(), toyProblem(t), c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestRandom(t *testing.T) {
	root := t.TempDir()
	// A toy benchmark is asked again: nothing of it is worth keeping.
	for _, status := range []rundir.Status{rundir.Trained, rundir.Trained} {
		found, err := Random(t.Context(), root, toyProblem(t), RandomConfig{Labels: 60, Seed: 3})
		if err != nil {
			t.Fatal(err)
		}
		if found.Status != status || found.Queries != 60 || found.Ranker != nil {
			t.Errorf("status %s, want %s; %d queries, want 60; ranker %v, want none", found.Status, status, found.Queries, found.Ranker)
		}
		labelled, err := Label(t.Context(), toy.Benchmark{}, 60, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range labelled {
			if l.Accuracy > toy.Quality(found.Best) {
				t.Errorf("%v has %.3f, the cell found %.3f", l.Arch, l.Accuracy, toy.Quality(found.Best))
			}
		}
	}
	if _, err := Random(t.Context(), root, toyProblem(t), RandomConfig{}); err == nil || !strings.Contains(err.Error(), "Labels") {
		t.Errorf("no labels: error %v", err)
	}
}

// byQuality ranks by the toy benchmark's accuracy, and counts.
type byQuality struct{ ranked *int }

func (r byQuality) Utilities(archs []space.Arch) ([]float64, error) {
	*r.ranked += len(archs)
	utilities := make([]float64, len(archs))
	for i, a := range archs {
		utilities[i] = toy.Quality(a)
	}
	return utilities, nil
}

func TestEvolve(t *testing.T) {
	ranked := 0
	config := EvolveConfig{Population: 20, Tournament: 10, Cycles: 400}
	best, utility, err := Evolve(t.Context(), rand.New(rand.NewPCG(1, 1)), nasbench101.Space{}, byQuality{&ranked}, config)
	if err != nil {
		t.Fatal(err)
	}
	if ranked != 420 {
		t.Errorf("%d architectures ranked, want 20 and 400 children", ranked)
	}
	if utility != toy.Quality(best) || utility < 0.5 {
		t.Errorf("found %v of quality %.2f with utility %.2f; five convolutions have at least 0.56", best, toy.Quality(best), utility)
	}
	again, _, err := Evolve(t.Context(), rand.New(rand.NewPCG(1, 1)), nasbench101.Space{}, byQuality{&ranked}, config)
	if err != nil || again != best {
		t.Errorf("the same seed found %v and %v, %v", best, again, err)
	}
}

// The oldest dies, whatever it is worth; the best that ever lived is remembered.
func TestEvolutionAges(t *testing.T) {
	ranked := 0
	rng := rand.New(rand.NewPCG(2, 2))
	e, err := newEvolution(rng, nasbench101.Space{}, byQuality{&ranked}, EvolveConfig{Population: 4, Tournament: 2})
	if err != nil {
		t.Fatal(err)
	}
	highest := e.best.utility
	for range 10 {
		before := e.population
		if err := e.cycle(t.Context(), rng); err != nil {
			t.Fatal(err)
		}
		child := e.population[3]
		for i := range 3 {
			if e.population[i] != before[i+1] {
				t.Fatal("not the oldest died")
			}
		}
		highest = max(highest, child.utility)
		if e.best.utility != highest {
			t.Errorf("the best has utility %.3f, want %.3f", e.best.utility, highest)
		}
	}
}

func TestEvolveErrors(t *testing.T) {
	for name, config := range map[string]EvolveConfig{
		"Population": {Population: 0, Tournament: 1},
		"Tournament": {Population: 3, Tournament: 4},
		"Cycles":     {Population: 3, Tournament: 1, Cycles: -1},
	} {
		ranked := 0
		if _, _, err := Evolve(t.Context(), rand.New(rand.NewPCG(1, 1)), nasbench101.Space{}, byQuality{&ranked}, config); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestRanking(t *testing.T) {
	config := RankingConfig{Labels: 60, Pool: 500, NAC: smallNAC(), Seed: 3}
	root := t.TempDir()
	found, err := Ranking(context.Background(), root, toyProblem(t), config)
	if err != nil {
		t.Fatal(err)
	}
	if found.Queries != 60 || len(found.Labelled) != 60 {
		t.Errorf("%d queries and %d labels, want 60", found.Queries, len(found.Labelled))
	}
	rng, better := rand.New(rand.NewPCG(1, 1)), 0
	for range 500 {
		if toy.Quality(nasbench101.Space{}.Sample(rng)) > toy.Quality(found.Best) {
			better++
		}
	}
	if better > 50 {
		t.Errorf("%d of 500 random cells are better than the one ranked first", better)
	}
	again, err := Ranking(context.Background(), root, toyProblem(t), config)
	if err != nil || again.Best != found.Best || again.Status != rundir.Loaded {
		t.Errorf("the second call gave %v, %v, want %v, loaded", again, err, found.Best)
	}
	config.Pool = -1
	if _, err := Ranking(context.Background(), root, toyProblem(t), config); err == nil || !strings.Contains(err.Error(), "Pool") {
		t.Errorf("a negative pool: error %v", err)
	}
}
