package experiment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/search"
)

// must returns what cannot fail here.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// tinyPlan is the plan of [tiny].
func tinyPlan(t *testing.T, root string) *Plan {
	t.Helper()
	table, backend := open(t)
	return must(tiny().Plan(root, NASBench101(table), backend, nil))
}

// The units of an experiment, run by many at a time, in any order and some of them twice, make the result of one
// process; and what they share is trained once.
func TestUnitsMakeTheWhole(t *testing.T) {
	table, backend := open(t)
	whole, err := tiny().Run(t.Context(), t.TempDir(), NASBench101(table), backend, nil)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	plan := tinyPlan(t, root)
	if len(plan.Units) != 9 || plan.ID != "table4" {
		t.Fatalf("units %v", plan.Units)
	}
	for i, u := range plan.Units {
		if u.Shared != (i < 3) {
			t.Errorf("unit %d is %+v", i, u)
		}
		if !u.Shared && (u.Shares == "" || slices.IndexFunc(plan.Units, func(s Unit) bool { return s.Shared && s.Method == u.Shares && s.Seed == u.Seed }) < 0) {
			t.Errorf("%s begins with %q", u, u.Shares)
		}
	}
	var all sync.WaitGroup
	for _, part := range []string{"2/2", "1/2", "3/4"} {
		all.Go(func() {
			p := tinyPlan(t, root)
			which, err := p.Part(part)
			if err == nil {
				slices.Reverse(which)
				err = p.Run(t.Context(), which)
			}
			if err != nil {
				t.Errorf("part %s: %v", part, err)
			}
		})
	}
	all.Wait()
	result, err := plan.Collect(t.Context())
	if err != nil || summary(t, result) != summary(t, whole) {
		t.Errorf("error %v; the units make\n%s\nthe whole is\n%s", err, summary(t, result), summary(t, whole))
	}
	sum := 0.0
	for _, u := range result.Units {
		sum += u.Seconds
		if u.Host == "" || u.Device == "" || u.Attempts != 1 || !(u.Seconds > 0) || u.End.Before(u.Start) || u.MemoryMB < 1 {
			t.Errorf("unit %+v", u)
		}
	}
	if len(result.Units) != 9 || sum != result.Elapsed || result.Wall <= 0 || result.Wall >= 1000 {
		t.Errorf("%d units of %g s in all, elapsed %g, wall %g", len(result.Units), sum, result.Elapsed, result.Wall)
	}
	trained, err := filepath.Glob(filepath.Join(root, "nac-*", "metrics.jsonl"))
	if err != nil || len(trained) != 3 {
		t.Fatalf("%d comparators were trained, want one for each seed (%v)", len(trained), err)
	}
	for _, path := range trained {
		metrics, err := rundir.ReadMetrics(filepath.Dir(path))
		if err != nil || len(metrics) != 20 {
			t.Errorf("%s has %d epochs, want 20 (%v)", path, len(metrics), err)
		}
	}
}

// A shared unit is the training that its methods begin with, whatever kinds they are of.
func TestSharedUnitIsWhatMethodsBeginWith(t *testing.T) {
	table, backend := open(t)
	e := tiny()
	e.Seeds, e.Compare = 1, nil
	first, _ := e.Methods[2].first()
	ranking := search.RankingConfig{Labels: first.labels, Pool: 100, NAC: first.design.(comparator.Config)}
	e.Methods[0] = method("ranking", ranking, search.Ranking, func(c *search.RankingConfig) *uint64 { return &c.Seed })
	root := t.TempDir()
	plan, err := e.Plan(root, NASBench101(table), backend, nil)
	if err != nil || len(plan.Units) != 3 || !plan.Units[0].Shared {
		t.Fatalf("units %+v (%v)", plan.Units, err)
	}
	for which := range 3 {
		if err := plan.Run(t.Context(), []int{which}); err != nil {
			t.Fatal(err)
		}
		if dirs, err := filepath.Glob(filepath.Join(root, "nac-*")); err != nil || len(dirs) != 1 {
			t.Errorf("after unit %d, %s, there are the comparators %v (%v)", which+1, plan.Units[which], dirs, err)
		}
	}
}

// What is missing is named, and the rest is made from what there is.
func TestCollectWhatIsFinished(t *testing.T) {
	root := t.TempDir()
	plan := tinyPlan(t, root)
	if _, err := plan.Collect(t.Context()); err == nil || !strings.Contains(err.Error(), "none of the 6 units of table4 is finished") {
		t.Errorf("nothing is there: error %v", err)
	}
	if err := plan.Run(t.Context(), must(plan.Only("4,5,6"))); err != nil { // of seed 1: curriculum, fixed; of seed 2: curriculum
		t.Fatal(err)
	}
	result, err := plan.Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(result.Missing); got != "[fixed, seed 2 curriculum, seed 3 fixed, seed 3]" {
		t.Errorf("missing are %s", got)
	}
	if len(result.Rows) != 3 || result.Rows[0].Seeds != 2 || result.Rows[2].Seeds != 1 || len(result.Tests) != 0 || result.Seeds != 3 {
		t.Errorf("rows %+v, tests %v", result.Rows, result.Tests)
	}
	states, err := plan.States()
	if err != nil {
		t.Fatal(err)
	}
	var got []Status
	for _, s := range states {
		got = append(got, s.Status)
	}
	// The comparator of seed 1 is needed no more.
	if want := []Status{Finished, NotBegun, NotBegun, Finished, Finished, Finished, NotBegun, NotBegun, NotBegun}; !slices.Equal(got, want) {
		t.Errorf("states %v, want %v", got, want)
	}
	if err := plan.Estimate(report.Result{Elapsed: 60, Seeds: 3, Rows: []report.Row{report.NewRow("fixed", map[string][]float64{"accuracy": {1, 2, 3}}), {Method: "paper's"}}}); err != nil {
		t.Fatal(err)
	}
	if u := plan.Units[8]; u.Method != "fixed" || u.Seconds <= 0 || u.Seconds == 20 || u.MemoryMB < 1 {
		t.Errorf("estimate %+v, want that of the unit that is finished", u)
	}
	fresh := tinyPlan(t, t.TempDir())
	if err := fresh.Estimate(report.Result{Elapsed: 60, Seeds: 3, Rows: []report.Row{report.NewRow("fixed", map[string][]float64{"accuracy": {1, 2, 3}}), {Method: "paper's"}}}); err != nil || fresh.Units[8].Seconds != 20 || fresh.Units[0].Seconds != 0 {
		t.Errorf("estimates %+v (%v), want 20 s from the stored result", fresh.Units, err)
	}
}

// A unit that is stopped goes on, and says how often it was tried; one that is at work is said to be.
func TestInterruptedUnit(t *testing.T) {
	root := t.TempDir()
	plan := tinyPlan(t, root)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := plan.Run(ctx, []int{3}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	states := must(plan.States())
	if states[3].Status != Interrupted || states[3].Dir == "" {
		t.Errorf("the unit is %+v", states[3])
	}
	lock, err := rundir.LockFolder(filepath.Join(root, states[3].Dir))
	if err != nil {
		t.Fatal(err)
	}
	if s := must(plan.States())[3]; s.Status != Running || !strings.Contains(s.By, fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("the unit is %+v", s)
	}
	ctx, cancel = context.WithCancel(t.Context())
	failed := make(chan error)
	go func() { failed <- plan.Run(ctx, []int{3}) }()
	cancel() // it waits for the lock
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("while another process works on it: %v", err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if err := plan.Run(t.Context(), []int{3}); err != nil {
		t.Fatal(err)
	}
	if s := must(plan.States())[3]; s.Status != Finished || s.Unit.Attempts != 3 {
		t.Errorf("the unit is %+v", s)
	}
}

// Units that another backend computed are no part of this one's result, and that is said.
func TestUnitsOfAnotherBackend(t *testing.T) {
	root := t.TempDir()
	plan := tinyPlan(t, root)
	if err := plan.Run(t.Context(), []int{3, 4}); err != nil {
		t.Fatal(err)
	}
	states := must(plan.States())
	key := filepath.Join(root, states[3].Dir, "key.json")
	text := string(must(os.ReadFile(key)))
	elsewhere := filepath.Join(root, "outcome-0123456789abcdef")
	if err := os.Rename(filepath.Join(root, states[3].Dir), elsewhere); err != nil {
		t.Fatal(err)
	}
	backend := must(engine.Open())
	changed := strings.Replace(text, engine.Fingerprint(backend), "xla:cuda, TF32", 1)
	if err := os.WriteFile(filepath.Join(elsewhere, "key.json"), []byte(changed), 0o644); err != nil || changed == text {
		t.Fatal(err, changed)
	}
	if s := must(plan.States())[3]; s.Status != Finished {
		t.Errorf("the unit is %+v", s)
	}
	result, err := plan.Collect(t.Context())
	if err != nil || len(result.Missing) != 5 || !strings.Contains(result.Missing[4], "(1 are finished on another backend") {
		t.Errorf("missing %q, %v", result.Missing, err)
	}
}

func TestChoosingUnits(t *testing.T) {
	plan := &Plan{ID: "table1", Units: make([]Unit, 7)}
	t.Setenv("CTNAS_TEST_TASK", "3")
	t.Setenv("CTNAS_TEST_EMPTY", "")
	for text, want := range map[string][]int{
		"1": {0}, "7": {6}, "2,4-6": {1, 3, 4, 5}, "3,2-4": {2, 1, 3}, "CTNAS_TEST_TASK": {2},
		"0": nil, "8": nil, "6-8": nil, "4-2": nil, "": nil, "1,": nil, "-": nil, "-3": nil, "1-": nil, "x y": nil, "CTNAS_TEST_EMPTY": nil, "99999999999999999999": nil,
	} {
		if got, err := plan.Only(text); !slices.Equal(got, want) || (err == nil) != (want != nil) {
			t.Errorf("-only %q gives %v, %v; want %v", text, got, err, want)
		}
	}
	for text, want := range map[string][]int{
		"1/1": {0, 1, 2, 3, 4, 5, 6}, "1/3": {0, 3, 6}, "3/3": {2, 5}, "CTNAS_TEST_TASK/3": {2, 5}, "7/7": {6},
		"0/3": nil, "4/3": nil, "3": nil, "": nil, "/": nil, "1/0": nil, "-1/3": nil, "CTNAS_TEST_EMPTY/3": nil,
	} {
		if got, err := plan.Part(text); !slices.Equal(got, want) || (err == nil) != (want != nil) {
			t.Errorf("-part %q gives %v, %v; want %v", text, got, err, want)
		}
	}
	if got, err := plan.Part("9/9"); len(got) != 0 || err != nil {
		t.Errorf("a part beyond the units is %v, %v, want none", got, err)
	}
}

func FuzzChoosingUnits(f *testing.F) {
	for _, text := range []string{"3", "3,5-7", "1/10", "PATH", "PATH/3", "9999999999999999999/3"} {
		f.Add(text)
	}
	plan := &Plan{ID: "table1", Units: make([]Unit, 7)}
	f.Fuzz(func(t *testing.T, text string) {
		for _, choose := range []func(string) ([]int, error){plan.Only, plan.Part} {
			which, err := choose(text)
			if err != nil && which != nil {
				t.Errorf("%q gives %v and %v", text, which, err)
			}
			seen := make(map[int]bool)
			for _, i := range which {
				if i < 0 || i >= 7 || seen[i] {
					t.Fatalf("%q gives %v", text, which)
				}
				seen[i] = true
			}
		}
	})
}

// checkCollected checks that the units of an experiment that was run as a whole under root make its result, that a
// shared unit finds its work done there, and what becomes of a unit that is taken away.
func checkCollected(t *testing.T, root string, plan *Plan, whole report.Result) {
	t.Helper()
	measured := func(r report.Result) string { // but what is measured at the end
		for _, row := range r.Rows {
			delete(row.Metrics, "peak_percent")
		}
		return summary(t, r)
	}
	got := must(plan.Collect(t.Context()))
	if measured(got) != measured(whole) {
		t.Errorf("%s: the units make\n%s\nthe whole is\n%s", plan.ID, summary(t, got), summary(t, whole))
	}
	before := must(filepath.Glob(filepath.Join(root, "*", "checkpoint")))
	for i, u := range plan.Units {
		if !u.Shared {
			continue
		}
		if err := plan.Run(t.Context(), []int{i}); err != nil {
			t.Fatal(err)
		}
		if after := must(filepath.Glob(filepath.Join(root, "*", "checkpoint"))); !slices.Equal(after, before) {
			t.Errorf("%s: the unit %s did other work than the whole: %v, before %v", plan.ID, u, after, before)
		}
		if again := must(plan.Collect(t.Context())); len(again.Units) != len(got.Units)+1 {
			t.Errorf("%s: the unit %s is not in the account of %d units", plan.ID, u, len(again.Units))
		}
		break // the other seeds are alike
	}
	last := len(plan.Units) - 1
	if err := os.RemoveAll(filepath.Join(root, must(plan.States())[last].Dir)); err != nil {
		t.Fatal(err)
	}
	part := must(plan.Collect(t.Context()))
	if !slices.Equal(part.Missing, []string{plan.Units[last].String()}) || len(part.Rows) > len(whole.Rows) || len(part.Rows) == 0 {
		t.Errorf("%s: missing %v, and %d rows", plan.ID, part.Missing, len(part.Rows))
	}
}
