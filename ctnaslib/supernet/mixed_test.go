package supernet

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/darts"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
)

// The mixture's gradient is that of finite differences.
func TestMixedGradient(t *testing.T) {
	data := shapesData(t)
	c := SmallMixed(data.Classes)
	m, err := NewMixed(backend(t), data, c)
	if err != nil {
		t.Fatal(err)
	}
	all, err := batches(t.Context(), data.plain(data.Validation, c.Side, c.BatchSize))
	if err != nil {
		t.Fatal(err)
	}
	b := all[0]
	exec, err := model.NewExec(backend(t), m.store, func(root *model.Scope, inputs []*Node) []*Node {
		weights := values(inputs[0].Graph(), variables(root, m.parameters))
		loss := crossEntropy(m.network(weights, Softmax(inputs[0], -1), inputs[1]), inputs[2])
		return append([]*Node{loss}, Gradient(loss, inputs[0])...)
	})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	alpha := make([]float32, mixedCells*mixedEdges*mixedOps)
	for i := range alpha {
		alpha[i] = float32(rng.NormFloat64())
	}
	at := func(i int, by float32) []*tensors.Tensor {
		moved := append([]float32(nil), alpha...)
		moved[i] += by
		out, err := exec.Call(tensors.FromFlatDataAndDimensions(moved, mixedCells, mixedEdges, mixedOps), b.images, b.labels)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	gradient := tensors.MustCopyFlatData[float32](at(0, 0)[1])
	const step = 5e-3
	for range 8 {
		i := rng.IntN(len(alpha))
		want := (scalar(at(i, step)[0]) - scalar(at(i, -step)[0])) / (2 * step)
		if math.Abs(want-float64(gradient[i])) > 2e-3+0.1*math.Abs(want) {
			t.Errorf("weight %d has the gradient %g, by finite differences %g", i, gradient[i], want)
		}
	}
}

// Ones at a genotype's operations lead back to that genotype.
func TestStrongestGenotype(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for _, a := range append([]space.Arch{darts.DARTSV2, darts.PDARTS}, darts.Space{}.Sample(rng), darts.Space{}.Sample(rng)) {
		g, err := strongestGenotype(mixtureOf(a.(darts.Genotype)))
		if err != nil {
			t.Fatal(err)
		}
		if g != a {
			t.Errorf("%s became %s", a, g)
		}
	}
	// "none" may be the strongest of all, and does not count.
	mixture := mixtureOf(darts.DARTSV1)
	for edge := 0; edge < len(mixture); edge += mixedOps {
		mixture[edge] = 5
	}
	if g, err := strongestGenotype(mixture); err != nil || g != darts.DARTSV1 {
		t.Errorf("with \"none\" everywhere: %s, %v", g, err)
	}
}

// A few steps move weights and mixture; a genotype then has an accuracy, which a benchmark
// keeps under its text; and the training is loaded when it is asked for again.
func TestTrainMixed(t *testing.T) {
	data := shapesData(t)
	c := SmallMixed(data.Classes)
	c.Side, c.BatchSize, c.Channels, c.Steps, c.Round = 4, 4, 1, 4, 2
	root := t.TempDir()
	training := MixedTraining{Backend: backend(t), Data: data, Config: c}
	trained, err := TrainMixed(t.Context(), root, training)
	if err != nil {
		t.Fatal(err)
	}
	best, err := trained.Net.Best()
	if err != nil {
		t.Fatal(err)
	}
	again, err := TrainMixed(t.Context(), root, training)
	if err != nil {
		t.Fatal(err)
	}
	if other, err := again.Net.Best(); err != nil || other != best {
		t.Errorf("loaded, it ends in %s, not %s (error %v)", other, best, err)
	}
	var accuracies [2]float64
	for i := range accuracies {
		labels, err := again.Labels(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if accuracies[i], err = labels.Validation(best); err != nil {
			t.Fatal(err)
		}
	}
	if accuracies[0] != accuracies[1] || accuracies[0] < 0 || accuracies[0] > 1 {
		t.Errorf("the accuracies %v", accuracies)
	}
	c.Cells = 2
	if _, err := NewMixed(backend(t), data, c); err == nil || !strings.Contains(err.Error(), "at least 3 cells") {
		t.Errorf("two cells: error %v", err)
	}
}
