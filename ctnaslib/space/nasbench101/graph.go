package nasbench101

import (
	"errors"
	"fmt"
	"iter"
	"math/bits"
)

// graph holds the edges between at most [MaxVertices] vertices: bit j of graph[i] is set for an edge i → j.
type graph [MaxVertices]uint8

// graphOf spreads the bits of code over the upper triangle of an n×n adjacency matrix, row by row.
func graphOf(code uint32, n int) (g graph) {
	for i := range n {
		width := n - 1 - i
		g[i] = uint8(code&(1<<width-1)) << (i + 1)
		code >>= width
	}
	return g
}

// code returns the inverse of [graphOf].
func (g graph) code(n int) (code uint32) {
	for i := n - 1; i >= 0; i-- {
		code = code<<(n-1-i) | uint32(g[i]>>(i+1))
	}
	return code
}

// edges yields the ends of each edge, from lower to higher vertices.
func (g graph) edges() iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		for i, out := range g {
			for ; out != 0; out &= out - 1 {
				if !yield(i, bits.TrailingZeros8(out)) {
					return
				}
			}
		}
	}
}

// checkOrder reports an edge that does not go from an earlier to a later vertex, and says whether the graph has a
// cycle or is only badly ordered.
func (g graph) checkOrder(n int) error {
	for i, j := range g.edges() {
		switch {
		case i < j:
		case g.hasCycle(n):
			return fmt.Errorf("nasbench101: the graph has a cycle (through the edge %d → %d); a cell must be acyclic", i, j)
		default:
			return fmt.Errorf("nasbench101: edge %d → %d goes backwards; number the vertices in topological order", i, j)
		}
	}
	return nil
}

// hasCycle removes vertices without incoming edges until none is left to remove.
func (g graph) hasCycle(n int) bool {
	left := uint8(1<<n - 1)
	for left != 0 {
		var targets uint8
		for i, j := range g.edges() {
			targets |= left >> i & 1 << j
		}
		if left&^targets == 0 {
			return true
		}
		left &= targets
	}
	return false
}

// prune drops every vertex that is not on a path from input to output, and checks what is left. The edges of g all go
// forwards, from lower to higher.
func prune(g graph, ops []Op) (Cell, error) {
	n := len(ops) + 2
	fromInput, toOutput := uint8(1), uint8(1)<<(n-1)
	for v := range n {
		if fromInput>>v&1 == 1 {
			fromInput |= g[v]
		}
	}
	for v := n - 1; v >= 0; v-- {
		if g[v]&toOutput != 0 {
			toOutput |= 1 << v
		}
	}
	kept := fromInput & toOutput
	if kept&1 == 0 {
		return Cell{}, errors.New("nasbench101: no path leads from the input to the output")
	}
	c := Cell{n: uint8(bits.OnesCount8(kept))}
	at := func(v int) int { return bits.OnesCount8(kept & (1<<v - 1)) } // new number of a kept vertex
	for v, op := range ops {
		if kept>>(v+1)&1 == 1 {
			c.ops[at(v+1)-1] = uint8(op)
		}
	}
	for i, j := range g.edges() {
		if kept>>i&1 == 1 && kept>>j&1 == 1 {
			c.out[at(i)] |= 1 << at(j)
		}
	}
	if edges := c.Edges(); edges > MaxEdges {
		return Cell{}, fmt.Errorf("nasbench101: a cell has at most %d edges, this one has %d", MaxEdges, edges)
	}
	return c, nil
}
