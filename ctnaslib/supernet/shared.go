package supernet

import (
	"fmt"

	. "github.com/gomlx/gomlx/core/graph"

	"github.com/ctnas/ctnas/ctnaslib/nn"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// sharedModule returns a module of the shared network, [batch, height, width, m.in] → [batch, height, width, m.out]:
// every interior vertex has all three operations and can be reached from all before it, and w says how much of each
// there is. Wired as a cell, it computes what [builder.cell] computes with the same weights; a narrower vertex uses the
// first channels of its weights. The module's channels begin at offset among those of all modules.
//
// What w says is multiplied into the scales and shifts of batch norm, where it costs nothing.
func (b builder) sharedModule(w wiringNodes, m module, offset int, x *Node) *Node {
	slots := w.slots.Shape().Dim(0)
	width := (m.out + slots - 1) / slots
	entries := b.projections(w, m, offset, width, x)
	inner := []*Node{x}
	for v := 1; v <= vertices; v++ {
		mask := w.mask(v, offset, width)
		sum := entries[v-1]
		for from := 1; from < v; from++ {
			sum = Add(sum, nn.PerChannel(inner[from], nn.Times(w.edge(from, v), mask)))
		}
		inner = append(inner, nn.Barrier(b.sharedVertex(w, fmt.Sprintf("%s/vertex_%d", m.name, v), v, mask, nn.Barrier(sum))))
	}
	var joined []*Node
	for slot := range slots {
		n := m.out / slots
		if slot < m.out%slots {
			n++
		}
		var filled *Node
		for v := 1; v <= vertices; v++ {
			filled = nn.Plus(filled, nn.Times(w.slot(slot, v), firstChannels(inner[v], n)))
		}
		joined = append(joined, filled)
	}
	return Add(Concatenate(joined, 3), entries[vertices])
}

// projections returns the 1×1 projections of a module's input, [batch, height, width, m.in]: to each interior vertex,
// [batch, height, width, channels], and to the output, [batch, height, width, m.out].
func (b builder) projections(w wiringNodes, m module, offset, channels int, x *Node) []*Node {
	project := func(name string, out int, by *Node) *Node {
		name += "/projection"
		kernel, scale, shift := b.ConvNorm(name, 1, m.in, out)
		return b.NormReLU(name, nn.Convolution(x, kernel), Mul(scale, by), Mul(shift, by))
	}
	var parts []*Node
	for v := 1; v <= vertices; v++ {
		parts = append(parts, project(fmt.Sprintf("%s/vertex_%d", m.name, v), channels, nn.Times(w.edge(0, v), w.mask(v, offset, channels))))
	}
	return append(parts, project(m.name+"/output", m.out, nn.Times(w.edge(0, ends-1), Ones(x.Graph(), nn.Shape(m.out)))))
}

// sharedVertex returns what a vertex makes of the sum of what enters it, [batch, height, width, channels] both, of
// which the mask [channels] says which channels are used. In a cell it has one operation, so both convolutions are one
// with the kernel of either; in a continuous relaxation they are computed apart.
func (b builder) sharedVertex(w wiringNodes, name string, v int, mask, sum *Node) *Node {
	width := sum.Shape().Dim(3)
	pooled := nn.Times(w.op(v, nasbench101.MaxPool), nn.MaxPool3x3(sum))
	layer := func(op nasbench101.Op, size int) (kernel, scale, shift *Node) {
		by := nn.Times(w.op(v, op), mask)
		kernel, scale, shift = b.ConvNorm(name+"/"+op.String(), size, width, width)
		return kernel, Mul(scale, by), Mul(shift, by)
	}
	kernel3, scale3, shift3 := layer(nasbench101.Conv3x3, 3)
	kernel1, scale1, shift1 := layer(nasbench101.Conv1x1, 1)
	if w.relaxed {
		y := b.NormReLU(name, nn.Convolution(sum, kernel3), scale3, shift3)
		return Add(Add(y, b.NormReLU(name, nn.Convolution(sum, kernel1), scale1, shift1)), pooled)
	}
	kernel := Add(nn.Times(w.op(v, nasbench101.Conv3x3), kernel3), nn.Times(w.op(v, nasbench101.Conv1x1), nn.ZeroBorder(kernel1, 1, 0, 1)))
	return Add(b.NormReLU(name, nn.Convolution(sum, kernel), Add(scale3, scale1), Add(shift3, shift1)), pooled)
}

// sharedNetwork returns the whole shared network: the logits [batch, classes] of images [batch, side, side, 3].
func (b builder) sharedNetwork(s Skeleton, w wiringNodes, images *Node) *Node {
	offset := 0
	return b.network(s, images, func(m module, x *Node) *Node {
		x = b.sharedModule(w, m, offset, x)
		offset += m.out
		return x
	})
}

// used returns by the name of a parameter where it takes part in a cell: 1 there, else 0, in its shape or one that
// spreads to it; nil for those that always do. A step of training changes only what is used, as if there were nothing
// else.
func (w wiringNodes) used(s Skeleton) map[string]*Node {
	used := make(map[string]*Node)
	offset := 0
	for _, m := range s.modules() {
		for v := 1; v <= vertices; v++ {
			name := fmt.Sprintf("%s/vertex_%d", m.name, v)
			channels := w.mask(v, offset, m.out)
			mark := func(layer string, by *Node, input *Node) {
				output := nn.Times(by, channels)
				used[layer+"/"+nn.NameScale], used[layer+"/"+nn.NameShift] = output, output
				used[layer+"/"+nn.NameKernel] = Mul(ExpandLeftToRank(output, 4), Reshape(input, 1, 1, -1, 1))
			}
			mark(name+"/projection", w.edge(0, v), Ones(channels.Graph(), nn.Shape(m.in)))
			for _, op := range []nasbench101.Op{nasbench101.Conv3x3, nasbench101.Conv1x1} {
				mark(name+"/"+op.String(), w.op(v, op), channels)
			}
		}
		output := m.name + "/output/projection"
		for _, last := range []string{nn.NameKernel, nn.NameScale, nn.NameShift} {
			used[output+"/"+last] = w.edge(0, ends-1)
		}
		offset += m.out
	}
	return used
}
