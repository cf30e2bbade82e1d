package search

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/internal/toy"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/ctnaslib/train/traintest"
)

// versioned is a trainedBenchmark with a version.
type versioned struct {
	*toy.Trained
	version string
}

func (v versioned) Version() string { return v.version }

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

// Labels are kept for one version of a benchmark.
func TestLabelsAreKeptByVersion(t *testing.T) {
	root, backend := t.TempDir(), toyProblem(t).Backend
	bought := func(version string) int {
		b := versioned{&toy.Trained{Takes: 15 * time.Millisecond}, version}
		if _, err := Random(t.Context(), root, Problem{Backend: backend, Benchmark: b}, RandomConfig{Labels: 5, Seed: 1}); err != nil {
			t.Fatal(err)
		}
		return len(b.Asked)
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

// ample is more than what stops within a second takes where the machine is busy.
const ample = 10 * time.Second

// A benchmark that does not come back is left alone; what it says then is kept.
func TestStoppedInTheMiddleOfALabel(t *testing.T) {
	root, backend := t.TempDir(), toyProblem(t).Backend
	release := make(chan struct{})
	b := &toy.Trained{Of: func(a space.Arch) (float64, error) { <-release; return toy.Quality(a), nil }}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := Random(ctx, root, Problem{Backend: backend, Benchmark: b}, RandomConfig{Labels: 5, Seed: 1})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > ample {
		t.Errorf("after %v: error %v", time.Since(start), err)
	}
	close(release)
	for deadline := time.Now().Add(ample); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if files, _ := filepath.Glob(filepath.Join(root, "labels-*.jsonl")); len(files) == 1 {
			if text, _ := os.ReadFile(files[0]); strings.Count(string(text), "\n") == 2 { // the header and the label
				break
			}
		}
	}
	again := &toy.Trained{}
	if _, err := Random(t.Context(), root, Problem{Backend: backend, Benchmark: again}, RandomConfig{Labels: 5, Seed: 1}); err != nil || len(again.Asked) != 4 {
		t.Errorf("%d labels were bought, want 4 (%v)", len(again.Asked), err)
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
		k, err := openKeptLabels(root, toy.Benchmark{})
		if err != nil {
			t.Fatal(err)
		}
		for i, took := range append(times, surelyComputed) {
			if err := k.add(cell[i].ID(), cell[i], 0.5, took); err != nil {
				t.Fatal(err)
			}
		}
		again, err := openKeptLabels(root, toy.Benchmark{})
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
		b := &toy.Trained{Takes: 15 * time.Millisecond}
		_, err := Random(t.Context(), root, Problem{Backend: backend, Benchmark: b}, RandomConfig{Labels: 5, Seed: seed})
		return len(b.Asked), err
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

// A process that is killed while it buys loses at most the label that it was asking for.
func TestKilledWhileBuying(t *testing.T) {
	if root := traintest.Root(); root != "" {
		b := &toy.Trained{Takes: 15 * time.Millisecond, Of: func(a space.Arch) (float64, error) {
			file, err := os.OpenFile(filepath.Join(root, "answered"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
			if err != nil {
				return 0, err
			}
			defer file.Close()
			_, err = fmt.Fprintln(file, a.ID())
			return toy.Quality(a), err
		}}
		if _, err := Random(t.Context(), root, Problem{Backend: toyProblem(t).Backend, Benchmark: b}, RandomConfig{Labels: 60, Seed: 1}); err != nil {
			t.Fatal(err)
		}
		return
	}
	root := t.TempDir()
	kills := traintest.Kill(t, root, func(kills int) time.Duration { return time.Duration(150+40*kills) * time.Millisecond })
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

// slowRanker takes a while for each architecture.
type slowRanker struct{ ranked int }

func (r *slowRanker) Utilities(archs []space.Arch) ([]float64, error) {
	r.ranked += len(archs)
	time.Sleep(time.Duration(len(archs)) * 200 * time.Microsecond)
	return make([]float64, len(archs)), nil
}

// Ranking many and evolving long stop with their context.
func TestRankAndEvolveStop(t *testing.T) {
	stopped := func(f func(ctx context.Context) error) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		start := time.Now()
		if err := f(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > ample {
			t.Errorf("after %v: error %v", time.Since(start), err)
		}
	}
	archs := nasbench101.Space{}.All()
	stopped(func(ctx context.Context) error {
		_, err := rank(ctx, nil, &slowRanker{}, archs)
		return err
	})
	stopped(func(ctx context.Context) error {
		_, _, err := Evolve(ctx, rand.New(rand.NewPCG(1, 1)), nasbench101.Space{}, &slowRanker{}, EvolveConfig{Population: 10, Tournament: 2, Cycles: 1 << 40})
		return err
	})
	stopped(func(ctx context.Context) error {
		_, err := Label(ctx, &toy.Trained{Takes: 10 * time.Millisecond}, 4000, 1)
		return err
	})
}
