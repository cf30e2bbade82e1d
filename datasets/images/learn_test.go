package images_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/layers/activation"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train/optimizer"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/datasets/images"
)

// network is a small network for square images: 3×3 convolutions with stride 2 of
// these widths and the mean over the positions, then a multi-layer perceptron of
// these widths. With neither, it is a linear classifier of the pixels.
type network struct {
	name                 string
	size                 int
	convolutions, hidden []int
	rate                 float64
	epochs               int
}

// train trains a network on the shapes and returns its accuracy on the test images.
func (n network) train(t *testing.T, set *images.Set) float64 {
	t.Helper()
	const batch, classes = 50, 10
	backend, err := engine.Open()
	if err != nil {
		t.Fatal(err)
	}
	store := model.NewStore()
	scope := store.RootScope().At("net")
	rng := rand.New(rand.NewPCG(1, 1))
	weight := func(name string, inputs, outputs int) {
		values := make([]float32, inputs*outputs)
		for i := range values {
			values[i] = float32(rng.NormFloat64() * math.Sqrt(2/float64(inputs)))
		}
		for name, tensor := range map[string]*tensors.Tensor{
			name:           tensors.FromFlatDataAndDimensions(values, inputs, outputs),
			name + "_bias": tensors.FromFlatDataAndDimensions(make([]float32, outputs), 1, outputs),
		} {
			if _, err := scope.CreateVariable(name, tensor); err != nil {
				t.Fatal(err)
			}
		}
	}
	width := 3
	for l, w := range n.convolutions {
		weight(fmt.Sprint("conv", l), 9*width, w)
		width = w
	}
	if n.convolutions == nil {
		width = n.size * n.size * 3
	}
	widths := append(n.hidden, classes)
	for l, w := range widths {
		weight(fmt.Sprint("dense", l), width, w)
		width = w
	}

	logits := func(root *model.Scope, x *Node) *Node {
		dense := func(name string, x *Node) *Node {
			v := func(name string) *Node { return root.At("net").GetVariable(name).NodeValue(x.Graph()) }
			return Add(MatMul(x, v(name)), v(name+"_bias"))
		}
		for l, w := range n.convolutions {
			side := x.Shape().Dim(1) / 2
			x = activation.Relu(dense(fmt.Sprint("conv", l), patches(x)))
			x = Reshape(x, -1, side, side, w)
		}
		if n.convolutions == nil {
			x = Reshape(x, x.Shape().Dim(0), -1)
		} else {
			x = ReduceMean(x, 1, 2)
		}
		for l := range widths {
			x = dense(fmt.Sprint("dense", l), x)
			if l < len(widths)-1 {
				x = activation.Relu(x)
			}
		}
		return x
	}
	step, err := model.NewExec(backend, store, func(root *model.Scope, x, labels *Node) *Node {
		l := logits(root, x)
		loss := Neg(ReduceAllMean(ReduceSum(Mul(OneHot(labels, classes, dtypes.Float32), LogSoftmax(l)), -1)))
		optimizer.Adam().LearningRate(n.rate).Done().UpdateGraph(root, x.Graph(), loss)
		return loss
	})
	if err != nil {
		t.Fatal(err)
	}
	guess, err := model.NewExec(backend, store, func(root *model.Scope, x *Node) *Node {
		return ArgMax(logits(root, x), -1, dtypes.Int32)
	})
	if err != nil {
		t.Fatal(err)
	}

	loader := images.Loader{Images: set.Train, BatchSize: batch, Size: n.size, Normalization: set.Normalization,
		Augment: images.PadCropFlip(2), Shuffle: true, Seed: 1}
	pixels := func(b images.Batch) *tensors.Tensor {
		return tensors.FromFlatDataAndDimensions(b.Pixels, len(b.Labels), n.size, n.size, 3)
	}
	for epoch := range n.epochs {
		for b, err := range loader.Batches(context.Background(), epoch, 0) {
			if err != nil {
				t.Fatal(err)
			}
			if _, err := step.Call(pixels(b), tensors.FromFlatDataAndDimensions(b.Labels, len(b.Labels))); err != nil {
				t.Fatal(err)
			}
		}
	}
	loader = images.Loader{Images: set.Test, BatchSize: batch, Size: n.size, Normalization: set.Normalization}
	right := 0
	for b, err := range loader.Batches(context.Background(), 0, 0) {
		if err != nil {
			t.Fatal(err)
		}
		guesses, err := guess.Call1(pixels(b))
		if err != nil {
			t.Fatal(err)
		}
		for i, g := range tensors.MustCopyFlatData[int32](guesses) {
			if g == b.Labels[i] {
				right++
			}
		}
	}
	return float64(right) / float64(set.Test.Len())
}

// patches are the inputs of a 3×3 convolution with stride 2 and padding 1, as rows:
// from [batch, side, side, channels] to [batch·side/2·side/2, 9·channels].
func patches(x *Node) *Node {
	dims := x.Shape().Dimensions
	column := Zeros(x.Graph(), shapes.Make(dtypes.Float32, dims[0], dims[1], 1, dims[3]))
	row := Zeros(x.Graph(), shapes.Make(dtypes.Float32, dims[0], 1, dims[2]+1, dims[3]))
	padded := Concatenate([]*Node{row, Concatenate([]*Node{column, x}, 2)}, 1) // all that stride 2 needs
	var shifted []*Node
	for dy := range 3 {
		for dx := range 3 {
			shifted = append(shifted, Slice(padded, AxisRange(),
				AxisRange(dy, dy+dims[1]-1).Stride(2), AxisRange(dx, dx+dims[2]-1).Stride(2), AxisRange()))
		}
	}
	return Reshape(Concatenate(shifted, -1), -1, 9*dims[3])
}

// The shapes are worth learning: what a convolutional network learns in one epoch, a
// linear classifier does not.
func TestLearnShapes(t *testing.T) {
	set := images.Shapes()
	linear := network{"linear", 16, nil, nil, 3e-4, 1}.train(t, set)
	convolutional := network{"convolutional", 16, []int{16, 32, 64}, nil, 1e-2, 1}.train(t, set)
	if linear > 0.22 || convolutional < 0.33 {
		t.Errorf("the linear classifier reaches %.1f %%, the convolutional network %.1f %%", 100*linear, 100*convolutional)
	}
}

// What networks reach with more time. With CTNAS_LONG=1; it takes some minutes.
func TestLearnShapesLong(t *testing.T) {
	if os.Getenv("CTNAS_LONG") == "" {
		t.Skip("CTNAS_LONG is not set")
	}
	set := images.Shapes()
	for _, c := range []struct {
		network
		from, to float64
	}{
		{network{"linear", 32, nil, nil, 3e-4, 10}, 0.1, 0.25},
		{network{"perceptron", 32, nil, []int{128}, 3e-4, 10}, 0.4, 0.65},
		{network{"convolutional, 16×16", 16, []int{16, 32, 64}, nil, 3e-3, 10}, 0.75, 0.9},
		{network{"convolutional", 32, []int{16, 32, 64}, nil, 3e-3, 10}, 0.88, 0.98},
	} {
		start := time.Now()
		accuracy := c.train(t, set)
		t.Logf("%s: %.1f %% of the test images after %d epochs, in %v", c.name, 100*accuracy, c.epochs, time.Since(start).Round(time.Second))
		if accuracy < c.from || accuracy > c.to {
			t.Errorf("%s: want %.0f %% to %.0f %%", c.name, 100*c.from, 100*c.to)
		}
	}
}
