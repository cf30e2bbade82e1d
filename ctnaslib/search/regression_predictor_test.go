package search

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/encoder"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/darts"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// tinyRegression is a small regression for fast tests.
func tinyRegression(seed uint64) RegressionPredictorConfig {
	c := ReleasedRegressionPredictor()
	c.Layers, c.Width, c.Epochs, c.BatchSize, c.LearningRate, c.Seed = 2, 16, 30, 32, 5e-3, seed
	return c
}

func newRegressionOf(t testing.TB, labelled []space.Labelled, c RegressionPredictorConfig) *RegressionPredictor {
	t.Helper()
	r, err := NewRegressionPredictor(backend(t), nasbench101.Space{}, labelled, c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A regression of width 1 and one linear layer on the cell input → conv3x3 →
// output, worked out by hand: predictions, then the loss of a step.
func TestRegressionByHand(t *testing.T) {
	c := PaperRegressionPredictor()
	c.Width, c.Layers = 1, 1
	a, b := mustParse(t, "101:A"), mustParse(t, "1:")
	labelled := []space.Labelled{{Arch: a, Accuracy: 0.94}, {Arch: b, Accuracy: 0.86}}
	r := newRegressionOf(t, labelled, c)
	// Operation ids: 0 padding, 1 input, 2 conv3x3, 3 conv1x1, 4 pool, 5 output.
	set(t, r.store, "/regression/embedding", 0.2, -0.5, 0.9, 7, 7, 0.4)
	set(t, r.store, "/regression/weight_0", 2)
	set(t, r.store, "/regression/head", 3)
	set(t, r.store, "/regression/head_bias", 0.5)

	// Each vertex hears itself and its predecessors; padding only itself.
	zA := 2 * (-0.5 + (0.9 - 0.5) + (0.4 + 0.9) + 4*0.2) / 7
	zB := 2 * (-0.5 + (0.4 - 0.5) + 5*0.2) / 7
	outA, outB := 3*zA+0.5, 3*zB+0.5
	// The labels have mean 0.9 and standard deviation 0.04.
	got, err := r.Utilities([]space.Arch{a, b})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{0.9 + 0.04*outA, 0.9 + 0.04*outB} {
		if math.Abs(got[i]-want) > 1e-6 {
			t.Errorf("prediction %d: %.7f, want %.7f", i, got[i], want)
		}
	}
	loss, err := r.TrainEpoch(0, labelled)
	if err != nil {
		t.Fatal(err)
	}
	if want := ((outA-1)*(outA-1) + (outB+1)*(outB+1)) / 2; math.Abs(loss-want) > 1e-4 {
		t.Errorf("loss %.6f, want %.6f", loss, want)
	}
}

func TestRegressionLearns(t *testing.T) {
	c := tinyRegression(1)
	c.Epochs = 60
	labelled := sample(1, 200)
	r := newRegressionOf(t, labelled, c)
	for epoch := range c.Epochs {
		if _, err := r.TrainEpoch(epoch, labelled); err != nil {
			t.Fatal(err)
		}
	}
	others := sample(2, 300)
	if tau := tau(t, r, others); tau < 0.7 {
		t.Errorf("Kendall's tau on cells never seen is %.3f", tau)
	}
	archs, accuracies := split(others)
	predicted, err := r.Utilities(archs)
	if err != nil {
		t.Fatal(err)
	}
	off := 0.0
	for i := range predicted {
		off += math.Abs(predicted[i]-accuracies[i]) / float64(len(predicted))
	}
	if off > 0.01 {
		t.Errorf("predictions are off by %.4f on average, the labels' deviation is about 0.025", off)
	}
}

// With an MLP in place of the GCN, on genotypes, it predicts by their vectors.
func TestRegressionOnVectors(t *testing.T) {
	c := tinyRegression(4)
	c.GCN, c.Encoder = encoder.GCN{}, encoder.MLP{Layers: 2, Width: 16}
	labelled := make([]space.Labelled, 100)
	rng := rand.New(rand.NewPCG(4, 4))
	for i := range labelled {
		g := darts.Space{}.Sample(rng).(darts.Genotype)
		for _, node := range g.Normal() {
			for _, e := range node {
				if e.Op == darts.SepConv3x3 {
					labelled[i].Accuracy += 0.1
				}
			}
		}
		labelled[i].Arch = g
	}
	r, err := NewRegressionPredictor(backend(t), darts.Space{}, labelled, c)
	if err != nil {
		t.Fatal(err)
	}
	first := 0.0
	for epoch := range 60 {
		loss, err := r.TrainEpoch(epoch, labelled)
		if err != nil {
			t.Fatal(err)
		}
		if epoch == 0 {
			first = loss
		} else if epoch == 59 && loss > first/4 {
			t.Errorf("the loss fell from %.3f to %.3f only", first, loss)
		}
	}
	if tau := tau(t, r, labelled); tau < 0.7 {
		t.Errorf("Kendall's tau on the labels is %.3f", tau)
	}
	c.Encoder = nil
	_, err = NewRegressionPredictor(backend(t), darts.Space{}, labelled, c)
	wantError(t, "no encoder", err, "layer")
}

func TestRegressionResumes(t *testing.T) {
	testResume(t, PredictorTraining[RegressionPredictorConfig]{
		Backend: backend(t), Space: nasbench101.Space{}, Labelled: sample(3, 60), Config: tinyRegression(3),
	}, TrainRegressionPredictor)
}

func TestRegressionErrors(t *testing.T) {
	for part, change := range map[string]func(*RegressionPredictorConfig){
		"layer":         func(c *RegressionPredictorConfig) { c.Layers = 0 },
		"batches":       func(c *RegressionPredictorConfig) { c.BatchSize = 1 },
		"learning rate": func(c *RegressionPredictorConfig) { c.LearningRate = 0 },
	} {
		c := tinyRegression(1)
		change(&c)
		_, err := NewRegressionPredictor(backend(t), nasbench101.Space{}, sample(1, 2), c)
		wantError(t, part, err, part)
	}
	r := newRegressionOf(t, sample(1, 2), tinyRegression(1))
	_, err := r.TrainEpoch(0, nil)
	wantError(t, "no labels", err, "got none")

	data, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	wider := tinyRegression(1)
	wider.Width = 32
	err = newRegressionOf(t, sample(1, 2), wider).Restore(data)
	wantError(t, "another width", err, "another regression")
	err = r.Restore(data[:len(data)/2])
	wantError(t, "half a checkpoint", err, "cannot read")
}
