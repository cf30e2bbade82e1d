// Package predictor has CTNAS's rivals (paper, Sec. 2 and 5.1): models that give
// each architecture a number of its own, where the comparator compares two.
//
//   - [Regression] predicts the accuracy itself, by the comparator's encoder;
//   - [ReNAS] predicts a score whose order counts, from hand-made features.
//
// Both are a [space.Ranker] and train as the comparator does:
//
//	trained, err := predictor.TrainRegression(ctx, "runs", predictor.Training[predictor.RegressionConfig]{
//		Backend: backend, Space: nasbench101.Space{}, Labelled: labelled, Config: predictor.ReleasedRegression(),
//	})
//	accuracies, err := trained.Predictor.Utilities(archs)
package predictor

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/encoder"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
)

// Training is the training of a predictor from scratch. What it leads to is a
// function of all fields but Watch. Config is a [RegressionConfig] or a [ReNASConfig].
type Training[Config any] struct {
	Backend  compute.Backend
	Space    space.Space
	Labelled []comparator.Labelled
	Config   Config
	Watch    rundir.Watch // told of each epoch, if set
}

// Trained is what training leads to. Predictor is a [*Regression] or a [*ReNAS].
type Trained[Predictor any] struct {
	Predictor Predictor
	Status    rundir.Status
	Dir       string           // the run directory
	Metrics   []rundir.Metrics // of each epoch: "loss"
}

// checkpointEvery is how many epochs may be lost when the process is killed.
const checkpointEvery = 20

// learner is what train needs of a predictor.
type learner interface {
	TrainEpoch(epoch int, labelled []comparator.Labelled) (loss float64, err error)
	Encode() ([]byte, error)
}

// train trains a predictor for some epochs in the run directory of a step under
// root: it loads, continues or starts.
func train[C any, P learner](ctx context.Context, root, step string, t Training[C], epochs int,
	fresh func() (P, error), decode func([]byte) (P, error)) (*Trained[P], error) {
	if t.Backend == nil || t.Space == nil {
		return nil, fmt.Errorf("predictor: a training needs a Backend, as engine.Open gives it, and a Space")
	}
	if err := comparator.CheckLabels(t.Labelled); err != nil {
		return nil, fmt.Errorf("predictor: %w", err)
	}
	run, err := rundir.Open(root, rundir.Key{
		Step: step, Algorithms: Versions(), Config: t.Config, Backend: engine.Fingerprint(t.Backend),
		Data: map[string]string{"space": encoder.SpaceIdentity(t.Space), "labels": comparator.Digest(t.Labelled)},
	})
	if err != nil {
		return nil, err
	}
	defer run.Close()
	p := &process[P]{labelled: t.Labelled, fresh: fresh, decode: decode}
	status, err := run.Do(ctx, p, epochs, checkpointEvery, t.Watch)
	if err != nil {
		return nil, fmt.Errorf("predictor: %w", err)
	}
	trained := &Trained[P]{Predictor: p.predictor, Status: status, Dir: run.Dir()}
	trained.Metrics, err = run.Metrics()
	return trained, err
}

// process is the training of a predictor as a [rundir.Process]. A step is an epoch.
type process[P learner] struct {
	predictor P
	labelled  []comparator.Labelled
	fresh     func() (P, error)
	decode    func(state []byte) (P, error)
}

func (p *process[P]) Start() (err error) {
	p.predictor, err = p.fresh()
	return err
}

func (p *process[P]) Step(_ context.Context, epoch int) (map[string]float64, error) {
	loss, err := p.predictor.TrainEpoch(epoch, p.labelled)
	return map[string]float64{"loss": loss}, err
}

func (p *process[P]) Encode() ([]byte, error) { return p.predictor.Encode() }

func (p *process[P]) Decode(state []byte) (err error) {
	p.predictor, err = p.decode(state)
	return err
}

// Versions are those of the algorithms behind the training of a predictor, for the keys of
// stored results.
func Versions() rundir.Versions {
	return encoder.Versions().With(rundir.Versions{"predictor": 1})
}

// batches shuffles the labelled architectures for an epoch and cuts them into
// batches of at most size.
func batches(seed uint64, epoch int, labelled []comparator.Labelled, size int) [][]comparator.Labelled {
	rng := engine.Stream(seed, "predictor: epoch", epoch)
	shuffled := make([]comparator.Labelled, len(labelled))
	for i, k := range rng.Perm(len(labelled)) {
		shuffled[i] = labelled[k]
	}
	return slices.Collect(slices.Chunk(shuffled, size))
}

// accuracies are those of labelled, as a [batch] tensor of (accuracy − mean)/deviation.
func accuracies(labelled []comparator.Labelled, mean, deviation float64) *tensors.Tensor {
	y := make([]float32, len(labelled))
	for i, l := range labelled {
		y[i] = float32((l.Accuracy - mean) / deviation)
	}
	return tensors.FromFlatDataAndDimensions(y, len(y))
}

// moments are the mean and the standard deviation of values, which is 1 if they
// are all the same, so that one may divide by it.
func moments(values []float64) (mean, deviation float64) {
	for _, v := range values {
		mean += v / float64(len(values))
	}
	variance := 0.0
	for _, v := range values {
		variance += (v - mean) * (v - mean) / float64(len(values))
	}
	if variance == 0 {
		return mean, 1
	}
	return mean, math.Sqrt(variance)
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
		return fmt.Errorf("predictor: the prediction for %s is %g, so the training has diverged; lower the learning rate", a, v)
	}
	return nil
}

// checkTraining reports settings that no training can use.
func checkTraining(epochs, batchSize int, adam engine.Adam) error {
	switch {
	case epochs < 0 || batchSize < 2:
		return fmt.Errorf("predictor: training needs batches of at least 2 and no negative number of epochs, not %d and %d", batchSize, epochs)
	}
	if err := adam.Check(); err != nil {
		return fmt.Errorf("predictor: %w", err)
	}
	return nil
}
