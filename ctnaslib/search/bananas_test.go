package search

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/internal/toy"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/ctnaslib/train"
)

func smallBananas(labels int) BananasConfig {
	c := BananasConfig{Labels: labels, First: 20, Batch: 5, Members: 3, Predictor: QuickRegressionPredictor(), Parents: 10, Children: 5, Seed: 4}
	c.Predictor.Width, c.Predictor.Epochs, c.Predictor.BatchSize, c.Predictor.LearningRate = 16, 60, 20, 5e-3
	return c
}

func TestBananas(t *testing.T) {
	config := smallBananas(43)
	root, p := t.TempDir(), toyProblem(t)
	found, err := Bananas(t.Context(), root, p, config)
	if err != nil {
		t.Fatal(err)
	}
	if found.Queries != 43 || len(found.Labelled) != 43 || len(found.Metrics) != 5 {
		t.Errorf("%d queries, %d labels, %d rounds", found.Queries, len(found.Labelled), len(found.Metrics))
	}
	random, bought := meanLabel(found.Labelled[:20]), meanLabel(found.Labelled[20:])
	if bought < random+0.1 {
		t.Errorf("the labels bought in rounds have quality %.2f, the random ones %.2f", bought, random)
	}
	for _, l := range found.Labelled {
		if l.Accuracy > toy.Quality(found.Best) {
			t.Errorf("%s has a higher label than the answer %s", l.Arch, found.Best)
		}
	}
	again, err := Bananas(t.Context(), root, toyProblem(t), config)
	if err != nil || again.Best != found.Best || again.Status != rundir.Loaded || again.Queries != 43 {
		t.Errorf("the second call gave %v, %v", again, err)
	}
	// Interrupted in the third round, it continues to the same labels.
	ctx, cancel := context.WithCancel(t.Context())
	p.Watch = func(step train.Progress) {
		if step.Stage == "" && step.Done == 3 {
			cancel()
		}
	}
	root = t.TempDir()
	if _, err := Bananas(ctx, root, p, config); !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted: error %v", err)
	}
	resumed, err := Bananas(t.Context(), root, toyProblem(t), config)
	if err != nil || resumed.Status != rundir.Resumed || fmt.Sprint(resumed.Labelled) != fmt.Sprint(found.Labelled) {
		t.Errorf("after an interrupt: %v, %v, want %v", resumed, err, found.Best)
	}
}

// Where the members agree the accuracy drawn is theirs; where they do not, the draws have their mean and deviation.
func TestSampledByHand(t *testing.T) {
	archs := []space.Arch{nasbench101.Space{}.All()[0], nasbench101.Space{}.All()[1]}
	predictions := [][]float64{{0.9, 0.5}, {0.9, 0.7}, {0.9, 0.6}} // mean 0.6, deviation 0.1
	const draws = 10_000
	pool := sampled(rand.New(rand.NewPCG(1, 2)), archs, predictions, draws)
	sum, squares := 0.0, 0.0
	for f := range draws {
		if math.Abs(pool[0].values[f]-0.9) > 1e-12 {
			t.Fatalf("the members agree on 0.9, drawn was %g", pool[0].values[f])
		}
		d := pool[1].values[f] - 0.6
		sum, squares = sum+d, squares+d*d
	}
	if mean, deviation := sum/draws, math.Sqrt(squares/draws); math.Abs(mean) > 0.005 || math.Abs(deviation-0.1) > 0.003 {
		t.Errorf("the draws have the mean 0.6%+.4f and the deviation %.4f, want 0.6 and 0.1", mean, deviation)
	}
}

// With other labels a member predicts on their scale.
func TestStandardise(t *testing.T) {
	p := toyProblem(t)
	c := smallBananas(20).Predictor
	labelled := toy.Labelled(rand.New(rand.NewPCG(1, 1)), 30)
	member, err := NewRegressionPredictor(p.Backend, p.Benchmark.Space(), labelled[:10], c)
	if err != nil {
		t.Fatal(err)
	}
	if err := member.standardise(labelled); err != nil {
		t.Fatal(err)
	}
	mean, deviation := moments(space.Accuracies(labelled))
	if math.Abs(member.mean-mean) > 1e-6 || math.Abs(member.deviation-deviation) > 1e-6 {
		t.Errorf("μ and s are %g and %g, want %g and %g", member.mean, member.deviation, mean, deviation)
	}
}
