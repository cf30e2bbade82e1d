package engine

import (
	"math"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
)

// Three steps on the loss 3·w with w = 2, by PyTorch's rule written out: the decay is
// part of the gradient that the moments see.
func TestAdamByHand(t *testing.T) {
	backend, err := OpenConfig("go")
	if err != nil {
		t.Fatal(err)
	}
	adam := Adam{LearningRate: 0.1, Beta1: 0.5, Beta2: 0.9, WeightDecay: 0.4}
	store := model.NewStore()
	if err := NewVariable(store.RootScope().At("weights"), "w", func() float64 { return 2 }, 1); err != nil {
		t.Fatal(err)
	}
	exec, err := model.NewExec(backend, store, func(root *model.Scope, x *Node) *Node {
		w := root.At("weights").GetVariable("w").NodeValue(x)
		loss := ReduceAllSum(Mul(x, w))
		adam.Minimize(root, "weights", loss)
		return loss
	})
	if err != nil {
		t.Fatal(err)
	}
	w, first, second := 2.0, 0.0, 0.0
	for step := 1; step <= 3; step++ {
		if _, err := exec.Call1(tensors.FromValue([]float32{3})); err != nil {
			t.Fatal(err)
		}
		gradient := 3 + 0.4*w
		first = 0.5*first + 0.5*gradient
		second = 0.9*second + 0.1*gradient*gradient
		w -= 0.1 * first / (1 - math.Pow(0.5, float64(step))) / (math.Sqrt(second/(1-math.Pow(0.9, float64(step)))) + 1e-8)
		got := store.GetVariable("/weights/w").MustValue().Value().([]float32)[0]
		if math.Abs(float64(got)-w) > 1e-5 {
			t.Errorf("after step %d the weight is %.6f, want %.6f", step, got, w)
		}
	}
}
