package darts

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/space"
)

// DARTS_V2 as a policy may write it, with node 2's predecessors in the other order.
var sequenceV2 = []int{
	1, 3, 0, 3 /**/, 0, 3, 1, 3 /**/, 1, 3, 0, 2 /**/, 0, 2, 2, 5,
	1, 0, 0, 0 /**/, 2, 2, 1, 0 /**/, 0, 0, 2, 2 /**/, 2, 2, 1, 0,
}

func TestDecode(t *testing.T) {
	if a, err := (Space{}).Decode(sequenceV2); err != nil || a != space.Arch(DARTSV2) {
		t.Errorf("decoded to %v, %v; want DARTS_V2", a, err)
	}
}

func TestDecodeErrors(t *testing.T) {
	change := func(at, choice int) []int {
		sequence := slices.Clone(sequenceV2)
		sequence[at] = choice
		return sequence
	}
	for _, test := range []struct {
		sequence []int
		want     string
	}{
		{nil, "stops after 0"},
		{sequenceV2[:31], "stops after 31"},
		{append(slices.Clone(sequenceV2), 0), "complete after 32"},
		{change(2, 1), "decision 2 (normal predecessor) cannot be 1"}, // the first one again
		{change(4, 3), "decision 4 (normal predecessor) cannot be 3"}, // node 3 itself
		{change(17, 7), "decision 17 (reduction operation) cannot be 7"},
		{change(31, -1), "decision 31 (reduction operation) cannot be -1"},
	} {
		if _, err := (Space{}).Decode(test.sequence); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Decode(%v): error %v, want %q", test.sequence, err, test.want)
		}
	}
}

// Whether sampled or written by a uniform policy, every choice has its share: each
// operation 1/7 of the edges, each pair of node 5's predecessors 1/10.
func TestUniform(t *testing.T) {
	d := Space{}.Decisions()
	rng := rand.New(rand.NewPCG(2, 2))
	for name, draw := range map[string]func() (space.Arch, error){
		"Sample": func() (space.Arch, error) { return Space{}.Sample(rng), nil },
		"Decode": func() (space.Arch, error) { return Space{}.Decode(d.Walk(rng)) },
	} {
		const n = 20000
		var ops [2]map[Op]float64
		var pairs [2]map[[2]int]float64
		for c := range ops {
			ops[c], pairs[c] = make(map[Op]float64), make(map[[2]int]float64)
		}
		for range n {
			a, err := draw()
			if err != nil {
				t.Fatal(err)
			}
			for c, cell := range a.(Genotype).cells {
				pairs[c][[2]int{cell[3][0].From, cell[3][1].From}] += 1. / n
				for _, node := range cell {
					ops[c][node[0].Op] += 1. / (2 * Nodes * n)
					ops[c][node[1].Op] += 1. / (2 * Nodes * n)
				}
			}
		}
		for c := range ops {
			if len(ops[c]) != 7 || len(pairs[c]) != 10 {
				t.Fatalf("%s: %d operations and %d pairs, want 7 and 10", name, len(ops[c]), len(pairs[c]))
			}
			for op, share := range ops[c] {
				if math.Abs(share-1./7) > 0.005 {
					t.Errorf("%s: %v is the operation of %.4f of the edges, want 1/7", name, op, share)
				}
			}
			for pair, share := range pairs[c] {
				if math.Abs(share-0.1) > 0.01 {
					t.Errorf("%s: node 5 reads %v in a share of %.4f, want 0.1", name, pair, share)
				}
			}
		}
	}
}

func TestGraphsFit(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	s := Space{}
	for range 1000 {
		g := s.Sample(rng).Graph()
		if len(g.Ops) != s.Nodes() {
			t.Fatalf("%d nodes, want %d", len(g.Ops), s.Nodes())
		}
		for _, op := range g.Ops {
			if op < 1 || op >= s.Ops() {
				t.Fatalf("the operation id %d is not from 1 to %d", op, s.Ops()-1)
			}
		}
		half := s.Nodes() / s.Cells()
		for _, e := range g.Edges {
			if e[0] >= e[1] || e[0]/half != e[1]/half {
				t.Fatalf("the edge %v goes backwards or between the cells", e)
			}
		}
	}
}

// A mutant differs in one edge: half of the time in its operation, else in its
// predecessor.
func TestMutate(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	ops := 0.0
	const n = 4000
	for range n {
		parent := Space{}.Sample(rng).(Genotype)
		a, err := Space{}.Mutate(rng, parent)
		if err != nil {
			t.Fatal(err)
		}
		child := a.(Genotype)
		edges := func(g Genotype) map[[4]int]bool {
			set := make(map[[4]int]bool)
			for c, cell := range g.cells {
				for i, node := range cell {
					for _, e := range node {
						set[[4]int{c, i, e.From, int(e.Op)}] = true
					}
				}
			}
			return set
		}
		var gone, come [][4]int
		was, is := edges(parent), edges(child)
		for e := range was {
			if !is[e] {
				gone = append(gone, e)
			}
		}
		for e := range is {
			if !was[e] {
				come = append(come, e)
			}
		}
		if len(gone) != 1 || len(come) != 1 || gone[0][0] != come[0][0] || gone[0][1] != come[0][1] {
			t.Fatalf("%v mutated to %v", parent, child)
		}
		switch {
		case gone[0][2] == come[0][2]:
			ops++
		case gone[0][3] != come[0][3]:
			t.Fatalf("%v mutated to %v in operation and predecessor", parent, child)
		}
	}
	if math.Abs(ops/n-0.5) > 0.04 {
		t.Errorf("a share of %.3f of the mutations change an operation, want 0.5", ops/n)
	}
}

type stranger struct{ space.Arch }

func (stranger) String() string { return "stranger" }

func TestMutateErrors(t *testing.T) {
	if _, err := (Space{}).Mutate(rand.New(rand.NewPCG(1, 1)), stranger{}); err == nil || !strings.Contains(err.Error(), "stranger") {
		t.Errorf("error %v, want one that names the architecture", err)
	}
}
