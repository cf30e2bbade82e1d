package nasbench101

// The benchmark's network around a cell (Ying et al., Sec. 2.2): a 3×3 stem of 128 channels, 3 stacks of 3 cells, the
// channels doubled and the image's sides halved from stack to stack, global pooling and a dense layer for the 10
// classes of CIFAR-10.
const (
	stemChannels  = 128
	stacks        = 3
	cellsPerStack = 3
	classes       = 10
	imageSide     = 32
)

// cellShape is the shape of what enters and leaves a cell of the network.
type cellShape struct {
	in, out int // channels
	side    int // of the image
}

var cellShapes = func() (all []cellShape) {
	in := stemChannels
	for stack := range stacks {
		for range cellsPerStack {
			all = append(all, cellShape{in, stemChannels << stack, imageSide >> stack})
			in = stemChannels << stack
		}
	}
	return all
}()

// Params returns the number of trainable parameters of the benchmark's network built from this cell, as published for
// each cell of the benchmark.
func (c Cell) Params() int {
	params := convParams(3, 3, stemChannels) + stemChannels<<(stacks-1)*classes + classes
	for _, at := range cellShapes {
		_, cell := c.cellCosts(at.in, at.out)
		for _, p := range cell {
			params += p
		}
	}
	return params
}

// Costs returns the floating point operations for one image and the trainable parameters of each vertex: flops[k][v]
// and params[k][v] of vertex v in the k-th of the nine cells of the benchmark's network. To a vertex count its
// operation, the 1×1 projection of the cell's input where an edge leads from there, and the additions of what enters
// it; a multiplication with an addition is two operations, a comparison in pooling one, and batch norm and ReLU are
// left out. So Guo et al. count, too (Generalized Global Ranking-Aware Neural Architecture Ranker, CVPRW 2022).
func (c Cell) Costs() (flops, params [][]int) {
	for _, at := range cellShapes {
		f, p := c.cellCosts(at.in, at.out)
		for v := range f {
			f[v] *= at.side * at.side
		}
		flops, params = append(flops, f[:c.N()]), append(params, p[:c.N()])
	}
	return flops, params
}

// convParams counts a k×k convolution without bias and the scale and shift of its batch norm.
func convParams(k, in, out int) int { return k*k*in*out + 2*out }

// convFLOPs counts the operations of a k×k convolution for each pixel of its output.
func convFLOPs(k, in, out int) int { return 2 * k * k * in * out }

// cellCosts counts the vertices of one cell with the given numbers of input and output channels: operations for each
// pixel of the image, and parameters.
func (c Cell) cellCosts(in, out int) (flops, params [MaxVertices]int) {
	channels := c.Channels(in, out)
	for v := 1; v < c.N(); v++ {
		if c.Edge(0, v) {
			flops[v] += convFLOPs(1, in, channels[v])
			params[v] += convParams(1, in, channels[v])
		}
	}
	if out := c.N() - 1; c.Edge(0, out) && out > 1 {
		flops[out] += channels[out] // the projection is added to the rest, side by side
	}
	for _, v := range c.out.edges() {
		if v < c.N()-1 {
			flops[v] += channels[v]
		}
	}
	for v := 1; v < c.N()-1; v++ {
		flops[v] -= channels[v] // n terms are n − 1 additions
		switch c.Op(v) {
		case Conv3x3:
			flops[v] += convFLOPs(3, channels[v], channels[v])
			params[v] += convParams(3, channels[v], channels[v])
		case Conv1x1:
			flops[v] += convFLOPs(1, channels[v], channels[v])
			params[v] += convParams(1, channels[v], channels[v])
		case MaxPool:
			flops[v] += 3 * 3 * channels[v]
		}
	}
	return flops, params
}

// Channels returns the number of channels of each vertex in a cell with the given numbers of input and output
// channels (google-research/nasbench, lib/model_builder.py, compute_vertex_channels). The vertices that lead to the
// output share its channels, the first ones taking one more where the division leaves a rest; every other vertex has
// as many as the widest it leads to.
func (c Cell) Channels(in, out int) []int {
	n := c.N()
	channels := make([]int, n)
	channels[0], channels[n-1] = in, out
	var leading []int
	for v := 1; v < n-1; v++ {
		if c.Edge(v, n-1) {
			leading = append(leading, v)
		}
	}
	for k, v := range leading {
		channels[v] = out / len(leading)
		if k < out%len(leading) {
			channels[v]++
		}
	}
	for v := n - 3; v > 0; v-- {
		for to := v + 1; to < n-1 && !c.Edge(v, n-1); to++ {
			if c.Edge(v, to) {
				channels[v] = max(channels[v], channels[to])
			}
		}
	}
	return channels
}
