package ctnas

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/controller"
	"github.com/ctnas/ctnas/ctnaslib/internal/authors"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// scored is a comparator that knows the scores of some architectures.
type scored map[string]comparator.Score

func (s scored) Scores(archs []space.Arch) ([]comparator.Score, error) {
	scores := make([]comparator.Score, len(archs))
	for i, a := range archs {
		scores[i] = s[a.String()]
	}
	return scores, nil
}

// What the authors' derive and generate_architecture_with_pseudo_labels chose of given cells, with a comparator of which
// the scores are given too, and what ours choose.
func TestReleasedChoosesAsTheAuthors(t *testing.T) {
	var golden struct {
		Archs []struct {
			Matrix [][]int
			Ops    []string
		}
		First, Second []float64
		Derive        []struct {
			Fresh               []int // the samples; some come twice
			Kept, Best, History int   // the best so far; of the samples; of all
		}
		Partners, Explored []int // of each cell; the cells whose pairs are kept
		Labels             []float64
	}
	authors.Read(t, "search.json", &golden)
	archs, nac := make([]space.Arch, len(golden.Archs)), make(scored)
	for i, g := range golden.Archs {
		cell, err := nasbench101.New(g.Matrix, g.Ops)
		if err != nil {
			t.Fatal(err)
		}
		archs[i], nac[cell.String()] = cell, comparator.Score{First: golden.First[i], Second: golden.Second[i]}
	}
	for k, d := range golden.Derive {
		var fresh []space.Arch
		for _, i := range d.Fresh {
			fresh = append(fresh, archs[i])
		}
		best, _, err := DeriveReleased(nac, fresh)
		if err != nil {
			t.Fatal(err)
		}
		history, _, err := DeriveReleased(nac, append(fresh, archs[d.Kept]))
		if err != nil {
			t.Fatal(err)
		}
		if best != archs[d.Best] || history != archs[d.History] {
			t.Errorf("set %d: %v and %v are chosen, by the authors %v and %v", k, best, history, archs[d.Best], archs[d.History])
		}
	}
	pairs, err := mostProbable(nac, archs, golden.Partners, len(golden.Explored))
	if err != nil {
		t.Fatal(err)
	}
	for k, i := range golden.Explored {
		want := comparator.Pair{First: archs[i], Second: archs[golden.Partners[i]], Better: golden.Labels[k] == 1}
		if pairs[k] != want {
			t.Errorf("pair %d is %v, the authors' %v", k, pairs[k], want)
		}
	}
}

// The schedule of Released, step by step, is that of the authors' own train.py, which authors/testdata/schedule.py
// wrote down while it ran.
func TestReleasedScheduleIsTheAuthors(t *testing.T) {
	want := authors.Text(t, "schedule.txt")
	w := &watcher{}
	a := &algorithm1{config: Released(), space: numbered{w: w}, nac: w, policy: w}
	a.config.Iterations = 12
	steps(t, a, a.config.Iterations)
	same(t, "schedule", strings.Split(w.schedule(), "\n"), strings.Split(strings.TrimSuffix(want, "\n"), "\n"))
}

// drawn is an architecture that only says in which step of the policy it was drawn: −1 is the uniform one.
type drawn struct{ step, number int }

func (d drawn) ID() string         { return fmt.Sprint(d.step, d.number) }
func (d drawn) String() string     { return d.ID() }
func (d drawn) Graph() space.Graph { return space.Graph{} }

// numbered is a space of such architectures, which are numbered as they are decoded.
type numbered struct {
	nasbench101.Space
	w *watcher
}

func (n numbered) Decode(sequence []int) (space.Arch, error) {
	if len(sequence) > 1 { // a walk through the decisions of NAS-Bench-101
		n.w.note(n.w.steps, "uniform β")
		return drawn{step: -1}, nil
	}
	return drawn{n.w.steps - 1, sequence[0]}, nil
}

// watcher is a comparator and a policy that write down a search's schedule, as authors/testdata/schedule.py does.
type watcher struct {
	events  []event
	steps   int // of policy gradient, so far
	samples int // of the last call of Sample
	pairs   int // pseudo-labelled ones, so far
	β       drawn
}

type event struct {
	first, last int
	what        string
}

func (w *watcher) note(step int, format string, args ...any) {
	e := event{step, step, fmt.Sprintf(format, args...)}
	if n := len(w.events); n > 0 && w.events[n-1].what == e.what && w.events[n-1].last == step-1 {
		w.events[n-1].last = step
	} else {
		w.events = append(w.events, e)
	}
}

func (w *watcher) schedule() string {
	lines := make([]string, len(w.events))
	for i, e := range w.events {
		lines[i] = fmt.Sprintf("%d-%d %s", e.first, e.last, e.what)
		if e.first == e.last {
			lines[i] = fmt.Sprintf("%d %s", e.first, e.what)
		}
	}
	return strings.Join(lines, "\n")
}

// Scores is asked for β alone, for what is explored, and for the fresh samples without and with what is kept.
func (w *watcher) Scores(archs []space.Arch) ([]comparator.Score, error) {
	switch len(archs) {
	case 1:
		w.β = archs[0].(drawn)
	case w.samples:
	default:
		w.note(w.steps-1, "derive of %d samples and %d kept", w.samples, len(archs)-w.samples)
	}
	scores := make([]comparator.Score, len(archs))
	for i, a := range archs {
		// The first samples of all are better than those that come later, so that β gets worse.
		u := float64(-a.(drawn).step)
		scores[i] = comparator.Score{First: u, Second: -u}
	}
	return scores, nil
}

func (w *watcher) TrainEpoch(_ int, _ []space.Labelled, pseudo []comparator.Pair, _ float64) (float64, error) {
	w.note(w.steps, "explore %d samples, keep %d pairs", w.samples, len(pseudo)-w.pairs)
	w.note(w.steps, "train NAC, %d pairs", len(pseudo))
	w.pairs = len(pseudo)
	return 0, nil
}

func (w *watcher) Sample(_ *rand.Rand, n int) ([][]int, error) {
	w.samples = n
	sequences := make([][]int, n)
	for i := range sequences {
		sequences[i] = []int{i}
	}
	return sequences, nil
}

func (w *watcher) Improve(_ context.Context, _ *rand.Rand, _ space.Space, steps, _ int, _ func([]space.Arch) ([]float64, error)) (controller.Learned, error) {
	for range steps {
		if w.β.step < 0 {
			w.note(w.steps, "policy, the uniform β")
		} else {
			w.note(w.steps, "policy, β of step %d", w.β.step)
		}
		w.steps++
	}
	return controller.Learned{}, nil
}

func (w *watcher) Encode() ([]byte, error) { return nil, nil }
func (w *watcher) Restore([]byte) error    { return nil }
func (w *watcher) Release()                {}
