// Package controller is the policy π(α; θ) that writes architectures down (paper,
// Sec. 3.2; the LSTM of ENAS, Pham et al., 2018, as in the authors' code).
//
//	policy, err := controller.New(backend, space.Decisions(), controller.Default())
//	sequences, err := policy.Sample(rng, 100)
//	loss, err := policy.Reinforce(sequences, rewards)
//
// It knows nothing of a search space but the [space.Decisions]: at each step the
// automaton's state says which kind of decision comes and which choices are open.
// Sampling, log-probabilities and entropies of a whole batch are one computation
// graph, with the automaton inside it as lookup tables.
package controller

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
)

// Config describes a policy and how it learns.
type Config struct {
	Hidden       int     // size of the LSTM's state and of the embeddings
	InitRange    float64 // weights start uniform in ±InitRange
	EntropyBonus float64 // weight of the policy's entropy in the objective
	LearningRate float64 // of Adam
	Beta1, Beta2 float64 // of Adam
	WeightDecay  float64 // L2 penalty: WeightDecay/2 · ‖θ‖² joins the loss
	Seed         uint64  // of the initial weights
}

// Default is the controller of the authors' published code.
func Default() Config {
	return Config{
		Hidden: 64, InitRange: 0.1, EntropyBonus: 5e-4,
		LearningRate: 2e-4, Beta1: 0.5, Beta2: 0.999, WeightDecay: 5e-4,
	}
}

// Controller is a policy. It is not safe for concurrent use.
type Controller struct {
	config    Config
	decisions *space.Decisions
	tables    tables
	store     *model.Store // the weights θ and the optimiser's state
	sample    *model.Exec  // sampleGraph
	evaluate  *model.Exec  // evaluateGraph
	step      *model.Exec  // stepGraph
}

// The paths of the weights θ in the store; %d is a kind of decision. Embeddings and
// heads have room for the choices of the largest kind.
const (
	scopePolicy     = "policy"
	nameEmbeddings  = "embeddings"      // [kinds, choices, hidden]
	nameInput       = "lstm_input"      // [hidden, 4·hidden]
	nameRecurrent   = "lstm_recurrent"  // [hidden, 4·hidden]
	nameLSTMBias    = "lstm_bias"       // [4·hidden]
	nameHead        = "head_%d"         // [hidden, choices], of a kind that is no pointer
	nameHeadBias    = "head_bias_%d"    // [choices]
	namePointKeys   = "point_keys_%d"   // [hidden, hidden], of a pointer kind
	namePointQuery  = "point_query_%d"  // [hidden, hidden]
	namePointWeight = "point_weight_%d" // [hidden]
)

// New makes a policy with random weights for the given decisions. The error says
// what is wrong in the configuration.
func New(backend compute.Backend, d *space.Decisions, config Config) (*Controller, error) {
	if config.Hidden < 1 || config.LearningRate <= 0 || config.InitRange <= 0 {
		return nil, fmt.Errorf("controller: hidden size, learning rate and initial range must be positive, not %d, %g and %g", config.Hidden, config.LearningRate, config.InitRange)
	}
	rng := rand.New(rand.NewPCG(config.Seed, 1))
	store := model.NewStore()
	scope := store.RootScope().At(scopePolicy)
	var err error
	draw := func() float64 { return config.InitRange * (2*rng.Float64() - 1) }
	create := func(name string, dims ...int) {
		if err == nil {
			err = engine.NewVariable(scope, name, draw, dims...)
		}
	}
	h, choices := config.Hidden, d.MaxChoices()
	create(nameEmbeddings, len(d.Kinds), choices, h)
	create(nameInput, h, 4*h)
	create(nameRecurrent, h, 4*h)
	create(nameLSTMBias, 4*h)
	for k, kind := range d.Kinds {
		if kind.Pointer {
			create(fmt.Sprintf(namePointKeys, k), h, h)
			create(fmt.Sprintf(namePointQuery, k), h, h)
			create(fmt.Sprintf(namePointWeight, k), h)
		} else {
			create(fmt.Sprintf(nameHead, k), h, choices)
			create(fmt.Sprintf(nameHeadBias, k), choices)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("controller: %w", err)
	}
	return newController(backend, d, config, store)
}

func newController(backend compute.Backend, d *space.Decisions, config Config, store *model.Store) (*Controller, error) {
	c := &Controller{config: config, decisions: d, tables: newTables(d), store: store}
	var err error
	for _, e := range []struct {
		exec  **model.Exec
		build func(*model.Scope, []*Node) []*Node
	}{{&c.sample, c.sampleGraph}, {&c.evaluate, c.evaluateGraph}, {&c.step, c.stepGraph}} {
		if *e.exec, err = model.NewExec(backend, store, e.build); err != nil {
			return nil, fmt.Errorf("controller: %w", err)
		}
		(*e.exec).SetMaxCache(-1)
	}
	return c, nil
}

// Config returns what the policy was made with.
func (c *Controller) Config() Config { return c.config }

// tables are the automaton as arrays, with one more row for its end: there the only
// choice is 0, which leads to the end again, so a finished sequence adds nothing to
// the log-probability and the entropy.
type tables struct {
	kind    []int32   // [states+1]
	open    [][]bool  // [states+1][choices]
	next    [][]int32 // [states+1][choices]
	kindsAt [][]int   // the kinds that can come at each step
}

func newTables(d *space.Decisions) tables {
	choices, end := d.MaxChoices(), d.End()
	t := tables{
		kind: make([]int32, end+1),
		open: make([][]bool, end+1),
		next: make([][]int32, end+1),
	}
	for s := range end + 1 {
		t.open[s] = make([]bool, choices)
		t.next[s] = make([]int32, choices)
		if s == end {
			t.open[s][0], t.next[s][0] = true, int32(end)
			continue
		}
		t.kind[s] = int32(d.States[s].Kind)
		for choice, to := range d.States[s].Next {
			if to != space.Forbidden {
				t.open[s][choice], t.next[s][choice] = true, int32(to)
			}
		}
	}
	reached := map[int32]bool{0: true}
	for range d.Steps {
		after := map[int32]bool{}
		present := make([]bool, len(d.Kinds))
		for s := range reached {
			present[t.kind[s]] = true
			for choice, open := range t.open[s] {
				if open {
					after[t.next[s][choice]] = true
				}
			}
		}
		var kinds []int
		for k, here := range present {
			if here {
				kinds = append(kinds, k)
			}
		}
		t.kindsAt = append(t.kindsAt, kinds)
		reached = after
	}
	return t
}

// rollout builds the policy's walk through the automaton for a batch. choose gives
// the choices [batch] of a step from its log-probabilities [batch, choices], where
// choices that are not open have a very low one. rollout returns the choices
// [batch, steps], and the log-probability and the entropy of each walk, [batch].
func (c *Controller) rollout(root *model.Scope, g *Graph, batch int, choose func(step int, logProbs *Node) *Node) (choices, logProb, entropy *Node) {
	const closed = -1e9
	scope := root.At(scopePolicy)
	variable := func(format string, args ...any) *Node {
		return scope.GetVariable(fmt.Sprintf(format, args...)).NodeValue(g)
	}
	at := func(table *Node, indices ...*Node) *Node {
		for i, index := range indices {
			indices[i] = ExpandAxes(index, -1)
		}
		return Gather(table, Concatenate(indices, -1))
	}
	kindTable, openTable, nextTable := Const(g, c.tables.kind), Const(g, c.tables.open), Const(g, c.tables.next)
	embeddings := variable(nameEmbeddings)
	numChoices, hidden := embeddings.Shape().Dim(1), c.config.Hidden

	keys := make(map[int]*Node) // of the pointer kinds, [1, choices, hidden]
	for k, kind := range c.decisions.Kinds {
		if kind.Pointer {
			own := Squeeze(Slice(embeddings, AxisElem(k)), 0)
			keys[k] = ExpandAxes(MatMul(own, variable(namePointKeys, k)), 0)
		}
	}
	logitsOf := func(k int, h *Node) *Node {
		if !c.decisions.Kinds[k].Pointer {
			return Add(MatMul(h, variable(nameHead, k)), ExpandAxes(variable(nameHeadBias, k), 0))
		}
		query := ExpandAxes(MatMul(h, variable(namePointQuery, k)), 1) // [batch, 1, hidden]
		return Einsum("bch,h->bc", Tanh(Add(keys[k], query)), variable(namePointWeight, k))
	}

	state := Const(g, make([]int32, batch))
	x := Const(g, tensors.FromScalarAndDimensions(float32(0), batch, hidden))
	h, cell := x, x
	for step := range c.decisions.Steps {
		h, cell = lstm(x, h, cell, variable(nameInput), variable(nameRecurrent), variable(nameLSTMBias))
		kind := at(kindTable, state)
		var logits *Node
		for _, k := range c.tables.kindsAt[step] {
			own := logitsOf(k, h)
			if logits == nil {
				logits = own
				continue
			}
			isKind := ExpandAxes(Equal(kind, Const(g, int32(k))), -1)
			logits = Where(BroadcastToDims(isKind, batch, numChoices), own, logits)
		}
		open := at(openTable, state)
		logProbs := LogSoftmax(Where(open, logits, MulScalar(OnesLike(logits), closed)))
		choice := choose(step, logProbs)

		taken := ReduceSum(Mul(logProbs, OneHot(choice, numChoices, dtypes.Float32)), -1)
		uncertainty := Neg(ReduceSum(Mul(Exp(logProbs), logProbs), -1))
		column := ExpandAxes(choice, -1)
		if step == 0 {
			logProb, entropy, choices = taken, uncertainty, column
		} else {
			logProb, entropy, choices = Add(logProb, taken), Add(entropy, uncertainty), Concatenate([]*Node{choices, column}, -1)
		}
		x = at(embeddings, kind, choice)
		state = at(nextTable, state, choice)
	}
	return choices, logProb, entropy
}

// lstm builds one step of an LSTM cell: x, h and cell are [batch, hidden].
func lstm(x, h, cell, input, recurrent, bias *Node) (newH, newCell *Node) {
	gates := Add(Add(MatMul(x, input), MatMul(h, recurrent)), ExpandAxes(bias, 0))
	n := h.Shape().Dim(1)
	gate := func(i int) *Node { return Slice(gates, AxisRange(), AxisRange(i*n, (i+1)*n)) }
	in, forget, update, out := Sigmoid(gate(0)), Sigmoid(gate(1)), Tanh(gate(2)), Sigmoid(gate(3))
	newCell = Add(Mul(forget, cell), Mul(in, update))
	return Mul(out, Tanh(newCell)), newCell
}

// sampleGraph takes Gumbel noise [batch, steps, choices] and returns the sampled
// choices [batch, steps]: the largest of log-probability plus Gumbel noise is a
// sample of the distribution.
func (c *Controller) sampleGraph(root *model.Scope, inputs []*Node) []*Node {
	noise := inputs[0]
	choices, _, _ := c.rollout(root, noise.Graph(), noise.Shape().Dim(0), func(step int, logProbs *Node) *Node {
		return ArgMax(Add(logProbs, Squeeze(Slice(noise, AxisRange(), AxisElem(step)), 1)), -1, dtypes.Int32)
	})
	return []*Node{choices}
}

// evaluateGraph takes choices [batch, steps] and returns their log-probability
// log π(α; θ) and the entropy of the decisions on the way, [batch] each.
func (c *Controller) evaluateGraph(root *model.Scope, inputs []*Node) []*Node {
	given := inputs[0]
	_, logProb, entropy := c.rollout(root, given.Graph(), given.Shape().Dim(0), func(step int, _ *Node) *Node {
		return Squeeze(Slice(given, AxisRange(), AxisElem(step)), 1)
	})
	return []*Node{logProb, entropy}
}

// stepGraph takes choices [batch, steps] and rewards [batch], builds one step of
// Adam on the loss of REINFORCE, and returns that loss and the mean entropy.
func (c *Controller) stepGraph(root *model.Scope, inputs []*Node) []*Node {
	out := c.evaluateGraph(root, inputs[:1])
	loss := c.loss(out[0], out[1], inputs[1])
	adam := engine.Adam{LearningRate: c.config.LearningRate, Beta1: c.config.Beta1, Beta2: c.config.Beta2, WeightDecay: c.config.WeightDecay}
	adam.Minimize(root, scopePolicy, loss)
	return []*Node{loss, ReduceAllMean(out[1])}
}

// loss is −mean(R(α)·log π(α; θ) + EntropyBonus·H): its negative gradient is the
// policy gradient of Alg. 1, line 10.
func (c *Controller) loss(logProb, entropy, reward *Node) *Node {
	return Neg(ReduceAllMean(Add(Mul(logProb, reward), MulScalar(entropy, c.config.EntropyBonus))))
}

// Sample draws n sequences of decisions from the policy.
func (c *Controller) Sample(rng *rand.Rand, n int) ([][]int, error) {
	steps, choices := c.decisions.Steps, c.decisions.MaxChoices()
	noise := make([]float32, n*steps*choices)
	for i := range noise {
		noise[i] = float32(-math.Log(rng.ExpFloat64()))
	}
	out, err := c.sample.Call(tensors.FromFlatDataAndDimensions(noise, n, steps, choices))
	if err != nil {
		return nil, fmt.Errorf("controller: cannot sample: %w", err)
	}
	flat := tensors.MustCopyFlatData[int32](out[0])
	sequences := make([][]int, n)
	for i := range sequences {
		sequences[i] = c.untilEnd(flat[i*steps : (i+1)*steps])
	}
	return sequences, nil
}

// untilEnd cuts a row of choices off where the automaton ends.
func (c *Controller) untilEnd(row []int32) []int {
	var sequence []int
	for state := int32(0); state != int32(c.decisions.End()); {
		choice := row[len(sequence)]
		sequence = append(sequence, int(choice))
		state = c.tables.next[state][choice]
	}
	return sequence
}

// choicesTensor lays complete sequences out as [batch, steps], 0 after their end.
func (c *Controller) choicesTensor(sequences [][]int) (*tensors.Tensor, error) {
	flat := make([]int32, len(sequences)*c.decisions.Steps)
	for i, sequence := range sequences {
		if err := c.decisions.Check(sequence); err != nil {
			return nil, fmt.Errorf("controller: sequence %d: %w", i, err)
		}
		for step, choice := range sequence {
			flat[i*c.decisions.Steps+step] = int32(choice)
		}
	}
	return tensors.FromFlatDataAndDimensions(flat, len(sequences), c.decisions.Steps), nil
}

// LogProb returns log π(α; θ) of each sequence and the entropy, in nats, of the
// decisions along it. The error names the first decision that is not allowed.
func (c *Controller) LogProb(sequences [][]int) (logProb, entropy []float64, err error) {
	choices, err := c.choicesTensor(sequences)
	if err != nil {
		return nil, nil, err
	}
	out, err := c.evaluate.Call(choices)
	if err != nil {
		return nil, nil, fmt.Errorf("controller: cannot compute log-probabilities: %w", err)
	}
	return float64s(out[0]), float64s(out[1]), nil
}

// Step is what [Controller.Reinforce] measured before it changed the policy.
type Step struct {
	Loss    float64 // −mean(R·log π + EntropyBonus·H)
	Entropy float64 // mean H of the sequences, in nats
}

// Reinforce takes one step of policy gradient on sampled sequences and their
// rewards (Alg. 1, line 10, with the entropy bonus).
func (c *Controller) Reinforce(sequences [][]int, rewards []float64) (Step, error) {
	if len(rewards) != len(sequences) || len(rewards) == 0 {
		return Step{}, fmt.Errorf("controller: a step needs a reward for each sequence, got %d for %d", len(rewards), len(sequences))
	}
	choices, err := c.choicesTensor(sequences)
	if err != nil {
		return Step{}, err
	}
	r := make([]float32, len(rewards))
	for i, reward := range rewards {
		r[i] = float32(reward)
	}
	out, err := c.step.Call(choices, tensors.FromFlatDataAndDimensions(r, len(r)))
	if err != nil {
		return Step{}, fmt.Errorf("controller: cannot train: %w", err)
	}
	return Step{Loss: float64s(out[0])[0], Entropy: float64s(out[1])[0]}, nil
}

func float64s(t *tensors.Tensor) []float64 {
	flat := tensors.MustCopyFlatData[float32](t)
	values := make([]float64, len(flat))
	for i, v := range flat {
		values[i] = float64(v)
	}
	return values
}

// Encode writes the weights and the optimiser's state to bytes.
func (c *Controller) Encode() ([]byte, error) { return engine.EncodeStore(c.store) }

// Decode makes a policy from what [Controller.Encode] wrote. The error says that the
// weights do not fit the decisions or the configuration.
func Decode(backend compute.Backend, d *space.Decisions, config Config, data []byte) (*Controller, error) {
	store, err := engine.DecodeStore(data)
	if err != nil {
		return nil, err
	}
	fresh, err := New(backend, d, config)
	if err != nil {
		return nil, err
	}
	if err := engine.SameVariables(store, fresh.store); err != nil {
		return nil, fmt.Errorf("controller: the checkpoint is of another controller: %w", err)
	}
	return newController(backend, d, config, store)
}
