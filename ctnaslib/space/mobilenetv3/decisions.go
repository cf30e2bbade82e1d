package mobilenetv3

import (
	"math"
	"sync"

	"github.com/ctnas/ctnas/ctnaslib/space"
)

// The kinds of decisions, in the order of Decisions().Kinds.
const (
	kindDepth     = iota // blocks of a unit, less MinDepth
	kindExpansion        // index into Expansions
	kindKernel           // index into Kernels
)

// quantum returns the unit, in multiply-adds, in which the automaton of a space counts what a network has left: each
// block is rounded up to it. So every sequence keeps to the limit, and all networks but some of those within 20
// quanta of it can be written down. Where the limit leaves little above the smallest network, it is a thousandth of
// that.
func (s Space) quantum() int64 {
	const usual = 500_000
	least, _ := s.Range()
	if room := s.limit - least; room < 100*usual {
		return max(1, room/1000)
	}
	return usual
}

// Decisions describes a network as the authors' controller writes it (their released code): for each unit its depth,
// then for each block its expansion and its kernel. There are two differences. Blocks beyond the depth, which mean
// nothing, are not written. And where the space has a limit of multiply-adds, a state knows how many are left:
// choices after which even the smallest rest would break the limit are forbidden, so that a policy keeps to it by
// construction, where the paper does not say how it did.
func (s Space) Decisions() *space.Decisions {
	d, _ := automata.LoadOrStore(s, sync.OnceValue(func() *space.Decisions { return newDecisions(s) }))
	return d.(func() *space.Decisions)()
}

var automata sync.Map // of Space: func() *space.Decisions

// position is a point in writing a network down.
type position struct {
	unit, depth, block int // depth 0: the depth of the unit is to be chosen
	expansion          int // of the block, if its kernel is to be chosen; else 0
	left               int // quanta
}

// writer makes the automaton of a space.
type writer struct {
	limited bool                           // whether the limit forbids anything
	cost    [Units][MaxDepth]map[Block]int // quanta
	least   [Units][MaxDepth]int           // of a block
	number  map[position]int               // of a state
	queue   []position                     // whose states are to be made, in their order
}

// theEnd stands for the number of the end while the number of states is not known.
const theEnd = -2

func newDecisions(s Space) *space.Decisions {
	_, most := s.Range()
	w := &writer{limited: s.limit != 0 && s.limit < most, number: make(map[position]int)}
	var start position
	quantum := s.quantum()
	if w.limited {
		start.left = int((s.limit - s.fixed().MAdds) / quantum)
	}
	for u := range Units {
		for i := range MaxDepth {
			w.cost[u][i], w.least[u][i] = make(map[Block]int), math.MaxInt
			for _, b := range allBlocks {
				if w.limited {
					w.cost[u][i][b] = int((s.Bottleneck(u, i, b).Cost().MAdds + quantum - 1) / quantum)
				}
				w.least[u][i] = min(w.least[u][i], w.cost[u][i][b])
			}
		}
	}
	d := &space.Decisions{
		Kinds: []space.Kind{
			kindDepth:     {Name: "depth", Choices: MaxDepth - MinDepth + 1},
			kindExpansion: {Name: "expansion", Choices: len(Expansions)},
			kindKernel:    {Name: "kernel", Choices: len(Kernels)},
		},
		Steps: Units + 2*NumBlock,
	}
	w.state(start)
	for i := 0; i < len(w.queue); i++ { // grows
		d.States = append(d.States, w.next(w.queue[i]))
	}
	for _, state := range d.States {
		for c, next := range state.Next {
			if next == theEnd {
				state.Next[c] = d.End()
			}
		}
	}
	return d
}

// state returns the number of a position's state, which is given one if it has none.
func (w *writer) state(p position) int {
	if p.unit == Units {
		return theEnd
	}
	n, ok := w.number[p]
	if !ok {
		n = len(w.queue)
		w.number[p] = n
		w.queue = append(w.queue, p)
	}
	return n
}

// next makes the state of a position.
func (w *writer) next(p position) space.State {
	var state space.State
	var choices []position // what each leads to
	switch {
	case p.depth == 0:
		for depth := MinDepth; depth <= MaxDepth; depth++ {
			choices = append(choices, position{unit: p.unit, depth: depth, left: p.left})
		}
	case p.expansion == 0:
		state.Kind = kindExpansion
		for _, e := range Expansions {
			p.expansion = e
			choices = append(choices, p)
		}
	default:
		state.Kind = kindKernel
		for _, k := range Kernels {
			choices = append(choices, w.after(p, k))
		}
	}
	for _, to := range choices {
		if w.fits(to) {
			state.Next = append(state.Next, w.state(to))
		} else {
			state.Next = append(state.Next, space.Forbidden)
		}
	}
	return state
}

// fits says whether the least that can come after a position keeps to the limit: the cheapest kernel of a block, and
// MinDepth blocks of a unit whose depth is not chosen.
func (w *writer) fits(p position) bool {
	if p.expansion != 0 {
		p = w.after(p, Kernels[0])
	}
	for u := p.unit; u < Units; u++ {
		from, to := 0, MinDepth
		if u == p.unit && p.depth > 0 {
			from, to = p.block, p.depth
		}
		for i := from; i < to; i++ {
			p.left -= w.least[u][i]
		}
	}
	return p.left >= 0
}

// after returns the position after the kernel of p's block is chosen.
func (w *writer) after(p position, kernel int) position {
	p.left -= w.cost[p.unit][p.block][Block{kernel, p.expansion}]
	p.expansion = 0
	if p.block++; p.block == p.depth {
		p.unit, p.depth, p.block = p.unit+1, 0, 0
	}
	return p
}

// Decode turns a sequence of decisions into its [Net].
func (s Space) Decode(sequence []int) (space.Arch, error) {
	if err := s.Decisions().Check(sequence); err != nil {
		return nil, err
	}
	var n Net
	for u := range Units {
		depth := MinDepth + sequence[0]
		for i := range depth {
			n.blocks[u][i] = Block{Kernel: Kernels[sequence[2+2*i]], Expansion: Expansions[sequence[1+2*i]]}
		}
		sequence = sequence[1+2*depth:]
	}
	return n, nil
}
