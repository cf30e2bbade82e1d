package main

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/metric"
	"github.com/ctnas/ctnas/datasets/internal/training"
	"github.com/ctnas/ctnas/datasets/nasbench301"
	"github.com/ctnas/ctnas/datasets/nasbench301/internal/distilled"
)

// A network trained on some labels of the surrogate ranks others as the surrogate does.
func TestFit(t *testing.T) {
	backend, err := engine.Open()
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	genotypes, accuracies, err := label(nasbench301.Embedded(), rng, 3000)
	if err != nil {
		t.Fatal(err)
	}
	c := config{Config: training.Config{Epochs: 6, Batch: 100, LearningRate: 3e-3, Seed: 1}, WeightDecay: 1e-6}
	net, err := fit(t.Context(), backend, c, genotypes, accuracies)
	if err != nil {
		t.Fatal(err)
	}
	genotypes, accuracies, err = label(nasbench301.Embedded(), rng, 500)
	if err != nil {
		t.Fatal(err)
	}
	predicted := net.Predict(genotypes)
	if tau, err := metric.KendallTau(predicted, accuracies); err != nil || tau < 0.35 {
		t.Errorf("Kendall's tau is %.3f, %v; want more than 0.35", tau, err)
	} else {
		t.Logf("Kendall's tau is %.3f", tau)
	}
}

// The measured facts of a network against itself.
func TestMeasure(t *testing.T) {
	weights, err := os.ReadFile(filepath.Join("..", "weights.bin"))
	if err != nil {
		t.Fatal(err)
	}
	net, err := distilled.Decode(weights)
	if err != nil {
		t.Fatal(err)
	}
	c, err := measure(nasbench301.Embedded(), net, rand.New(rand.NewPCG(1, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(c.KendallTau-1) > 1e-9 || c.RMSE != 0 || c.R2 != 1 {
		t.Errorf("against itself, tau %v, RMSE %v, R² %v", c.KendallTau, c.RMSE, c.R2)
	}
	if v := c.Known["DARTS_V2"]; len(c.Known) != 6 || v[0] != v[1] || v[0] < 90 {
		t.Errorf("the known genotypes: %v", c.Known)
	}
}
