package encoder

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// Refinement tells nodes apart exactly as what they hear, written down as text, does.
func TestRefine(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	archs := make([]space.Arch, 2000)
	for i := range archs {
		archs[i] = nasbench101.Space{}.Sample(rng)
	}
	b, err := space.NewBatch(archs, 7)
	if err != nil {
		t.Fatal(err)
	}
	for _, direction := range []Direction{Forward, Backward} {
		heard := GCN{Direction: direction}.neighbours(b, 7)
		texts := make([]string, len(heard))
		for i, op := range b.Ops {
			texts[i] = fmt.Sprint(op)
		}
		colours := b.Ops
		for round := range 3 {
			next := make([]string, len(texts))
			colourOf, textOf := make(map[string]int32), make(map[int32]string)
			r := refine(colours, heard)
			for node := range heard {
				var all []string
				for _, from := range heard[node] {
					all = append(all, texts[from])
				}
				slices.Sort(all)
				next[node] = fmt.Sprint(texts[node], all)
				colour := r.colours[node]
				if known, ok := colourOf[next[node]]; ok && known != colour {
					t.Fatalf("%s, round %d: node %d has colour %d, one like it %d", direction, round, node, colour, known)
				}
				if known, ok := textOf[colour]; ok && known != next[node] {
					t.Fatalf("%s, round %d: colour %d is of %s and %s", direction, round, colour, known, next[node])
				}
				colourOf[next[node]], textOf[colour] = colour, next[node]
			}
			if len(r.first) != len(textOf) {
				t.Errorf("%s, round %d: %d colours, want %d", direction, round, len(r.first), len(textOf))
			}
			colours, texts = r.colours, next
		}
	}
}

// In a batch of cells less than half as many rows are computed as there are nodes.
func TestSharedRowsAreFew(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for range 20 {
		archs := make([]space.Arch, 256)
		for i := range archs {
			archs[i] = nasbench101.Space{}.Sample(rng)
		}
		inputs, err := GCN{Layers: 4, Direction: Forward}.shareRows(archs, SizesOf(nasbench101.Space{}), len(archs))
		if err != nil {
			t.Fatal(err)
		}
		if rows := inputs[0].Shape().Dim(0); rows > 256*7/2 {
			t.Errorf("%d rows for %d nodes", rows, 256*7)
		}
	}
	large := make([]space.Arch, 2)
	for i := range large {
		large[i] = nasbench101.Space{}.Sample(rng)
	}
	if _, err := (GCN{Layers: 1, Direction: Forward}).shareRows(large, Sizes{Nodes: 1, Ops: 6, Cells: 1}, 2); err == nil {
		t.Error("architectures that are too large have no error")
	}
}

// Pure Go computes all nodes.
func TestInputsOfABackend(t *testing.T) {
	backend, err := engine.OpenConfig("go")
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 3))
	archs := []space.Arch{nasbench101.Space{}.Sample(rng)}
	gcn := GCN{Layers: 2, Width: 3, Direction: Forward}
	inputs, err := Inputs(backend, gcn, archs, SizesOf(nasbench101.Space{}), 1)
	if err != nil || len(inputs) != 2 {
		t.Errorf("%d inputs, error %v", len(inputs), err)
	}
}
