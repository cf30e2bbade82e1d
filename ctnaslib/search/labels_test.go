package search

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// trainedBenchmark is a benchmark of one's own, without a version: a function of the
// architecture that takes a while.
type trainedBenchmark struct {
	takes time.Duration
	of    func(space.Arch) (float64, error)

	mu    sync.Mutex
	asked []string
}

func (b *trainedBenchmark) Space() space.Space { return nasbench101.Space{} }
func (b *trainedBenchmark) Source() string     { return "proxy" }
func (b *trainedBenchmark) Queries() int       { return len(b.asked) }
func (b *trainedBenchmark) Sample(rng *rand.Rand, n int) ([]space.Arch, error) {
	return space.Draw(rng, nasbench101.Space{}, n, nil)
}
func (b *trainedBenchmark) Validation(a space.Arch) (float64, error) {
	b.mu.Lock()
	b.asked = append(b.asked, a.ID())
	b.mu.Unlock()
	time.Sleep(b.takes)
	if b.of == nil {
		return quality(a), nil
	}
	return b.of(a)
}

// versioned is a trainedBenchmark with a version.
type versioned struct {
	*trainedBenchmark
	version string
}

func (v versioned) Version() string { return v.version }

// everySearch is each search of the package at a size for tests.
func everySearch() map[string]search {
	ranking := RankingConfig{Labels: 20, Pool: 300, NAC: small(1).NAC, Seed: 1}
	ranking.NAC.Epochs = 3
	active := ActiveConfig{Labels: 20, First: 12, Rounds: 2, Pool: 100, Members: 2, NAC: ranking.NAC, Seed: 1}
	ctnas := small(1)
	ctnas.Labels, ctnas.Iterations, ctnas.NAC.Epochs = 20, 2, 3
	regression, renas := smallRegression(1), smallReNAS(1)
	regression.Labels, regression.Iterations, regression.Predictor.Epochs = 20, 2, 3
	renas.Labels, renas.Predictor.Epochs, renas.Evolution.Cycles = 20, 3, 100
	return map[string]search{
		"Random": func(ctx context.Context, root string, p Problem) (*Found, error) {
			return Random(ctx, root, p, RandomConfig{Labels: 20, Seed: 1})
		},
		"Evolution": func(ctx context.Context, root string, p Problem) (*Found, error) {
			return Evolution(ctx, root, p, EvolvedConfig{Labels: 20, Population: 12, Tournament: 4, Seed: 1})
		},
		"Ranking": func(ctx context.Context, root string, p Problem) (*Found, error) {
			return Ranking(ctx, root, p, ranking)
		},
		"Active": func(ctx context.Context, root string, p Problem) (*Found, error) { return Active(ctx, root, p, active) },
		"CTNAS":  func(ctx context.Context, root string, p Problem) (*Found, error) { return CTNAS(ctx, root, p, ctnas) },
		"RegressionNAS": func(ctx context.Context, root string, p Problem) (*Found, error) {
			return RegressionNAS(ctx, root, p, regression)
		},
		"ReNAS": func(ctx context.Context, root string, p Problem) (*Found, error) { return ReNAS(ctx, root, p, renas) },
	}
}

// In one run root a search with other labels is another search, though the benchmark has the same
// type, source and space and the search the same configuration.
func TestOtherLabelsAreAnotherSearch(t *testing.T) {
	backend := toyProblem(t).Backend
	for name, s := range everySearch() {
		root := t.TempDir()
		run := func(sign float64) *Found {
			b := &trainedBenchmark{of: func(a space.Arch) (float64, error) { return 2 + sign*quality(a), nil }}
			found, err := s(t.Context(), root, Problem{Backend: backend, Benchmark: b})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, l := range found.Labelled {
				if want := 2 + sign*quality(l.Arch); l.Accuracy != want {
					t.Fatalf("%s: the label of %s is %g, want %g", name, l.Arch, l.Accuracy, want)
				}
			}
			if found.Queries != len(b.asked) || found.Queries != 20 {
				t.Errorf("%s: %d queries, the benchmark was asked %d times, want 20", name, found.Queries, len(b.asked))
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

// One benchmark may serve several searches: each counts its own queries.
func TestQueriesAreOfOneSearch(t *testing.T) {
	p := toyProblem(t)
	for seed := range uint64(3) {
		found, err := Random(t.Context(), t.TempDir(), p, RandomConfig{Labels: 10, Seed: seed})
		if err != nil || found.Queries != 10 {
			t.Errorf("seed %d: %d queries (%v), want 10", seed, found.Queries, err)
		}
	}
}

// A search on a benchmark whose labels take long stops within a second of its context's end,
// says so as an error, and buys no label twice, however often it is stopped.
func TestLabelsThatWereBoughtAreKept(t *testing.T) {
	backend := toyProblem(t).Backend
	for name, s := range everySearch() {
		root := t.TempDir()
		asked := map[string]int{}
		var found *Found
		for stops := 0; found == nil; stops++ {
			b := &trainedBenchmark{takes: 15 * time.Millisecond}
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			if stops > 3 {
				ctx = t.Context()
			}
			start := time.Now()
			var err error
			found, err = s(ctx, root, Problem{Backend: backend, Benchmark: b})
			took := time.Since(start)
			cancel()
			for _, id := range b.asked {
				asked[id]++
			}
			if err == nil {
				continue
			}
			if !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%s: error %v", name, err)
			}
			if found != nil || took > 1100*time.Millisecond {
				t.Errorf("%s: it returned %v after %v", name, found, took)
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
		b := &trainedBenchmark{takes: 15 * time.Millisecond}
		again, err := s(t.Context(), root, Problem{Backend: backend, Benchmark: b})
		if err != nil || len(b.asked) != 0 || again.Status != rundir.Loaded || again.Best.ID() != found.Best.ID() || again.Queries != found.Queries {
			t.Errorf("%s, again: %d labels were bought, status %s (%v)", name, len(b.asked), again.Status, err)
		}
	}
}

// Labels are kept for one version of a benchmark.
func TestLabelsAreKeptByVersion(t *testing.T) {
	root, backend := t.TempDir(), toyProblem(t).Backend
	bought := func(version string) int {
		b := versioned{&trainedBenchmark{takes: 15 * time.Millisecond}, version}
		if _, err := Random(t.Context(), root, Problem{Backend: backend, Benchmark: b}, RandomConfig{Labels: 5, Seed: 1}); err != nil {
			t.Fatal(err)
		}
		return len(b.asked)
	}
	for _, c := range []struct {
		version string
		want    int
	}{{"1", 5}, {"1", 0}, {"2", 5}, {"1", 0}} {
		if got := bought(c.version); got != c.want {
			t.Errorf("version %s: %d labels were bought, want %d", c.version, got, c.want)
		}
	}
}

// A benchmark that does not come back is left alone within a second; what it says then is kept.
func TestStoppedInTheMiddleOfALabel(t *testing.T) {
	root, backend := t.TempDir(), toyProblem(t).Backend
	release := make(chan struct{})
	b := &trainedBenchmark{of: func(a space.Arch) (float64, error) { <-release; return quality(a), nil }}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := Random(ctx, root, Problem{Backend: backend, Benchmark: b}, RandomConfig{Labels: 5, Seed: 1})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 1050*time.Millisecond {
		t.Errorf("after %v: error %v", time.Since(start), err)
	}
	close(release)
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if files, _ := filepath.Glob(filepath.Join(root, "labels-*.jsonl")); len(files) == 1 {
			break
		}
	}
	again := &trainedBenchmark{}
	if _, err := Random(t.Context(), root, Problem{Backend: backend, Benchmark: again}, RandomConfig{Labels: 5, Seed: 1}); err != nil || len(again.asked) != 4 {
		t.Errorf("%d labels were bought, want 4 (%v)", len(again.asked), err)
	}
}

// A label that is no number, a benchmark that fails or panics: one sentence with the architecture.
func TestBadLabels(t *testing.T) {
	backend := toyProblem(t).Backend
	for name, s := range everySearch() {
		for want, of := range map[string]func(space.Arch) (float64, error){
			"NaN":                func(space.Arch) (float64, error) { return math.NaN(), nil },
			"+Inf":               func(space.Arch) (float64, error) { return math.Inf(1), nil },
			"-Inf":               func(space.Arch) (float64, error) { return math.Inf(-1), nil },
			"CUDA out of memory": func(space.Arch) (float64, error) { return 0, errors.New("CUDA out of memory") },
			"index out of range": func(space.Arch) (float64, error) { return []float64{}[len(name)-len(name)], nil },
		} {
			n, bad := 0, ""
			b := &trainedBenchmark{}
			b.of = func(a space.Arch) (float64, error) {
				if n++; n < 5 {
					return quality(a), nil
				}
				bad = a.String()
				return of(a)
			}
			_, err := s(t.Context(), t.TempDir(), Problem{Backend: backend, Benchmark: b})
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), bad) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s, %s: error %v", name, want, err)
			}
		}
	}
}

// A benchmark that is quick now and then slow, as where the machine is busy, is asked each time, in
// whatever order the two come; what took it really long is kept all the same.
func TestInterruptionsAreNotKept(t *testing.T) {
	cell := nasbench101.Space{}.All()
	const slow, quick = 2 * worthKeeping, worthKeeping / 10
	for name, times := range map[string][]time.Duration{
		"first slow": {slow, quick, quick}, "last slow": {quick, quick, slow}, "in the middle": {quick, slow, quick}, "twice": {slow, slow, quick},
	} {
		root := t.TempDir()
		k, err := openKeptLabels(root, newToyBenchmark())
		if err != nil {
			t.Fatal(err)
		}
		for i, took := range append(times, surelyComputed) {
			if err := k.add(cell[i].ID(), cell[i], 0.5, took); err != nil {
				t.Fatal(err)
			}
		}
		again, err := openKeptLabels(root, newToyBenchmark())
		if err != nil {
			t.Fatal(err)
		}
		for i := range times {
			if _, ok, _ := again.find(cell[i].ID()); ok {
				t.Errorf("%s: label %d was kept", name, i)
			}
		}
		if _, ok, _ := again.find(cell[len(times)].ID()); !ok {
			t.Errorf("%s: the label that was computed is lost", name)
		}
	}
}

// The file of labels: a line that was cut off is bought again and written over, a damaged one is
// an error that a deletion mends, several searches write it at the same time.
func TestFileOfLabels(t *testing.T) {
	root, backend := t.TempDir(), toyProblem(t).Backend
	buy := func(seed uint64) (int, error) {
		b := &trainedBenchmark{takes: 15 * time.Millisecond}
		_, err := Random(t.Context(), root, Problem{Backend: backend, Benchmark: b}, RandomConfig{Labels: 5, Seed: seed})
		return len(b.asked), err
	}
	var all sync.WaitGroup
	for seed := range uint64(4) {
		all.Go(func() {
			if n, err := buy(seed); err != nil || n == 0 {
				t.Errorf("seed %d bought %d labels: %v", seed, n, err)
			}
		})
	}
	all.Wait()
	for seed := range uint64(4) {
		if n, err := buy(seed); err != nil || n != 0 {
			t.Errorf("seed %d bought %d labels again: %v", seed, n, err)
		}
	}
	files, err := filepath.Glob(filepath.Join(root, "labels-*.jsonl"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v", files, err)
	}
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	total := strings.Count(string(whole), "\n") - 1
	for cut := range len(whole) {
		if cut%97 != 0 && cut != len(whole)-1 {
			continue
		}
		if err := os.WriteFile(files[0], whole[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		left := max(0, strings.Count(string(whole[:cut]), "\n")-1)
		bought := 0
		for seed := range uint64(4) {
			n, err := buy(seed)
			if err != nil {
				t.Fatalf("cut at %d: %v", cut, err)
			}
			bought += n
		}
		if bought != total-left {
			t.Errorf("cut at byte %d of %d: %d labels were bought, want %d", cut, len(whole), bought, total-left)
		}
	}
	for _, damaged := range []string{"?\n" + string(whole), strings.Replace(string(whole), "accuracy", "acuracy", 1), string(whole) + "{}\n"} {
		if err := os.WriteFile(files[0], []byte(damaged), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := buy(0); err == nil || !strings.Contains(err.Error(), files[0]) || !strings.Contains(err.Error(), "delete the file") {
			t.Errorf("damaged: error %v", err)
		}
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	if n, err := buy(0); n != 5 || err != nil {
		t.Errorf("after the deletion %d labels were bought (%v)", n, err)
	}
}

// killedLabels names, in the environment of a test process that is about to be killed, the folder
// it is to buy labels in; it writes a line to the file "asked" there before each.
const killedLabels = "CTNAS_TEST_KILLED_LABELS"

// A process that is killed while it buys loses at most the label that it was asking for.
func TestKilledWhileBuying(t *testing.T) {
	if root := os.Getenv(killedLabels); root != "" {
		b := &trainedBenchmark{takes: 15 * time.Millisecond, of: func(a space.Arch) (float64, error) {
			file, err := os.OpenFile(filepath.Join(root, "answered"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
			if err != nil {
				return 0, err
			}
			defer file.Close()
			_, err = fmt.Fprintln(file, a.ID())
			return quality(a), err
		}}
		if _, err := Random(t.Context(), root, Problem{Backend: toyProblem(t).Backend, Benchmark: b}, RandomConfig{Labels: 60, Seed: 1}); err != nil {
			t.Fatal(err)
		}
		return
	}
	root := t.TempDir()
	kills := 0
	for {
		command := exec.Command(os.Args[0], "-test.run=^TestKilledWhileBuying$")
		command.Env = append(os.Environ(), killedLabels+"="+root)
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(time.Duration(150+40*kills)*time.Millisecond, func() { command.Process.Kill() })
		if err := command.Wait(); kill.Stop() || err == nil {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		kills++
	}
	text, err := os.ReadFile(filepath.Join(root, "answered"))
	if err != nil {
		t.Fatal(err)
	}
	times := map[string]int{}
	for _, id := range strings.Fields(string(text)) {
		times[id]++
	}
	twice := 0
	for _, n := range times {
		twice += n - 1
	}
	if len(times) != 60 || twice > kills || kills == 0 {
		t.Errorf("%d kills; %d of %d labels were bought again, want at most one for each kill", kills, twice, len(times))
	}
}

// Progress is shown of labels, of the training of judges, of rankings and of iterations.
func TestEverythingShowsProgress(t *testing.T) {
	for name, stages := range map[string][]string{
		"Random":        {"labels"},
		"Evolution":     {"labels", ""},
		"Ranking":       {"labels", "comparator, epoch", "ranking"},
		"Active":        {"labels", "comparator 1 of 2, epoch", "comparator 2 of 2, epoch", "ranking", ""},
		"CTNAS":         {"labels", "comparator, epoch", ""},
		"RegressionNAS": {"labels", "predictor, epoch", ""},
		"ReNAS":         {"labels", "predictor, epoch", ""},
	} {
		seen := map[string]bool{}
		p := toyProblem(t)
		p.Watch = func(step rundir.Progress) {
			seen[step.Stage] = true
			if step.Done < 1 || step.Done > step.Total {
				t.Errorf("%s: step %d of %d", name, step.Done, step.Total)
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

// slowRanker takes a while for each architecture.
type slowRanker struct{ ranked int }

func (r *slowRanker) Utilities(archs []space.Arch) ([]float64, error) {
	r.ranked += len(archs)
	time.Sleep(time.Duration(len(archs)) * 20 * time.Microsecond)
	return make([]float64, len(archs)), nil
}

// Ranking many and evolving long stop with their context.
func TestRankAndEvolveStop(t *testing.T) {
	stopped := func(f func(ctx context.Context) error) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		start := time.Now()
		if err := f(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > time.Second {
			t.Errorf("after %v: error %v", time.Since(start), err)
		}
	}
	archs := nasbench101.Space{}.All()
	stopped(func(ctx context.Context) error {
		_, err := rank(ctx, nil, &slowRanker{}, archs)
		return err
	})
	stopped(func(ctx context.Context) error {
		_, _, err := Evolve(ctx, rand.New(rand.NewPCG(1, 1)), nasbench101.Space{}, &slowRanker{}, EvolutionConfig{Population: 10, Tournament: 2, Cycles: 1 << 40})
		return err
	})
	stopped(func(ctx context.Context) error {
		_, err := Label(ctx, &trainedBenchmark{takes: 10 * time.Millisecond}, 400, 1)
		return err
	})
}

// Searches that train nothing need no backend; the others say so.
func TestNoBackend(t *testing.T) {
	for name, s := range everySearch() {
		b := newToyBenchmark()
		_, err := s(t.Context(), t.TempDir(), Problem{Benchmark: b})
		if name == "Random" || name == "Evolution" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "Backend") {
			t.Errorf("%s without a backend: error %v", name, err)
		}
		if _, err := s(t.Context(), t.TempDir(), Problem{}); err == nil || !strings.Contains(err.Error(), "Benchmark") {
			t.Errorf("%s without a benchmark: error %v", name, err)
		}
	}
}

// The labels of a seed are those of random search of that seed, whatever the search.
func TestLabelIsWhatEverySearchBegins(t *testing.T) {
	want, err := Label(t.Context(), newToyBenchmark(), 12, 1)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range everySearch() {
		found, err := s(t.Context(), t.TempDir(), toyProblem(t))
		if err != nil {
			t.Fatal(err)
		}
		if got := comparator.Digest(found.Labelled[:12]); got != comparator.Digest(want) {
			t.Errorf("%s begins with other labels", name)
		}
	}
}
