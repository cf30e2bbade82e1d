package dagnet

import (
	"cmp"
	"slices"

	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// Plan lists what a [Net] has to compute for some cells, each thing once.
//
// The forward state of a vertex depends only on what lies between the input and
// the vertex, and the backward state only on what lies between it and the output.
// So the 423,624 cells with their three million vertices have only some hundred
// thousand different states of either kind, and a plan numbers the different ones.
type Plan struct {
	cells             int
	forward, backward states
	vertices, edges   meetings
	features          []float32 // [cells, NumFeatures]
}

// states are the different states of one direction, in ascending order of level.
type states struct {
	groups []group
	first  []int32 // the children of state s are child[first[s]:first[s+1]]
	child  []int32 // of lower levels; a state is computed from their sum
}

func (s *states) len() int { return len(s.first) - 1 }

func (s *states) children(i int) []int32 { return s.child[s.first[i]:s.first[i+1]] }

// group is a run of states that use the same weights. At level 0 these are a
// learned vector, at the others a layer.
type group struct{ level, kind, from, to int }

// meetings are, for each cell, the pairs of a forward and a backward state that
// meet in it: at its vertices, or along its edges.
type meetings struct {
	first             []int32 // of each cell, and the end
	forward, backward []int32
}

// NumSinks is the number of kinds of backward states of level 0: how many interior vertices lead to the
// output, which share its channels, and whether the input does.
const NumSinks = 2 * (nasbench101.MaxVertices - 1)

// Sink returns the kind of a cell's backward state of level 0.
func Sink(c nasbench101.Cell) int {
	n := c.N()
	sink := 0
	for v := 1; v < n-1; v++ {
		if c.Edge(v, n-1) {
			sink += 2
		}
	}
	if c.Edge(0, n-1) {
		sink++
	}
	return sink
}

// NewPlan plans the computation for cells.
func NewPlan(cells []nasbench101.Cell) *Plan {
	p := &Plan{cells: len(cells), features: make([]float32, 0, len(cells)*NumFeatures)}
	f, b := newBuilder(len(cells)), newBuilder(len(cells))
	var vertices, edges meetingBuilder
	vertices.first = append(vertices.first, 0)
	edges.first = append(edges.first, 0)
	for _, c := range cells {
		n := c.N()
		var forward, backward [nasbench101.MaxVertices]int32
		forward[0] = f.state(0, 0, nil)
		var near [nasbench101.MaxVertices]int32
		for v := 1; v < n-1; v++ {
			around := near[:0]
			for u := range v {
				if c.Edge(u, v) {
					around = append(around, forward[u])
				}
			}
			forward[v] = f.state(1, int(c.Op(v)), around)
		}
		backward[n-1] = b.state(0, Sink(c), nil)
		for v := n - 2; v > 0; v-- {
			around := near[:0]
			for w := v + 1; w < n; w++ {
				if c.Edge(v, w) {
					around = append(around, backward[w])
				}
			}
			backward[v] = b.state(1, int(c.Op(v)), around)
		}
		for v := 1; v < n-1; v++ {
			vertices.meet(forward[v], backward[v])
			for w := v + 1; w < n; w++ {
				if c.Edge(v, w) {
					edges.meet(forward[v], backward[w])
				}
			}
		}
		for w := 1; w < n; w++ {
			if c.Edge(0, w) {
				edges.meet(forward[0], backward[w])
			}
		}
		vertices.endCell(f, b)
		edges.endCell(f, b)
		p.features = AppendFeatures(p.features, c)
	}
	var forwardAt, backwardAt []int32
	p.forward, forwardAt = f.sorted()
	p.backward, backwardAt = b.sorted()
	for _, m := range []*meetingBuilder{&vertices, &edges} {
		for i := range m.forward {
			m.forward[i], m.backward[i] = forwardAt[m.forward[i]], backwardAt[m.backward[i]]
		}
	}
	p.vertices, p.edges = vertices.meetings, edges.meetings
	return p
}

// meetingBuilder collects meetings. Those of a cell are put in the order of their
// states' hashes, which is the same in every numbering of the cell and in every
// plan, as floating-point sums depend on it.
type meetingBuilder struct {
	meetings
	open [][2]int32
}

func (m *meetingBuilder) meet(forward, backward int32) {
	m.open = append(m.open, [2]int32{forward, backward})
}

func (m *meetingBuilder) endCell(f, b *builder) {
	slices.SortFunc(m.open, func(x, y [2]int32) int {
		return cmp.Or(cmp.Compare(f.hash[x[0]], f.hash[y[0]]), cmp.Compare(b.hash[x[1]], b.hash[y[1]]))
	})
	for _, pair := range m.open {
		m.forward = append(m.forward, pair[0])
		m.backward = append(m.backward, pair[1])
	}
	m.open = m.open[:0]
	m.first = append(m.first, int32(len(m.forward)))
}

// builder numbers the different states of one direction as they come.
type builder struct {
	ids   map[uint64]int32
	hash  []uint64 // of each state, the same in every plan
	level []int
	kind  []int
	states
}

func newBuilder(cells int) *builder {
	b := &builder{ids: make(map[uint64]int32, cells)}
	b.first = append(b.first, 0)
	return b
}

// state numbers the state of a kind that is computed from children, of which there
// are none exactly at level 0. It sorts children by their hashes.
func (b *builder) state(level, kind int, children []int32) int32 {
	slices.SortFunc(children, func(x, y int32) int { return cmp.Compare(b.hash[x], b.hash[y]) })
	hash := mix(uint64(2*kind + level))
	for _, c := range children {
		hash = mix(3*hash + b.hash[c]) // hash may itself be that of a state of fewer children
	}
	if id, ok := b.ids[hash]; ok {
		return id
	}
	id := int32(len(b.hash))
	b.ids[hash] = id
	for _, c := range children {
		level = max(level, b.level[c]+1)
	}
	b.hash = append(b.hash, hash)
	b.level = append(b.level, level)
	b.kind = append(b.kind, kind)
	b.child = append(b.child, children...)
	b.first = append(b.first, int32(len(b.child)))
	return id
}

// mix returns the finaliser of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// sorted renumbers the states by level and kind, and says which number each got.
func (b *builder) sorted() (s states, at []int32) {
	order := make([]int32, len(b.hash))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(x, y int32) int {
		return cmp.Or(cmp.Compare(b.level[x], b.level[y]), cmp.Compare(b.kind[x], b.kind[y]))
	})
	at = make([]int32, len(order))
	for i, old := range order {
		at[old] = int32(i)
	}
	s.first = append(make([]int32, 0, len(b.first)), 0)
	s.child = make([]int32, 0, len(b.child))
	for i, old := range order {
		for _, c := range b.children(int(old)) {
			s.child = append(s.child, at[c])
		}
		s.first = append(s.first, int32(len(s.child)))
		level, kind := b.level[old], b.kind[old]
		if last := len(s.groups) - 1; last >= 0 && s.groups[last].level == level && s.groups[last].kind == kind {
			s.groups[last].to++
		} else {
			s.groups = append(s.groups, group{level, kind, i, i + 1})
		}
	}
	return s, at
}
