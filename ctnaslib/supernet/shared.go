package supernet

import (
	"fmt"
	"slices"

	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	. "github.com/gomlx/gomlx/core/graph"
)

// sharedModule is a module of the shared network: every interior vertex has all three
// operations and can be reached from all before it, and w says how much of each there
// is. Wired as a cell, it computes what [builder.cell] computes with the same weights;
// a narrower vertex uses the first channels of its weights. The module's channels
// begin at offset among those of all modules.
//
// What w says is multiplied into the scales and shifts of batch norm, where it costs
// nothing.
func (b builder) sharedModule(w wires, at place, offset int, x *Node) *Node {
	slots := w.slots.Shape().Dim(0)
	width := (at.out + slots - 1) / slots
	entries := b.projections(w, at, offset, width, x)
	inner := []*Node{x}
	for v := 1; v <= vertices; v++ {
		mask := w.mask(v, offset, width)
		sum := entries[v-1]
		for from := 1; from < v; from++ {
			sum = Add(sum, scaled(inner[from], times(w.edge(from, v), mask)))
		}
		inner = append(inner, stored(b.sharedVertex(w, fmt.Sprintf("%s/vertex_%d", at.name, v), v, mask, stored(sum))))
	}
	var joined []*Node
	for slot := range slots {
		n := at.out / slots
		if slot < at.out%slots {
			n++
		}
		var filled *Node
		for v := 1; v <= vertices; v++ {
			filled = plus(filled, times(w.slot(slot, v), firstChannels(inner[v], n)))
		}
		joined = append(joined, filled)
	}
	return Add(Concatenate(joined, 3), entries[vertices])
}

// projections are the 1×1 projections of a module's input, to each interior vertex and
// to the output.
func (b builder) projections(w wires, at place, offset, width int, x *Node) []*Node {
	project := func(name string, channels int, by *Node) *Node {
		name += "/projection"
		kernel, scale, shift := b.layer(name, 1, at.in, channels)
		return b.normReLU(name, convolve(x, kernel), Mul(scale, by), Mul(shift, by))
	}
	var parts []*Node
	for v := 1; v <= vertices; v++ {
		parts = append(parts, project(fmt.Sprintf("%s/vertex_%d", at.name, v), width, times(w.edge(0, v), w.mask(v, offset, width))))
	}
	return append(parts, project(at.name+"/output", at.out, times(w.edge(0, ends-1), Ones(x.Graph(), shapeOf(at.out)))))
}

// sharedVertex is what a vertex makes of the sum of what enters it. In a cell it has one
// operation, so both convolutions are one with the kernel of either; in a mixture they
// are computed apart.
func (b builder) sharedVertex(w wires, name string, v int, mask, sum *Node) *Node {
	width := sum.Shape().Dim(3)
	pooled := times(w.op(v, nasbench101.MaxPool), maxPool3(sum))
	layer := func(op nasbench101.Op, size int) (kernel, scale, shift *Node) {
		by := times(w.op(v, op), mask)
		kernel, scale, shift = b.layer(name+"/"+op.String(), size, width, width)
		return kernel, Mul(scale, by), Mul(shift, by)
	}
	kernel3, scale3, shift3 := layer(nasbench101.Conv3x3, 3)
	kernel1, scale1, shift1 := layer(nasbench101.Conv1x1, 1)
	if w.mixed {
		y := b.normReLU(name, convolve(sum, kernel3), scale3, shift3)
		return Add(Add(y, b.normReLU(name, convolve(sum, kernel1), scale1, shift1)), pooled)
	}
	kernel := Add(times(w.op(v, nasbench101.Conv3x3), kernel3), times(w.op(v, nasbench101.Conv1x1), centred(kernel1)))
	return Add(b.normReLU(name, convolve(sum, kernel), Add(scale3, scale1), Add(shift3, shift1)), pooled)
}

// centred is a 1×1 kernel as a 3×3 one.
func centred(kernel *Node) *Node {
	for axis := range 2 {
		dims := slices.Clone(kernel.Shape().Dimensions)
		dims[axis] = 1
		zero := Zeros(kernel.Graph(), shapeOf(dims...))
		kernel = Concatenate([]*Node{zero, kernel, zero}, axis)
	}
	return kernel
}

// times is a scalar times x.
func times(scalar, x *Node) *Node { return Mul(x, ExpandLeftToRank(scalar, x.Rank())) }

// scaled is x with each channel times its number.
func scaled(x, channels *Node) *Node { return Mul(x, ExpandLeftToRank(channels, 4)) }

// sharedNetwork is the whole shared network: the logits of images.
func (b builder) sharedNetwork(s Skeleton, w wires, images *Node) *Node {
	offset := 0
	return b.network(s, images, func(at place, x *Node) *Node {
		x = b.sharedModule(w, at, offset, x)
		offset += at.out
		return x
	})
}

// used is [dims…]-shaped, or spreads to it: 1 where a parameter of the shared network
// takes part in a cell, 0 where it does not. It is nil for those that always do. A step
// of training changes only what is used, as if there were nothing else.
func (w wires) used(s Skeleton) map[string]*Node {
	used := make(map[string]*Node)
	offset := 0
	for _, at := range s.places() {
		for v := 1; v <= vertices; v++ {
			name := fmt.Sprintf("%s/vertex_%d", at.name, v)
			channels := w.mask(v, offset, at.out)
			mark := func(layer string, by *Node, input *Node) {
				output := times(by, channels)
				used[layer+"/"+nameScale], used[layer+"/"+nameShift] = output, output
				used[layer+"/"+nameKernel] = Mul(ExpandLeftToRank(output, 4), Reshape(input, 1, 1, -1, 1))
			}
			mark(name+"/projection", w.edge(0, v), Ones(channels.Graph(), shapeOf(at.in)))
			for _, op := range []nasbench101.Op{nasbench101.Conv3x3, nasbench101.Conv1x1} {
				mark(name+"/"+op.String(), w.op(v, op), channels)
			}
		}
		output := at.name + "/output/projection"
		for _, last := range []string{nameKernel, nameScale, nameShift} {
			used[output+"/"+last] = w.edge(0, ends-1)
		}
		offset += at.out
	}
	return used
}
