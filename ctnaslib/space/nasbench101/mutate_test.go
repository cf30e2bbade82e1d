package nasbench101

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/space"
)

// Whatever places the vertices get, the spread graph is still the cell.
func TestSpreadPrunesBack(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		c := Space{}.Sample(rng).(Cell)
		if c.N() > 3 {
			c = mustParse(t, []string{"1:", "101:M", "110011:AM"}[rng.IntN(3)])
		}
		out, ops := c.spread(rng)
		if back, err := prune(out, ops); err != nil || back != c {
			t.Fatalf("%v spread and pruned is %v, %v", c, back, err)
		}
	}
}

// The one interior vertex of this cell is as likely at each of five places.
func TestSpreadIsUniform(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	c := mustParse(t, "101:A")
	const n = 10000
	var at [MaxVertices]float64
	for range n {
		out, _ := c.spread(rng)
		for v := 1; v < MaxVertices-1; v++ {
			if out[0]>>v&1 == 1 {
				at[v] += 1.0 / n
			}
		}
	}
	for v := 1; v < MaxVertices-1; v++ {
		if math.Abs(at[v]-0.2) > 0.02 {
			t.Errorf("place %d: share %.3f, want 0.2", v, at[v])
		}
	}
}

func TestMutate(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	grown := 0
	for range 3000 {
		c := Space{}.Sample(rng).(Cell)
		if rng.IntN(2) == 0 {
			c = mustParse(t, "101:A")
		}
		a, err := Space{}.Mutate(rng, c)
		if err != nil {
			t.Fatal(err)
		}
		m := a.(Cell)
		if m.ID() == c.ID() {
			t.Fatalf("%v mutated to itself", c)
		}
		if back, err := Parse(m.String()); err != nil || back != m {
			t.Fatalf("%v mutated to %v, which is no cell: %v", c, m, err)
		}
		if m.N() > c.N() {
			grown++
		}
	}
	if grown == 0 {
		t.Error("no cell ever grew")
	}
}

// A mutant is unchanged if none of 21 edges and none of five operations changed.
func TestMutationRate(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	chain := mustParse(t, "100000100001000100101:AAAAA")
	const n = 20000
	kept := 0.0
	for range n {
		// With all 7 vertices in use, only a mutant without any change is the same.
		m, err := chain.mutateOnce(rng)
		if err == nil && m == chain {
			kept += 1.0 / n
		}
	}
	if want := math.Pow(20.0/21, 21) * math.Pow(4.0/5, 5); math.Abs(kept-want) > 0.008 {
		t.Errorf("nothing changed in a share of %.4f, want %.4f", kept, want)
	}
}

func TestMutateIsAFunctionOfTheSeed(t *testing.T) {
	c := inception(t)
	first, err := Space{}.Mutate(rand.New(rand.NewPCG(5, 5)), c)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Space{}.Mutate(rand.New(rand.NewPCG(5, 5)), c)
	if err != nil || again != first {
		t.Errorf("the same seed gave %v and %v, %v", first, again, err)
	}
}

type stranger struct{ space.Arch }

func (stranger) String() string { return "stranger" }

func TestMutateErrors(t *testing.T) {
	for _, bad := range []space.Arch{stranger{}, Cell{}} {
		_, err := Space{}.Mutate(rand.New(rand.NewPCG(1, 1)), bad)
		if err == nil || !strings.Contains(err.Error(), "cannot mutate "+bad.String()) {
			t.Errorf("error %v, want one that names the architecture", err)
		}
	}
}

func BenchmarkMutate(b *testing.B) {
	rng := rand.New(rand.NewPCG(6, 6))
	var a space.Arch = Space{}.Sample(rng)
	for b.Loop() {
		a, _ = Space{}.Mutate(rng, a)
	}
}
