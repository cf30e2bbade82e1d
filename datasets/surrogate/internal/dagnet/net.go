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

// Parts are all weights of the network: of the forward and then of the backward direction
// the states of level 0, the layer of each operation, and the one that meetings read; then
// the layers of the perceptron. Each layer is its weights [inputs, outputs] and its bias.
func (n *Net) Parts() []weights.Part { return n.parts }

// Width is the width of the states.
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

// Pass is the memory of a forward pass, to be used again for other plans.
type Pass struct {
	net               *Net
	plan              *Plan
	forward, backward statePass
	z                 []float32 // [cells, 2·width+NumFeatures]
	hidden            [2][]float32
	out               []float32
}

type statePass struct {
	sums   []float32 // [states, width]: the sum of the children
	values []float32 // [states, width]
	meet   []float32 // [states, 2·width]
}

// resized returns a slice of the given length that may reuse x. Its contents are
// undefined.
func resized(x []float32, length int) []float32 {
	if cap(x) < length {
		return make([]float32, length+length/8)[:length]
	}
	return x[:length]
}

// Predict runs the network and returns one number for each cell of the plan. The
// slice is valid until the next call.
func (p *Pass) Predict(n *Net, plan *Plan) []float32 {
	p.net, p.plan = n, plan
	w := n.width
	p.forward.run(&n.forward, &plan.forward, w)
	p.backward.run(&n.backward, &plan.backward, w)

	zw := 2*w + NumFeatures
	p.z = resized(p.z, plan.cells*zw)
	for c := range plan.cells {
		z := p.z[c*zw : (c+1)*zw]
		clear(z[:2*w])
		p.pool(z[:w], &plan.vertices, c, 0)
		p.pool(z[w:2*w], &plan.edges, c, w)
		copy(z[2*w:], plan.features[c*NumFeatures:(c+1)*NumFeatures])
	}
	x := p.z
	for i := range n.hidden {
		p.hidden[i] = resized(p.hidden[i], plan.cells*readout)
		n.hidden[i].apply(p.hidden[i], x, plan.cells)
		relu(p.hidden[i])
		x = p.hidden[i]
	}
	p.out = resized(p.out, plan.cells)
	for c := range p.out {
		sum := n.out.bias[0]
		for i, y := range x[c*readout : (c+1)*readout] {
			sum += float32(n.out.weight[i] * y)
		}
		p.out[c] = sum
	}
	return p.out
}

// pool adds the meetings of cell c to z. They use the columns from offset of the
// meeting layers' outputs.
func (p *Pass) pool(z []float32, m *meetings, c, offset int) {
	w := len(z)
	for k := m.first[c]; k < m.first[c+1]; k++ {
		f := int(m.forward[k])*2*w + offset
		b := int(m.backward[k])*2*w + offset
		addRelu(z, p.forward.meet[f:f+w], p.backward.meet[b:b+w])
	}
}

func (p *statePass) run(d *direction, s *states, w int) {
	p.sums = resized(p.sums, s.len()*w)
	p.values = resized(p.values, s.len()*w)
	p.meet = resized(p.meet, s.len()*2*w)
	clear(p.sums)
	for _, g := range s.groups {
		values := p.values[g.from*w : g.to*w]
		if g.level == 0 {
			copy(values, d.sources[g.kind*w:(g.kind+1)*w])
			continue
		}
		for i := g.from; i < g.to; i++ {
			sum := p.sums[i*w : (i+1)*w]
			for _, c := range s.children(i) {
				add(sum, p.values[int(c)*w:int(c+1)*w])
			}
		}
		d.ops[g.kind].apply(values, p.sums[g.from*w:g.to*w], g.to-g.from)
		relu(values)
	}
	d.meet.apply(p.meet, p.values, s.len())
}

// apply writes x·weight + bias to y, for a number of rows.
func (l *layer) apply(y, x []float32, rows int) {
	width := len(l.bias)
	for i := range rows {
		copy(y[i*width:(i+1)*width], l.bias)
	}
	mulAdd(y, x, l.weight, rows, len(l.weight)/width, width)
}

func relu(x []float32) {
	for i, v := range x {
		x[i] = max(v, 0)
	}
}
