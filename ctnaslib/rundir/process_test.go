package rundir

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
)

// counter adds up the numbers of its steps.
type counter struct {
	sum    int
	spoilt int // the step, counted from 1, at which it measures NaN
}

func (c *counter) Start() error { c.sum = 0; return nil }
func (c *counter) Step(_ context.Context, t int) (map[string]float64, error) {
	c.sum += t
	v := float64(c.sum)
	if t+1 == c.spoilt {
		v = math.NaN()
	}
	return map[string]float64{"sum": v}, nil
}
func (c *counter) Encode() ([]byte, error)   { return json.Marshal(c.sum) }
func (c *counter) Decode(state []byte) error { return json.Unmarshal(state, &c.sum) }

// count runs a counter to its end and returns its sum and how it came by it.
func count(t *testing.T, root string) (int, Status, []Metrics) {
	t.Helper()
	r, err := Open(root, keyOf(config{2}))
	check(t, err)
	defer r.Close()
	var c counter
	status, err := r.Do(t.Context(), &c, 10, 3, nil)
	check(t, err)
	metrics, err := r.Metrics()
	check(t, err)
	check(t, r.Finish(c.sum))
	return c.sum, status, metrics
}

// Each error that says "delete" is right: without that file, or without all files but the
// others, the run begins again and ends as before.
func TestDeleteToStartAgain(t *testing.T) {
	root := t.TempDir()
	sum, _, metrics := count(t, root)
	dir, err := keyOf(config{2}).Dir(root)
	check(t, err)
	for _, gone := range [][]string{
		{checkpointFile}, {resultFile}, {metricsFile, checkpointFile}, {keyFile},
		{checkpointFile, resultFile}, {checkpointFile, resultFile, metricsFile, keyFile}, {lockFile},
	} {
		for _, name := range gone {
			check(t, os.Remove(dir+"/"+name))
		}
		again, status, m := count(t, root)
		if again != sum || fmt.Sprint(m) != fmt.Sprint(metrics) {
			t.Errorf("without %v: sum %d (%s) and metrics %v, want %d and %v", gone, again, status, m, sum, metrics)
		}
	}
	for _, name := range []string{checkpointFile, resultFile, keyFile, metricsFile} {
		check(t, os.WriteFile(dir+"/"+name, []byte("?\n"), 0o644))
		r, err := Open(root, keyOf(config{2}))
		if err == nil {
			_, err = r.Metrics()
			r.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "delete") || !strings.Contains(err.Error(), dir) || strings.Contains(err.Error(), "\n") {
			t.Errorf("damaged %s: error %v", name, err)
		}
		remove := dir + "/" + name
		if strings.Contains(err.Error(), "delete the folder") {
			remove = dir
		}
		check(t, os.RemoveAll(remove))
		if again, _, m := count(t, root); again != sum || fmt.Sprint(m) != fmt.Sprint(metrics) {
			t.Errorf("after the deletion that the error asked for: sum %d and metrics %v, want %d and %v", again, m, sum, metrics)
		}
	}
}

// What a killed process was writing is cleared away.
func TestUnfinishedFilesAreRemoved(t *testing.T) {
	root := t.TempDir()
	count(t, root)
	dir, err := keyOf(config{2}).Dir(root)
	check(t, err)
	left := dir + "/.checkpoint1234"
	check(t, os.WriteFile(left, []byte("half"), 0o644))
	count(t, root)
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("%s is still there (%v)", left, err)
	}
}

// A value that is no number is an error, and the next run goes on before it.
func TestDivergence(t *testing.T) {
	root := t.TempDir()
	r := mustOpen(t, root, config{2})
	_, err := r.Do(t.Context(), &counter{spoilt: 8}, 10, 3, nil)
	if err == nil || !strings.Contains(err.Error(), "sum is NaN at step 8 of 10") || !strings.Contains(err.Error(), "learning rate") {
		t.Fatalf("error %v", err)
	}
	if done, _, err := r.Checkpoint(); done != 6 || err != nil {
		t.Errorf("a checkpoint after %d steps (%v), want 6", done, err)
	}
}

func TestStopAndGoOn(t *testing.T) {
	root := t.TempDir()
	want, _, metrics := count(t, t.TempDir())
	ctx, stop := context.WithCancel(t.Context())
	r := mustOpen(t, root, config{2})
	var stages []string
	watch := Watch(func(p Progress) {
		stages = append(stages, p.Stage)
		if p.Done == 5 {
			stop()
		}
	})
	_, err := r.Do(ctx, &counter{}, 10, 3, watch.Stage("counting"))
	if !errors.Is(err, context.Canceled) || len(stages) != 5 || stages[0] != "counting" {
		t.Fatalf("error %v after %q", err, stages)
	}
	check(t, r.Close())
	Watch(func(p Progress) {
		if p.Stage != "search: labels" {
			t.Errorf("a stage within a stage is called %q", p.Stage)
		}
	}).Stage("search").Stage("labels").Tell(Progress{Done: 1, Total: 1})
	got, status, m := count(t, root)
	if got != want || status != Resumed || fmt.Sprint(m) != fmt.Sprint(metrics) {
		t.Errorf("sum %d (%s), metrics %v; want %d, %v", got, status, m, want, metrics)
	}
	if _, status, _ := count(t, root); status != Loaded {
		t.Errorf("status %s, want loaded", status)
	}
}

// A run goes on as it was observed: begun without the probe, or with another, it starts
// again; begun with it, or asked for none, it does not.
func TestObserve(t *testing.T) {
	for _, c := range []struct {
		name          string
		first, second string
		firstSteps    int // of 10 that are done under the first probe
		again         bool
	}{
		{"the same", "a", "a", 10, false},
		{"another", "a", "b", 10, true},
		{"none at first", "", "a", 10, true},
		{"none at last", "a", "", 10, false},
		{"another, half-way", "a", "b", 6, true},
		{"the same, half-way", "a", "a", 6, false},
		{"none at first, half-way", "", "a", 6, true},
	} {
		root := t.TempDir()
		r := mustOpen(t, root, config{2})
		check(t, r.Observe(c.first, 10))
		for step := range c.firstSteps {
			check(t, r.Log(step, nil))
			check(t, r.Save(step+1, nil))
		}
		check(t, r.Close())
		r = mustOpen(t, root, config{2})
		check(t, r.Observe(c.second, 10))
		done, _, err := r.Checkpoint()
		check(t, err)
		metrics, err := r.Metrics()
		check(t, err)
		if again := done == 0 && len(metrics) == 0; again != c.again {
			t.Errorf("%s: %d steps and %d metrics are left", c.name, done, len(metrics))
		}
	}
	// A part that was done without the probe does not count as observed later.
	root := t.TempDir()
	r := mustOpen(t, root, config{2})
	check(t, r.Observe("a", 10))
	check(t, r.Save(3, nil))
	check(t, r.Observe("", 10))
	check(t, r.Save(10, nil))
	check(t, r.Observe("a", 10))
	if done, _, _ := r.Checkpoint(); done != 0 {
		t.Errorf("%d steps are left of a run that was observed in part", done)
	}
}
