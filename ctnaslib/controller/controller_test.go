package controller

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

func backend(t testing.TB) compute.Backend {
	t.Helper()
	b, err := engine.Open()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// toy has sequences of one or two decisions: choice 1 of the first ends at once,
// choice 0 leads to a pointer of which only 0 and 2 are open.
func toy() *space.Decisions {
	return &space.Decisions{
		Kinds: []space.Kind{{Name: "plain", Choices: 2}, {Name: "pointer", Choices: 3, Pointer: true}},
		States: []space.State{
			{Kind: 0, Next: []int{1, 2}},
			{Kind: 1, Next: []int{2, space.Forbidden, 2}},
		},
		Steps: 2,
	}
}

func newToy(t testing.TB, config Config) *Controller {
	t.Helper()
	c, err := New(backend(t), toy(), config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func set(t testing.TB, c *Controller, name string, values ...float32) {
	t.Helper()
	v := c.store.GetVariable("/" + scopePolicy + "/" + name)
	if v == nil {
		t.Fatalf("no variable %s", name)
	}
	if err := v.SetValue(tensors.FromFlatDataAndDimensions(values, v.Shape().Dimensions...)); err != nil {
		t.Fatal(err)
	}
}

// The LSTM with one hidden unit, worked out with scalars.
func TestLogProbByHand(t *testing.T) {
	config := Default()
	config.Hidden = 1
	c := newToy(t, config)
	set(t, c, nameEmbeddings, 0.5, -0.7, 0, 0.3, 0.9, -1.1) // of kind 0, then of kind 1
	set(t, c, nameInput, 0.2, -0.4, 0.8, 0.6)               // gates: in, forget, out, update
	set(t, c, nameRecurrent, -0.3, 0.5, -0.9, 0.7)
	set(t, c, nameLSTMBias, 0.1, 0.2, 0.4, 0.3)
	set(t, c, "head_0", 1.5, -2, 9) // the third choice does not exist
	set(t, c, "head_bias_0", 0.25, -0.5, 9)
	set(t, c, "point_keys_1", 0.8)
	set(t, c, "point_query_1", -1.2)
	set(t, c, "point_weight_1", 2)

	σ := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	// Step 0: x = h = c = 0.
	cell := σ(0.1) * math.Tanh(0.3)
	h := σ(0.4) * math.Tanh(cell)
	first, second := 1.5*h+0.25, -2*h-0.5
	total := math.Exp(first) + math.Exp(second)
	p0, p1 := math.Exp(first)/total, math.Exp(second)/total
	h0 := -p0*math.Log(p0) - p1*math.Log(p1)
	// Step 1, after choice 0: x is that choice's embedding, 0.5.
	in, forget := σ(0.2*0.5-0.3*h+0.1), σ(-0.4*0.5+0.5*h+0.2)
	update, out := math.Tanh(0.6*0.5+0.7*h+0.3), σ(0.8*0.5-0.9*h+0.4)
	cell = forget*cell + in*update
	h = out * math.Tanh(cell)
	score := func(embedding float64) float64 { return math.Exp(2 * math.Tanh(0.8*embedding-1.2*h)) }
	q0 := score(0.3) / (score(0.3) + score(-1.1))
	h1 := -q0*math.Log(q0) - (1-q0)*math.Log(1-q0)

	logProb, entropy, err := c.LogProb([][]int{{0, 2}, {1}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct{ logProb, entropy float64 }{
		{math.Log(p0) + math.Log(1-q0), h0 + h1},
		{math.Log(p1), h0},
	} {
		if math.Abs(logProb[i]-want.logProb) > 1e-5 || math.Abs(entropy[i]-want.entropy) > 1e-5 {
			t.Errorf("sequence %d: log-probability %.6f and entropy %.6f, want %.6f and %.6f", i, logProb[i], entropy[i], want.logProb, want.entropy)
		}
	}
}

// With all weights zero every open choice is equally likely, so the probability of
// a cell's sequence is the product of 1/choices. For 3 interior vertices: 5 counts;
// predecessors among 1, 2, 3 and 4 vertices; 3 operations three times; and 10 ends of
// edges among 5 vertices.
func TestUniformPolicyOnACell(t *testing.T) {
	c, err := New(backend(t), nasbench101.Space{}.Decisions(), Default())
	if err != nil {
		t.Fatal(err)
	}
	for v := range c.store.IterVariables() {
		if err := v.SetValue(tensors.FromScalarAndDimensions(float32(0), v.Shape().Dimensions...)); err != nil {
			t.Fatal(err)
		}
	}
	logProb, entropy, err := c.LogProb([][]int{{2, 0, 0, 1, 2, 0, 1, 2, 3, 4, 2, 2, 1, 0, 1, 4, 3, 4}})
	if err != nil {
		t.Fatal(err)
	}
	want := math.Log(5) + math.Log(1*2*3*4) + 3*math.Log(3) + 10*math.Log(5)
	if math.Abs(-logProb[0]-want) > 1e-4 || math.Abs(entropy[0]-want) > 1e-4 {
		t.Errorf("log-probability %.5f and entropy %.5f, want ∓%.5f", logProb[0], entropy[0], want)
	}
}

func TestGradientIsFiniteDifference(t *testing.T) {
	config := Default()
	config.Hidden, config.InitRange, config.EntropyBonus = 3, 0.8, 0.1
	c := newToy(t, config)
	sequences, rewards := [][]int{{0, 2}, {1}, {0, 0}}, []float32{0.9, 0.2, 0.4}
	choices, states, err := c.walk(sequences)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for v := range c.store.IterVariables() {
		names = append(names, v.Path())
	}
	// The loss, and its gradient to every weight.
	exec, err := model.NewExec(backend(t), c.store, func(root *model.Scope, inputs []*Node) []*Node {
		out := c.evaluateGraph(root, inputs[:2])
		loss := c.loss(out[0], out[1], inputs[2])
		var weights []*Node
		for _, name := range names {
			weights = append(weights, c.store.GetVariable(name).NodeValue(loss))
		}
		return append([]*Node{loss}, Gradient(loss, weights...)...)
	})
	if err != nil {
		t.Fatal(err)
	}
	evaluate := func() []*tensors.Tensor {
		out, err := exec.Call(choices, states, tensors.FromFlatDataAndDimensions(slices.Clone(rewards), 3))
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	loss := func() float64 { return float64(tensors.ToScalar[float32](evaluate()[0])) }
	gradients := evaluate()[1:]
	const step = 1e-2
	for i, name := range names {
		v := c.store.GetVariable(name)
		weights := tensors.MustCopyFlatData[float32](v.MustValue())
		gradient := tensors.MustCopyFlatData[float32](gradients[i])
		for k := range weights {
			shifted := func(by float32) float64 {
				moved := slices.Clone(weights)
				moved[k] += by
				if err := v.SetValue(tensors.FromFlatDataAndDimensions(moved, v.Shape().Dimensions...)); err != nil {
					t.Fatal(err)
				}
				return loss()
			}
			want := (shifted(step) - shifted(-step)) / (2 * step)
			shifted(0)
			if got := float64(gradient[k]); math.Abs(got-want) > 2e-4 {
				t.Errorf("%s[%d]: gradient %.5f, finite difference %.5f", name, k, got, want)
			}
		}
	}
}

func TestSampleFollowsLogProb(t *testing.T) {
	config := Default()
	config.Hidden, config.InitRange, config.Seed = 4, 1.5, 8
	c := newToy(t, config)
	const n = 20000
	sequences, err := c.Sample(rand.New(rand.NewPCG(1, 1)), n)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	all := map[string][]int{"[0 0]": {0, 0}, "[0 2]": {0, 2}, "[1]": {1}}
	for _, s := range sequences {
		counts[fmt.Sprint(s)]++
	}
	total := 0.0
	for text, s := range all {
		logProb, _, err := c.LogProb([][]int{s})
		if err != nil {
			t.Fatal(err)
		}
		p := math.Exp(logProb[0])
		total += p
		// Five standard deviations of a binomial.
		if got := float64(counts[text]) / n; math.Abs(got-p) > 5*math.Sqrt(p*(1-p)/n) {
			t.Errorf("%s: sampled with frequency %.4f, probability %.4f", text, got, p)
		}
	}
	if math.Abs(total-1) > 1e-5 {
		t.Errorf("the probabilities sum to %.6f", total)
	}
}

func TestReinforceFindsTheReward(t *testing.T) {
	config := Default()
	config.LearningRate = 1e-2
	c := newToy(t, config)
	rng := rand.New(rand.NewPCG(2, 2))
	for range 100 {
		sequences, err := c.Sample(rng, 16)
		if err != nil {
			t.Fatal(err)
		}
		rewards := make([]float64, len(sequences))
		for i, s := range sequences {
			if slices.Equal(s, []int{0, 2}) {
				rewards[i] = 1
			}
		}
		if _, err := c.Reinforce(sequences, rewards); err != nil {
			t.Fatal(err)
		}
	}
	logProb, _, err := c.LogProb([][]int{{0, 2}})
	if err != nil {
		t.Fatal(err)
	}
	if p := math.Exp(logProb[0]); p < 0.9 {
		t.Errorf("the rewarded sequence has probability %.3f after training", p)
	}
}

func TestSamplesDecode(t *testing.T) {
	d := nasbench101.Space{}.Decisions()
	c, err := New(backend(t), d, Default())
	if err != nil {
		t.Fatal(err)
	}
	sequences, err := c.Sample(rand.New(rand.NewPCG(3, 3)), 200)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sequences {
		if _, err := (nasbench101.Space{}).Decode(s); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEncodeContinues(t *testing.T) {
	train := func(c *Controller, from, to int) *Controller {
		for step := from; step < to; step++ {
			sequences, err := c.Sample(rand.New(rand.NewPCG(9, uint64(step))), 4)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Reinforce(sequences, []float64{1, 0, 0.5, 0.25}); err != nil {
				t.Fatal(err)
			}
		}
		return c
	}
	whole := train(newToy(t, Default()), 0, 6)
	data, err := train(newToy(t, Default()), 0, 3).Encode()
	if err != nil {
		t.Fatal(err)
	}
	half := newToy(t, Default())
	if err := half.Restore(data); err != nil {
		t.Fatal(err)
	}
	train(half, 3, 6)
	a, _, err := whole.LogProb([][]int{{0, 2}, {1}})
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := half.LogProb([][]int{{0, 2}, {1}})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(a, b) {
		t.Errorf("resumed to %v, want %v", b, a)
	}

	other := Default()
	other.Hidden = 32
	if err := newToy(t, other).Restore(data); err == nil || !strings.Contains(err.Error(), "another controller") {
		t.Errorf("a checkpoint of another size: error %v", err)
	}
}

func TestErrors(t *testing.T) {
	c := newToy(t, Default())
	for _, s := range [][]int{{0, 1}, {0}, {2}, {1, 0}} {
		if _, _, err := c.LogProb([][]int{s}); err == nil {
			t.Errorf("LogProb(%v) has no error", s)
		}
	}
	if _, err := c.Reinforce([][]int{{1}}, nil); err == nil {
		t.Error("a step without rewards has no error")
	}
	if _, err := New(backend(t), toy(), Config{}); err == nil {
		t.Error("an empty configuration has no error")
	}
}

// One iteration of the authors' schedule: one sample, one step.
func BenchmarkIteration(b *testing.B) {
	c, err := New(backend(b), nasbench101.Space{}.Decisions(), Default())
	if err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		sequences, err := c.Sample(rng, 1)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Reinforce(sequences, []float64{0.5}); err != nil {
			b.Fatal(err)
		}
	}
}

// A policy with the graphs of one that was released is as new.
func TestRelease(t *testing.T) {
	d := nasbench101.Space{}.Decisions()
	config := Default()
	config.Hidden, config.Seed = 5, 1
	train := func(c *Controller) []byte {
		rng := rand.New(rand.NewPCG(1, 2))
		for range 3 {
			sequences, err := c.Sample(rng, 2)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Reinforce(sequences, []float64{0.9, 0.1}); err != nil {
				t.Fatal(err)
			}
		}
		state, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return state
	}
	create := func(seed uint64) *Controller {
		config.Seed = seed
		c, err := New(backend(t), d, config)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	want := train(create(1))
	first := create(2)
	train(first)
	graphs := first.programs
	first.Release()
	again := create(1)
	if again.programs != graphs {
		t.Fatal("the graphs of the released policy were not used")
	}
	if got := train(again); !bytes.Equal(got, want) {
		t.Error("a policy with the graphs of another learned something else")
	}
}
