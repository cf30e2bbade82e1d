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
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train/optimizer"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
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

// Default returns the controller of the authors' published code.
func Default() Config {
	return Config{
		Hidden: 64, InitRange: 0.1, EntropyBonus: 5e-4,
		LearningRate: 2e-4, Beta1: 0.5, Beta2: 0.999, WeightDecay: 5e-4,
	}
}

// Versions returns the versions of the algorithms behind a policy, for the keys of stored results.
func Versions() rundir.Versions { return rundir.Versions{"controller": 1} }

// Check reports the first setting with which a policy cannot learn: one that is no number,
// or far from any use.
func (c Config) Check() error {
	const maxHidden = 4096
	if c.Hidden < 1 || c.Hidden > maxHidden {
		return fmt.Errorf("controller: Hidden is %d; set it from 1 to %d hidden units, as in controller.Default (%d)", c.Hidden, maxHidden, Default().Hidden)
	}
	d := Default()
	for _, x := range []struct {
		name               string
		value, least, most float64
		usual              float64
	}{
		{"InitRange", c.InitRange, 1e-12, 100, d.InitRange},
		{"EntropyBonus", c.EntropyBonus, 0, 1000, d.EntropyBonus},
		{"LearningRate", c.LearningRate, 1e-12, 1, d.LearningRate}, // Adam changes a weight by about as much
		{"Beta1", c.Beta1, 0, 0.999999, d.Beta1},                   // in [0, 1) as a float32, too
		{"Beta2", c.Beta2, 0, 0.999999, d.Beta2},
		{"WeightDecay", c.WeightDecay, 0, 1, d.WeightDecay},
	} {
		if !(x.value >= x.least && x.value <= x.most) { // NaN is neither
			return fmt.Errorf("controller: %s is %g; set it from %g to %g, as in controller.Default (%g)", x.name, x.value, x.least, x.most, x.usual)
		}
	}
	return nil
}

// Controller is a policy. It is not safe for concurrent use.
type Controller struct {
	config    Config
	decisions *space.Decisions
	tables    tables
	key       key
	*programs
	unusable error // why the policy can do nothing any more: it diverged, or was released
}

// programs are the compiled graphs of a policy and the variables they work on.
type programs struct {
	store    *model.Store // the weights θ and the optimiser's state
	sample   *model.Exec  // sampleGraph
	evaluate *model.Exec  // evaluateGraph
	step     *model.Exec  // stepGraph
}

// key is all that the graphs of a policy depend on.
type key struct {
	backend   compute.Backend
	decisions *space.Decisions
	config    Config // without its seed
}

var spare engine.Pool[key, *programs]

// Release hands the policy's compiled graphs over to the next one of the same
// configuration, whatever its seed, and the same decisions. The policy must not be
// used any more.
func (c *Controller) Release() {
	if c.programs == nil {
		return
	}
	spare.Put(c.key, c.programs)
	c.programs, c.unusable = nil, errors.New("controller: the policy was released; make a new one")
}

// The paths of the weights θ in the store; %d is a kind of decision. Embeddings and
// heads have room for the choices of the largest kind.
const (
	scopePolicy     = "policy"
	nameEmbeddings  = "embeddings"      // [kinds, choices, hidden]
	nameInput       = "lstm_input"      // [hidden, 4·hidden]
	nameRecurrent   = "lstm_recurrent"  // [hidden, 4·hidden]
	nameLSTMBias    = "lstm_bias"       // [4·hidden]; gates in, forget, out, update
	nameHead        = "head_%d"         // [hidden, choices], of a kind that is no pointer
	nameHeadBias    = "head_bias_%d"    // [choices]
	namePointKeys   = "point_keys_%d"   // [hidden, hidden], of a pointer kind
	namePointQuery  = "point_query_%d"  // [hidden, hidden]
	namePointWeight = "point_weight_%d" // [hidden]
)

// New makes a policy with random weights for the given decisions, with the graphs of one that was
// released if there are any. The error says what is wrong in the configuration.
func New(backend compute.Backend, d *space.Decisions, config Config) (*Controller, error) {
	store, err := newStore(d, config)
	if err != nil {
		return nil, err
	}
	c := &Controller{config: config, decisions: d, tables: newTables(d), key: key{backend, d, config}}
	c.key.config.Seed = 0
	if old, ok := spare.Take(c.key); ok && engine.Overwrite(old.store, store) == nil {
		c.programs = old
		return c, nil
	}
	c.programs = &programs{store: store}
	for _, program := range []struct {
		exec  **model.Exec
		graph func(*model.Scope, []*Node) []*Node
	}{{&c.sample, c.sampleGraph}, {&c.evaluate, c.evaluateGraph}, {&c.step, c.stepGraph}} {
		if *program.exec, err = engine.NewProgram(backend, store, program.graph); err != nil {
			return nil, fmt.Errorf("controller: %w", err)
		}
	}
	return c, nil
}

func newStore(d *space.Decisions, config Config) (*model.Store, error) {
	if err := config.Check(); err != nil {
		return nil, err
	}
	rng := engine.Stream(config.Seed, "controller: weights", 0)
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
	return store, nil
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

// network is the policy's LSTM in a graph.
type network struct {
	c         *Controller
	scope     *model.Scope
	inputs    *Node         // [kinds, choices, 4·hidden]: what a decision adds to the gates of the next step
	start     *Node         // [4·hidden]: what the gates of the first step have instead
	recurrent *Node         // [hidden, 4·hidden]
	keys      map[int]*Node // of the pointer kinds, [1, choices, hidden]
	kind      *Node         // tables.kind
	open      *Node         // tables.open
}

func (c *Controller) network(root *model.Scope, g *Graph) *network {
	n := &network{c: c, scope: root.At(scopePolicy), keys: make(map[int]*Node)}
	embeddings := n.variable(g, nameEmbeddings)
	n.start = n.variable(g, nameLSTMBias)
	n.inputs = Add(Einsum("kch,hg->kcg", embeddings, n.variable(g, nameInput)), ExpandLeftToRank(n.start, 3))
	n.recurrent = n.variable(g, nameRecurrent)
	for k, kind := range c.decisions.Kinds {
		if kind.Pointer {
			own := Squeeze(Slice(embeddings, AxisElem(k)), 0)
			n.keys[k] = ExpandAxes(MatMul(own, n.variable(g, namePointKeys, k)), 0)
		}
	}
	n.kind, n.open = Const(g, c.tables.kind), Const(g, c.tables.open)
	return n
}

func (n *network) variable(g *Graph, format string, args ...any) *Node {
	return n.scope.GetVariable(fmt.Sprintf(format, args...)).NodeValue(g)
}

// at reads a table at indices of one shape, one for each of its first axes.
func at(table *Node, indices ...*Node) *Node {
	expanded := make([]*Node, len(indices))
	for i, index := range indices {
		expanded[i] = ExpandAxes(index, -1)
	}
	return Gather(table, Concatenate(expanded, -1))
}

// advance builds one step of the LSTM: input [batch, 4·hidden] is what the decision
// before adds to the gates; h and cell are [batch, hidden].
func (n *network) advance(input, h, cell *Node) (newH, newCell *Node) {
	size := h.Shape().Dim(1)
	gates := Add(input, MatMul(h, n.recurrent))
	slice := func(from, to int) *Node { return Slice(gates, AxisRange(), AxisRange(from*size, to*size)) }
	sigmoids := Sigmoid(slice(0, 3)) // in, forget, out
	gate := func(i int) *Node { return Slice(sigmoids, AxisRange(), AxisRange(i*size, (i+1)*size)) }
	newCell = Add(Mul(gate(1), cell), Mul(gate(0), Tanh(slice(3, 4))))
	return Mul(gate(2), Tanh(newCell)), newCell
}

// logits builds the logits [batch, choices] of the decisions in the given states
// [batch], which are of one of the given kinds, from h [batch, hidden]. Choices that
// are not open have a very low one.
func (n *network) logits(h, states *Node, kinds []int) *Node {
	const closed = -1e9
	g := h.Graph()
	kindOf := at(n.kind, states)
	var logits *Node
	for _, k := range kinds {
		var own *Node
		if n.c.decisions.Kinds[k].Pointer {
			query := ExpandAxes(MatMul(h, n.variable(g, namePointQuery, k)), 1) // [batch, 1, hidden]
			own = Einsum("bch,h->bc", Tanh(Add(n.keys[k], query)), n.variable(g, namePointWeight, k))
		} else {
			own = Add(MatMul(h, n.variable(g, nameHead, k)), ExpandAxes(n.variable(g, nameHeadBias, k), 0))
		}
		if logits == nil {
			logits = own
			continue
		}
		isKind := ExpandAxes(Equal(kindOf, Const(g, int32(k))), -1)
		logits = Where(BroadcastToShape(isKind, logits.Shape()), own, logits)
	}
	return Where(at(n.open, states), logits, MulScalar(OnesLike(logits), closed))
}

// zeros returns the LSTM's state before the first step.
func (c *Controller) zeros(g *Graph, batch int) *Node {
	return Zeros(g, shapes.Make(dtypes.Float32, batch, c.config.Hidden))
}

// sampleGraph takes Gumbel noise [batch, steps, choices] and returns the sampled
// choices [batch, steps]: the largest of logit plus Gumbel noise is a sample of the
// distribution. The automaton's state is followed in the graph. It also returns the sum of
// all logits, which is no number if one of them is none.
func (c *Controller) sampleGraph(root *model.Scope, inputs []*Node) []*Node {
	noise := inputs[0]
	g, batch := noise.Graph(), noise.Shape().Dim(0)
	n := c.network(root, g)
	next := Const(g, c.tables.next)
	state := Const(g, make([]int32, batch))
	input := BroadcastToDims(ExpandAxes(n.start, 0), batch, 4*c.config.Hidden)
	h, cell := c.zeros(g, batch), c.zeros(g, batch)
	choices := make([]*Node, c.decisions.Steps)
	sum := ScalarZero(g, dtypes.Float32)
	for step := range choices {
		h, cell = n.advance(input, h, cell)
		logits := n.logits(h, state, c.tables.kindsAt[step])
		sum = Add(sum, ReduceAllSum(logits))
		choice := ArgMax(Add(logits, Squeeze(Slice(noise, AxisRange(), AxisElem(step)), 1)), -1, dtypes.Int32)
		choices[step] = ExpandAxes(choice, -1)
		input = at(n.inputs, at(n.kind, state), choice)
		state = at(next, state, choice)
	}
	return []*Node{Concatenate(choices, -1), sum}
}

// evaluateGraph takes choices and the states they are made in, [batch, steps] each,
// and returns the log-probability log π(α; θ) of the choices and the entropy of the
// decisions on the way, [batch] each. As the walk is known, only the LSTM itself
// goes step by step.
func (c *Controller) evaluateGraph(root *model.Scope, inputs []*Node) []*Node {
	choices, states := inputs[0], inputs[1]
	g, batch, steps := choices.Graph(), choices.Shape().Dim(0), c.decisions.Steps
	n := c.network(root, g)
	decided := at(n.inputs, at(n.kind, states), choices) // [batch, steps, 4·hidden]
	input := BroadcastToDims(ExpandAxes(n.start, 0), batch, 4*c.config.Hidden)
	h, cell := c.zeros(g, batch), c.zeros(g, batch)
	hs := make([]*Node, steps)
	for step := range hs {
		h, cell = n.advance(input, h, cell)
		hs[step] = ExpandAxes(h, 1)
		input = Squeeze(Slice(decided, AxisRange(), AxisElem(step)), 1)
	}
	kinds := make([]int, len(c.decisions.Kinds))
	for k := range kinds {
		kinds[k] = k
	}
	logits := n.logits(Reshape(Concatenate(hs, 1), batch*steps, c.config.Hidden), Reshape(states, batch*steps), kinds)
	logProbs := Reshape(LogSoftmax(logits), batch, steps, -1)
	taken := Mul(logProbs, OneHot(choices, c.decisions.MaxChoices(), dtypes.Float32))
	uncertainty := Neg(Mul(Exp(logProbs), logProbs))
	return []*Node{ReduceSum(taken, 1, 2), ReduceSum(uncertainty, 1, 2)}
}

// stepGraph takes choices and states [batch, steps] and rewards [batch], builds one step of
// Adam on the loss of REINFORCE, and returns that loss, the mean entropy, and ‖θ‖² after the
// step.
func (c *Controller) stepGraph(root *model.Scope, inputs []*Node) []*Node {
	out := c.evaluateGraph(root, inputs[:2])
	loss := c.loss(out[0], out[1], inputs[2])
	adam := engine.Adam{LearningRate: c.config.LearningRate, Beta1: c.config.Beta1, Beta2: c.config.Beta2, WeightDecay: c.config.WeightDecay}
	adam.Minimize(root, scopePolicy, loss)
	norm := ScalarZero(loss.Graph(), dtypes.Float32)
	for v := range root.At(scopePolicy).IterVariables() {
		norm = Add(norm, ReduceAllSum(Square(v.NodeValue(loss.Graph()))))
	}
	return []*Node{loss, ReduceAllMean(out[1]), norm}
}

// loss is −mean(R(α)·log π(α; θ) + EntropyBonus·H): its negative gradient is the
// policy gradient of Alg. 1, line 10.
func (c *Controller) loss(logProb, entropy, reward *Node) *Node {
	return Neg(ReduceAllMean(Add(Mul(logProb, reward), MulScalar(entropy, c.config.EntropyBonus))))
}

// Sample draws n sequences of decisions from the policy. The error says that n is less than
// 1, or that the policy diverged.
func (c *Controller) Sample(rng *rand.Rand, n int) ([][]int, error) {
	if c.unusable != nil {
		return nil, c.unusable
	}
	if n < 1 {
		return nil, fmt.Errorf("controller: cannot sample %d sequences; ask for at least 1", n)
	}
	steps, choices := c.decisions.Steps, c.decisions.MaxChoices()
	noise := make([]float32, n*steps*choices)
	for i := range noise {
		noise[i] = gumbel(rng.ExpFloat64())
	}
	out, err := c.sample.Call(tensors.FromFlatDataAndDimensions(noise, n, steps, choices))
	if err != nil {
		return nil, fmt.Errorf("controller: cannot sample: %w", err)
	}
	if sum := float64s(out[1])[0]; !finite(sum) {
		return nil, c.diverged(fmt.Sprintf("the scores of its choices sum up to %g", sum))
	}
	flat := tensors.MustCopyFlatData[int32](out[0])
	sequences := make([][]int, n)
	for i := range sequences {
		if sequences[i], err = c.untilEnd(flat[i*steps : (i+1)*steps]); err != nil {
			return nil, err
		}
	}
	return sequences, nil
}

// gumbel returns the Gumbel noise that an exponential variate gives. That may be 0, once in
// billions of draws, and infinite noise would open choices that are closed.
func gumbel(exponential float64) float32 { return float32(-math.Log(max(exponential, 1e-30))) }

// untilEnd cuts a row of choices off where the automaton ends. The error says that they do
// not follow it: the scores of all that is open can be lower than that of what is closed.
func (c *Controller) untilEnd(row []int32) ([]int, error) {
	var sequence []int
	state := int32(0)
	for _, choice := range row {
		if state == int32(c.decisions.End()) {
			break
		}
		if !c.tables.open[state][choice] {
			return nil, c.diverged(fmt.Sprintf("decision %d of a sample (%s) is %d, which is not allowed", len(sequence), c.decisions.Kinds[c.tables.kind[state]].Name, choice))
		}
		sequence = append(sequence, int(choice))
		state = c.tables.next[state][choice]
	}
	return sequence, nil
}

// diverged makes the policy unusable, and says so.
func (c *Controller) diverged(how string) error {
	c.unusable = fmt.Errorf("controller: the policy diverged by step %d of its training: %s; start again with a lower LearningRate (it was %g) or smaller rewards", optimizer.GetGlobalStep(c.store), how, c.config.LearningRate)
	return c.unusable
}

// walk lays complete sequences out as tensors [batch, steps]: the choices, 0 after
// the end of a sequence, and the states they are made in.
func (c *Controller) walk(sequences [][]int) (choices, states *tensors.Tensor, err error) {
	steps := c.decisions.Steps
	chosen, at := make([]int32, len(sequences)*steps), make([]int32, len(sequences)*steps)
	for i, sequence := range sequences {
		if err := c.decisions.Check(sequence); err != nil {
			return nil, nil, fmt.Errorf("controller: sequence %d: %w", i, err)
		}
		state := int32(0)
		for step := range steps {
			at[i*steps+step] = state
			if step < len(sequence) {
				chosen[i*steps+step] = int32(sequence[step])
			}
			state = c.tables.next[state][chosen[i*steps+step]]
		}
	}
	return tensors.FromFlatDataAndDimensions(chosen, len(sequences), steps), tensors.FromFlatDataAndDimensions(at, len(sequences), steps), nil
}

// LogProb returns log π(α; θ) of each sequence and the entropy, in nats, of the
// decisions along it. The error names the first decision that is not allowed, or says that
// the policy diverged.
func (c *Controller) LogProb(sequences [][]int) (logProb, entropy []float64, err error) {
	if c.unusable != nil {
		return nil, nil, c.unusable
	}
	if len(sequences) == 0 {
		return nil, nil, nil
	}
	choices, states, err := c.walk(sequences)
	if err != nil {
		return nil, nil, err
	}
	out, err := c.evaluate.Call(choices, states)
	if err != nil {
		return nil, nil, fmt.Errorf("controller: cannot compute log-probabilities: %w", err)
	}
	logProb, entropy = float64s(out[0]), float64s(out[1])
	for i := range sequences {
		if !finite(logProb[i]) || !finite(entropy[i]) {
			return nil, nil, c.diverged(fmt.Sprintf("the log-probability of sequence %d is %g and its entropy %g", i, logProb[i], entropy[i]))
		}
	}
	return logProb, entropy, nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// Step is what [Controller.Reinforce] measured before it changed the policy.
type Step struct {
	Loss    float64 // −mean(R·log π + EntropyBonus·H)
	Entropy float64 // mean H of the sequences, in nats
}

// maxReward is the largest size of a reward: that of squares of its gradients is in the
// range of a float32.
const maxReward = 1e12

// badReward returns the position of the first reward from which nothing can be learned, or −1.
func badReward(rewards []float64) int {
	return slices.IndexFunc(rewards, func(r float64) bool { return !(math.Abs(r) <= maxReward) }) // NaN neither
}

// Reinforce takes one step of policy gradient on sampled sequences and their
// rewards (Alg. 1, line 10, with the entropy bonus). The error names a reward that is no
// number or is larger than 10¹² in size, the first decision that is not allowed, or the step
// in which the policy diverged; after that, all it does has that error.
func (c *Controller) Reinforce(sequences [][]int, rewards []float64) (Step, error) {
	if c.unusable != nil {
		return Step{}, c.unusable
	}
	if len(rewards) != len(sequences) || len(rewards) == 0 {
		return Step{}, fmt.Errorf("controller: a step needs a reward for each sequence, got %d for %d", len(rewards), len(sequences))
	}
	if bad := badReward(rewards); bad >= 0 {
		return Step{}, fmt.Errorf("controller: the reward of sequence %d, %v, is %g; give a number of at most %g in size", bad, sequences[bad], rewards[bad], maxReward)
	}
	choices, states, err := c.walk(sequences)
	if err != nil {
		return Step{}, err
	}
	r := make([]float32, len(rewards))
	for i, reward := range rewards {
		r[i] = float32(reward)
	}
	out, err := c.step.Call(choices, states, tensors.FromFlatDataAndDimensions(r, len(r)))
	if err != nil {
		return Step{}, fmt.Errorf("controller: cannot train: %w", err)
	}
	step, norm := Step{Loss: float64s(out[0])[0], Entropy: float64s(out[1])[0]}, float64s(out[2])[0]
	if !finite(step.Loss) || !finite(step.Entropy) || !finite(norm) {
		return Step{}, c.diverged(fmt.Sprintf("the loss is %g, the entropy %g, and the weights have a squared norm of %g", step.Loss, step.Entropy, norm))
	}
	return step, nil
}

func float64s(t *tensors.Tensor) []float64 {
	flat := tensors.MustCopyFlatData[float32](t)
	values := make([]float64, len(flat))
	for i, v := range flat {
		values[i] = float64(v)
	}
	return values
}

// Encode writes the weights and the optimiser's state to bytes. The error says that the
// policy diverged.
func (c *Controller) Encode() ([]byte, error) {
	if c.unusable != nil {
		return nil, c.unusable
	}
	return engine.EncodeStore(c.store)
}

// Restore takes on what [Controller.Encode] of a policy of the same configuration and decisions
// wrote. The error says that the weights do not fit, or are no numbers.
func (c *Controller) Restore(state []byte) error {
	if c.unusable != nil {
		return c.unusable
	}
	if err := engine.RestoreStore(c.store, state); err != nil {
		return fmt.Errorf("controller: the checkpoint is of another controller: %w", err)
	}
	for w := range c.store.RootScope().At(scopePolicy).IterVariables() {
		value, err := w.Value()
		if err != nil {
			return fmt.Errorf("controller: cannot read the checkpoint: %w", err)
		}
		if slices.ContainsFunc(float64s(value), func(x float64) bool { return !finite(x) }) {
			return fmt.Errorf("controller: the weights %s of the checkpoint are not all numbers, so its training diverged; train again with a lower LearningRate (it was %g)", w.Path(), c.config.LearningRate)
		}
	}
	return nil
}
