package search

import (
	"context"
	"fmt"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/encoder"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// RegressionPredictorConfig describes a [RegressionPredictor] and its training. It is stored with every
// run, so all of it is exported and plain.
type RegressionPredictorConfig struct {
	encoder.GCN

	// Encoder, if set, encodes architectures in place of the GCN, such as an [encoder.MLP].
	Encoder encoder.Encoder `json:",omitempty"`

	Epochs       int     // passes over the labelled architectures
	BatchSize    int     // labelled architectures in a batch
	LearningRate float64 // of Adam
	Beta1, Beta2 float64 // of Adam
	WeightDecay  float64 // L2 penalty: WeightDecay/2 · ‖w‖² joins the loss

	Seed uint64 // of the initial weights and the batches
}

// PaperRegression has the encoder and the training of [comparator.Paper]. The paper
// says no more of it than "a regression-based predictor with L2 loss" (Sec. 5.1).
func PaperRegressionPredictor() RegressionPredictorConfig { return likeComparator(comparator.Paper()) }

// ReleasedRegression has the encoder and the training of [comparator.Released]. (The
// authors did not publish theirs.)
func ReleasedRegressionPredictor() RegressionPredictorConfig {
	return likeComparator(comparator.Released())
}

// QuickRegression has the encoder and the training of [comparator.Quick].
func QuickRegressionPredictor() RegressionPredictorConfig { return likeComparator(comparator.Quick()) }

func likeComparator(c comparator.Config) RegressionPredictorConfig {
	return RegressionPredictorConfig{
		GCN: c.GCN, Encoder: c.Encoder, Epochs: c.Epochs, BatchSize: c.BatchSize,
		LearningRate: c.LearningRate, Beta1: c.Beta1, Beta2: c.Beta2, WeightDecay: c.WeightDecay,
	}
}

// encoder returns the network that encodes architectures.
func (c RegressionPredictorConfig) encoder() encoder.Encoder {
	if c.Encoder != nil {
		return c.Encoder
	}
	return c.GCN
}

func (c RegressionPredictorConfig) adam() engine.Adam {
	return engine.Adam{LearningRate: c.LearningRate, Beta1: c.Beta1, Beta2: c.Beta2, WeightDecay: c.WeightDecay}
}

// Check reports what is wrong in the configuration.
func (c RegressionPredictorConfig) Check() error {
	if err := c.encoder().Check(); err != nil {
		return fmt.Errorf("search: %w", err)
	}
	return checkTraining(c.Epochs, c.BatchSize, c.adam())
}

// RegressionPredictor predicts the accuracy of an architecture (the paper's RegressionNAS,
// Sec. 5.1): a comparator's encoder, then one linear layer on the feature Z_α,
//
//	R̂(α) = μ + s·(w·Z_α + b),
//
// trained with the L2 loss. μ and s are the mean and the standard deviation of the
// labels: accuracies differ by a few hundredths around 0.9, far less than the steps
// of Adam would leave in peace, so the loss is that of (R − μ)/s. It is not safe for
// concurrent use.
type RegressionPredictor struct {
	config          RegressionPredictorConfig
	encoder         encoder.Encoder
	sizes           encoder.Sizes
	mean, deviation float64      // μ and s
	store           *model.Store // weights, μ and s, the optimiser's state
	predict         *model.Exec  // predictGraph
	step            *model.Exec  // stepGraph
}

// The paths in the store, beside those of the encoder.
const (
	scopeRegression = "regression"
	nameHead        = "head"      // w, [dim, 1]
	nameHeadBias    = "head_bias" // b, [1]
	scopeLabels     = "labels"
	nameMoments     = "moments" // μ and s, [2]
)

// NewRegressionPredictor makes a regression with random weights for labels like those of
// labelled, which set μ and s. The error says what is wrong in the configuration.
func NewRegressionPredictor(backend compute.Backend, s space.Space, labelled []space.Labelled, config RegressionPredictorConfig) (*RegressionPredictor, error) {
	if err := config.Check(); err != nil {
		return nil, err
	}
	mean, deviation := moments(space.Accuracies(labelled))
	rng := engine.Stream(config.Seed, "predictor: weights", 0)
	store := model.NewStore()
	scope := store.RootScope().At(scopeRegression)
	sizes := encoder.SizesOf(s)
	e := config.encoder()
	dim := e.Dim(sizes)
	err := e.Create(scope, sizes, rng)
	if err == nil {
		err = engine.NewVariable(scope, nameHead, encoder.Uniform(rng, dim), dim, 1)
	}
	if err == nil {
		err = engine.NewVariable(scope, nameHeadBias, encoder.Uniform(rng, dim), 1)
	}
	if err == nil {
		err = constant(store.RootScope().At(scopeLabels), nameMoments, []float64{mean, deviation}, 2)
	}
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	r := &RegressionPredictor{config: config, encoder: e, sizes: sizes, store: store}
	if r.predict, err = engine.NewProgram(backend, store, r.predictGraph); err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	if r.step, err = engine.NewProgram(backend, store, r.stepGraph); err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	return r, r.readMoments()
}

// readMoments reads μ and s from the store.
func (r *RegressionPredictor) readMoments() error {
	moments, err := r.store.GetVariable("/" + scopeLabels + "/" + nameMoments).Value()
	if err != nil {
		return fmt.Errorf("search: %w", err)
	}
	flat := tensors.MustCopyFlatData[float32](moments)
	r.mean, r.deviation = float64(flat[0]), float64(flat[1])
	return nil
}

// standardise sets μ and s to those of labels, which are others than it was made for.
func (r *RegressionPredictor) standardise(labelled []space.Labelled) error {
	mean, deviation := moments(space.Accuracies(labelled))
	v := r.store.GetVariable("/" + scopeLabels + "/" + nameMoments)
	if err := v.SetValue(tensors.FromFlatDataAndDimensions([]float32{float32(mean), float32(deviation)}, 2)); err != nil {
		return fmt.Errorf("search: %w", err)
	}
	return r.readMoments()
}

// Config returns what the regression was made with.
func (r *RegressionPredictor) Config() RegressionPredictorConfig { return r.config }

// predictGraph builds w·Z + b, [batch], from the encoder's inputs.
func (r *RegressionPredictor) predictGraph(root *model.Scope, inputs []*Node) *Node {
	scope := root.At(scopeRegression)
	return r.head(scope, r.encoder.Encode(scope, r.sizes, inputs))
}

// head builds w·Z + b, [batch], of features [batch, dim].
func (r *RegressionPredictor) head(scope *model.Scope, z *Node) *Node {
	head, bias := scope.GetVariable(nameHead).NodeValue(z), scope.GetVariable(nameHeadBias).NodeValue(z)
	return Add(Squeeze(MatMul(z, head), 1), bias)
}

// stepGraph builds one step of Adam on the mean squared error against the
// standardised labels [batch], after which the encoder's inputs come, and returns that loss.
func (r *RegressionPredictor) stepGraph(root *model.Scope, inputs []*Node) *Node {
	scope := root.At(scopeRegression)
	z, minimised := encoder.ForLoss(r.encoder, scope, r.sizes, inputs[1:])
	loss := ReduceAllMean(Square(Sub(r.head(scope, z), inputs[0])))
	r.config.adam().Minimize(root, scopeRegression, minimised(loss))
	return loss
}

// TrainRegressionPredictor trains a [RegressionPredictor] in a run directory under root. If that
// training was done before it returns the stored one; if it was interrupted, by ctx
// or by the end of the process, it continues.
func TrainRegressionPredictor(ctx context.Context, root string, t PredictorTraining[RegressionPredictorConfig]) (*TrainedPredictor[*RegressionPredictor], error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	p, err := NewRegressionPredictor(t.Backend, t.Space, t.Labelled, t.Config)
	if err != nil {
		return nil, err
	}
	return trainPredictor(ctx, root, "regression", t, t.Config.Epochs, p)
}

// TrainEpoch trains on every labelled architecture once, in batches, and returns
// the mean loss of the batches, in units of the labels' variance. An epoch is a
// function of the weights, the seed and its number.
func (r *RegressionPredictor) TrainEpoch(epoch int, labelled []space.Labelled) (loss float64, err error) {
	if len(labelled) == 0 {
		return 0, fmt.Errorf("search: training needs labelled architectures, got none")
	}
	parts := batches(r.config.Seed, epoch, labelled, r.config.BatchSize)
	for _, part := range parts {
		inputs, err := r.encoder.Inputs(space.Archs(part), r.sizes, len(part))
		if err != nil {
			return 0, err
		}
		inputs = append([]*tensors.Tensor{accuracies(part, r.mean, r.deviation)}, inputs...)
		out, err := r.step.Call1(engine.Args(inputs)...)
		if err != nil {
			return 0, fmt.Errorf("search: cannot train: %w", err)
		}
		loss += float64(tensors.ToScalar[float32](out)) / float64(len(parts))
	}
	return loss, nil
}

// Utilities returns the predicted accuracies R̂ of each architecture, on the scale of the
// labels: the predictor as a [space.Ranker]. They are not held within [0, 1].
func (r *RegressionPredictor) Utilities(archs []space.Arch) ([]float64, error) {
	predicted := make([]float64, len(archs))
	err := encoder.Chunks(archs, func(at int, part []space.Arch, batch int) error {
		inputs, err := r.encoder.Inputs(part, r.sizes, batch)
		if err != nil {
			return err
		}
		out, err := r.predict.Call1(engine.Args(inputs)...)
		if err != nil {
			return fmt.Errorf("search: cannot predict: %w", err)
		}
		for i, p := range tensors.MustCopyFlatData[float32](out)[:len(part)] {
			accuracy := r.mean + r.deviation*float64(p)
			if err := finite(accuracy, part[i]); err != nil {
				return err
			}
			predicted[at+i] = accuracy
		}
		return nil
	})
	return predicted, err
}

// Encode writes the weights, μ and s, and the optimiser's state to bytes.
func (r *RegressionPredictor) Encode() ([]byte, error) { return engine.EncodeStore(r.store) }

// Restore takes on what [RegressionPredictor.Encode] of one of the same configuration and space wrote.
// The error says that the weights do not fit.
func (r *RegressionPredictor) Restore(state []byte) error {
	if err := engine.RestoreStore(r.store, state); err != nil {
		return fmt.Errorf("search: the checkpoint is of another regression: %w", err)
	}
	return r.readMoments()
}
