package search

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"gonum.org/v1/gonum/stat"

	"github.com/ctnas/ctnas/ctnaslib/encoder"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/train"
)

// PredictorTraining is the training of a predictor from scratch. What it leads to is a
// function of all fields but Watch. Config is a [RegressionPredictorConfig] or a [ReNASPredictorConfig].
type PredictorTraining[Config any] struct {
	Backend  compute.Backend
	Space    space.Space
	Labelled []space.Labelled
	Config   Config
	Watch    train.Watch // told of each epoch, if set
}

func (t PredictorTraining[Config]) check() error {
	if t.Backend == nil || t.Space == nil {
		return fmt.Errorf("search: a training needs a Backend, as engine.Open gives it, and a Space")
	}
	return space.CheckLabels(t.Labelled)
}

// TrainedPredictor is what the training of a [*RegressionPredictor] or a [*ReNASPredictor] leads to. Its
// metric is, of each epoch, "loss".
type TrainedPredictor[Predictor any] struct {
	Predictor Predictor
	train.Outcome
}

// predictor is what trainPredictor needs of one.
type predictor interface {
	TrainEpoch(epoch int, labelled []space.Labelled) (loss float64, err error)
	Encode() ([]byte, error)
	Restore(state []byte) error
}

// trainPredictor trains a new predictor for some epochs in the run directory of its name under
// root: it loads, continues or starts.
func trainPredictor[C any, P predictor](ctx context.Context, root, name string, t PredictorTraining[C], epochs int, p P) (*TrainedPredictor[P], error) {
	key := rundir.Key{
		Step: name, Algorithms: predictorVersions(), Config: t.Config, Backend: engine.Fingerprint(t.Backend),
		Data: map[string]string{"space": encoder.SpaceIdentity(t.Space), "labels": train.Digest(t.Labelled)},
	}
	outcome, err := train.Run(ctx, root, key, predictorEpochs{p, t.Labelled}, train.Plan{Steps: epochs, Watch: t.Watch})
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	return &TrainedPredictor[P]{p, outcome}, nil
}

// predictorEpochs is the training of a predictor as a [train.Process]. A step is an epoch.
type predictorEpochs struct {
	predictor
	labelled []space.Labelled
}

func (p predictorEpochs) Step(_ context.Context, epoch int) (map[string]float64, error) {
	loss, err := p.TrainEpoch(epoch, p.labelled)
	return map[string]float64{"loss": loss}, err
}

// predictorVersions returns the versions of the algorithms behind the training of a predictor.
func predictorVersions() rundir.Versions {
	return encoder.Versions().With(rundir.Versions{"predictor": 1})
}

// batches shuffles the labelled architectures for an epoch and cuts them into
// batches of at most size.
func batches(seed uint64, epoch int, labelled []space.Labelled, size int) [][]space.Labelled {
	rng := engine.Stream(seed, "predictor: epoch", epoch)
	shuffled := make([]space.Labelled, len(labelled))
	for i, k := range rng.Perm(len(labelled)) {
		shuffled[i] = labelled[k]
	}
	return slices.Collect(slices.Chunk(shuffled, size))
}

// accuracies returns those of labelled, as a [batch] tensor of (accuracy − mean)/deviation.
func accuracies(labelled []space.Labelled, mean, deviation float64) *tensors.Tensor {
	y := make([]float32, len(labelled))
	for i, l := range labelled {
		y[i] = float32((l.Accuracy - mean) / deviation)
	}
	return tensors.FromFlatDataAndDimensions(y, len(y))
}

// moments returns the mean and the standard deviation of values, which is 1 if they
// are all the same, so that one may divide by it.
func moments(values []float64) (mean, deviation float64) {
	if len(values) == 0 {
		return 0, 1
	}
	mean, deviation = stat.PopMeanStdDev(values, nil)
	if deviation == 0 {
		return mean, 1
	}
	return mean, deviation
}

// constant makes a variable that is stored with the weights but not trained.
func constant(scope *model.Scope, name string, values []float64, dims ...int) error {
	i := -1
	if err := engine.NewVariable(scope, name, func() float64 { i++; return values[i] }, dims...); err != nil {
		return err
	}
	scope.GetVariable(name).SetTrainable(false)
	return nil
}

// finite reports a predicted number of an architecture that is none.
func finite(v float64, a space.Arch) error {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return fmt.Errorf("search: the prediction for %s is %g, so the training has diverged; lower the learning rate", a, v)
	}
	return nil
}

// checkTraining reports settings that no training can use.
func checkTraining(epochs, batchSize int, adam engine.Adam) error {
	switch {
	case epochs < 0 || batchSize < 2:
		return fmt.Errorf("search: training needs batches of at least 2 and no negative number of epochs, not %d and %d", batchSize, epochs)
	}
	if err := adam.Check(); err != nil {
		return fmt.Errorf("search: %w", err)
	}
	return nil
}
