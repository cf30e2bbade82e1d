package nasbench101

// The benchmark's network around a cell (Ying et al., Sec. 2.2): a 3×3 stem of
// 128 channels, 3 stacks of 3 cells, the channels doubled from stack to stack,
// global pooling and a dense layer for the 10 classes of CIFAR-10.
const (
	stemChannels  = 128
	stacks        = 3
	cellsPerStack = 3
	classes       = 10
)

// Params is the number of trainable parameters of the benchmark's network built
// from this cell, as published for each cell of the benchmark.
func (c Cell) Params() int {
	params := convParams(3, 3, stemChannels)
	in := stemChannels
	for stack := range stacks {
		out := stemChannels << stack
		for range cellsPerStack {
			params += c.cellParams(in, out)
			in = out
		}
	}
	return params + in*classes + classes
}

// convParams counts a k×k convolution without bias and the scale and shift of its
// batch norm.
func convParams(k, in, out int) int { return k*k*in*out + 2*out }

// cellParams counts one cell with the given numbers of input and output channels.
// Data enters a vertex from the cell's input through a 1×1 projection.
func (c Cell) cellParams(in, out int) int {
	channels := c.Channels(in, out)
	params := 0
	for v := 1; v < c.N(); v++ {
		if c.Edge(0, v) {
			params += convParams(1, in, channels[v])
		}
	}
	for v := 1; v < c.N()-1; v++ {
		switch c.Op(v) {
		case Conv3x3:
			params += convParams(3, channels[v], channels[v])
		case Conv1x1:
			params += convParams(1, channels[v], channels[v])
		}
	}
	return params
}

// Channels is the number of channels of each vertex in a cell with the given
// numbers of input and output channels (google-research/nasbench,
// lib/model_builder.py, compute_vertex_channels). The vertices that lead to the
// output share its channels, the first ones taking one more where the division
// leaves a rest; every other vertex has as many as the widest it leads to.
func (c Cell) Channels(in, out int) []int {
	n := c.N()
	channels := make([]int, n)
	channels[0], channels[n-1] = in, out

	leading := 0
	for v := 1; v < n-1; v++ {
		if c.Edge(v, n-1) {
			leading++
		}
	}
	if leading == 0 {
		return channels
	}
	share, rest := out/leading, out%leading
	for v := 1; v < n-1; v++ {
		if c.Edge(v, n-1) {
			channels[v] = share
			if rest > 0 {
				channels[v]++
				rest--
			}
		}
	}
	for v := n - 3; v > 0; v-- {
		if c.Edge(v, n-1) {
			continue
		}
		for to := v + 1; to < n-1; to++ {
			if c.Edge(v, to) {
				channels[v] = max(channels[v], channels[to])
			}
		}
	}
	return channels
}
