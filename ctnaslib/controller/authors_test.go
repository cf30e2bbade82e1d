package controller

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/core/tensors"

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

// part is what a weight of ours has of one of the authors': from row first of theirs as many rows as dims says.
type part struct {
	name   string
	dims   []int // of the whole weight
	first  int
	rows   int  // 0: all
	linear bool // whether the authors' has outputs as rows, ours as columns
	gates  bool // whether its rows are the four gates of an LSTM, of which ours has the last two the other way round
}

// counterpart is a weight of ours and the authors' weights in it; ours has room for more choices than some of theirs,
// which stays 0.
type counterpart struct {
	ours  string
	parts []part
}

// lstm lists the counterparts that all of the authors' controllers have.
func lstm(prefix string, h int) []counterpart {
	return []counterpart{
		{nameInput, []part{{name: prefix + "lstm.weight_ih", dims: []int{4 * h, h}, linear: true, gates: true}}},
		{nameRecurrent, []part{{name: prefix + "lstm.weight_hh", dims: []int{4 * h, h}, linear: true, gates: true}}},
		{nameLSTMBias, []part{{name: prefix + "lstm.bias_ih", dims: []int{4 * h}, gates: true}}},
	}
}

func pointer(prefix string, kind, h int) []counterpart {
	return []counterpart{
		{fmt.Sprintf(namePointKeys, kind), []part{{name: prefix + "emb_attn.weight", dims: []int{h, h}, linear: true}}},
		{fmt.Sprintf(namePointQuery, kind), []part{{name: prefix + "hid_attn.weight", dims: []int{h, h}, linear: true}}},
		{fmt.Sprintf(namePointWeight, kind), []part{{name: prefix + "v_attn.weight", dims: []int{1, h}}}},
	}
}

func head(name string, kind, choices, h int) []counterpart {
	return []counterpart{
		{fmt.Sprintf(nameHead, kind), []part{{name: name + ".weight", dims: []int{choices, h}, linear: true}}},
		{fmt.Sprintf(nameHeadBias, kind), []part{{name: name + ".bias", dims: []int{choices}}}},
	}
}

// asOurs lays the values of the authors' weights out as a weight of ours of that shape. value gives those of a name.
func (c counterpart) asOurs(shape []int, value func(name string, dims []int) []float64) []float64 {
	size := 1
	for _, d := range shape {
		size *= d
	}
	values := make([]float64, size)
	for k, p := range c.parts {
		theirs := value(p.name, p.dims)
		columns := p.dims[len(p.dims)-1]
		if p.gates {
			quarter := len(theirs) / 4
			theirs = slices.Concat(theirs[:2*quarter], theirs[3*quarter:], theirs[2*quarter:3*quarter])
		}
		switch {
		case p.linear: // ours is [inputs, choices]
			turned := authors.Transposed(theirs, columns)
			for i := range columns {
				copy(values[i*shape[1]:], turned[i*p.dims[0]:(i+1)*p.dims[0]])
			}
		case p.rows > 0: // ours is [kinds, choices, hidden]
			copy(values[k*shape[1]*shape[2]:], theirs[p.first*columns:(p.first+p.rows)*columns])
		default:
			copy(values, theirs)
		}
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
//   - The authors' LSTM has two biases, of which only the sum counts. Ours has one, so that in a step it moves half as
//     far. Here their second one is 0 at first, and ours moves as their first.
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
			list := append(lstm("", h), pointer("", 1, h)...)
			list = append(append(list, head("n_soft", 0, 5, h)...), head("w_soft", 2, 3, h)...)
			return [][]counterpart{append(list, counterpart{nameEmbeddings, []part{
				{name: "n_nodes_embedding.weight", dims: []int{5, h}, rows: 5},
				{name: "node_embedding.weight", dims: []int{7, h}, rows: 7},
				{name: "op_embedding.weight", dims: []int{3, h}, rows: 3},
			}})}
		}},
		"darts": {oneCell(), func(h int) (lists [][]counterpart) {
			for _, cell := range []string{"normal_arch_master.", "reduced_arch_master."} {
				list := append(lstm(cell, h), pointer(cell, 0, h)...)
				list = append(list, head(cell+"w_soft", 1, 8, h)...)
				lists = append(lists, append(list, counterpart{nameEmbeddings, []part{
					{name: cell + "node_op_embedding.weight", dims: []int{13, h}, rows: 5},
					{name: cell + "node_op_embedding.weight", dims: []int{13, h}, first: 5, rows: 8},
				}}))
			}
			return lists
		}},
		"mobilenetv3": {nets.Decisions(), func(h int) [][]counterpart {
			list := append(append(lstm("", h), head("depth_linear", 0, 3, h)...), head("width_linear", 1, 3, h)...)
			list = append(list, head("ks_linear", 2, 3, h)...)
			return [][]counterpart{append(list, counterpart{nameEmbeddings, []part{
				{name: "depth_embedding.weight", dims: []int{3, h}, rows: 3},
				{name: "ratio_embedding.weight", dims: []int{3, h}, rows: 3},
				{name: "ks_embedding.weight", dims: []int{3, h}, rows: 3},
			}})}
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
	c, err := New(backend(t), d, config)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(weights(c)); got != len(list) {
		t.Fatalf("ours has %d weights, the authors' %d", got, len(list))
	}
	for _, w := range list {
		v := c.store.GetVariable("/" + scopePolicy + "/" + w.ours)
		values := w.asOurs(v.Shape().Dimensions, func(name string, dims []int) []float64 {
			var all []float64
			for _, x := range authors.Weights(name, dims...) {
				all = append(all, float64(x))
			}
			return all
		})
		flat := make([]float32, len(values))
		for i, x := range values {
			flat[i] = float32(x)
		}
		if err := v.SetValue(tensors.FromFlatDataAndDimensions(flat, v.Shape().Dimensions...)); err != nil {
			t.Fatal(err)
		}
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
		before := weights(c)
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
		compareWeights(t, "the weight %s[%d] after three steps", c, weights(c), list, small.Weights)
	}
	near(t, "the loss of the first step", losses[0], small.Losses[0])
	for i, loss := range losses[1:] { // by when the biases have moved apart
		if want := small.Losses[i+1]; math.Abs(loss-want) > 1e-4*want {
			t.Errorf("the loss of step %d is %.6g, the authors' %.6g", i+2, loss, want)
		}
	}
}

// compareGradient reads the gradient of the first step from Adam's first moment, (1−β₁)·(gradient + WeightDecay·θ).
func compareGradient(t *testing.T, c *Controller, before map[string][]float64, list []counterpart, want map[string]any) {
	t.Helper()
	gradient := make(map[string][]float64)
	for v := range c.store.IterVariables() {
		name, ok := strings.CutSuffix(v.Name(), "_1st_moment")
		if !ok || before[name] == nil {
			continue
		}
		for i, m := range float64s(v.MustValue()) {
			gradient[name] = append(gradient[name], m/(1-c.config.Beta1)-c.config.WeightDecay*before[name][i])
		}
	}
	compareWeights(t, "the gradient of %s[%d]", c, gradient, list, want)
}

func compareWeights(t *testing.T, what string, c *Controller, got map[string][]float64, list []counterpart, all map[string]any) {
	t.Helper()
	for _, w := range list {
		want := w.asOurs(c.store.GetVariable("/"+scopePolicy+"/"+w.ours).Shape().Dimensions, func(name string, _ []int) []float64 { return authors.Flat(t, all[name]) })
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
