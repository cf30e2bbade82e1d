package search

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/metric"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/ctnaslib/train"
)

func backend(t testing.TB) compute.Backend {
	t.Helper()
	b, err := engine.Open()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustParse(t testing.TB, text string) nasbench101.Cell {
	t.Helper()
	c, err := nasbench101.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sample draws n cells; an accuracy is 0.8, plus 0.02 for each 3×3 convolution, plus
// a little for each edge.
func sample(seed uint64, n int) []space.Labelled {
	rng := rand.New(rand.NewPCG(seed, 99))
	labelled := make([]space.Labelled, n)
	for i := range labelled {
		c := nasbench101.Space{}.Sample(rng).(nasbench101.Cell)
		accuracy := 0.8 + float64(c.Edges())/500
		for v := 1; v < c.N()-1; v++ {
			if c.Op(v) == nasbench101.Conv3x3 {
				accuracy += 0.02
			}
		}
		labelled[i] = space.Labelled{Arch: c, Accuracy: accuracy}
	}
	return labelled
}

func split(labelled []space.Labelled) (archs []space.Arch, accuracies []float64) {
	for _, l := range labelled {
		accuracies = append(accuracies, l.Accuracy)
	}
	return space.Archs(labelled), accuracies
}

// set gives a variable of a store other values.
func set(t *testing.T, store *model.Store, path string, values ...float32) {
	t.Helper()
	v := store.GetVariable(path)
	if v == nil {
		t.Fatalf("there is no variable %s", path)
	}
	if err := v.SetValue(tensors.FromFlatDataAndDimensions(values, v.Shape().Dimensions...)); err != nil {
		t.Fatal(err)
	}
}

func tau(t *testing.T, r space.Ranker, labelled []space.Labelled) float64 {
	t.Helper()
	archs, accuracies := split(labelled)
	utilities, err := r.Utilities(archs)
	if err != nil {
		t.Fatal(err)
	}
	tau, err := metric.KendallTau(utilities, accuracies)
	if err != nil {
		t.Fatal(err)
	}
	return tau
}

// testResume interrupts a training after 13 of 30 epochs, and continues it.
func testResume[C any, P space.Ranker](t *testing.T, training PredictorTraining[C],
	trainOne func(context.Context, string, PredictorTraining[C]) (*TrainedPredictor[P], error)) {
	archs := space.Archs(sample(7, 20))
	run := func(ctx context.Context, root string) (*TrainedPredictor[P], []float64, error) {
		trained, err := trainOne(ctx, root, training)
		if err != nil {
			return nil, nil, err
		}
		utilities, err := trained.Predictor.Utilities(archs)
		return trained, utilities, err
	}
	first, want, err := run(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if first.Status != rundir.Trained || len(first.Metrics) != 30 {
		t.Errorf("status %s, %d metrics: want 30 of a new training", first.Status, len(first.Metrics))
	}

	root := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	training.Watch = func(step train.Progress) {
		if step.Stage != "" {
			return
		}
		done := step.Done

		if done == 13 {
			cancel()
		}
	}
	if _, _, err := run(ctx, root); !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted: %v, want context.Canceled", err)
	}
	training.Watch = nil
	for _, status := range []rundir.Status{rundir.Resumed, rundir.Loaded} {
		trained, got, err := run(t.Context(), root)
		if err != nil {
			t.Fatal(err)
		}
		if trained.Status != status || len(trained.Metrics) != 30 {
			t.Errorf("status %s with %d metrics, want %s with 30", trained.Status, len(trained.Metrics), status)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: the utilities differ from those of an uninterrupted training", status)
		}
	}

	path := filepath.Join(first.Dir, "checkpoint")
	if err := os.Truncate(path, 100); err != nil {
		t.Fatal(err)
	}
	if _, err := trainOne(t.Context(), filepath.Dir(first.Dir), training); !errors.Is(err, rundir.ErrDamaged) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v, want one line wrapping ErrDamaged", err)
	}
}

func wantError(t *testing.T, what string, err error, part string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: error %v, want one line with %q", what, err, part)
	}
}

func TestMoments(t *testing.T) {
	if mean, deviation := moments([]float64{1, 2, 3, 6}); mean != 3 || math.Abs(deviation-math.Sqrt(14.0/4)) > 1e-12 {
		t.Errorf("mean %g and deviation %g, want 3 and √3.5", mean, deviation)
	}
	if mean, deviation := moments([]float64{2, 2}); mean != 2 || deviation != 1 {
		t.Errorf("mean %g and deviation %g of equal values, want 2 and 1", mean, deviation)
	}
}
