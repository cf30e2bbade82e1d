package darts

import (
	"fmt"
	"math/rand/v2"

	"github.com/ctnas/ctnas/ctnaslib/space"
)

// Space is the DARTS search space as a [space.Cellular]. It is safe for concurrent use.
type Space struct{}

var _ space.Cellular = Space{}

// Name returns "darts".
func (Space) Name() string { return "darts" }

// Nodes returns 20: two inputs and eight operations in each cell.
func (Space) Nodes() int { return 2 * cellNodes }

// Ops returns 10: padding, the two inputs of a cell, the seven operations.
func (Space) Ops() int { return numIDs }

// Cells returns 2: the first half of a graph's nodes are the normal cell, the second the reduction cell.
func (Space) Cells() int { return 2 }

// Features returns 196; see [Genotype.Vector].
func (Space) Features() int { return Features }

// Sample draws a [Genotype] uniformly from all [NumGenotypes]: for each node, an unordered pair of predecessors, and
// an operation on each.
func (Space) Sample(rng *rand.Rand) space.Arch {
	g, err := FromCode(rng.Uint64N(NumGenotypes))
	if err != nil {
		panic(err) // no code below NumGenotypes is without a genotype
	}
	return g
}

// Mutate changes one edge of one cell: with probability 1/2 its operation, into one of the other six, else its
// predecessor, into another one that the node does not read yet, as regularised evolution does (Real et al., AAAI
// 2019). Node 2 has no other predecessor, so the predecessors of nodes 3 to 5 change. The error says that a is not a
// [Genotype].
func (Space) Mutate(rng *rand.Rand, a space.Arch) (space.Arch, error) {
	g, ok := a.(Genotype)
	if !ok {
		return nil, fmt.Errorf("darts: cannot mutate %v, it is not a genotype of this space", a)
	}
	cell := &g.cells[rng.IntN(len(g.cells))]
	k := rng.IntN(2)
	if rng.IntN(2) == 0 {
		e := &cell[rng.IntN(Nodes)][k]
		e.Op = (e.Op + 1 + Op(rng.IntN(int(numOps)-1))) % numOps
	} else {
		i := 1 + rng.IntN(Nodes-1)
		node := &cell[i]
		free := make([]int, 0, Nodes)
		for from := range Inputs + i {
			if from != node[0].From && from != node[1].From {
				free = append(free, from)
			}
		}
		node[k].From = free[rng.IntN(len(free))]
	}
	return New(g.cells[normal], g.cells[reduce])
}

// Parse reads a [Genotype] from its text; see the function [Parse].
func (Space) Parse(text string) (space.Arch, error) {
	g, err := Parse(text)
	if err != nil {
		return nil, err
	}
	return g, nil
}

// The kinds of decisions of a cell; the reduction cell has its own.
const (
	kindFrom = iota // a predecessor
	kindOp          // an operation
	kindsPerCell
)

// decisionsPerNode are a predecessor and an operation, twice.
const decisionsPerNode = 4

// Decisions describes a genotype as 32 decisions: for each node of the normal cell, then of the reduction cell, a
// predecessor and the operation on it, then another predecessor and the operation on it. The second predecessor
// cannot be the first. Each cell is a part of its own, as the authors' code has a controller for each. A policy that
// decides uniformly samples uniformly.
//
// The authors' controller (core/controller/common_nas.py) writes both predecessors of a node before both operations,
// which may be "none", and may choose a predecessor twice.
func (Space) Decisions() *space.Decisions { return decisions }

var decisions = newDecisions()

func newDecisions() *space.Decisions {
	d := &space.Decisions{Steps: 2 * Nodes * decisionsPerNode}
	for c, cell := range cellNames {
		d.Kinds = append(d.Kinds,
			space.Kind{Name: cell + " predecessor", Choices: Inputs + Nodes - 1, Pointer: true, Part: c},
			space.Kind{Name: cell + " operation", Choices: int(numOps), Part: c})
	}
	for c := range cellNames {
		from, op := kindsPerCell*c+kindFrom, kindsPerCell*c+kindOp
		for i := range Nodes {
			// The states of a node with n predecessors: the first predecessor; for each choice of it the operation,
			// and the second predecessor; the last operation.
			n := Inputs + i
			first := len(d.States)
			last := first + 1 + 2*n
			start := state(from, d)
			d.States = append(d.States, start)
			for a := range n {
				start.Next[a] = first + 1 + 2*a
				operation, second := state(op, d), state(from, d)
				for o := range operation.Next {
					operation.Next[o] = first + 2 + 2*a
				}
				for b := range n {
					if b != a {
						second.Next[b] = last
					}
				}
				d.States = append(d.States, operation, second)
			}
			operation := state(op, d)
			for o := range operation.Next {
				operation.Next[o] = last + 1
			}
			d.States = append(d.States, operation)
		}
	}
	return d
}

// state returns a state of a kind that does not allow any choice yet.
func state(kind int, d *space.Decisions) space.State {
	s := space.State{Kind: kind, Next: make([]int, d.Kinds[kind].Choices)}
	for choice := range s.Next {
		s.Next[choice] = space.Forbidden
	}
	return s
}

// Decode turns a sequence of decisions into its [Genotype].
func (Space) Decode(sequence []int) (space.Arch, error) {
	if err := decisions.Check(sequence); err != nil {
		return nil, err
	}
	var cells [2]Cell
	for c := range cells {
		for i := range cells[c] {
			for k := range cells[c][i] {
				cells[c][i][k] = Edge{Op(sequence[1]), sequence[0]}
				sequence = sequence[2:]
			}
		}
	}
	return New(cells[normal], cells[reduce])
}
