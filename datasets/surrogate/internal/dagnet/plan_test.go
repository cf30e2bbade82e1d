package dagnet

import (
	"slices"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// No two different states of the whole space have the same hash: there are as many
// as by comparing what they are computed from.
func TestNoCollisions(t *testing.T) {
	if testing.Short() {
		t.Skip("compares the states of all cells")
	}
	type key struct {
		level, kind int
		children    [nasbench101.MaxVertices]int32
	}
	forward, backward := map[key]int32{}, map[key]int32{}
	number := func(states map[key]int32, level, kind int, children []int32) int32 {
		slices.Sort(children)
		k := key{level: level, kind: kind}
		copy(k.children[:], children)
		id, ok := states[k]
		if !ok {
			id = int32(1 + len(states))
			states[k] = id
		}
		return id
	}
	cells := nasbench101.Enumerate()
	for _, c := range cells {
		n := c.N()
		var f, b [nasbench101.MaxVertices]int32
		sink := 0
		for v := range n - 1 {
			if c.Edge(v, n-1) {
				sink += 2
				if v == 0 {
					sink--
				}
			}
		}
		f[0], b[n-1] = number(forward, 0, 0, nil), number(backward, 0, sink, nil)
		for v := 1; v < n-1; v++ {
			var before, after []int32
			w := n - 1 - v
			for u := range n {
				if c.Edge(u, v) {
					before = append(before, f[u])
				}
				if c.Edge(w, u) {
					after = append(after, b[u])
				}
			}
			f[v] = number(forward, 1, int(c.Op(v)), before)
			b[w] = number(backward, 1, int(c.Op(w)), after)
		}
	}
	p := NewPlan(cells)
	if got, want := p.forward.len(), len(forward); got != want {
		t.Errorf("%d forward states, want %d", got, want)
	}
	if got, want := p.backward.len(), len(backward); got != want {
		t.Errorf("%d backward states, want %d", got, want)
	}
}
