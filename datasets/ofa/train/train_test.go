package main

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/datasets/internal/training"
	"github.com/ctnas/ctnas/datasets/ofa"
	"github.com/ctnas/ctnas/datasets/ofa/internal/mlp"
)

// A model of a model, far smaller than the real one, comes close to it.
func TestFit(t *testing.T) {
	teacher := ofa.Embedded()
	backend, err := engine.Open()
	if err != nil {
		t.Fatal(err)
	}
	c := config{training.Config{Epochs: 5, Batch: 64, LearningRate: 0.003, Seed: 3}, 2048}
	parts, err := fit(context.Background(), backend, teacher, c)
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
	m, err := compare(teacher, mlp.New(parts), archs)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", m)
	if m.KendallTau < 0.7 || m.MAE > 0.3 || m.Largest < m.MAE || m.ModelsBest100 > m.Best100 {
		t.Errorf("Kendall's tau %.3f, mean error %.3f; want at least 0.7, at most 0.3 percentage points", m.KendallTau, m.MAE)
	}

	stopped, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := fit(stopped, backend, teacher, c); err == nil {
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
	c := newCard("DATA", config{}, []measurement{{Space: "SPACE", KendallTau: 0.12345}})
	if err := training.Write(folder, mlp.Encode(mlp.Parts(mlp.Embedded...)), c, page); err != nil {
		t.Fatal(err)
	}
	weights, err := os.ReadFile(filepath.Join(folder, "weights.bin"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mlp.Decode(weights); err != nil {
		t.Errorf("the weights are not read back: %v", err)
	}
	for file, words := range map[string][]string{
		"README.md": {"DATA", "SPACE", "0.1235", "240 and 240", "87121 weights"},
		"card.json": {"DATA", "SPACE", "0.12345", `"weights": 87121`},
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
