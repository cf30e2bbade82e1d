package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/stat"

	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/datasets/internal/training"
	"github.com/ctnas/ctnas/datasets/internal/weights"
	"github.com/ctnas/ctnas/datasets/ofa"
	"github.com/ctnas/ctnas/datasets/ofa/internal/mlp"
	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/layers/activation"
	"github.com/gomlx/gomlx/ml/model"
)

// config says how a model is trained.
type config struct {
	training.Config
	Networks int `json:"networks"` // labelled by the published predictor
}

// fit trains a model on the teacher's accuracies of random networks: on the mean squared
// error of the standardized accuracies.
func fit(ctx context.Context, backend compute.Backend, teacher *ofa.Predictor, c config) ([]weights.Part, error) {
	rng := rand.New(rand.NewPCG(c.Seed, 0))
	nets := make([]mobilenetv3.Net, c.Networks)
	for i := range nets {
		nets[i] = draw(rng)
	}
	labels := teacher.Accuracies(nets)
	mean, std := stat.MeanStdDev(labels, nil)
	fmt.Printf("labelled %d networks: accuracy %.4f ± %.4f\n", len(nets), mean, std)

	parts := mlp.Parts(mlp.Embedded...)
	for _, p := range parts {
		if len(p.Dims) == 2 { // weights, as He et al. (2015) draw them
			for i := range p.Values {
				p.Values[i] = float32(rng.NormFloat64() * math.Sqrt(2/float64(p.Dims[1])))
			}
		}
	}
	err := training.Loop{
		Config: c.Config, Examples: len(nets),
		Inputs: func(chosen []int) []*tensors.Tensor {
			var x, y []float32
			for _, i := range chosen {
				x = append(x, nets[i].Vector()...)
				y = append(y, float32((labels[i]-mean)/std))
			}
			return []*tensors.Tensor{
				tensors.FromFlatDataAndDimensions(x, len(chosen), mobilenetv3.Features),
				tensors.FromFlatDataAndDimensions(y, len(chosen), 1),
			}
		},
		Loss: func(root *model.Scope, inputs []*Node) *Node {
			x := inputs[0]
			for i := 0; i < len(parts); i += 2 {
				if i > 0 {
					x = activation.Relu(x)
				}
				x = Add(Einsum("bi,oi->bo", x, training.Weight(root, x, parts[i].Name)),
					ExpandLeftToRank(training.Weight(root, x, parts[i+1].Name), 2))
			}
			return ReduceAllMean(Square(Sub(x, inputs[1])))
		},
	}.Run(ctx, backend, parts, nil)
	if err != nil {
		return nil, err
	}
	// The last layer gives the accuracies themselves.
	last, bias := parts[len(parts)-2].Values, parts[len(parts)-1].Values
	for i := range last {
		last[i] *= float32(std)
	}
	bias[0] = float32(float64(bias[0])*std + mean)
	return parts, nil
}

// draw draws a network to train on. A uniform one is never close to the smallest or
// the largest, where a search may end; so in a quarter each all choices are the
// smallest, or the largest, of three draws.
func draw(rng *rand.Rand) mobilenetv3.Net {
	tilt := rng.IntN(4)
	choose := func() int {
		a, b, c := rng.IntN(3), rng.IntN(3), rng.IntN(3)
		return [...]int{a, a, min(a, b, c), max(a, b, c)}[tilt]
	}
	units := make([][]mobilenetv3.Block, mobilenetv3.Units)
	for u := range units {
		for range mobilenetv3.MinDepth + choose() {
			units[u] = append(units[u], mobilenetv3.Block{
				Kernel:    mobilenetv3.Kernels[choose()],
				Expansion: mobilenetv3.Expansions[choose()],
			})
		}
	}
	net, err := mobilenetv3.NewNet(units)
	if err != nil {
		panic(err) // every choice is of the space
	}
	return net
}
