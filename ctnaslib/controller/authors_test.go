package controller

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/internal/authors"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// golden is what an authors' controller computed. A sequence has a list of choices for each of its LSTMs.
type golden struct {
	Sequences [][][]int
	Full      struct {
		LogProbs  []float64 `json:"log_probs"`
		Entropies []float64
	}
	Small struct { // three steps of policy gradient, on the first sequences
		Rewards, Losses   []float64
		Gradient, Weights map[string]any // of the first step; after the last
	}
}

// counterpart is a weight of ours and the authors' that it stands for: from row first of theirs as many rows as rows
// says.
type counterpart struct {
	ours, theirs string
	dims         []int // of theirs
	first, rows  int   // rows is 0 for all
	linear       bool  // whether theirs has outputs as rows, ours as columns
	gates        bool  // whether its rows are the four gates of an LSTM, of which ours has the last two the other way round
}

// lstmOf lists the counterparts that all of the authors' controllers have.
func lstmOf(prefix string, h int) []counterpart {
	return []counterpart{
		{ours: "lstm_input_0", theirs: prefix + "lstm.weight_ih", dims: []int{4 * h, h}, linear: true, gates: true},
		{ours: "lstm_recurrent_0", theirs: prefix + "lstm.weight_hh", dims: []int{4 * h, h}, linear: true, gates: true},
		{ours: "lstm_input_bias_0", theirs: prefix + "lstm.bias_ih", dims: []int{4 * h}, gates: true},
		{ours: "lstm_recurrent_bias_0", theirs: prefix + "lstm.bias_hh", dims: []int{4 * h}, gates: true},
	}
}

func pointerOf(prefix string, kind, h int) []counterpart {
	return []counterpart{
		{ours: fmt.Sprintf("point_keys_%d", kind), theirs: prefix + "emb_attn.weight", dims: []int{h, h}, linear: true},
		{ours: fmt.Sprintf("point_query_%d", kind), theirs: prefix + "hid_attn.weight", dims: []int{h, h}, linear: true},
		{ours: fmt.Sprintf("point_weight_%d", kind), theirs: prefix + "v_attn.weight", dims: []int{1, h}},
	}
}

func headOf(name string, kind, choices, h int) []counterpart {
	return []counterpart{
		{ours: fmt.Sprintf("head_%d", kind), theirs: name + ".weight", dims: []int{choices, h}, linear: true},
		{ours: fmt.Sprintf("head_bias_%d", kind), theirs: name + ".bias", dims: []int{choices}},
	}
}

func embeddingsOf(name string, kind, all, first, rows, h int) counterpart {
	return counterpart{ours: fmt.Sprintf("embeddings_%d", kind), theirs: name + ".weight", dims: []int{all, h}, first: first, rows: rows}
}

// asOurs lays the values of the authors' weight out as ours of that many numbers.
func (c counterpart) asOurs(size int, theirs []float64) []float64 {
	values := make([]float64, size)
	columns := c.dims[len(c.dims)-1]
	if c.gates {
		quarter := len(theirs) / 4
		theirs = slices.Concat(theirs[:2*quarter], theirs[3*quarter:], theirs[2*quarter:3*quarter])
	}
	switch {
	case c.linear: // ours is [inputs, choices]
		turned := authors.Transposed(theirs, columns)
		for i := range columns {
			copy(values[i*size/columns:], turned[i*c.dims[0]:(i+1)*c.dims[0]])
		}
	case c.rows > 0:
		copy(values, theirs[c.first*columns:(c.first+c.rows)*columns])
	default:
		copy(values, theirs)
	}
	return values
}

// oneCell are the decisions of the authors' controller for a cell of DARTS: for each node two predecessors, then two
// operations, of which "none" is one; a predecessor may come twice.
func oneCell() *space.Decisions {
	const nodes, ops = 4, 8
	d := &space.Decisions{Kinds: []space.Kind{{Name: "predecessor", Choices: nodes + 1, Pointer: true}, {Name: "operation", Choices: ops}}, Steps: 4 * nodes}
	for step := range d.Steps {
		kind, open := step%4/2, ops
		if kind == 0 {
			open = step/4 + 2
		}
		state := space.State{Kind: kind}
		for choice := range d.Kinds[kind].Choices {
			next := space.Forbidden
			if choice < open {
				next = step + 1
			}
			state.Next = append(state.Next, next)
		}
		d.States = append(d.States, state)
	}
	return d
}

// The authors' controllers with given weights, and ours: log-probabilities, entropies, the gradient of REINFORCE, and the
// weights after three of its steps. Where ours differs:
//
//   - The authors have an LSTM of its own for each cell of DARTS, with 2 × 16 decisions of another order. Our space has
//     one for both, so the authors' decisions are written down here; their log-probabilities and losses add up.
//   - The authors' controller for MobileNetV3 also decides on blocks that the depth leaves out. Here all are there.
func TestDefaultComputesAsTheAuthors(t *testing.T) {
	var all map[string]golden
	authors.Read(t, "controller.json", &all)
	nets, err := mobilenetv3.New(mobilenetv3.OFA(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		decisions    *space.Decisions
		counterparts func(h int) [][]counterpart // of each LSTM
	}{
		"nasbench101": {nasbench101.Space{}.Decisions(), func(h int) [][]counterpart {
			list := append(lstmOf("", h), pointerOf("", 1, h)...)
			list = append(append(list, headOf("n_soft", 0, 5, h)...), headOf("w_soft", 2, 3, h)...)
			return [][]counterpart{append(list,
				embeddingsOf("n_nodes_embedding", 0, 5, 0, 5, h),
				embeddingsOf("node_embedding", 1, 7, 0, 7, h),
				embeddingsOf("op_embedding", 2, 3, 0, 3, h),
			)}
		}},
		"darts": {oneCell(), func(h int) (lists [][]counterpart) {
			for _, cell := range []string{"normal_arch_master.", "reduced_arch_master."} {
				list := append(lstmOf(cell, h), pointerOf(cell, 0, h)...)
				list = append(list, headOf(cell+"w_soft", 1, 8, h)...)
				lists = append(lists, append(list,
					embeddingsOf(cell+"node_op_embedding", 0, 13, 0, 5, h),
					embeddingsOf(cell+"node_op_embedding", 1, 13, 5, 8, h),
				))
			}
			return lists
		}},
		"mobilenetv3": {nets.Decisions(), func(h int) [][]counterpart {
			list := append(append(lstmOf("", h), headOf("depth_linear", 0, 3, h)...), headOf("width_linear", 1, 3, h)...)
			list = append(list, headOf("ks_linear", 2, 3, h)...)
			return [][]counterpart{append(list,
				embeddingsOf("depth_embedding", 0, 3, 0, 3, h),
				embeddingsOf("ratio_embedding", 1, 3, 0, 3, h),
				embeddingsOf("ks_embedding", 2, 3, 0, 3, h),
			)}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			golden := all[name]
			compareFull(t, test.decisions, test.counterparts(64), golden)
			compareSteps(t, test.decisions, test.counterparts(4), golden)
		})
	}
}

// withWeights makes a policy of so many hidden units with the authors' given weights.
func withWeights(t *testing.T, d *space.Decisions, h int, list []counterpart) *Controller {
	t.Helper()
	config := Default()
	config.Hidden = h
	c, err := New(d, config)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(numbers(c)); got != len(list) {
		t.Fatalf("ours has %d weights, the authors' %d", got, len(list))
	}
	for _, w := range list {
		var theirs []float64
		for _, x := range authors.Weights(w.theirs, w.dims...) {
			theirs = append(theirs, float64(x))
		}
		if strings.HasSuffix(w.theirs, "bias_hh") {
			clear(theirs) // as only the sum of both is seen
		}
		set(t, c, w.ours, w.asOurs(len(numbers(c)[w.ours]), theirs)...)
	}
	return c
}

func compareFull(t *testing.T, d *space.Decisions, lists [][]counterpart, golden golden) {
	t.Helper()
	logProbs, entropies := make([]float64, len(golden.Sequences)), make([]float64, len(golden.Sequences))
	for k, list := range lists {
		logProb, entropy, err := withWeights(t, d, 64, list).LogProb(partOf(golden.Sequences, k))
		if err != nil {
			t.Fatal(err)
		}
		for i := range logProbs {
			logProbs[i] += logProb[i]
			entropies[i] += entropy[i]
		}
	}
	for i := range logProbs {
		near(t, fmt.Sprintf("the log-probability of sequence %d", i), logProbs[i], golden.Full.LogProbs[i])
		near(t, fmt.Sprintf("the entropy of sequence %d", i), entropies[i], golden.Full.Entropies[i])
	}
}

func compareSteps(t *testing.T, d *space.Decisions, lists [][]counterpart, golden golden) {
	t.Helper()
	small := golden.Small
	losses := make([]float64, len(small.Rewards))
	for k, list := range lists {
		c := withWeights(t, d, 4, list)
		before := make(map[string][]float64)
		for name, values := range numbers(c) {
			before[name] = slices.Clone(values)
		}
		for i, reward := range small.Rewards {
			step, err := c.Reinforce(partOf(golden.Sequences, k)[i:i+1], []float64{reward})
			if err != nil {
				t.Fatal(err)
			}
			losses[i] += step.Loss
			if i == 0 {
				compareGradient(t, c, before, list, small.Gradient)
			}
		}
		compareWeights(t, "the weight %s[%d] after three steps", c, numbers(c), list, small.Weights)
	}
	for i, loss := range losses {
		near(t, fmt.Sprintf("the loss of step %d", i+1), loss, small.Losses[i])
	}
}

// compareGradient reads the gradient of the first step from Adam's first moment, (1−β₁)·(gradient + WeightDecay·θ).
func compareGradient(t *testing.T, c *Controller, before map[string][]float64, list []counterpart, want map[string]any) {
	t.Helper()
	gradient := make(map[string][]float64)
	for _, moment := range c.moment1.all {
		for i, m := range moment.values {
			gradient[moment.name] = append(gradient[moment.name], m/(1-c.config.Beta1)-c.config.WeightDecay*before[moment.name][i])
		}
	}
	compareWeights(t, "the gradient of %s[%d]", c, gradient, list, want)
}

func compareWeights(t *testing.T, what string, c *Controller, got map[string][]float64, list []counterpart, all map[string]any) {
	t.Helper()
	for _, w := range list {
		want := w.asOurs(len(numbers(c)[w.ours]), authors.Flat(t, all[w.theirs]))
		if len(got[w.ours]) != len(want) {
			t.Fatalf("%s has %d numbers, want %d", w.ours, len(got[w.ours]), len(want))
		}
		for i := range want {
			near(t, fmt.Sprintf(what, w.ours, i), got[w.ours][i], want[i])
		}
	}
}

// partOf returns the choices of one LSTM.
func partOf(sequences [][][]int, k int) [][]int {
	var parts [][]int
	for _, s := range sequences {
		parts = append(parts, s[k])
	}
	return parts
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-5*(1+math.Abs(want))) {
		t.Errorf("%s is %.7g, the authors' %.7g", what, got, want)
	}
}
