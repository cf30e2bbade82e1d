package controller

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"

	"github.com/ctnas/ctnas/ctnaslib/space"
)

// parameters are the weights θ of a policy, or their gradient.
type parameters struct {
	embeddings []blas64.General // of each kind of decision, [choices, hidden]
	lstms      []lstm           // of each part of a sequence
	heads      []head           // of each kind
	all        []weights        // the numbers of all of them
}

// weights are some of θ, in the order of rows.
type weights struct {
	name   string
	values []float64
}

// lstm are the weights of an LSTM. Its gates are, in this order, in, forget, out and update.
type lstm struct {
	input     blas64.General // [hidden, 4·hidden]
	recurrent blas64.General // [hidden, 4·hidden]
	biases    [2][]float64   // of the input and of the recurrent product, as PyTorch has them: each learns at Adam's pace, [4·hidden]
}

// head makes logits of h, [hidden]: h·weight + bias, or for a pointer to one of the choices' embeddings e,
// point · tanh(e·keys + h·query).
type head struct {
	pointer     bool
	weight      blas64.General // [hidden, choices]
	bias        []float64      // [choices]
	keys, query blas64.General // [hidden, hidden]
	point       []float64      // [hidden]
}

// newParameters returns parameters that are all 0.
func newParameters(d *space.Decisions, hidden int) *parameters {
	p := new(parameters)
	create := func(rows, columns int, name string, number int) blas64.General {
		values := make([]float64, rows*columns)
		p.all = append(p.all, weights{fmt.Sprintf("%s_%d", name, number), values})
		return blas64.General{Rows: rows, Cols: columns, Stride: columns, Data: values}
	}
	for k, kind := range d.Kinds {
		p.embeddings = append(p.embeddings, create(kind.Choices, hidden, "embeddings", k))
	}
	for part := range parts(d) {
		p.lstms = append(p.lstms, lstm{
			create(hidden, 4*hidden, "lstm_input", part),
			create(hidden, 4*hidden, "lstm_recurrent", part),
			[2][]float64{create(1, 4*hidden, "lstm_input_bias", part).Data, create(1, 4*hidden, "lstm_recurrent_bias", part).Data},
		})
	}
	for k, kind := range d.Kinds {
		h := head{pointer: kind.Pointer}
		if h.pointer {
			h.keys, h.query = create(hidden, hidden, "point_keys", k), create(hidden, hidden, "point_query", k)
			h.point = create(1, hidden, "point_weight", k).Data
		} else {
			h.weight, h.bias = create(hidden, kind.Choices, "head", k), create(1, kind.Choices, "head_bias", k).Data
		}
		p.heads = append(p.heads, h)
	}
	return p
}

// parts returns the number of parts that sequences have.
func parts(d *space.Decisions) int {
	n := 1
	for _, kind := range d.Kinds {
		n = max(n, kind.Part+1)
	}
	return n
}

// products are what the weights are multiplied to before the first decision, as all have it in common; or the
// gradient of that.
type products struct {
	inputs []blas64.General // of each kind: what a decision for each choice adds to the gates of the next step, [choices, 4·hidden]
	starts [][]float64      // of each part: what the gates of its first step have instead, [4·hidden]
	keys   []blas64.General // of each pointer, [choices, hidden]
}

func newProducts(d *space.Decisions, hidden int) *products {
	create := func(rows, columns int) blas64.General {
		return blas64.General{Rows: rows, Cols: columns, Stride: columns, Data: make([]float64, rows*columns)}
	}
	p := new(products)
	for _, kind := range d.Kinds {
		p.inputs, p.keys = append(p.inputs, create(kind.Choices, 4*hidden)), append(p.keys, create(kind.Choices, hidden))
	}
	for range parts(d) {
		p.starts = append(p.starts, make([]float64, 4*hidden))
	}
	return p
}

// multiply sets the products of the weights.
func (p *products) multiply(d *space.Decisions, θ *parameters) {
	for part, start := range p.starts {
		biases := θ.lstms[part].biases
		floats.AddTo(start, biases[0], biases[1])
	}
	for k, kind := range d.Kinds {
		for choice := range p.inputs[k].Rows {
			copy(row(p.inputs[k], choice), p.starts[kind.Part])
		}
		blas64.Gemm(blas.NoTrans, blas.NoTrans, 1, θ.embeddings[k], θ.lstms[kind.Part].input, 1, p.inputs[k])
		if kind.Pointer {
			blas64.Gemm(blas.NoTrans, blas.NoTrans, 1, θ.embeddings[k], θ.heads[k].keys, 0, p.keys[k])
		}
	}
}

// backward adds to the gradient of the weights what comes from that of the products.
func (p *products) backward(d *space.Decisions, θ, gradient *parameters) {
	for part, start := range p.starts {
		for _, bias := range gradient.lstms[part].biases {
			floats.Add(bias, start)
		}
	}
	for k, kind := range d.Kinds {
		weights, to := θ.lstms[kind.Part], gradient.lstms[kind.Part]
		for choice := range p.inputs[k].Rows {
			for _, bias := range to.biases {
				floats.Add(bias, row(p.inputs[k], choice))
			}
		}
		blas64.Gemm(blas.Trans, blas.NoTrans, 1, θ.embeddings[k], p.inputs[k], 1, to.input)
		blas64.Gemm(blas.NoTrans, blas.Trans, 1, p.inputs[k], weights.input, 1, gradient.embeddings[k])
		if kind.Pointer {
			blas64.Gemm(blas.Trans, blas.NoTrans, 1, θ.embeddings[k], p.keys[k], 1, gradient.heads[k].keys)
			blas64.Gemm(blas.NoTrans, blas.Trans, 1, p.keys[k], θ.heads[k].keys, 1, gradient.embeddings[k])
		}
	}
}

// decision is what the network has computed for one decision of a sequence.
type decision struct {
	kind, choice  int
	open          []bool    // which choices the automaton allows, [choices]
	first         bool      // of its part
	input         []float64 // what the decision before adds to the gates, [4·hidden]
	gates         []float64 // after their activations, [4·hidden]
	cell, squeeze []float64 // the cell and its tanh, [hidden]
	h             []float64 // [hidden]
	points        []float64 // of a pointer: the tanh of each choice, [choices·hidden]
	logProbs      []float64 // of the open choices, [choices]
	entropy       float64   // in nats
}

// pass is the way of the network through one sequence, with room for the longest.
type pass struct {
	network   *network
	decisions []decision
	length    int       // of the sequence; 0 before the first
	of        int       // the network's count of multiplications at the time
	query     []float64 // room for a pointer's, [hidden]
}

// network is a policy's LSTM with its heads.
type network struct {
	decisions *space.Decisions
	open      [][]bool // in each state of the automaton, [choices]
	hidden    int
	θ         *parameters
	products  *products // of θ
	count     int       // how often products of new weights were made
}

func newNetwork(d *space.Decisions, hidden int) *network {
	n := &network{decisions: d, hidden: hidden, θ: newParameters(d, hidden), products: newProducts(d, hidden)}
	for _, state := range d.States {
		open := make([]bool, len(state.Next))
		for choice, to := range state.Next {
			open[choice] = to != space.Forbidden
		}
		n.open = append(n.open, open)
	}
	return n
}

func (n *network) newPass() *pass {
	choices := n.decisions.MaxChoices()
	p := &pass{network: n, decisions: make([]decision, n.decisions.Steps), query: make([]float64, n.hidden)}
	for t := range p.decisions {
		p.decisions[t] = decision{
			gates: make([]float64, 4*n.hidden), cell: make([]float64, n.hidden), squeeze: make([]float64, n.hidden),
			h: make([]float64, n.hidden), points: make([]float64, choices*n.hidden), logProbs: make([]float64, choices),
		}
	}
	return p
}

// forward goes through a sequence, with the choices that choose takes among the open ones by their
// log-probabilities. It stops before a decision whose log-probabilities are not all numbers, and says which.
func (p *pass) forward(choose func(t int, d *decision) int) (ok bool) {
	n := p.network
	p.length, p.of = 0, n.count
	for t, state := 0, 0; state != n.decisions.End(); t++ {
		d := &p.decisions[t]
		d.kind, d.open = n.decisions.States[state].Kind, n.open[state]
		part := n.decisions.Kinds[d.kind].Part
		if d.first = t == 0 || n.decisions.Kinds[p.decisions[t-1].kind].Part != part; d.first {
			d.input = n.products.starts[part]
		} else {
			before := p.decisions[t-1]
			d.input = row(n.products.inputs[before.kind], before.choice)
		}
		p.advance(t, n.θ.lstms[part])
		if p.score(d); !finite(d.entropy) {
			return false
		}
		d.choice = choose(t, d)
		state = n.decisions.States[state].Next[d.choice]
		p.length++
	}
	return true
}

// advance computes step t of the LSTM.
func (p *pass) advance(t int, w lstm) {
	d, n := &p.decisions[t], p.network.hidden
	copy(d.gates, d.input)
	if !d.first {
		blas64.Gemv(blas.Trans, 1, w.recurrent, vector(p.decisions[t-1].h), 1, vector(d.gates))
	}
	for i := range n {
		in, forget, out, update := &d.gates[i], &d.gates[n+i], &d.gates[2*n+i], &d.gates[3*n+i]
		*in, *forget, *out, *update = sigmoid(*in), sigmoid(*forget), sigmoid(*out), math.Tanh(*update)
		d.cell[i] = *in * *update
		if !d.first {
			d.cell[i] += *forget * p.decisions[t-1].cell[i]
		}
		d.squeeze[i] = math.Tanh(d.cell[i])
		d.h[i] = *out * d.squeeze[i]
	}
}

// score computes the log-probabilities of the open choices, and their entropy.
func (p *pass) score(d *decision) {
	n, head := p.network, p.network.θ.heads[d.kind]
	d.logProbs = d.logProbs[:len(d.open)]
	logits := d.logProbs
	if head.pointer {
		blas64.Gemv(blas.Trans, 1, head.query, vector(d.h), 0, vector(p.query))
		for choice, open := range d.open {
			if open {
				point := nth(d.points, choice, n.hidden)
				for i, key := range row(n.products.keys[d.kind], choice) {
					point[i] = math.Tanh(key + p.query[i])
				}
				logits[choice] = floats.Dot(point, head.point)
			}
		}
	} else {
		copy(logits, head.bias)
		blas64.Gemv(blas.Trans, 1, head.weight, vector(d.h), 1, vector(logits))
	}
	largest, total := math.Inf(-1), 0.0
	for choice, open := range d.open {
		if open {
			largest = max(largest, logits[choice])
		}
	}
	for choice, open := range d.open {
		if open {
			total += math.Exp(logits[choice] - largest)
		}
	}
	d.entropy = 0
	for choice, open := range d.open {
		if open {
			logits[choice] -= largest + math.Log(total)
			d.entropy -= math.Exp(logits[choice]) * logits[choice]
		}
	}
}

// isOf reports whether the last sequence was this one, with the weights of now.
func (p *pass) isOf(sequence []int) bool {
	if p.of != p.network.count || p.length != len(sequence) {
		return false
	}
	for t, choice := range sequence {
		if p.decisions[t].choice != choice {
			return false
		}
	}
	return true
}

// logProb returns the log-probability of the sequence and the entropy of its decisions.
func (p *pass) logProb() (logProb, entropy float64) {
	for _, d := range p.decisions[:p.length] {
		logProb += d.logProbs[d.choice]
		entropy += d.entropy
	}
	return logProb, entropy
}

// gradient is the gradient of a loss, on the way from the decisions back to the weights.
type gradient struct {
	weights  *parameters
	products *products
	dh       []float64 // [hidden]
	dcell    []float64 // [hidden]
	dgates   []float64 // [4·hidden]
	dquery   []float64 // [hidden]
}

func (n *network) newGradient() *gradient {
	return &gradient{
		newParameters(n.decisions, n.hidden), newProducts(n.decisions, n.hidden),
		make([]float64, n.hidden), make([]float64, n.hidden), make([]float64, 4*n.hidden), make([]float64, n.hidden),
	}
}

// clear makes the gradient 0.
func (g *gradient) clear() {
	for _, values := range g.numbers() {
		clear(values)
	}
}

// add adds another gradient.
func (g *gradient) add(other *gradient) {
	to := g.numbers()
	for k, values := range other.numbers() {
		floats.Add(to[k], values)
	}
}

// numbers returns all that is summed up over sequences.
func (g *gradient) numbers() [][]float64 {
	numbers := slices.Clone(g.products.starts)
	for _, w := range g.weights.all {
		numbers = append(numbers, w.values)
	}
	for k := range g.products.inputs {
		numbers = append(numbers, g.products.inputs[k].Data, g.products.keys[k].Data)
	}
	return numbers
}

// backward adds the gradient of −(reward·log π + bonus·H) of the sequence of a pass.
func (g *gradient) backward(p *pass, reward, bonus float64) {
	n := p.network
	clear(g.dh)
	clear(g.dcell)
	for t := p.length - 1; t >= 0; t-- {
		d := &p.decisions[t]
		g.score(p, d, reward, bonus)
		part := n.decisions.Kinds[d.kind].Part
		g.advance(p, t, part)
		if d.first {
			floats.Add(g.products.starts[part], g.dgates)
			clear(g.dh)
			clear(g.dcell)
			continue
		}
		before := p.decisions[t-1]
		floats.Add(row(g.products.inputs[before.kind], before.choice), g.dgates)
		blas64.Ger(1, vector(before.h), vector(g.dgates), g.weights.lstms[part].recurrent)
		blas64.Gemv(blas.NoTrans, 1, n.θ.lstms[part].recurrent, vector(g.dgates), 0, vector(g.dh))
	}
}

// score adds what comes from the choice of a decision.
func (g *gradient) score(p *pass, d *decision, reward, bonus float64) {
	n, head, to := p.network, p.network.θ.heads[d.kind], g.weights.heads[d.kind]
	clear(g.dquery)
	for choice, open := range d.open {
		if !open {
			continue
		}
		probability := math.Exp(d.logProbs[choice])
		dlogit := reward*probability + bonus*probability*(d.logProbs[choice]+d.entropy)
		if choice == d.choice {
			dlogit -= reward
		}
		if !head.pointer {
			to.bias[choice] += dlogit
			for i, h := range d.h {
				to.weight.Data[i*to.weight.Stride+choice] += dlogit * h
				g.dh[i] += dlogit * head.weight.Data[i*head.weight.Stride+choice]
			}
			continue
		}
		dkey := row(g.products.keys[d.kind], choice)
		for i, point := range nth(d.points, choice, n.hidden) {
			to.point[i] += dlogit * point
			inside := dlogit * head.point[i] * (1 - point*point)
			dkey[i] += inside
			g.dquery[i] += inside
		}
	}
	if head.pointer {
		blas64.Ger(1, vector(d.h), vector(g.dquery), to.query)
		blas64.Gemv(blas.NoTrans, 1, head.query, vector(g.dquery), 1, vector(g.dh))
	}
}

// advance turns the gradients of h and of the cell after step t into those of the gates and of the cell before it.
func (g *gradient) advance(p *pass, t, part int) {
	d, n := &p.decisions[t], p.network.hidden
	for i := range n {
		in, forget, out, update := d.gates[i], d.gates[n+i], d.gates[2*n+i], d.gates[3*n+i]
		dcell := g.dcell[i] + g.dh[i]*out*(1-d.squeeze[i]*d.squeeze[i])
		g.dgates[i] = dcell * update * in * (1 - in)
		g.dgates[n+i] = 0
		if !d.first {
			g.dgates[n+i] = dcell * p.decisions[t-1].cell[i] * forget * (1 - forget)
		}
		g.dgates[2*n+i] = g.dh[i] * d.squeeze[i] * out * (1 - out)
		g.dgates[3*n+i] = dcell * in * (1 - update*update)
		g.dcell[i] = dcell * forget
	}
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

func vector(values []float64) blas64.Vector {
	return blas64.Vector{N: len(values), Data: values, Inc: 1}
}

// row returns row i of a matrix.
func row(m blas64.General, i int) []float64 { return nth(m.Data, i, m.Cols) }

// nth returns the i-th n of values.
func nth(values []float64, i, n int) []float64 { return values[i*n : (i+1)*n] }
