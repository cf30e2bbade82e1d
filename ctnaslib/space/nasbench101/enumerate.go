package nasbench101

import (
	"math/bits"
	"sync"

	"github.com/ctnas/ctnas/ctnaslib/space"
)

// Enumerate lists all [NumCells] cells of the space, one of each isomorphism
// class, in a fixed order: by number of vertices, then by graph, then by
// operations. The slice is shared between callers: do not change it.
//
// Two cells are isomorphic if a renumbering of their interior vertices maps one
// to the other. So Enumerate keeps a graph if no renumbering gives a smaller
// one, and a choice of operations if no renumbering that keeps the graph gives a
// smaller choice: no hashes are needed, and it takes well under a second.
func Enumerate() []Cell { return enumerated() }

var enumerated = sync.OnceValue(func() []Cell {
	cells := make([]Cell, 0, NumCells)
	for n := 2; n <= MaxVertices; n++ {
		renumberings := interiorPermutations(n)
		for code := range uint32(1) << (n * (n - 1) / 2) {
			if bits.OnesCount32(code) > MaxEdges {
				continue
			}
			graph := graphOf(code, n)
			if !everyVertexUsed(graph, n) {
				continue
			}
			symmetries, smallest := symmetriesOf(graph, code, n, renumberings)
			if smallest {
				cells = appendLabelled(cells, graph, n, symmetries)
			}
		}
	}
	return cells
})

// All is [Enumerate] as a [space.Finite] lists it.
func (Space) All() []space.Arch { return all() }

var all = sync.OnceValue(func() []space.Arch {
	archs := make([]space.Arch, NumCells)
	for i, c := range Enumerate() {
		archs[i] = c
	}
	return archs
})

type permutation [MaxVertices]uint8

// interiorPermutations lists the permutations of n vertices that keep the input
// and the output in place.
func interiorPermutations(n int) []permutation {
	var all []permutation
	var p permutation
	p[n-1] = uint8(n - 1)
	used := uint8(1) | 1<<(n-1)
	var place func(v int)
	place = func(v int) {
		if v == n-1 {
			all = append(all, p)
			return
		}
		for to := 1; to < n-1; to++ {
			if used>>to&1 == 0 {
				used |= 1 << to
				p[v] = uint8(to)
				place(v + 1)
				used &^= 1 << to
			}
		}
	}
	place(1)
	return all
}

// graphOf spreads the bits of code over the upper triangle of an n×n matrix.
func graphOf(code uint32, n int) (out [MaxVertices]uint8) {
	for i := range n {
		width := n - 1 - i
		out[i] = uint8(code&(1<<width-1)) << (i + 1)
		code >>= width
	}
	return out
}

// codeOf is the inverse of graphOf.
func codeOf(out [MaxVertices]uint8, n int) (code uint32) {
	for i := n - 1; i >= 0; i-- {
		code = code<<(n-1-i) | uint32(out[i]>>(i+1))
	}
	return code
}

// everyVertexUsed says whether every vertex lies on a path from input to output.
// As all edges go forwards, it is enough that each vertex but the output has an
// edge out, and each but the input an edge in.
func everyVertexUsed(out [MaxVertices]uint8, n int) bool {
	var targets uint8
	for v := range n - 1 {
		if out[v] == 0 {
			return false
		}
		targets |= out[v]
	}
	return targets == 1<<n-2
}

// symmetriesOf returns the renumberings that map the graph to itself, and
// whether no renumbering maps it to a graph with a smaller code. Only renumberings
// under which all edges still go forwards count.
func symmetriesOf(out [MaxVertices]uint8, code uint32, n int, renumberings []permutation) (symmetries []permutation, smallest bool) {
	for _, p := range renumberings {
		image, forwards := renumber(out, n, p)
		if !forwards {
			continue
		}
		switch c := codeOf(image, n); {
		case c < code:
			return nil, false
		case c == code:
			symmetries = append(symmetries, p)
		}
	}
	return symmetries, true
}

func renumber(out [MaxVertices]uint8, n int, p permutation) (image [MaxVertices]uint8, forwards bool) {
	for i := range n {
		for left := out[i]; left != 0; left &= left - 1 {
			j := bits.TrailingZeros8(left)
			if p[i] >= p[j] {
				return image, false
			}
			image[p[i]] |= 1 << p[j]
		}
	}
	return image, true
}

// appendLabelled appends a cell for each choice of operations that is the
// smallest of those its symmetries map it to.
func appendLabelled(cells []Cell, out [MaxVertices]uint8, n int, symmetries []permutation) []Cell {
	c := Cell{n: uint8(n), out: out}
	var label func(v int)
	label = func(v int) {
		if v == n-1 {
			if smallestLabels(c, symmetries) {
				cells = append(cells, c)
			}
			return
		}
		for op := range numOps {
			c.ops[v-1] = uint8(op)
			label(v + 1)
		}
	}
	label(1)
	return cells
}

func smallestLabels(c Cell, symmetries []permutation) bool {
next:
	for _, p := range symmetries {
		for v := 1; v < c.N()-1; v++ {
			image, own := c.ops[p[v]-1], c.ops[v-1]
			if image < own {
				return false
			}
			if image > own {
				continue next
			}
		}
	}
	return true
}
