package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// operation is a computation of one layer's size. X and G are [nodes·batch, width], W is [width, width], b is [width],
// Â is [batch, nodes, nodes].
type operation struct {
	name  string // in results, and in authors.py
	title string
	on    []int // its inputs, by their places in the inputs of [layerInputs]
	build func(in []*Node) *Node
}

// The places of the inputs of operations.
const (
	inX = iota
	inG
	inW
	inBias
	inAdjacency
	inBatched // X as [batch, nodes, width]
)

// operations are those that are measured. A step of training is made of them.
var operations = []operation{
	{nameProduct, "X W", []int{inX, inW}, func(in []*Node) *Node { return MatMul(in[0], in[1]) }},
	{"weight gradient", "dW = Xᵀ G, contracting the rows", []int{inX, inG}, func(in []*Node) *Node { return DotGeneral(in[0], []int{0}, nil, in[1], []int{0}, nil) }},
	{"input gradient", "dX = G Wᵀ", []int{inG, inW}, func(in []*Node) *Node { return DotGeneral(in[0], []int{1}, nil, in[1], []int{1}, nil) }},
	{"messages", "Â X, for each cell", []int{inAdjacency, inBatched}, func(in []*Node) *Node { return Einsum("bij,bjw->biw", in[0], in[1]) }},
	{"messages back", "Âᵀ G, for each cell", []int{inAdjacency, inBatched}, func(in []*Node) *Node { return Einsum("bji,bjw->biw", in[0], in[1]) }},
	{"transpose", "Xᵀ, laid out", []int{inX}, func(in []*Node) *Node { return Transpose(in[0], 0, 1) }},
	{"relu", "ReLU", []int{inX}, func(in []*Node) *Node { return Max(in[0], ScalarZero(in[0].Graph(), in[0].DType())) }},
	{"add", "X + G", []int{inX, inG}, func(in []*Node) *Node { return Add(in[0], in[1]) }},
	{"bias", "X + b", []int{inX, inBias}, func(in []*Node) *Node { return Add(in[0], ExpandAxes(in[1], 0)) }},
	{"sum", "sum over the rows of X", []int{inX}, func(in []*Node) *Node { return ReduceSum(in[0], 0) }},
}

// nameProduct is the operation that a training is compared with.
const nameProduct = "product"

// layerInputs makes the inputs of operations for a comparator's configuration.
func layerInputs(c comparator.Config) []*tensors.Tensor {
	rng := rand.New(rand.NewPCG(1, 0))
	random := func(dims ...int) *tensors.Tensor {
		total := 1
		for _, d := range dims {
			total *= d
		}
		values := make([]float32, total)
		for i := range values {
			values[i] = float32(rng.NormFloat64())
		}
		return tensors.FromFlatDataAndDimensions(values, dims...)
	}
	const nodes = nasbench101.MaxVertices
	rows := nodes * c.BatchSize
	return []*tensors.Tensor{
		inX: random(rows, c.Width), inG: random(rows, c.Width), inW: random(c.Width, c.Width), inBias: random(c.Width),
		inAdjacency: random(c.BatchSize, nodes, nodes), inBatched: random(c.BatchSize, nodes, c.Width),
	}
}

// timeOperations returns the milliseconds of each operation by its name, medians of so many calls.
func timeOperations(backend compute.Backend, c comparator.Config, calls int) (map[string]float64, error) {
	inputs := layerInputs(c)
	took := make(map[string]float64)
	for _, o := range operations {
		exec, err := NewExec(backend, func(in []*Node) (result, one *Node) {
			y := o.build(in)
			one = y
			for one.Rank() > 0 {
				one = Squeeze(Slice(one, AxisElem(0)), 0)
			}
			return y, one
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", o.title, err)
		}
		var in []*tensors.Tensor
		for _, place := range o.on {
			in = append(in, inputs[place])
		}
		var times []float64
		for range calls + 1 {
			start := time.Now()
			out, err := exec.Call(engine.Args(in)...)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", o.title, err)
			}
			tensors.ToScalar[float32](out[1]) // waits until all is computed
			times = append(times, 1000*time.Since(start).Seconds())
			for _, t := range out { // so that their memory is used again, as in a training
				if err := t.FinalizeAll(); err != nil {
					return nil, fmt.Errorf("%s: %w", o.title, err)
				}
			}
		}
		took[o.name] = median(times[1:])
	}
	return took, nil
}

// productOperations returns the floating-point operations of [nameProduct]: an addition and a multiplication are two.
func productOperations(c comparator.Config) float64 {
	return 2 * float64(nasbench101.MaxVertices*c.BatchSize) * float64(c.Width*c.Width)
}

// trainingOperations returns the floating-point operations that training a comparator on so many labels asks for, by the
// shapes in its definition (Eq. 7); an addition and a multiplication are two. Each layer has for every architecture the
// product of its features, [nodes, width], with the weights, [width, width], and that of Â, [nodes, nodes], with the result.
// Backward the first costs twice as much, for the gradients of both its factors, and the second as much again, as Â is
// given. What is less than a hundredth is left out: embeddings, biases, ReLU, the head, the loss, Adam. A program that
// finds a shorter way, as for the few distinct features of the first layer, has the same operations in less time.
//
// Every labelled architecture is encoded once in an epoch. The authors' code encodes both sides of each pair, so twice.
func trainingOperations(c comparator.Config, labels int) float64 {
	const nodes = nasbench101.MaxVertices
	weights := 2 * nodes * c.Width * c.Width
	messages := 2 * nodes * nodes * c.Width
	return float64(c.Epochs) * float64(labels) * float64(c.Layers) * float64(3*weights+2*messages)
}

// median returns the median of numbers; of an even count, the mean of the two in the middle.
func median(numbers []float64) float64 {
	sorted := slices.Sorted(slices.Values(numbers))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
