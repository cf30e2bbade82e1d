package controller

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/darts"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

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
	c, err := New(toy(), config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// numbers returns the weights of a policy by their names.
func numbers(c *Controller) map[string][]float64 {
	all := make(map[string][]float64)
	for _, w := range c.network.θ.all {
		all[w.name] = w.values
	}
	return all
}

// set sets weights of a policy.
func set(t testing.TB, c *Controller, name string, values ...float64) {
	t.Helper()
	if copy(numbers(c)[name], values) != len(values) {
		t.Fatalf("there are %d weights %s, not %d", len(numbers(c)[name]), name, len(values))
	}
	c.stale = true
}

// setAll sets all weights of a policy.
func setAll(c *Controller, value float64) {
	for _, values := range numbers(c) {
		for i := range values {
			values[i] = value
		}
	}
	c.stale = true
}

// The LSTM with one hidden unit, worked out with scalars.
func TestLogProbByHand(t *testing.T) {
	config := Default()
	config.Hidden = 1
	c := newToy(t, config)
	set(t, c, "embeddings_0", 0.5, -0.7)
	set(t, c, "embeddings_1", 0.3, 0.9, -1.1)
	set(t, c, "lstm_input_0", 0.2, -0.4, 0.8, 0.6) // gates: in, forget, out, update
	set(t, c, "lstm_recurrent_0", -0.3, 0.5, -0.9, 0.7)
	set(t, c, "lstm_input_bias_0", 0.3, 0.1, 0.1, -0.2)
	set(t, c, "lstm_recurrent_bias_0", -0.2, 0.1, 0.3, 0.5) // together 0.1, 0.2, 0.4, 0.3
	set(t, c, "head_0", 1.5, -2)
	set(t, c, "head_bias_0", 0.25, -0.5)
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
	c, err := New(nasbench101.Space{}.Decisions(), Default())
	if err != nil {
		t.Fatal(err)
	}
	setAll(c, 0)
	logProb, entropy, err := c.LogProb([][]int{{2, 0, 0, 1, 2, 0, 1, 2, 3, 4, 2, 2, 1, 0, 1, 4, 3, 4}})
	if err != nil {
		t.Fatal(err)
	}
	want := math.Log(5) + math.Log(1*2*3*4) + 3*math.Log(3) + 10*math.Log(5)
	if math.Abs(-logProb[0]-want) > 1e-4 || math.Abs(entropy[0]-want) > 1e-4 {
		t.Errorf("log-probability %.5f and entropy %.5f, want ∓%.5f", logProb[0], entropy[0], want)
	}
}

// The gradient is that of the loss by differences, of each weight: in the toy space, in that of a space whose
// parts have an LSTM each, and in a real one.
func TestGradientIsFiniteDifference(t *testing.T) {
	twoParts := toy()
	twoParts.Kinds[1].Part = 1
	for name, d := range map[string]*space.Decisions{"toy": toy(), "two parts": twoParts, "cells": nasbench101.Space{}.Decisions()} {
		config := Default()
		config.Hidden, config.InitRange, config.EntropyBonus = 3, 0.8, 0.1
		c, err := New(d, config)
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(1, 2))
		var sequences [][]int
		var rewards []float64
		for range 2*maxGroups + 3 {
			sequences, rewards = append(sequences, d.Walk(rng)), append(rewards, rng.NormFloat64())
		}
		for range 2 { // the second time, room is used again
			gradient, _, err := c.differentiate(sequences, rewards)
			if err != nil {
				t.Fatal(err)
			}
			loss := func() float64 {
				logProb, entropy, err := c.LogProb(sequences)
				if err != nil {
					t.Fatal(err)
				}
				loss := 0.0
				for i, reward := range rewards {
					loss -= (reward*logProb[i] + config.EntropyBonus*entropy[i]) / float64(len(rewards))
				}
				return loss
			}
			const step = 1e-5
			for k, w := range c.network.θ.all {
				for i, value := range w.values {
					shifted := func(by float64) float64 {
						w.values[i], c.stale = value+by, true
						return loss()
					}
					want := (shifted(step) - shifted(-step)) / (2 * step)
					shifted(0)
					if got := gradient.all[k].values[i]; math.Abs(got-want) > 1e-8 {
						t.Errorf("%s: %s[%d]: gradient %.10f, finite difference %.10f", name, w.name, i, got, want)
					}
				}
			}
		}
	}
}

// What a policy computes does not depend on how many sequences it is asked for at once, but for the order of sums, nor
// on the number of processors.
func TestGroups(t *testing.T) {
	config := Default()
	config.Hidden = 6
	c := newCells(t, config)
	all, err := c.Sample(rand.New(rand.NewPCG(1, 1)), 100)
	if err != nil {
		t.Fatal(err)
	}
	together, _, err := c.LogProb(all)
	if err != nil {
		t.Fatal(err)
	}
	for i, sequence := range all {
		alone, _, err := c.LogProb([][]int{sequence})
		if err != nil {
			t.Fatal(err)
		}
		if alone[0] != together[i] {
			t.Errorf("sequence %d: %g alone, %g together", i, alone[0], together[i])
		}
	}
	rewards := make([]float64, len(all))
	for i := range rewards {
		rewards[i] = float64(i%7) / 7
	}
	var want []byte
	for _, processors := range []int{runtime.NumCPU(), 1} {
		old := runtime.GOMAXPROCS(processors)
		c := newCells(t, config)
		_, err := c.Reinforce(all, rewards)
		runtime.GOMAXPROCS(old)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if want != nil && !bytes.Equal(got, want) {
			t.Error("it learned something else on one processor")
		}
		want = got
	}
}

// Each part of a sequence is decided by a network of its own, which does not hear of the parts before.
func TestParts(t *testing.T) {
	config := Default()
	config.Hidden, config.InitRange = 8, 1
	d := darts.Space{}.Decisions()
	c, err := New(d, config)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	a, b := d.Walk(rng), d.Walk(rng)
	half := len(a) / 2
	logProb, _, err := c.LogProb([][]int{a, b, slices.Concat(a[:half], b[half:]), slices.Concat(b[:half], a[half:])})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := logProb[2]+logProb[3], logProb[0]+logProb[1]; math.Abs(got-want) > 1e-9 {
		t.Errorf("two genotypes have the log-probability %.6f, with their reduction cells exchanged %.6f", want, got)
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
	c, err := New(d, Default())
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
	if _, err := New(toy(), Config{}); err == nil {
		t.Error("an empty configuration has no error")
	}
}

// One iteration of the authors' schedule: one sample, one step.
func BenchmarkIteration(b *testing.B) {
	c, err := New(nasbench101.Space{}.Decisions(), Default())
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
