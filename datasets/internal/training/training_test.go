package training

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/datasets/internal/weights"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
)

// line is a loop that fits y = 2x + 1.
func line(c Config) (Loop, []weights.Part) {
	parts := []weights.Part{weights.NewPart("slope"), weights.NewPart("offset")}
	return Loop{
		Config: c, Examples: 21,
		Inputs: func(chosen []int) []*tensors.Tensor {
			var x, y []float32
			for _, i := range chosen {
				x, y = append(x, float32(i)/10), append(y, 2*float32(i)/10+1)
			}
			return []*tensors.Tensor{tensors.FromValue(x), tensors.FromValue(y)}
		},
		Loss: func(root *model.Scope, inputs []*Node) *Node {
			x := inputs[0]
			predicted := Add(Mul(x, Weight(root, x, "slope")), Weight(root, x, "offset"))
			return ReduceAllMean(Square(Sub(predicted, inputs[1])))
		},
	}, parts
}

func TestRun(t *testing.T) {
	backend, err := engine.OpenConfig("go")
	if err != nil {
		t.Fatal(err)
	}
	loop, parts := line(Config{Epochs: 100, Batch: 5, LearningRate: 0.1, Seed: 1})
	if err := loop.Run(t.Context(), backend, parts, nil); err != nil {
		t.Fatal(err)
	}
	if a, b := parts[0].Values[0], parts[1].Values[0]; math.Abs(float64(a-2)) > 1e-2 || math.Abs(float64(b-1)) > 1e-2 {
		t.Errorf("fitted the line %v·x + %v", a, b)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if err := loop.Run(stopped, backend, parts, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("the interrupted training gave the error %v", err)
	}
}

// By hand, of 10 steps: half a cosine, and over the first two steps a half and the whole of it.
func TestRate(t *testing.T) {
	loop := Loop{Config: Config{Epochs: 5, Batch: 10, LearningRate: 2}, Examples: 29}
	for step, want := range map[int]float64{0: 2, 5: 1, 10: 0} {
		if got := loop.rate(step); math.Abs(got-want) > 1e-9 {
			t.Errorf("the rate of step %d is %v, want %v", step, got, want)
		}
	}
	loop.Warmup = 2
	if got := loop.rate(0); math.Abs(got-1) > 1e-9 {
		t.Errorf("the first rate is %v, want 1", got)
	}
}

func TestBest(t *testing.T) {
	if got := Best([]float64{3, 5, 4, 5}, 3); !slices.Equal(got, []int{1, 3, 2}) {
		t.Errorf("the best are %v", got)
	}
}
