package nasbench301

import (
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/darts"
	"github.com/ctnas/ctnas/datasets"
)

func openBackend(t testing.TB) compute.Backend {
	t.Helper()
	backend, err := engine.OpenConfig("go")
	if err != nil {
		t.Fatal(err)
	}
	return backend
}

// openReal opens the published model, and skips the test where it is not there.
func openReal(t testing.TB) *Predictor {
	t.Helper()
	if os.Getenv("CTNAS_DATA") == "" {
		t.Skip("CTNAS_DATA is not set")
	}
	p, err := Open(context.Background(), openBackend(t), "")
	if err != nil {
		t.Fatal(err)
	}
	if p.Source().Kind != datasets.Real {
		t.Skip(p.Source().Notes)
	}
	return p
}

// What ONNX Runtime computes with the same graph; see testdata/golden.py.
func TestGolden(t *testing.T) {
	p := openReal(t)
	data, err := os.ReadFile(filepath.Join("testdata", "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden []struct {
		Genotype string
		Epoch    int
		Accuracy float64
	}
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	if len(golden) != 100 {
		t.Fatalf("%d golden values, want 100", len(golden))
	}
	largest := 0.0
	for _, want := range golden {
		g, err := darts.Parse(want.Genotype)
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.Accuracies([]space.Arch{g}, want.Epoch)
		if err != nil {
			t.Fatal(err)
		}
		difference := math.Abs(got[0] - want.Accuracy)
		largest = max(largest, difference)
		if difference > 1e-4 {
			t.Errorf("%v after %d epochs: %.7f, want %.7f", g, want.Epoch, got[0], want.Accuracy)
		}
	}
	t.Logf("the largest difference is %.1e", largest)
}

// An accuracy does not depend on what else is asked for, nor on where it is in it.
func TestBatches(t *testing.T) {
	p := openReal(t)
	archs := samples(t, p.Benchmark(), 2*batch+5)
	together, err := p.Accuracies(archs, Epochs)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 1, batch - 1, batch, 2*batch + 4} {
		alone, err := p.Accuracies(archs[i:i+1], Epochs)
		if err != nil || alone[0] != together[i] {
			t.Errorf("genotype %d: %v alone (%v), %v among others", i, alone, err, together[i])
		}
	}
}

func samples(t testing.TB, b *Benchmark, n int) []space.Arch {
	t.Helper()
	archs, err := b.Sample(rand.New(rand.NewPCG(1, 1)), n)
	if err != nil {
		t.Fatal(err)
	}
	return archs
}

func TestBenchmarkCounts(t *testing.T) {
	b := Embedded().Benchmark()
	archs := samples(t, b, 300)
	seen := map[string]bool{}
	for _, a := range archs {
		seen[a.ID()] = true
	}
	if len(seen) != 300 {
		t.Fatalf("%d distinct genotypes of 300", len(seen))
	}
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for _, a := range archs {
				if v, err := b.Validation(a); err != nil || v < 0.8 || v > 1 {
					t.Errorf("%v has the accuracy %v, %v", a, v, err)
				}
			}
		})
	}
	asking.Wait()
	if _, err := b.Validation(stranger{}); err == nil || !strings.Contains(err.Error(), "stranger") {
		t.Errorf("error %v, want one that names the architecture", err)
	}
	if _, err := b.Sample(rand.New(rand.NewPCG(1, 1)), -1); err == nil {
		t.Error("a sample of -1 genotypes was drawn")
	}
}

type stranger struct{ space.Arch }

func (stranger) String() string { return "stranger" }

// More epochs give higher accuracies, in the mean: 0.55 after one, by ONNX Runtime.
func TestEpochs(t *testing.T) {
	p := openReal(t)
	archs := samples(t, p.Benchmark(), 20)
	before := 0.0
	for _, epoch := range []int{1, 10, 50, Epochs} {
		b, err := p.BenchmarkAt(epoch)
		if err != nil {
			t.Fatal(err)
		}
		mean := 0.0
		for _, a := range archs {
			v, err := b.Validation(a)
			if err != nil {
				t.Fatal(err)
			}
			mean += v / float64(len(archs))
		}
		if mean < before+0.02 {
			t.Errorf("the mean accuracy after %d epochs is %.4f, before it was %.4f", epoch, mean, before)
		}
		before = mean
	}
	for _, epoch := range []int{0, 99} {
		if _, err := p.BenchmarkAt(epoch); err == nil || !strings.Contains(err.Error(), "1 to 98") {
			t.Errorf("after %d epochs: error %v", epoch, err)
		}
	}
	if b := p.Benchmark(); b.Source() != "real" || b.Space().Name() != "darts" {
		t.Errorf("the benchmark is %s of %s", b.Source(), b.Space().Name())
	}
}

func TestOpenWithoutData(t *testing.T) {
	for _, name := range []string{"CTNAS_DATA", "CTNAS_CACHE"} {
		t.Setenv(name, t.TempDir())
	}
	t.Setenv("CTNAS_DOWNLOAD", "")
	p, err := Open(t.Context(), nil, "")
	if err != nil {
		t.Fatal(err)
	}
	if p.Source().Kind != datasets.Surrogate || p.Benchmark().Source() != "surrogate" || len(p.Source().Notes) != 1 {
		t.Errorf("without data, the source is %v with the notes %q", p.Source(), p.Source().Notes)
	}
	if _, err := p.BenchmarkAt(50); err == nil || !strings.Contains(err.Error(), "98 epochs only") {
		t.Errorf("error %v, want one that names the surrogate's epochs", err)
	}
}

func TestOpenErrors(t *testing.T) {
	folder := t.TempDir()
	if _, err := Open(t.Context(), openBackend(t), folder); err == nil || !strings.Contains(err.Error(), datasets.NASBench301) {
		t.Errorf("an empty folder: error %v", err)
	}
	file := filepath.Join(folder, datasets.NASBench301)
	if err := os.WriteFile(file, []byte("ONNX"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), openBackend(t), file); err == nil || !strings.Contains(err.Error(), "4 bytes") {
		t.Errorf("a short file: error %v", err)
	}
	if err := os.Truncate(file, 2_781_646); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), openBackend(t), file); err == nil || !strings.Contains(err.Error(), "no whole message") {
		t.Errorf("a file of the right size: error %v", err)
	}
}

func BenchmarkAccuracies(b *testing.B) {
	p := openReal(b)
	archs := samples(b, p.Benchmark(), 640)
	for b.Loop() {
		if _, err := p.Accuracies(archs, Epochs); err != nil {
			b.Fatal(err)
		}
	}
}
