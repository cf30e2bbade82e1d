package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/datasets/ofa"
	"github.com/ctnas/ctnas/datasets/ofa/internal/mlp"
)

// config says how a model is trained.
type config struct {
	Hidden       []int   `json:"hidden"`   // outputs of each layer but the last
	Networks     int     `json:"networks"` // labelled by the published predictor
	Epochs       int     `json:"epochs"`
	Batch        int     `json:"batch"`
	LearningRate float64 `json:"learning_rate"` // at the beginning; it falls to 0 along a cosine
	Seed         uint64  `json:"seed"`
}

// fit trains a model on the teacher's accuracies of random networks: Adam on the mean
// squared error of the standardized accuracies.
func fit(ctx context.Context, teacher *ofa.Predictor, c config) (mlp.Net, error) {
	rng := rand.New(rand.NewPCG(c.Seed, 0))
	nets := make([]mobilenetv3.Net, c.Networks)
	for i := range nets {
		nets[i] = draw(rng)
	}
	labels := teacher.Accuracies(nets)
	mean, std := stat.MeanStdDev(labels, nil)
	fmt.Printf("labelled %d networks: accuracy %.4f ± %.4f\n", len(nets), mean, std)
	floats.AddConst(-mean, labels)
	floats.Scale(1/std, labels)

	model := newModel(rng, append(append([]int{mobilenetv3.Features}, c.Hidden...), 1))
	adam := newAdam(model)
	perEpoch := len(nets) / c.Batch
	steps := c.Epochs * perEpoch
	for epoch := range c.Epochs {
		order := rng.Perm(len(nets))
		loss := 0.0
		for i := range perEpoch {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			x, y := batch(nets, labels, order[i*c.Batch:(i+1)*c.Batch])
			batchLoss, gradient := gradients(model, x, y)
			loss += batchLoss / float64(perEpoch)
			done := float64(epoch*perEpoch+i) / float64(steps)
			adam.step(model, gradient, c.LearningRate*(1+math.Cos(math.Pi*done))/2)
		}
		fmt.Printf("epoch %d: error %.5f percentage points\n", epoch+1, 100*std*math.Sqrt(loss))
	}

	last := model[len(model)-1]
	last.Weights.Scale(std, last.Weights)
	floats.Scale(std, last.Bias)
	floats.AddConst(mean, last.Bias)
	return model, nil
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

// batch lays out the chosen networks and their labels.
func batch(nets []mobilenetv3.Net, labels []float64, chosen []int) (x *mat.Dense, y []float64) {
	x = mat.NewDense(len(chosen), mobilenetv3.Features, nil)
	y = make([]float64, len(chosen))
	for i, k := range chosen {
		for j, v := range nets[k].Vector() {
			x.Set(i, j, float64(v))
		}
		y[i] = labels[k]
	}
	return x, y
}

// newModel has random weights, as He et al. (2015) draw them.
func newModel(rng *rand.Rand, widths []int) mlp.Net {
	model := make(mlp.Net, len(widths)-1)
	for i := range model {
		w := make([]float64, widths[i+1]*widths[i])
		for j := range w {
			w[j] = rng.NormFloat64() * math.Sqrt(2/float64(widths[i]))
		}
		model[i] = mlp.Layer{Weights: mat.NewDense(widths[i+1], widths[i], w), Bias: make([]float64, widths[i+1])}
	}
	return model
}

// gradients are the mean squared error of the model and its gradient by each weight,
// in the model's own form.
func gradients(model mlp.Net, x *mat.Dense, y []float64) (loss float64, gradient mlp.Net) {
	activations := model.Activations(x)
	gradient = make(mlp.Net, len(model))
	// delta is the gradient by the outputs of the layer at work.
	delta := mat.DenseCopyOf(activations[len(model)-1])
	delta.Apply(func(i, _ int, v float64) float64 {
		e := v - y[i]
		loss += e * e / float64(len(y))
		return 2 * e / float64(len(y))
	}, delta)
	for i := len(model) - 1; i >= 0; i-- {
		input := x
		if i > 0 {
			input = activations[i-1]
		}
		g := mlp.Layer{Weights: new(mat.Dense), Bias: make([]float64, len(model[i].Bias))}
		g.Weights.Mul(delta.T(), input)
		for r := range y {
			floats.Add(g.Bias, delta.RawRowView(r))
		}
		gradient[i] = g
		if i > 0 {
			back := new(mat.Dense)
			back.Mul(delta, model[i].Weights)
			back.Apply(func(r, c int, v float64) float64 {
				if input.At(r, c) <= 0 { // where ReLU is flat
					return 0
				}
				return v
			}, back)
			delta = back
		}
	}
	return loss, gradient
}

// adam is the optimizer of Kingma and Ba (2015), with their settings.
type adam struct {
	steps         int
	first, second [][]float64 // moments, for each slice of weights
}

func newAdam(model mlp.Net) *adam {
	var a adam
	for _, w := range slicesOf(model) {
		a.first = append(a.first, make([]float64, len(w)))
		a.second = append(a.second, make([]float64, len(w)))
	}
	return &a
}

func (a *adam) step(model, gradient mlp.Net, rate float64) {
	const beta1, beta2, epsilon = 0.9, 0.999, 1e-8
	a.steps++
	rate *= math.Sqrt(1-math.Pow(beta2, float64(a.steps))) / (1 - math.Pow(beta1, float64(a.steps)))
	grads := slicesOf(gradient)
	for i, w := range slicesOf(model) {
		m, v := a.first[i], a.second[i]
		for j, g := range grads[i] {
			m[j] += (1 - beta1) * (g - m[j])
			v[j] += (1 - beta2) * (g*g - v[j])
			w[j] -= rate * m[j] / (math.Sqrt(v[j]) + epsilon)
		}
	}
}

// slicesOf are the weights of a model, to change them.
func slicesOf(model mlp.Net) [][]float64 {
	var all [][]float64
	for _, layer := range model {
		all = append(all, layer.Weights.RawMatrix().Data, layer.Bias)
	}
	return all
}
