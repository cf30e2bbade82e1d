package space_test

import (
	"math/rand/v2"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/controller"
	"github.com/ctnas/ctnas/ctnaslib/ctnas"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// convolved gives a cell of NAS-Bench-201 a point for each 3×3 convolution, half for each 1×1.
type convolved struct{ space *space.Choices }

func (b convolved) Space() space.Space { return b.space }
func (convolved) Source() string       { return "toy" }

func (b convolved) Sample(rng *rand.Rand, n int) ([]space.Arch, error) {
	return space.Draw(rng, b.space, n, nil)
}

func (convolved) Validation(a space.Arch) (float64, error) {
	accuracy := 0.0
	for _, op := range a.(space.Chosen).Options() {
		accuracy += []float64{0, 0, 0.5, 1, 0}[op] / 6
	}
	return accuracy, nil
}

// A comparator learns the new space, a policy writes its cells, and Algorithm 1 finds a
// cell that is better than all of its labels.
func TestNewSpace(t *testing.T) {
	backend, err := engine.Open()
	if err != nil {
		t.Fatal(err)
	}
	s, err := newNASBench201()
	if err != nil {
		t.Fatal(err)
	}
	benchmark := convolved{s}
	labelled, err := search.Label(t.Context(), benchmark, 60, 1)
	if err != nil {
		t.Fatal(err)
	}
	c := ctnas.Paper()
	c.Labels, c.Iterations, c.PolicySteps, c.PolicyBatch = 60, 10, 8, 8
	c.Samples, c.BaselineSamples, c.TopK = 20, 20, 30
	c.NAC.Width, c.NAC.Epochs, c.NAC.BatchSize, c.NAC.LearningRate = 16, 40, 32, 5e-3
	c.Controller.Hidden, c.Controller.LearningRate = 16, 1e-2
	c.Seed = 1

	trained, err := comparator.Train(t.Context(), t.TempDir(), comparator.Training{
		Backend: backend, Space: s, Labelled: labelled, Config: c.NAC,
	})
	if err != nil {
		t.Fatal(err)
	}
	others, err := benchmark.Sample(rand.New(rand.NewPCG(2, 2)), 200)
	if err != nil {
		t.Fatal(err)
	}
	var accuracies []float64
	for _, a := range others {
		accuracy, err := benchmark.Validation(a)
		if err != nil {
			t.Fatal(err)
		}
		accuracies = append(accuracies, accuracy)
	}
	if tau, err := trained.NAC.KendallTau(others, accuracies); err != nil || tau < 0.6 {
		t.Errorf("Kendall's tau is %.3f, %v; want more than 0.6", tau, err)
	}

	policy, err := controller.New(s.Decisions(), c.Controller)
	if err != nil {
		t.Fatal(err)
	}
	sequences, err := policy.Sample(rand.New(rand.NewPCG(3, 3)), 10)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := controller.Decoded(s, sequences); err != nil {
		t.Error(err)
	}

	found, err := ctnas.Search(t.Context(), t.TempDir(), search.Problem{Backend: backend, Benchmark: benchmark}, c)
	if err != nil {
		t.Fatal(err)
	}
	if found.Queries != 60 {
		t.Errorf("%d queries, want 60", found.Queries)
	}
	reached, err := benchmark.Validation(found.Best)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range labelled {
		if l.Accuracy >= reached {
			t.Errorf("found %v with %.3f, but the label %v has %.3f", found.Best, reached, l.Arch, l.Accuracy)
		}
	}
	t.Logf("found %v with %.3f", found.Best, reached)
}
