package mobilenetv3

import (
	"math"
	"slices"
	"sync"

	"github.com/ctnas/ctnas/ctnaslib/space"
)

// The kinds of decisions, in the order of Decisions().Kinds.
const (
	kindDepth     = iota // blocks of a unit, less MinDepth
	kindExpansion        // index into Expansions
	kindKernel           // index into Kernels
)

// quantum is the unit, in multiply-adds, in which the automaton of a space counts what a
// network has left: each block is rounded up to it. So every sequence keeps to the limit,
// and all networks but some of those within 20 quanta of it can be written down. Where
// the limit leaves little above the smallest network, it is a thousandth of that.
func (s Space) quantum() int64 {
	const usual = 500_000
	least, _ := s.Range()
	if room := s.limit - least; room < 100*usual {
		return max(1, room/1000)
	}
	return usual
}

// Decisions describes a network as the authors' controller writes it (their released
// code): for each unit its depth, then for each block its expansion and its kernel.
// There are two differences. Blocks beyond the depth, which mean nothing, are not
// written. And where the space has a limit of multiply-adds, a state knows how many are
// left: choices after which even the smallest rest would break the limit are
// forbidden, so that a policy keeps to it by construction, where the paper does not
// say how it did.
func (s Space) Decisions() *space.Decisions {
	d, _ := automata.LoadOrStore(s, sync.OnceValue(func() *space.Decisions { return newDecisions(s) }))
	return d.(func() *space.Decisions)()
}

var automata sync.Map // of Space: func() *space.Decisions

// place is a point in writing a network down.
type place struct {
	unit, depth, block int // depth 0: the depth of the unit is to be chosen
	expansion          int // of the block, if its kernel is to be chosen; else 0
	left               int // quanta
}

// writer makes the automaton of a space.
type writer struct {
	space   Space
	limited bool                           // whether the limit forbids anything
	quantum int64                          // of the space
	cost    [Units][MaxDepth]map[Block]int // quanta
	least   [Units][MaxDepth]int           // of a block
	found   map[place]int                  // number of a state
	queue   []place
}

func newWriter(s Space) *writer {
	_, most := s.Range()
	w := &writer{space: s, limited: s.limit != 0 && s.limit < most, quantum: s.quantum(), found: make(map[place]int)}
	for u := range Units {
		for i := range MaxDepth {
			w.cost[u][i], w.least[u][i] = make(map[Block]int), math.MaxInt
			for _, k := range Kernels {
				for _, e := range Expansions {
					b := Block{k, e}
					w.cost[u][i][b] = w.quanta(s.Bottleneck(u, i, b).Cost().MAdds)
					w.least[u][i] = min(w.least[u][i], w.cost[u][i][b])
				}
			}
		}
	}
	return w
}

// start is the place before the first decision.
func (w *writer) start() place {
	if !w.limited {
		return place{}
	}
	return place{left: int((w.space.limit - w.space.fixed().MAdds) / w.quantum)}
}

func newDecisions(s Space) *space.Decisions {
	w := newWriter(s)
	d := &space.Decisions{
		Kinds: []space.Kind{
			kindDepth:     {Name: "depth", Choices: MaxDepth - MinDepth + 1},
			kindExpansion: {Name: "expansion", Choices: len(Expansions)},
			kindKernel:    {Name: "kernel", Choices: len(Kernels)},
		},
		Steps: Units + 2*NumBlock,
	}
	w.state(w.start())
	for i := 0; i < len(w.queue); i++ { // grows
		d.States = append(d.States, w.next(w.queue[i]))
	}
	// The end was numbered −2 while the number of states was not known.
	for _, state := range d.States {
		for c, next := range state.Next {
			if next == theEnd {
				state.Next[c] = d.End()
			}
		}
	}
	return d
}

const theEnd = -2

func (w *writer) quanta(madds int64) int {
	if !w.limited {
		return 0
	}
	return int((madds + w.quantum - 1) / w.quantum)
}

// state is the number of a place, which is given one if it has none.
func (w *writer) state(p place) int {
	if p.unit == Units {
		return theEnd
	}
	n, ok := w.found[p]
	if !ok {
		n = len(w.queue)
		w.found[p] = n
		w.queue = append(w.queue, p)
	}
	return n
}

// rest is the least that can come after the given place, in quanta: a unit whose depth
// is not chosen has MinDepth blocks.
func (w *writer) rest(p place) int {
	sum := 0
	for u := p.unit; u < Units; u++ {
		from, to := 0, MinDepth
		if u == p.unit && p.depth > 0 {
			from, to = p.block, p.depth
		}
		for i := from; i < to; i++ {
			sum += w.least[u][i]
		}
	}
	return sum
}

// next is the state of a place.
func (w *writer) next(p place) space.State {
	enter := func(to place) int {
		if w.limited && (to.left < 0 || w.rest(to) > to.left) {
			return space.Forbidden
		}
		return w.state(to)
	}
	switch {
	case p.depth == 0:
		state := space.State{Kind: kindDepth}
		for depth := MinDepth; depth <= MaxDepth; depth++ {
			to := p
			to.depth = depth
			state.Next = append(state.Next, enter(to))
		}
		return state
	case p.expansion == 0:
		state := space.State{Kind: kindExpansion}
		for _, e := range Expansions {
			to := p
			to.expansion = e
			if enter(w.after(to, Kernels[0])) == space.Forbidden { // the cheapest kernel
				state.Next = append(state.Next, space.Forbidden)
			} else {
				state.Next = append(state.Next, w.state(to))
			}
		}
		return state
	default:
		state := space.State{Kind: kindKernel}
		for _, k := range Kernels {
			state.Next = append(state.Next, enter(w.after(p, k)))
		}
		return state
	}
}

// after is the place after the kernel of p's block is chosen.
func (w *writer) after(p place, kernel int) place {
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

func indexOf(values [3]int, v int) int { return slices.Index(values[:], v) }
