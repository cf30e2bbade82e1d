package supernet

import (
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	. "github.com/gomlx/gomlx/core/graph"
)

// sharedModule is a module of the shared network: every interior vertex has all three
// operations and can be reached from all before it, and w says how much of each there
// is. Wired as a cell, it computes what [builder.cell] computes with the same weights;
// a narrower vertex uses the first channels of its weights. The module's channels
// begin at offset among those of all modules.
func (b builder) sharedModule(w wires, at place, offset int, x *Node) *Node {
	slots := w.slots.Shape().Dim(0)
	width := (at.out + slots - 1) / slots
	inner := []*Node{x}
	for v := 1; v <= vertices; v++ {
		name := fmt.Sprintf("%s/vertex_%d", at.name, v)
		mask := w.mask(v, offset, width)
		sum := times(w.edge(0, v), b.convNormReLU(name+"/projection", x, 1, width))
		for from := 1; from < v; from++ {
			sum = Add(sum, times(w.edge(from, v), inner[from]))
		}
		sum = masked(sum, mask)
		var y *Node
		for _, op := range []nasbench101.Op{nasbench101.Conv3x3, nasbench101.Conv1x1, nasbench101.MaxPool} {
			y = plus(y, times(w.op(v, op), b.op(name, op, sum)))
		}
		inner = append(inner, masked(y, mask))
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
	projection := b.convNormReLU(at.name+"/output/projection", x, 1, at.out)
	return Add(Concatenate(joined, 3), times(w.edge(0, ends-1), projection))
}

// times is a scalar times x.
func times(scalar, x *Node) *Node { return Mul(x, ExpandLeftToRank(scalar, x.Rank())) }

// masked is x without the channels that are left out.
func masked(x, mask *Node) *Node {
	if mask == nil {
		return x
	}
	return Mul(x, ExpandLeftToRank(mask, 4))
}

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
			mark(name+"/projection", w.edge(0, v), OnesLike(Iota(channels.Graph(), shapeOf(at.in), 0)))
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
