package main

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/datasets/ofa"
	"github.com/ctnas/ctnas/datasets/ofa/internal/mlp"
)

// The gradient is compared with difference quotients of the loss.
func TestGradients(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	model := newModel(rng, []int{5, 4, 3, 1})
	for _, layer := range model {
		for i := range layer.Bias {
			layer.Bias[i] = rng.NormFloat64()
		}
	}
	x := mat.NewDense(6, 5, nil)
	x.Apply(func(_, _ int, _ float64) float64 { return rng.NormFloat64() }, x)
	y := []float64{1, -2, 0.5, 0, 3, -1}
	loss, gradient := gradients(model, x, y)
	want := 0.0
	for i, v := range model.Apply(x).RawMatrix().Data {
		want += (v - y[i]) * (v - y[i]) / 6
	}
	if math.Abs(loss-want) > 1e-12 {
		t.Errorf("the loss is %v, want %v", loss, want)
	}
	const h = 1e-6
	exact := slicesOf(gradient)
	for i, w := range slicesOf(model) {
		for j := range w {
			w[j] += h
			up, _ := gradients(model, x, y)
			w[j] -= 2 * h
			down, _ := gradients(model, x, y)
			w[j] += h
			if quotient := (up - down) / (2 * h); math.Abs(quotient-exact[i][j]) > 1e-6 {
				t.Errorf("weight %d of slice %d has the gradient %v, want %v", j, i, exact[i][j], quotient)
			}
		}
	}
}

// A model of a model, far smaller than the real one, comes close to it.
func TestFit(t *testing.T) {
	teacher := ofa.Embedded()
	c := config{Hidden: []int{16}, Networks: 4096, Epochs: 10, Batch: 64, LearningRate: 0.01, Seed: 3}
	model, err := fit(context.Background(), teacher, c)
	if err != nil {
		t.Fatal(err)
	}
	s, err := mobilenetv3.New(mobilenetv3.OFA(), 0)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(4, 4))
	archs := make([]space.Arch, 500)
	for i := range archs {
		archs[i] = s.Sample(rng)
	}
	m, err := compare(teacher, model, archs)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", m)
	if m.KendallTau < 0.7 || m.MAE > 0.3 || m.Largest < m.MAE || m.ModelsBest100 > m.Best100 {
		t.Errorf("Kendall's tau %.3f, mean error %.3f; want at least 0.7, at most 0.3 percentage points", m.KendallTau, m.MAE)
	}

	stopped, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := fit(stopped, teacher, c); err == nil {
		t.Error("training cannot be interrupted")
	}
}

func TestMeanOfBest(t *testing.T) {
	if got := meanOfBest([]float64{3, 1, 2}, []float64{0.5, 0.9, 0.7}, 2); math.Abs(got-60) > 1e-9 {
		t.Errorf("the two of highest score have %v %% on average, want 60", got)
	}
}

func TestWrite(t *testing.T) {
	folder := t.TempDir()
	model := newModel(rand.New(rand.NewPCG(5, 5)), []int{120, 2, 1})
	c := card{Data: "DATA", Training: config{Hidden: []int{2}}, Fresh: []measurement{{Space: "SPACE", KendallTau: 0.12345}}}
	if err := write(folder, model, c); err != nil {
		t.Fatal(err)
	}
	weights, err := os.ReadFile(filepath.Join(folder, "weights.bin"))
	if err != nil {
		t.Fatal(err)
	}
	if read, err := mlp.Decode(weights); err != nil || len(read) != 2 || read.Inputs() != 120 {
		t.Errorf("the weights are not read back: %v", err)
	}
	for file, words := range map[string][]string{
		"README.md": {"DATA", "SPACE", "0.1235", "245 weights"},
		"card.json": {"DATA", "SPACE", "0.12345", `"weights": 245`},
	} {
		text, err := os.ReadFile(filepath.Join(folder, file))
		for _, word := range words {
			if err != nil || !strings.Contains(string(text), word) {
				t.Errorf("%s lacks %q, %v", file, word, err)
			}
		}
	}
}

func TestRunNeedsThePublishedPredictor(t *testing.T) {
	t.Setenv("CTNAS_DATA", "")
	t.Setenv("CTNAS_DOWNLOAD", "")
	t.Setenv("CTNAS_CACHE", t.TempDir())
	if err := run(context.Background(), t.TempDir(), config{}, 0); err == nil || !strings.Contains(err.Error(), "published predictor") {
		t.Errorf("without it, the error is %v", err)
	}
}
