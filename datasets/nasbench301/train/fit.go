package main

import (
	"context"
	"math/rand/v2"

	"github.com/ctnas/ctnas/ctnaslib/encoder"
	"github.com/ctnas/ctnas/ctnaslib/space/darts"
	"github.com/ctnas/ctnas/datasets/internal/training"
	"github.com/ctnas/ctnas/datasets/nasbench301/internal/distilled"
	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/layers/activation"
	"github.com/gomlx/gomlx/ml/model"
	"gonum.org/v1/gonum/stat"
)

// fit trains the network of package distilled on the mean squared error.
func fit(ctx context.Context, backend compute.Backend, c config, genotypes []darts.Genotype, accuracies []float64) (*distilled.Net, error) {
	net := distilled.New()
	rng := rand.New(rand.NewPCG(c.Seed, 1))
	parts := net.Parts()[:distilled.Scale]
	for i, p := range parts {
		draw := encoder.Uniform(rng, distilled.Hidden)
		if i <= distilled.FirstBias {
			draw = encoder.Uniform(rng, distilled.Active)
		}
		for k := range p.Values {
			p.Values[k] = float32(draw())
		}
	}
	centre, spread := stat.MeanStdDev(accuracies, nil)
	copy(net.Parts()[distilled.Scale].Values, []float32{float32(centre), float32(spread)})
	err := training.Loop{
		Config: c.Config, Examples: len(genotypes),
		Inputs: func(chosen []int) []*tensors.Tensor {
			features := make([]float32, len(chosen)*distilled.Features)
			scores := make([]float32, len(chosen))
			for k, i := range chosen {
				for _, f := range distilled.Of(genotypes[i]) {
					features[k*distilled.Features+int(f)] = 1
				}
				scores[k] = float32((accuracies[i] - centre) / spread)
			}
			return []*tensors.Tensor{
				tensors.FromFlatDataAndDimensions(features, len(chosen), distilled.Features),
				tensors.FromFlatDataAndDimensions(scores, len(chosen)),
			}
		},
		Loss: func(root *model.Scope, inputs []*Node) *Node {
			x, scores := inputs[0], inputs[1]
			layer := func(i int) *Node {
				weight, bias := training.Weight(root, x, parts[i].Name), training.Weight(root, x, parts[i+1].Name)
				return Add(MatMul(x, weight), ExpandLeftToRank(bias, 2))
			}
			x = activation.Relu(layer(distilled.First))
			x = activation.Relu(layer(distilled.Second))
			loss := ReduceAllMean(Square(Sub(Squeeze(layer(distilled.Out), 1), scores)))
			for _, p := range parts {
				penalty := ReduceAllSum(Square(training.Weight(root, x, p.Name)))
				loss = Add(loss, MulScalar(penalty, c.WeightDecay/2))
			}
			return loss
		},
	}.Run(ctx, backend, parts, nil)
	return net, err
}
