package nasbench101

import (
	"fmt"
	"math/rand/v2"

	"github.com/ctnas/ctnas/ctnaslib/space"
)

// edgeSlots is the number of possible edges between 7 vertices.
const edgeSlots = MaxVertices * (MaxVertices - 1) / 2

// Mutate follows the mutation of the benchmark's own evolution (google-research/nasbench, NASBench.ipynb,
// mutate_spec): each of the 21 possible edges between 7 vertices is flipped with probability 1/21, each of the five
// operations replaced by one of the other two with probability 1/5, so one of each on average, and all that again
// until the result is a cell, and another one than a, up to isomorphism. The error says that a is not a [Cell].
//
// A cell is pruned, where the notebook mutates the matrix before pruning. So a cell of fewer than 7 vertices can grow
// again: it is first spread over 7, its interior vertices in their order at random places, and the unused vertices
// get random operations and no edges. And the notebook flips edges with probability 1/7, since there most flips are
// pruned away; on a pruned cell that would be no small change. 1/21 is the rate of later work (White et al., BANANAS,
// AAAI 2021).
func (Space) Mutate(rng *rand.Rand, a space.Arch) (space.Arch, error) {
	c, ok := a.(Cell)
	if !ok || c.N() == 0 {
		return nil, fmt.Errorf("nasbench101: cannot mutate %v, it is not a cell of this space", a)
	}
	hash := c.Hash()
	for {
		if mutant, err := c.mutateOnce(rng); err == nil && mutant.Hash() != hash {
			return mutant, nil
		}
	}
}

// mutateOnce flips edges and changes operations. The error says that the result is no cell.
func (c Cell) mutateOnce(rng *rand.Rand) (Cell, error) {
	out, ops := c.spread(rng)
	for i := range MaxVertices {
		for j := i + 1; j < MaxVertices; j++ {
			if rng.IntN(edgeSlots) == 0 {
				out[i] ^= 1 << j
			}
		}
	}
	for v := range ops {
		if rng.IntN(len(ops)) == 0 {
			ops[v] = (ops[v] + 1 + Op(rng.IntN(int(numOps)-1))) % numOps
		}
	}
	return prune(out, ops)
}

// spread draws a graph of 7 vertices and their operations that prunes to c.
func (c Cell) spread(rng *rand.Rand) (out graph, ops []Op) {
	ops = make([]Op, MaxVertices-2)
	for v := range ops {
		ops[v] = Op(rng.IntN(int(numOps)))
	}
	var place [MaxVertices]int // of each vertex of c
	place[c.N()-1] = MaxVertices - 1
	next := 1
	for v := 1; v < MaxVertices-1; v++ {
		left, free := c.N()-1-next, MaxVertices-1-v
		if rng.IntN(free) < left { // so all choices of places are equally likely
			place[next] = v
			ops[v-1] = c.Op(next)
			next++
		}
	}
	for i, j := range c.out.edges() {
		out[place[i]] |= 1 << place[j]
	}
	return out, ops
}
