package rundir

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

type config struct{ Layers int }

// keyOf is the key of a configuration, with all that a key needs.
func keyOf(c any) Key {
	return Key{Step: "step", Algorithms: Versions{"test": 1}, Config: c, Data: map[string]string{"space": "toy"}}
}

func mustOpen(t *testing.T, root string, c any) *Run {
	t.Helper()
	r, err := Open(root, keyOf(c))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestARunFromStartToEnd(t *testing.T) {
	root := t.TempDir()
	r := mustOpen(t, root, config{2})
	for step := range 3 {
		check(t, r.Log(step, map[string]float64{"loss": float64(step)}))
		check(t, r.Save(step+1, []byte{byte(step)}))
	}
	check(t, r.Log(3, map[string]float64{"loss": 99})) // lost: no checkpoint follows
	check(t, r.Close())

	r = mustOpen(t, root, config{2})
	done, state, err := r.Checkpoint()
	check(t, err)
	if done != 3 || !slices.Equal(state, []byte{2}) {
		t.Fatalf("checkpoint after %d steps with state %v, want 3 and [2]", done, state)
	}
	metrics, err := r.Metrics()
	check(t, err)
	if len(metrics) != 3 || metrics[2].Step != 2 || metrics[2].Values["loss"] != 2 {
		t.Fatalf("metrics %v, want those of steps 0 to 2", metrics)
	}
	var result map[string]string
	if finished, err := r.Result(&result); finished || err != nil {
		t.Fatalf("finished: %v, %v", finished, err)
	}
	check(t, r.Finish(map[string]string{"best": "101:A"}))
	check(t, r.Close())

	r = mustOpen(t, root, config{2})
	if finished, err := r.Result(&result); !finished || err != nil || result["best"] != "101:A" {
		t.Fatalf("result %v, %v, %v", result, finished, err)
	}
}

func TestEachConfigurationHasItsDirectory(t *testing.T) {
	root := t.TempDir()
	a, b := mustOpen(t, root, config{2}), mustOpen(t, root, config{4})
	if a.Dir() == b.Dir() {
		t.Errorf("two configurations share %s", a.Dir())
	}
}

func TestOneProcessAtATime(t *testing.T) {
	root := t.TempDir()
	mustOpen(t, root, config{2})
	if _, err := Open(root, keyOf(config{2})); !errors.Is(err, ErrInUse) {
		t.Errorf("second opening: %v, want ErrInUse", err)
	}
}

func TestOtherConfiguration(t *testing.T) {
	root := t.TempDir()
	r := mustOpen(t, root, config{2})
	check(t, r.Close())
	check(t, os.WriteFile(filepath.Join(r.Dir(), keyFile), []byte("{}\n"), 0o644))
	if _, err := Open(root, keyOf(config{2})); err == nil || !strings.Contains(err.Error(), "delete the folder") {
		t.Errorf("error %v, want one that says what to delete", err)
	}
}

// A file that was cut off or changed anywhere is not taken for a checkpoint.
func TestDamagedCheckpoint(t *testing.T) {
	root := t.TempDir()
	r := mustOpen(t, root, config{2})
	check(t, r.Save(1, []byte("state")))
	path := r.path(checkpointFile)
	whole, err := os.ReadFile(path)
	check(t, err)
	check(t, r.Close())
	damaged := [][]byte{whole[:0], whole[:3], whole[:len(whole)-1], append(slices.Clone(whole), 0)}
	for i := range whole {
		flipped := slices.Clone(whole)
		flipped[i] ^= 0x10
		damaged = append(damaged, flipped)
	}
	for _, data := range damaged {
		check(t, os.WriteFile(path, data, 0o644))
		if _, err := Open(root, keyOf(config{2})); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) {
			t.Errorf("opening with %q: error %v, want ErrDamaged naming the file", data, err)
		}
	}
}

func TestReadOnlyRoot(t *testing.T) {
	root := filepath.Join(t.TempDir(), "file")
	check(t, os.WriteFile(root, nil, 0o644))
	if _, err := Open(root, keyOf(config{2})); err == nil || !strings.Contains(err.Error(), "cannot create the run directory") {
		t.Errorf("error %v, want one about the directory", err)
	}
}

// A line that another process is still writing is left out.
func TestReadMetricsWhileWriting(t *testing.T) {
	r := mustOpen(t, t.TempDir(), config{2})
	check(t, r.Log(0, map[string]float64{"loss": 1}))
	_, err := r.metrics.WriteString(`{"step":1,"val`)
	check(t, err)
	metrics, err := ReadMetrics(r.Dir())
	check(t, err)
	if len(metrics) != 1 {
		t.Errorf("%d metrics, want 1", len(metrics))
	}
}

// A process that is killed while it writes a line, be it the first, leaves nothing
// that the next one would write behind.
func TestCutOffLine(t *testing.T) {
	for _, whole := range []int{0, 2} {
		root := t.TempDir()
		r := mustOpen(t, root, config{2})
		for step := range whole {
			check(t, r.Log(step, map[string]float64{"loss": 1}))
			check(t, r.Save(step+1, nil))
		}
		file, err := os.OpenFile(r.path(metricsFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
		check(t, err)
		_, err = file.WriteString(`{"step":9,"val`)
		check(t, err)
		check(t, file.Close())
		check(t, r.Close())

		r = mustOpen(t, root, config{2})
		check(t, r.Log(whole, map[string]float64{"loss": 2}))
		metrics, err := r.Metrics()
		check(t, err)
		if len(metrics) != whole+1 || metrics[whole].Values["loss"] != 2 {
			t.Errorf("after %d whole lines and a cut-off one: %v", whole, metrics)
		}
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
