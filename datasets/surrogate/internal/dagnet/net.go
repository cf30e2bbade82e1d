// Package dagnet is the network behind the NAS-Bench-101 surrogate: it reads a
// cell as the directed acyclic graph that data flows through.
//
// Each vertex v has two states. The forward state knows what comes before it, the
// backward state what comes after:
//
//	f_v = relu(W_op Σ_{u→v} f_u + b_op)     f_input learned
//	b_v = relu(W'_op Σ_{v→w} b_w + b'_op)   b_output learned, by what leads to it
//
// The two meet at every interior vertex and along every edge, and the sums of what
// comes out of the meetings describe the cell:
//
//	z = [Σ_v relu(P f_v + Q b_v) ; Σ_{u→w} relu(P' f_u + Q' b_w) ; features]
//
// A small perceptron reads the prediction from z. All layers but that perceptron
// apply to states, and cells share states ([Plan]), which is what makes the whole
// space cheap.
package dagnet

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/ctnas/ctnas/datasets/internal/weights"
)

// Net is the network. It is safe for concurrent use while nobody writes to its parts.
type Net struct {
	width    int
	parts    []weights.Part // what follows, in this order
	forward  direction
	backward direction
	hidden   [2]layer
	out      layer // one output
}

type direction struct {
	sources []float32 // states of level 0, [kinds, width]
	ops     [3]layer
	meet    layer // [width, 2·width], for vertices and for edges
}

// layer computes x·weight + bias.
type layer struct{ weight, bias []float32 }

// readout is the width of the perceptron that reads the prediction from z.
const readout = 64

// New makes a network with all weights zero. The width is a multiple of 16.
func New(width int) *Net {
	if width <= 0 || width%Lane != 0 {
		panic(fmt.Sprintf("dagnet: the width %d is not a multiple of %d", width, Lane))
	}
	n := &Net{width: width}
	part := func(name string, dims ...int) []float32 {
		p := weights.NewPart(name, dims...)
		n.parts = append(n.parts, p)
		return p.Values
	}
	linear := func(name string, inputs, outputs int) layer {
		return layer{part(name, inputs, outputs), part(name+"_bias", outputs)}
	}
	for i, d := range []*direction{&n.forward, &n.backward} {
		name := [...]string{"forward", "backward"}[i]
		d.sources = part(name+"_sources", [...]int{1, NumSinks}[i], width)
		for op := range d.ops {
			d.ops[op] = linear(fmt.Sprintf("%s_op%d", name, op), width, width)
		}
		d.meet = linear(name+"_meet", width, 2*width)
	}
	n.hidden[0] = linear("hidden0", 2*width+NumFeatures, readout)
	n.hidden[1] = linear("hidden1", readout, readout)
	n.out = linear("out", readout, 1)
	return n
}

// Parts returns all weights of the network: of the forward and then of the backward direction
// the states of level 0, the layer of each operation, and the one that meetings read; then
// the layers of the perceptron. Each layer is its weights [inputs, outputs] and its bias.
func (n *Net) Parts() []weights.Part { return n.parts }

// Width returns the width of the states.
func (n *Net) Width() int { return n.width }

// Init draws the weights of a new network, for rectified layers as He et al. (2015) do.
func (n *Net) Init(rng *rand.Rand) {
	draw := func(x []float32, inputs float64) {
		std := math.Sqrt(2 / inputs)
		for i := range x {
			x[i] = float32(std * rng.NormFloat64())
		}
	}
	w := float64(n.width)
	for _, d := range []*direction{&n.forward, &n.backward} {
		draw(d.sources, 2)
		for op := range d.ops {
			draw(d.ops[op].weight, 1.5*w) // the sum has 1.5 terms on average
		}
		draw(d.meet.weight, 2*w)
	}
	draw(n.hidden[0].weight, 20*w)
	draw(n.hidden[1].weight, readout)
	draw(n.out.weight, 4*readout)
}

// Memory is what predictions compute in, to be used again for other plans.
type Memory struct {
	floats []float32
	used   int
}

// take returns memory for so many floats, whose values are undefined.
func (m *Memory) take(length int) []float32 {
	if len(m.floats)-m.used < length {
		m.floats, m.used = make([]float32, max(length, 2*len(m.floats))), 0
	}
	m.used += length
	return m.floats[m.used-length : m.used : m.used]
}

// Predict returns one number for each cell of the plan. The slice is valid until the next
// call with the same memory.
func (n *Net) Predict(m *Memory, plan *Plan) []float32 {
	m.used = 0
	w := n.width
	forward, backward := n.forward.run(m, &plan.forward, w), n.backward.run(m, &plan.backward, w)
	zw := 2*w + NumFeatures
	z := m.take(plan.cells * zw)
	for c := range plan.cells {
		row := z[c*zw : (c+1)*zw]
		clear(row)
		pool(row[:w], forward, backward, &plan.vertices, c, 0)
		pool(row[w:2*w], forward, backward, &plan.edges, c, w)
		copy(row[2*w:], plan.features[c*NumFeatures:(c+1)*NumFeatures])
	}
	for i := range n.hidden {
		z = n.hidden[i].apply(m, z, plan.cells)
		relu(z)
	}
	out := m.take(plan.cells)
	for c := range out {
		sum := n.out.bias[0]
		for i, y := range z[c*readout : (c+1)*readout] {
			sum += float32(n.out.weight[i] * y)
		}
		out[c] = sum
	}
	return out
}

// pool adds the meetings of cell c to z. They use the columns from offset of the
// meeting layers' outputs.
func pool(z, forward, backward []float32, m *meetings, c, offset int) {
	w := len(z)
	for k := m.first[c]; k < m.first[c+1]; k++ {
		f := int(m.forward[k])*2*w + offset
		b := int(m.backward[k])*2*w + offset
		addRelu(z, forward[f:f+w], backward[b:b+w])
	}
}

// run returns what the meetings read of the states of a direction, [states, 2·width].
func (d *direction) run(m *Memory, s *states, w int) []float32 {
	values := m.take(s.len() * w)
	for _, g := range s.groups {
		if g.level == 0 {
			copy(values[g.from*w:g.to*w], d.sources[g.kind*w:(g.kind+1)*w])
			continue
		}
		sums := m.take((g.to - g.from) * w) // of the children
		clear(sums)
		for i := g.from; i < g.to; i++ {
			for _, c := range s.children(i) {
				add(sums[(i-g.from)*w:(i-g.from+1)*w], values[int(c)*w:int(c+1)*w])
			}
		}
		group := d.ops[g.kind].apply(m, sums, g.to-g.from)
		relu(group)
		copy(values[g.from*w:], group)
	}
	return d.meet.apply(m, values, s.len())
}

// apply returns x·weight + bias for a number of rows.
func (l *layer) apply(m *Memory, x []float32, rows int) []float32 {
	width := len(l.bias)
	y := m.take(rows * width)
	for i := range rows {
		copy(y[i*width:], l.bias)
	}
	mulAdd(y, x, l.weight, rows, len(l.weight)/width, width)
	return y
}

func relu(x []float32) {
	for i, v := range x {
		x[i] = max(v, 0)
	}
}
