package ctnas

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/internal/toy"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/ctnaslib/train"
	"github.com/ctnas/ctnas/ctnaslib/train/traintest"
)

func toyProblem(t testing.TB) search.Problem {
	t.Helper()
	backend, err := engine.Open()
	if err != nil {
		t.Fatal(err)
	}
	return search.Problem{Backend: backend, Benchmark: toy.Benchmark{}}
}

// small is Alg. 1 at a size for tests.
func small(seed uint64) Config {
	c := Paper()
	c.Labels, c.Iterations, c.PolicySteps, c.PolicyBatch = 60, 8, 4, 8
	c.Samples, c.BaselineSamples, c.TopK = 20, 20, 30
	c.NAC.Width, c.NAC.Epochs, c.NAC.BatchSize, c.NAC.LearningRate = 16, 25, 32, 5e-3
	c.Controller.Hidden, c.Controller.LearningRate = 16, 1e-2
	c.Seed = seed
	return c
}

func mustSearch(t testing.TB, root string, c Config) *search.Found {
	t.Helper()
	found, err := Search(context.Background(), root, toyProblem(t), c)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// summary is all of an outcome that must not depend on how it came about.
func summary(f *search.Found) string {
	return fmt.Sprint(f.Best, f.Baselines, f.Queries, f.Metrics)
}

func TestCTNASImproves(t *testing.T) {
	c := small(1)
	c.Iterations = 25
	found := mustSearch(t, t.TempDir(), c)
	if len(found.Baselines) != 26 || len(found.Metrics) != 25 {
		t.Fatalf("%d baselines and %d metrics, want 26 and 25", len(found.Baselines), len(found.Metrics))
	}
	if found.Queries != 60 {
		t.Errorf("%d queries, want 60", found.Queries)
	}
	rng, mean := rand.New(rand.NewPCG(1, 1)), 0.0
	for range 500 {
		mean += toy.Quality(nasbench101.Space{}.Sample(rng)) / 500
	}
	if got := toy.Quality(found.Best); got < mean+0.1 {
		t.Errorf("the cell found has quality %.2f, a random one %.2f on average", got, mean)
	}
}

func TestReleasedScheduleRuns(t *testing.T) {
	c := small(2)
	c.Schedule, c.BaselineEvery, c.BaselineSamples = AsReleased, 3, 10
	found := mustSearch(t, t.TempDir(), c)
	for i, m := range found.Metrics {
		if _, chosen := m.Values["baseline_score"]; chosen != (i%3 == 0) {
			t.Errorf("iteration %d: a new baseline: %v", i, chosen)
		}
	}
}

// The baseline of the reward: moved by Alg. 2, not at all, or to any of the samples.
func TestBaselineRules(t *testing.T) {
	for _, rule := range []BaselineRule{CurriculumBaseline, FixedBaseline, RandomBaseline} {
		c := small(6)
		c.Baseline = rule
		p := toyProblem(t)
		labelled, err := search.Label(t.Context(), p.Benchmark, c.Labels, c.Seed)
		if err != nil {
			t.Fatal(err)
		}
		c, err = c.withSeed()
		if err != nil {
			t.Fatal(err)
		}
		a, err := initialise(t.TempDir(), p, c, labelled)
		if err != nil {
			t.Fatal(err)
		}
		var first space.Arch
		baselines := map[string]bool{}
		for i := range 6 {
			if _, err := a.Step(t.Context(), i); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				first = a.baselines[0]
			}
			baselines[a.baseline.ID()] = true
			if rule == CurriculumBaseline && a.baseline != a.Best() {
				t.Errorf("iteration %d: the reward's baseline is %v, Algorithm 2's %v", i, a.baseline, a.Best())
			}
		}
		switch {
		case rule == FixedBaseline && (len(baselines) != 1 || a.baseline != first):
			t.Errorf("the fixed baseline moved from %v to %v", first, a.baseline)
		case rule == RandomBaseline && len(baselines) < 5:
			t.Errorf("the random baseline took %d values in 6 iterations", len(baselines))
		}
		if a.Best() == first {
			t.Errorf("%s: Algorithm 2 found nothing better than the first architecture", rule)
		}
	}
}

func TestSameSeedSameResult(t *testing.T) {
	a, b := mustSearch(t, t.TempDir(), small(3)), mustSearch(t, t.TempDir(), small(3))
	if summary(a) != summary(b) {
		t.Errorf("the same seed gave\n%s\nand\n%s", summary(a), summary(b))
	}
	if c := mustSearch(t, t.TempDir(), small(4)); summary(a) == summary(c) {
		t.Error("another seed gave the same run")
	}
}

func TestInterruptAndResume(t *testing.T) {
	want := summary(mustSearch(t, t.TempDir(), small(5)))
	root := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	p := toyProblem(t)
	p.Watch = func(step train.Progress) {
		if step.Stage != "" {
			return
		}
		done := step.Done

		if done == 3 {
			cancel()
		}
	}
	if _, err := Search(ctx, root, p, small(5)); !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted: %v, want context.Canceled", err)
	}
	for _, status := range []rundir.Status{rundir.Resumed, rundir.Loaded} {
		found := mustSearch(t, root, small(5))
		if found.Status != status {
			t.Errorf("status %s, want %s", found.Status, status)
		}
		if summary(found) != want {
			t.Errorf("%s: the outcome differs from that of an uninterrupted search", status)
		}
	}
}

// A search in another process is killed at random moments until it is through, and
// must end like one that nobody touched.
func TestKillAndResume(t *testing.T) {
	if root := traintest.Root(); root != "" {
		mustSearch(t, root, small(6))
		return
	}
	if testing.Short() {
		t.Skip("starts many processes")
	}
	start := time.Now()
	want := summary(mustSearch(t, t.TempDir(), small(6)))
	took := time.Since(start)
	root := t.TempDir()
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	// The first within the time of a search, then ever later, so that the search gets through in the end.
	kills := traintest.Kill(t, root, func(kills int) time.Duration {
		return time.Duration((0.3*float64(kills) + 0.8*rng.Float64()) * float64(took))
	})
	if got := summary(mustSearch(t, root, small(6))); got != want {
		t.Errorf("after %d kills:\n%s\nwant\n%s", kills, got, want)
	}
}

// A damaged checkpoint is reported, not used.
func TestDamagedCheckpoint(t *testing.T) {
	root := t.TempDir()
	found := mustSearch(t, root, small(7))
	path := filepath.Join(found.Dir, "checkpoint")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Search(context.Background(), root, toyProblem(t), small(7)); !errors.Is(err, rundir.ErrDamaged) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v, want one line wrapping ErrDamaged", err)
	}
}

// trained is a NAC whose comparisons are not trivial, and cells to compare.
func trained(t *testing.T) (*comparator.NAC, []space.Arch) {
	t.Helper()
	p := toyProblem(t)
	c := small(8)
	nac, err := comparator.New(p.Backend, nasbench101.Space{}, c.NAC)
	if err != nil {
		t.Fatal(err)
	}
	labelled, err := search.Label(t.Context(), p.Benchmark, 60, 8)
	if err != nil {
		t.Fatal(err)
	}
	for epoch := range 10 {
		if _, err := nac.TrainEpoch(epoch, labelled, nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	var archs []space.Arch
	for _, l := range labelled[:12] {
		archs = append(archs, l.Arch)
	}
	return nac, archs
}

// Alg. 2 again, with one comparison at a time.
func TestUpdateBaselineIsAlgorithm2(t *testing.T) {
	nac, archs := trained(t)
	b, s := archs[:3], archs[2:] // one architecture is in both
	var want space.Arch
	highest := 0.0
	for _, α := range archs {
		sum := 0.0
		for _, other := range archs {
			if other.ID() != α.ID() {
				p, err := nac.Compare(α, other)
				if err != nil {
					t.Fatal(err)
				}
				sum += p
			}
		}
		if average := sum / float64(len(archs)-1); average >= highest {
			highest, want = average, α
		}
	}
	got, score, err := UpdateBaseline(nac, b, s)
	if err != nil {
		t.Fatal(err)
	}
	if got.ID() != want.ID() || math.Abs(score-highest) > 1e-6 {
		t.Errorf("baseline %v with score %.6f, want %v with %.6f", got, score, want, highest)
	}
	if _, _, err := UpdateBaseline(nac, nil, nil); err == nil {
		t.Error("a baseline was chosen from nothing")
	}
}

// Alg. 3 again, with one comparison at a time.
func TestExploreIsAlgorithm3(t *testing.T) {
	nac, archs := trained(t)
	confidence := map[string]float64{}
	better := map[string]bool{}
	for _, α := range archs {
		for _, other := range archs {
			if α.ID() != other.ID() {
				p, err := nac.Compare(α, other)
				if err != nil {
					t.Fatal(err)
				}
				key := α.String() + " " + other.String()
				confidence[key], better[key] = math.Abs(p-0.5), p >= 0.5
			}
		}
	}
	ordered := slices.Sorted(maps.Values(confidence))
	slices.Reverse(ordered)
	const k = 40
	pairs, err := Explore(nac, append(archs, archs[0]), k)
	if err != nil {
		t.Fatal(err)
	}
	if len(pairs) != k {
		t.Fatalf("%d pairs, want %d", len(pairs), k)
	}
	for i, pair := range pairs {
		key := pair.First.String() + " " + pair.Second.String()
		if math.Abs(confidence[key]-ordered[i]) > 1e-6 {
			t.Errorf("pair %d has confidence %.6f, the %d-th highest is %.6f", i, confidence[key], i, ordered[i])
		}
		if pair.Better != better[key] {
			t.Errorf("pair %d has the label %v", i, pair.Better)
		}
	}
	if all, err := Explore(nac, archs, 1000); err != nil || len(all) != 12*11 {
		t.Errorf("%d pairs, %v; want all 132", len(all), err)
	}
}

func TestExploreReleasedKeepsTheMostProbable(t *testing.T) {
	nac, archs := trained(t)
	pairs, err := ExploreReleased(nac, archs, 6, rand.New(rand.NewPCG(1, 1)))
	if err != nil {
		t.Fatal(err)
	}
	last := 1.0
	for i, pair := range pairs {
		p, err := nac.Compare(pair.First, pair.Second)
		if err != nil {
			t.Fatal(err)
		}
		if p > last+1e-6 {
			t.Errorf("pair %d has probability %.4f, the one before %.4f", i, p, last)
		}
		last = p
	}
}

func TestConfigErrors(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"Iterations":      func(c *Config) { c.Iterations = 0 },
		"Labels":          func(c *Config) { c.Labels = 1 },
		"TopK":            func(c *Config) { c.TopK = -1 },
		"PseudoRatio":     func(c *Config) { c.PseudoRatio = 1 },
		"BaselineSamples": func(c *Config) { c.BaselineSamples = c.Samples + 1 },
		"schedule":        func(c *Config) { c.Schedule = "bold" },
		"baseline rule":   func(c *Config) { c.Baseline = "rising" },
	} {
		c := small(1)
		change(&c)
		if _, err := Search(context.Background(), t.TempDir(), toyProblem(t), c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// counting is a comparator of one's own that adds up what it learned from, to see that its state is kept.
type counting struct{ Epochs, Labels, Pseudo int }

func (counting) New(compute.Backend, space.Space) (comparator.Comparator, error) {
	return &counting{}, nil
}
func (c counting) WithSeed(uint64) comparator.Design { return c }
func (counting) FirstEpochs() int                    { return 3 }
func (counting) Versions() rundir.Versions           { return rundir.Versions{"counting": 1} }
func (c *counting) Encode() ([]byte, error)          { return train.EncodeState(*c) }
func (c *counting) Restore(state []byte) error       { return train.DecodeState(state, c) }

func (c *counting) Scores(archs []space.Arch) ([]comparator.Score, error) {
	scores := make([]comparator.Score, len(archs))
	for i, a := range archs {
		u := float64(c.Epochs) * toy.Quality(a)
		scores[i] = comparator.Score{First: u, Second: -u}
	}
	return scores, nil
}

func (c *counting) TrainEpoch(_ int, labelled []space.Labelled, pseudo []comparator.Pair, _ float64) (float64, error) {
	c.Epochs, c.Labels, c.Pseudo = c.Epochs+1, c.Labels+len(labelled), c.Pseudo+len(pseudo)
	return 0, nil
}

// A comparator of one's own is trained, scored, stored and restored as NAC is, and its search is another
// than NAC's.
func TestOwnComparator(t *testing.T) {
	c := small(3)
	c.Comparator = counting{}
	want := mustSearch(t, t.TempDir(), c)
	if want.NAC != nil || want.Ranker == nil || toy.Quality(want.Best) < 0.4 {
		t.Errorf("found %v, of quality %.2f, with the ranker %T and NAC %v", want.Best, toy.Quality(want.Best), want.Ranker, want.NAC)
	}
	root := t.TempDir()
	if nac := mustSearch(t, root, small(3)); nac.Dir == mustSearch(t, root, c).Dir {
		t.Error("it shares NAC's run directory")
	}
	root = t.TempDir()
	ctx, stop := context.WithCancel(t.Context())
	p := toyProblem(t)
	p.Watch = func(step train.Progress) {
		if step.Stage == "" && step.Done == 4 {
			stop()
		}
	}
	if _, err := Search(ctx, root, p, c); !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted: error %v", err)
	}
	if got := mustSearch(t, root, c); got.Status != rundir.Resumed || summary(got) != summary(want) {
		t.Errorf("%s, it led to\n%s\nwant\n%s", got.Status, summary(got), summary(want))
	}
}

// A search that was finished needs the run directory of NAC's first training no more.
func TestLoadedWithoutTheFirstTraining(t *testing.T) {
	root := t.TempDir()
	want := mustSearch(t, root, small(3))
	first, err := filepath.Glob(filepath.Join(root, "nac-*"))
	if err != nil || len(first) != 1 {
		t.Fatalf("NAC's run directories are %v (%v), want one", first, err)
	}
	if err := os.RemoveAll(first[0]); err != nil {
		t.Fatal(err)
	}
	got := mustSearch(t, root, small(3))
	if _, err := os.Stat(first[0]); got.Status != rundir.Loaded || summary(got) != summary(want) || !os.IsNotExist(err) {
		t.Errorf("%s, and NAC was trained again (%v):\n%s\nwant\n%s", got.Status, err == nil, summary(got), summary(want))
	}
}

// A probe is told of samples at the beginning and after every so many iterations. The search ends in the same with it
// and without it; one that was done without it is done again, and then loaded.
func TestProbe(t *testing.T) {
	for _, schedule := range []Schedule{AsPaper, AsReleased} {
		c := small(1)
		c.Schedule = schedule
		root := t.TempDir()
		plain := mustSearch(t, root, c)
		calls := 0
		p := toyProblem(t)
		p.Probe = search.Probe{Key: "count", Every: 3, Samples: 7, Measure: func(archs []space.Arch) (map[string]float64, error) {
			calls++
			return map[string]float64{"count": float64(len(archs))}, nil
		}}
		for _, want := range []int{3, 3} { // before the first, after the third and the sixth of 8
			probed, err := Search(t.Context(), root, p, c)
			if err != nil {
				t.Fatal(err)
			}
			if calls != want {
				t.Errorf("%s: the probe measured %d times, want %d", schedule, calls, want)
			}
			if probed.Best.ID() != plain.Best.ID() || fmt.Sprint(probed.Baselines) != fmt.Sprint(plain.Baselines) {
				t.Errorf("%s: the search ended in %v, without a probe in %v", schedule, probed.Baselines, plain.Baselines)
			}
			for _, m := range probed.Metrics {
				start, before := m.Values[search.ProbedAtStart+"count"]
				count, after := m.Values["count"]
				if before != (m.Step == 0) || after != (m.Step%3 == 2) || before && start != 7 || after && count != 7 {
					t.Errorf("%s: iteration %d logged %v", schedule, m.Step, m.Values)
				}
				delete(m.Values, search.ProbedAtStart+"count")
				delete(m.Values, "count")
				if !maps.Equal(m.Values, plain.Metrics[m.Step].Values) {
					t.Errorf("%s: iteration %d measured %v, without a probe %v", schedule, m.Step, m.Values, plain.Metrics[m.Step].Values)
				}
			}
		}
	}
	p := toyProblem(t)
	p.Probe.Measure = func([]space.Arch) (map[string]float64, error) { return nil, nil }
	if _, err := Search(t.Context(), t.TempDir(), p, small(1)); err == nil || !strings.Contains(err.Error(), "probe needs a Key") {
		t.Errorf("a probe without a key: error %v", err)
	}
}
