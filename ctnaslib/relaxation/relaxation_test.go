package relaxation

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/ctnas/ctnas/ctnaslib/nn"
	"github.com/ctnas/ctnas/ctnaslib/nn/nntest"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/darts"
)

// The gradient of the architecture weights is that of finite differences.
func TestArchitectureGradient(t *testing.T) {
	data := nntest.Data(t)
	c := Small(data.Classes)
	n, err := New(nntest.Backend(t), data, c)
	if err != nil {
		t.Fatal(err)
	}
	all, err := n.model.Held(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b := all[0]
	exec, err := model.NewExec(nntest.Backend(t), n.model.Store, func(_ *model.Scope, inputs []*Node) []*Node {
		weights := nn.Values(inputs[0].Graph(), n.model.Variables(nn.Weights))
		loss := nn.CrossEntropy(n.logits(weights, Softmax(inputs[0], -1), inputs[1]), inputs[2])
		return append([]*Node{loss}, Gradient(loss, inputs[0])...)
	})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	values := make([]float32, alpha.Size())
	for i := range values {
		values[i] = float32(rng.NormFloat64())
	}
	at := func(i int, by float32) []*tensors.Tensor {
		moved := append([]float32(nil), values...)
		moved[i] += by
		out, err := exec.Call(tensors.FromFlatDataAndDimensions(moved, alpha.Dims...), b.Images, b.Labels)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	gradient := tensors.MustCopyFlatData[float32](at(0, 0)[1])
	const step = 5e-3
	for range 8 {
		i := rng.IntN(len(values))
		want := (nn.Number(at(i, step)[0]) - nn.Number(at(i, -step)[0])) / (2 * step)
		if math.Abs(want-float64(gradient[i])) > 2e-3+0.1*math.Abs(want) {
			t.Errorf("weight %d has the gradient %g, by finite differences %g", i, gradient[i], want)
		}
	}
}

// Ones at a genotype's operations lead back to that genotype.
// The architecture weights move by held-out images alone, and the network's by training images.
func TestWhichImagesMoveWhat(t *testing.T) {
	data := nntest.Data(t)
	var batches []nn.Batch
	moved := func(training, held int) (architecture, weights []float32) {
		n, err := New(nntest.Backend(t), data, Small(data.Classes))
		if err != nil {
			t.Fatal(err)
		}
		if batches == nil {
			if batches, err = n.model.Held(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		b, h := batches[training], batches[held]
		if _, err := n.step.Call(b.Images, b.Labels, h.Images, h.Labels, tensors.FromScalar(float32(0.1)), tensors.FromScalar(float32(1))); err != nil {
			t.Fatal(err)
		}
		for _, v := range n.model.Variables(nn.Weights) {
			weights = append(weights, tensors.MustCopyFlatData[float32](v.MustValue())...)
		}
		return tensors.MustCopyFlatData[float32](n.architecture().MustValue()), weights
	}
	architecture, weights := moved(0, 1)
	otherTraining, otherWeights := moved(2, 1)
	if !slices.Equal(architecture, otherTraining) || slices.Equal(weights, otherWeights) {
		t.Error("other training images move the architecture weights, or do not move the network's")
	}
	if otherHeld, _ := moved(0, 2); slices.Equal(architecture, otherHeld) {
		t.Error("other held-out images move the architecture weights alike")
	}
}

func TestStrongestGenotype(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for _, a := range append([]space.Arch{darts.DARTSV2, darts.PDARTS}, darts.Space{}.Sample(rng), darts.Space{}.Sample(rng)) {
		g, err := strongestGenotype(weightsOf(a.(darts.Genotype)))
		if err != nil {
			t.Fatal(err)
		}
		if g != a {
			t.Errorf("%s became %s", a, g)
		}
	}
	// "none" may be the strongest of all, and does not count.
	weights := weightsOf(darts.DARTSV1)
	for edge := 0; edge < len(weights); edge += ops {
		weights[edge] = 5
	}
	if g, err := strongestGenotype(weights); err != nil || g != darts.DARTSV1 {
		t.Errorf("with \"none\" everywhere: %s, %v", g, err)
	}
}

// A few steps move both kinds of weights; a genotype then has an accuracy, which a benchmark keeps under its text; and
// the training is loaded when it is asked for again.
func TestTrain(t *testing.T) {
	data := nntest.Data(t)
	c := Small(data.Classes)
	c.Side, c.BatchSize, c.Channels, c.Steps, c.CheckpointInterval = 4, 4, 1, 4, 2
	root := t.TempDir()
	training := Training{Backend: nntest.Backend(t), Data: data, Config: c}
	trained, err := Train(t.Context(), root, training)
	if err != nil {
		t.Fatal(err)
	}
	best, err := trained.Net.Best()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Train(t.Context(), root, training)
	if err != nil {
		t.Fatal(err)
	}
	if other, err := again.Net.Best(); err != nil || other != best {
		t.Errorf("loaded, it ends in %s, not %s (error %v)", other, best, err)
	}
	var accuracies [2]float64
	for i := range accuracies {
		if accuracies[i], err = again.Benchmark(t.Context()).Validation(best); err != nil {
			t.Fatal(err)
		}
	}
	if accuracies[0] != accuracies[1] || accuracies[0] < 0 || accuracies[0] > 1 {
		t.Errorf("the accuracies %v", accuracies)
	}
	c.Cells = 2
	if _, err := New(nntest.Backend(t), data, c); err == nil || !strings.Contains(err.Error(), "at least 3 cells") {
		t.Errorf("two cells: error %v", err)
	}
}

// It tells how long a step takes, which is less than all steps took, with compiling and reading.
func TestStepTime(t *testing.T) {
	data := nntest.Data(t)
	n, err := New(nntest.Backend(t), data, Small(data.Classes))
	if err != nil {
		t.Fatal(err)
	}
	const steps = 2
	start := time.Now()
	if step, err := n.StepTime(t.Context(), steps); err != nil || step <= 0 || step > time.Since(start)/steps {
		t.Errorf("a step takes %v of %v (error %v)", step, time.Since(start), err)
	}
}
