package space_test

import (
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/space"
)

// drawn is an architecture whose graph is wrong.
type drawn struct{ graph space.Graph }

func (drawn) ID() string           { return "drawn" }
func (drawn) String() string       { return "drawn" }
func (d drawn) Graph() space.Graph { return d.graph }

// A graph that does not fit is an error, and never an edge in another place.
func TestNewBatchErrors(t *testing.T) {
	fits := drawn{space.Graph{Ops: []int{1, 2}, Edges: [][2]int{{0, 1}}}}
	for want, g := range map[string]space.Graph{
		"has 4 nodes, but the comparator was built for 3":       {Ops: []int{1, 1, 1, 1}},
		"the edge 1 → 2; edges go from a lower to a higher one": {Ops: []int{1, 1}, Edges: [][2]int{{1, 2}}},
		"the edge 0 → 3":            {Ops: []int{1, 1, 1}, Edges: [][2]int{{0, 3}}},
		"the edge 1 → 0":            {Ops: []int{1, 1, 1}, Edges: [][2]int{{1, 0}}},
		"the edge -1 → 1":           {Ops: []int{1, 1, 1}, Edges: [][2]int{{-1, 1}}},
		"the operation 0 at node 1": {Ops: []int{1, 0}},
	} {
		if _, err := space.NewBatch([]space.Arch{fits, drawn{g}}, 3); err == nil || !strings.Contains(err.Error(), "architecture drawn ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: error %v, want one with %q", g, err, want)
		}
	}
	if b, err := space.NewBatch([]space.Arch{fits}, 3); err != nil || b.Adjacency[1] != 1 {
		t.Errorf("%v, %v", b, err)
	}
}
