package engine

import (
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
)

// stress runs matrix products in parallel branches, the pattern that makes the Go
// backend of compute v0.1.2 wait for ever with its default, limited worker pool.
// It returns how many of the steps ended within the time.
func stress(t *testing.T, backend compute.Backend, steps int, limit time.Duration) int {
	t.Helper()
	const branches, layers, rows, width = 8, 4, 512, 128
	exec, err := NewExec(backend, func(x *Node) *Node {
		for range layers {
			sum := ZerosLike(x)
			for b := range branches {
				w := AddScalar(ZerosLike(Slice(x, AxisRange(0, width))), float64(b+1)/(width*width))
				sum = Add(sum, MatMul(x, w))
			}
			x = sum
		}
		return ReduceAllSum(x)
	})
	if err != nil {
		t.Fatal(err)
	}
	x := tensors.FromScalarAndDimensions(float32(1), rows, width)
	done := make(chan struct{}, steps)
	go func() {
		for range steps {
			if _, err := exec.Call(x); err != nil {
				t.Error(err)
			}
			done <- struct{}{}
		}
	}()
	timeout := time.After(limit)
	for n := range steps {
		select {
		case <-done:
		case <-timeout:
			return n
		}
	}
	return steps
}

func TestNoDeadlock(t *testing.T) {
	backend, err := OpenConfig("go")
	if err != nil {
		t.Fatal(err)
	}
	const steps = 40
	if n := stress(t, backend, steps, 2*time.Minute); n < steps {
		t.Fatalf("the Go backend hung after %d of %d steps", n, steps)
	}
}

func TestOpenErrors(t *testing.T) {
	for _, config := range []string{"abacus", "go:colour=red", "go:parallelism=many", "xla:/nowhere/plugin.so"} {
		_, err := OpenConfig(config)
		if err == nil || !strings.Contains(err.Error(), config) || strings.Contains(err.Error(), "\n") {
			t.Errorf("OpenConfig(%q): error %v, want one line naming it", config, err)
		}
	}
}

func TestDescribe(t *testing.T) {
	backend, err := OpenConfig("go")
	if err != nil {
		t.Fatal(err)
	}
	if got := Describe(backend); got != "go" {
		t.Errorf("the Go backend is described as %q", got)
	}
}

// A short run takes pure Go, even where there is a plugin, unless the user names another backend.
func TestOpenShort(t *testing.T) {
	t.Setenv(compute.ConfigEnvVar, "")
	backend, err := OpenShort()
	if err != nil || Describe(backend) != "go" {
		t.Errorf("a short run computes on %v (%v)", backend, err)
	}
	if again, _ := OpenShort(); again != backend {
		t.Error("the backend was opened twice")
	}
	t.Setenv(compute.ConfigEnvVar, "xla:/nowhere/plugin.so")
	if _, err := OpenShort(); err == nil {
		t.Error("the user's setting is ignored")
	}
}

func TestTry(t *testing.T) {
	cause := errors.New("shapes differ")
	if err := Try(func() { panic(cause) }); !errors.Is(err, cause) {
		t.Errorf("error %v, want the one that was panicked with", err)
	}
	if err := Try(func() { panic("text") }); err == nil || !strings.Contains(err.Error(), "text") {
		t.Errorf("error %v, want one with the text", err)
	}
	if err := Try(func() {}); err != nil {
		t.Errorf("error %v, want none", err)
	}
}

func TestStoreRoundTrip(t *testing.T) {
	store := model.NewStore()
	add := func(path string, value *tensors.Tensor, trainable bool) {
		v, err := store.CreateVariable(path, value)
		if err != nil {
			t.Fatal(err)
		}
		v.Trainable = trainable
	}
	add("/a/weights", tensors.FromValue([][]float32{{1, 2, 3}, {4, 5, 6.5}}), true)
	add("/step", tensors.FromScalar(int64(7)), false)
	data, err := EncodeStore(store)
	if err != nil {
		t.Fatal(err)
	}
	back := model.NewStore()
	if _, err := back.CreateVariable("/a/weights", tensors.FromValue([][]float32{{0, 0, 0}, {0, 0, 0}})); err != nil {
		t.Fatal(err)
	}
	if err := RestoreStore(back, data); err != nil {
		t.Fatal(err)
	}
	weights, step := back.GetVariable("/a/weights"), back.GetVariable("/step")
	if !weights.Trainable || step.Trainable {
		t.Error("which variables are trainable was lost")
	}
	if got := weights.MustValue().Value().([][]float32)[1][2]; got != 6.5 {
		t.Errorf("weight %g, want 6.5", got)
	}
	if got := step.MustValue().Value().(int64); got != 7 {
		t.Errorf("step %d, want 7", got)
	}
	for n := range data {
		if err := RestoreStore(back, data[:n]); err == nil {
			t.Fatalf("%d of %d bytes were taken for a whole store", n, len(data))
		}
	}
	if err := RestoreStore(model.NewStore(), data); err == nil {
		t.Error("an empty store has the same weights")
	}
	other := model.NewStore()
	if _, err := other.CreateVariable("/a/weights", tensors.FromValue([]float32{0})); err != nil {
		t.Fatal(err)
	}
	if err := RestoreStore(other, data); err == nil {
		t.Error("weights of another shape were taken on")
	}
}

// Backends that are opened at the same time leave the program its output.
func TestOpenedAtTheSameTime(t *testing.T) {
	before := os.Stdout
	defer func() { os.Stdout = before }()
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() { OpenConfig("go") })
	}
	all.Wait()
	if os.Stdout != before {
		t.Error("the output is another file")
	}
}
