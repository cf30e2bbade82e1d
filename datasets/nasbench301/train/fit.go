package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/ctnas/ctnas/ctnaslib/encoder"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/space/darts"
	"github.com/ctnas/ctnas/datasets/nasbench301/internal/distilled"
	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/layers/activation"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train/optimizer"
	"gonum.org/v1/gonum/stat"
)

// The scope and the names of the weights in the store.
const (
	scopeNet   = "net"
	nameFirst  = "first"
	nameFirstB = "first_bias"
	nameSecond = "second"
	nameBias   = "second_bias"
	nameOut    = "out"
	nameOutB   = "out_bias"
)

// fit trains the network of package distilled: the mean squared error, and Adam.
func fit(ctx context.Context, backend compute.Backend, c config, genotypes []darts.Genotype, accuracies []float64) (*distilled.Net, error) {
	centre, spread := stat.MeanStdDev(accuracies, nil)
	store := model.NewStore()
	scope := store.RootScope().At(scopeNet)
	rng := rand.New(rand.NewPCG(c.Seed, 1))
	var err error
	create := func(name string, inputs int, dims ...int) {
		if err == nil {
			err = engine.NewVariable(scope, name, encoder.Uniform(rng, inputs), dims...)
		}
	}
	create(nameFirst, distilled.Active, distilled.Features, distilled.Hidden)
	create(nameFirstB, distilled.Active, distilled.Hidden)
	create(nameSecond, distilled.Hidden, distilled.Hidden, distilled.Hidden)
	create(nameBias, distilled.Hidden, distilled.Hidden)
	create(nameOut, distilled.Hidden, distilled.Hidden, 1)
	create(nameOutB, distilled.Hidden, 1)
	if err != nil {
		return nil, err
	}
	adam := engine.Adam{LearningRate: c.LearningRate, Beta1: 0.9, Beta2: 0.999, WeightDecay: c.WeightDecay}
	step, err := model.NewExec(backend, store, func(root *model.Scope, features, scores *Node) *Node {
		weight := func(name string) *Node { return root.At(scopeNet).GetVariable(name).NodeValue(features) }
		row := func(name string) *Node { return ExpandLeftToRank(weight(name), 2) }
		hidden := activation.Relu(Add(MatMul(features, weight(nameFirst)), row(nameFirstB)))
		hidden = activation.Relu(Add(MatMul(hidden, weight(nameSecond)), row(nameBias)))
		predicted := Add(Squeeze(MatMul(hidden, weight(nameOut)), 1), weight(nameOutB))
		loss := ReduceAllMean(Square(Sub(predicted, scores)))
		adam.Minimize(root, scopeNet, loss)
		return loss
	})
	if err != nil {
		return nil, err
	}

	steps := len(genotypes) / c.Batch
	for epoch := range c.Epochs {
		order := rand.New(rand.NewPCG(c.Seed, 2+uint64(epoch))).Perm(len(genotypes))
		mean := 0.0
		for s := range steps {
			if err := ctx.Err(); err != nil {
				return nil, fmt.Errorf("interrupted in epoch %d: %w", epoch+1, err)
			}
			if err := setRate(store, c.LearningRate*(1+math.Cos(math.Pi*float64(epoch*steps+s)/float64(c.Epochs*steps)))/2); err != nil {
				return nil, err
			}
			features := make([]float32, c.Batch*distilled.Features)
			scores := make([]float32, c.Batch)
			for k, i := range order[s*c.Batch : (s+1)*c.Batch] {
				for _, f := range distilled.Of(genotypes[i]) {
					features[k*distilled.Features+int(f)] = 1
				}
				scores[k] = float32((accuracies[i] - centre) / spread)
			}
			loss, err := step.Call1(
				tensors.FromFlatDataAndDimensions(features, c.Batch, distilled.Features),
				tensors.FromFlatDataAndDimensions(scores, c.Batch))
			if err != nil {
				return nil, err
			}
			mean += float64(tensors.ToScalar[float32](loss)) / float64(steps)
		}
		fmt.Printf("epoch %d of %d: loss %.5f\n", epoch+1, c.Epochs, mean)
	}

	values := func(name string) []float32 {
		return tensors.MustCopyFlatData[float32](scope.GetVariable(name).MustValue())
	}
	net := &distilled.Net{Centre: float32(centre), Spread: float32(spread)}
	err = engine.Try(func() {
		net.First, net.FirstBias = values(nameFirst), values(nameFirstB)
		net.Second, net.SecondBias = values(nameSecond), values(nameBias)
		net.Out, net.OutBias = values(nameOut), values(nameOutB)[0]
	})
	return net, err
}

// setRate sets the optimiser's learning rate, once it has one.
func setRate(store *model.Store, rate float64) error {
	for v := range store.IterVariables() {
		if v.Name() == optimizer.ParamLearningRate {
			return v.SetValue(tensors.FromScalar(float32(rate)))
		}
	}
	return nil
}
