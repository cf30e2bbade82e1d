package nasbench101

import (
	"math/bits"
	"sync"

	"gonum.org/v1/gonum/stat/combin"

	"github.com/ctnas/ctnas/ctnaslib/space"
)

// Enumerate lists all [NumCells] cells of the space, one of each isomorphism class, in a fixed order: by number of
// vertices, then by graph, then by operations. The slice is shared between callers: do not change it.
//
// Two cells are isomorphic if a renumbering of their interior vertices maps one to the other. So Enumerate keeps a
// graph if no renumbering gives a smaller one, and a choice of operations if no renumbering that keeps the graph
// gives a smaller choice: no hashes are needed, and it takes well under a second.
func Enumerate() []Cell { return enumerated() }

var enumerated = sync.OnceValue(func() []Cell {
	cells := make([]Cell, 0, NumCells)
	for n := 2; n <= MaxVertices; n++ {
		renumberings := renumberings(n)
		for code := range uint32(1) << (n * (n - 1) / 2) {
			if bits.OnesCount32(code) > MaxEdges {
				continue
			}
			g := graphOf(code, n)
			if !everyVertexUsed(g, n) {
				continue
			}
			symmetries, smallest := symmetriesOf(g, code, n, renumberings)
			if smallest {
				cells = appendLabelled(cells, g, n, symmetries)
			}
		}
	}
	return cells
})

// All returns [Enumerate] as a [space.Finite] lists it.
func (Space) All() []space.Arch { return all() }

var all = sync.OnceValue(func() []space.Arch {
	archs := make([]space.Arch, NumCells)
	for i, c := range Enumerate() {
		archs[i] = c
	}
	return archs
})

// renumberings returns the permutations of n vertices that keep the input and the output in place: the new number of
// each vertex.
func renumberings(n int) [][]int {
	var all [][]int
	for _, interior := range combin.Permutations(n-2, n-2) {
		p := make([]int, n)
		p[n-1] = n - 1
		for v, to := range interior {
			p[v+1] = to + 1
		}
		all = append(all, p)
	}
	return all
}

// everyVertexUsed says whether every vertex lies on a path from input to output. As all edges go forwards, it is
// enough that each vertex but the output has an edge out, and each but the input an edge in.
func everyVertexUsed(g graph, n int) bool {
	var targets uint8
	for v := range n - 1 {
		if g[v] == 0 {
			return false
		}
		targets |= g[v]
	}
	return targets == 1<<n-2
}

// symmetriesOf returns the renumberings that map the graph to itself, and whether no renumbering maps it to a graph
// with a smaller code. Only renumberings under which all edges still go forwards count.
func symmetriesOf(g graph, code uint32, n int, renumberings [][]int) (symmetries [][]int, smallest bool) {
	for _, p := range renumberings {
		image, forwards := renumber(g, p)
		if !forwards {
			continue
		}
		switch c := image.code(n); {
		case c < code:
			return nil, false
		case c == code:
			symmetries = append(symmetries, p)
		}
	}
	return symmetries, true
}

func renumber(g graph, p []int) (image graph, forwards bool) {
	for i, j := range g.edges() {
		if p[i] >= p[j] {
			return image, false
		}
		image[p[i]] |= 1 << p[j]
	}
	return image, true
}

// appendLabelled appends a cell for each choice of operations that is the smallest of those its symmetries map it to.
func appendLabelled(cells []Cell, g graph, n int, symmetries [][]int) []Cell {
	c := Cell{n: uint8(n), out: g}
	choices := 1
	for range n - 2 {
		choices *= int(numOps)
	}
	for k := range choices {
		for v := n - 3; v >= 0; v-- {
			c.ops[v] = uint8(k % int(numOps))
			k /= int(numOps)
		}
		if smallestLabels(c, symmetries) {
			cells = append(cells, c)
		}
	}
	return cells
}

func smallestLabels(c Cell, symmetries [][]int) bool {
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
