package dagnet

// Gradient is the memory of a backward pass, to be used again.
type Gradient struct {
	forward, backward stateGradient
	z                 []float32
	hidden            [2][]float32
	scratch           []float32
}

type stateGradient struct{ values, meet, sums []float32 }

// Backward adds to grad the gradient by the weights of a loss, given the pass that
// Predict made and the gradient of the loss by each prediction.
func (g *Gradient) Backward(p *Pass, grad *Net, dout []float32) {
	n, plan, w := p.net, p.plan, p.net.width
	top := p.hidden[1]
	dtop := g.zeroed(&g.hidden[1], plan.cells*readout)
	for c, d := range dout {
		grad.outBias[0] += d
		row, drow := top[c*readout:(c+1)*readout], dtop[c*readout:(c+1)*readout]
		for i, y := range row {
			grad.out[i] += d * y
			drow[i] = d * n.out[i]
		}
	}
	maskRelu(dtop, top)
	dlow := g.zeroed(&g.hidden[0], plan.cells*readout)
	g.layer(&n.hidden[1], &grad.hidden[1], dlow, p.hidden[0], dtop, plan.cells)
	maskRelu(dlow, p.hidden[0])
	zw := 2*w + numFeatures
	dz := g.zeroed(&g.z, plan.cells*zw)
	g.layer(&n.hidden[0], &grad.hidden[0], dz, p.z, dlow, plan.cells)

	g.zeroed(&g.forward.meet, plan.forward.len()*2*w)
	g.zeroed(&g.backward.meet, plan.backward.len()*2*w)
	for c := range plan.cells {
		row := dz[c*zw : (c+1)*zw]
		g.pool(p, row[:w], &plan.vertices, c, 0)
		g.pool(p, row[w:2*w], &plan.edges, c, w)
	}
	g.states(&g.forward, &p.forward, &n.forward, &grad.forward, &plan.forward, w)
	g.states(&g.backward, &p.backward, &n.backward, &grad.backward, &plan.backward, w)
}

func (g *Gradient) zeroed(x *[]float32, length int) []float32 {
	*x = resized(*x, length)
	clear(*x)
	return *x
}

// layer adds to dx and to dl the gradients by the inputs and weights of a layer.
func (g *Gradient) layer(l, dl *layer, dx, x, dy []float32, rows int) {
	outputs := len(l.bias)
	inputs := len(l.weight) / outputs
	for i := range rows {
		add(dl.bias, dy[i*outputs:(i+1)*outputs])
	}
	g.scratch = resized(g.scratch, inputs*max(outputs, rows))
	t := g.scratch[:inputs*outputs]
	transpose(t, l.weight, inputs, outputs)
	mulAdd(dx, dy, t, rows, outputs, inputs)
	t = g.scratch[:inputs*rows]
	transpose(t, x, rows, inputs)
	mulAdd(dl.weight, t, dy, inputs, rows, outputs)
}

// transpose writes the transpose of x, rows×columns, to t.
func transpose(t, x []float32, rows, columns int) {
	const tile = 16
	for i0 := 0; i0 < rows; i0 += tile {
		for j := range columns {
			for i := i0; i < min(i0+tile, rows); i++ {
				t[j*rows+i] = x[i*columns+j]
			}
		}
	}
}

// maskRelu clears the gradient where the rectifier's output is zero.
func maskRelu(grad, y []float32) {
	for i, v := range y {
		if v <= 0 {
			grad[i] = 0
		}
	}
}

func (g *Gradient) pool(p *Pass, dz []float32, m *meetings, c, offset int) {
	w := len(dz)
	for k := m.first[c]; k < m.first[c+1]; k++ {
		f := int(m.forward[k])*2*w + offset
		b := int(m.backward[k])*2*w + offset
		addReluGrad(g.forward.meet[f:f+w], g.backward.meet[b:b+w], p.forward.meet[f:f+w], p.backward.meet[b:b+w], dz)
	}
}

func (g *Gradient) states(sg *stateGradient, p *statePass, d, grad *direction, s *states, w int) {
	values := g.zeroed(&sg.values, s.len()*w)
	sums := g.zeroed(&sg.sums, s.len()*w)
	g.layer(&d.meet, &grad.meet, values, p.values, sg.meet, s.len())
	for k := len(s.groups) - 1; k >= 0; k-- {
		gr := s.groups[k]
		from, to := gr.from*w, gr.to*w
		if gr.level == 0 {
			add(grad.sources[gr.kind*w:(gr.kind+1)*w], values[from:to])
			continue
		}
		maskRelu(values[from:to], p.values[from:to])
		g.layer(&d.ops[gr.kind], &grad.ops[gr.kind], sums[from:to], p.sums[from:to], values[from:to], gr.to-gr.from)
		for i := gr.from; i < gr.to; i++ {
			for _, c := range s.children(i) {
				add(values[int(c)*w:int(c+1)*w], sums[i*w:(i+1)*w])
			}
		}
	}
}
