package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/rundir"
)

// The files of a run directory, which the errors say to delete.
const keyFile, checkpointFile, resultFile, metricsFile, lockFiles = "key.json", "checkpoint", "result.json", "metrics.jsonl", "lock-*"

var key = rundir.Key{Step: "count", Algorithms: rundir.Versions{"count": 1}, Data: map[string]string{"numbers": "from 0"}}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustOpen(t *testing.T, root string) *rundir.Run {
	t.Helper()
	r, err := rundir.Open(root, key)
	check(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

// counter adds up the numbers of its steps.
type counter struct {
	sum    int
	spoilt int // the step, counted from 1, at which it measures NaN
}

func (c *counter) Step(_ context.Context, t int) (map[string]float64, error) {
	c.sum += t
	v := float64(c.sum)
	if t+1 == c.spoilt {
		v = math.NaN()
	}
	return map[string]float64{"sum": v}, nil
}
func (c *counter) Encode() ([]byte, error)    { return json.Marshal(c.sum) }
func (c *counter) Restore(state []byte) error { return json.Unmarshal(state, &c.sum) }

// count runs a counter to its end and returns its sum and how it was reached.
func count(t *testing.T, root string) (int, rundir.Status, []rundir.Metrics) {
	t.Helper()
	r := mustOpen(t, root)
	defer r.Close()
	var c counter
	outcome, err := Do(t.Context(), r, &c, Plan{Steps: 10})
	check(t, err)
	check(t, r.Finish(c.sum))
	return c.sum, outcome.Status, outcome.Metrics
}

// Each error that says "delete" is right: without that file, or without all files but the
// others, the run begins again and ends as before.
func TestDeleteToStartAgain(t *testing.T) {
	root := t.TempDir()
	sum, _, metrics := count(t, root)
	dir, err := key.Dir(root)
	check(t, err)
	for _, gone := range [][]string{
		{checkpointFile}, {resultFile}, {metricsFile, checkpointFile}, {keyFile},
		{checkpointFile, resultFile}, {checkpointFile, resultFile, metricsFile, keyFile}, {lockFiles},
	} {
		for _, name := range gone {
			paths, err := filepath.Glob(filepath.Join(dir, name))
			check(t, err)
			for _, path := range paths {
				check(t, os.Remove(path))
			}
		}
		again, status, m := count(t, root)
		if again != sum || fmt.Sprint(m) != fmt.Sprint(metrics) {
			t.Errorf("without %v: sum %d (%s) and metrics %v, want %d and %v", gone, again, status, m, sum, metrics)
		}
	}
	for _, name := range []string{checkpointFile, resultFile, keyFile, metricsFile} {
		check(t, os.WriteFile(dir+"/"+name, []byte("?\n"), 0o644))
		r, err := rundir.Open(root, key)
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
	dir, err := key.Dir(root)
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
	r := mustOpen(t, root)
	_, err := Do(t.Context(), r, &counter{spoilt: 8}, Plan{Steps: 10})
	if err == nil || !strings.Contains(err.Error(), "sum is NaN at step 8 of 10") || !strings.Contains(err.Error(), "learning rate") {
		t.Fatalf("error %v", err)
	}
	if done, _, err := r.Checkpoint(); done < 1 || done > 7 || err != nil {
		t.Errorf("a checkpoint after %d steps (%v), want 1 to 7", done, err)
	}
}

// slow takes long to be written down.
type slow struct {
	counter
	written int
}

func (s *slow) Encode() ([]byte, error) {
	s.written++
	time.Sleep(20 * time.Millisecond)
	return s.counter.Encode()
}

// Checkpoints that take longer than the steps come after the first step and after the last, and not between.
func TestCheckpointsAreApart(t *testing.T) {
	var s slow
	if _, err := Do(t.Context(), mustOpen(t, t.TempDir()), &s, Plan{Steps: 10}); err != nil {
		t.Fatal(err)
	}
	if s.written != 2 {
		t.Errorf("%d checkpoints of 10 steps, want 2", s.written)
	}
}

// What is done twice in a run that stays open is logged once, and all of it.
func TestAgainInAnOpenRun(t *testing.T) {
	_, _, want := count(t, t.TempDir())
	r := mustOpen(t, t.TempDir())
	check(t, r.Log(0, map[string]float64{"before": 1}))
	if _, err := Do(t.Context(), r, &counter{spoilt: 8}, Plan{Steps: 10}); err == nil {
		t.Fatal("it did not fail")
	}
	check(t, r.Log(9, map[string]float64{"between": 1}))
	outcome, err := Do(t.Context(), r, &counter{}, Plan{Steps: 10})
	check(t, err)
	if fmt.Sprint(outcome.Metrics) != fmt.Sprint(want) {
		t.Errorf("the metrics are %v, want %v", outcome.Metrics, want)
	}
}

func TestStopAndGoOn(t *testing.T) {
	root := t.TempDir()
	want, _, metrics := count(t, t.TempDir())
	ctx, stop := context.WithCancel(t.Context())
	r := mustOpen(t, root)
	var stages []string
	watch := Watch(func(p Progress) {
		stages = append(stages, p.Stage)
		if p.Done == 5 {
			stop()
		}
	})
	_, err := Do(ctx, r, &counter{}, Plan{Steps: 10, Watch: watch.Stage("counting")})
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
	if got != want || status != rundir.Resumed || fmt.Sprint(m) != fmt.Sprint(metrics) {
		t.Errorf("sum %d (%s), metrics %v; want %d, %v", got, status, m, want, metrics)
	}
	if _, status, _ := count(t, root); status != rundir.Loaded {
		t.Errorf("status %s, want loaded", status)
	}
}
