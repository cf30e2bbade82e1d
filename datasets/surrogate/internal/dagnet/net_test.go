package dagnet

import (
	"math/rand/v2"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

func sample(rng *rand.Rand, n int) []nasbench101.Cell {
	cells := make([]nasbench101.Cell, n)
	for i := range cells {
		cells[i] = nasbench101.Space{}.Sample(rng).(nasbench101.Cell)
	}
	return cells
}

// A prediction depends on nothing but the cell: neither on the numbering of its
// vertices nor on the other cells of the plan.
func TestPredictionIsOfTheCell(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	net := New(32)
	net.Init(rng)
	cells := sample(rng, 300)
	renumbered := make([]nasbench101.Cell, len(cells))
	for i, c := range cells {
		renumbered[i] = renumber(t, rng, c)
	}
	together := net.Predict(new(Memory), NewPlan(cells))
	for i, y := range net.Predict(new(Memory), NewPlan(renumbered)) {
		if y != together[i] {
			t.Errorf("%v has the prediction %v, but renumbered as %v it has %v", cells[i], together[i], renumbered[i], y)
		}
	}
	for i, c := range cells[:50] {
		if y := net.Predict(new(Memory), NewPlan([]nasbench101.Cell{c}))[0]; y != together[i] {
			t.Errorf("%v has the prediction %v among others, but %v alone", c, together[i], y)
		}
	}
}

// renumber gives the cell's vertices another topological order.
func renumber(t *testing.T, rng *rand.Rand, c nasbench101.Cell) nasbench101.Cell {
	t.Helper()
	n := c.N()
	matrix, names := c.Matrix(), c.OpNames()
	var order []int // old numbers in the new order
	done := make([]bool, n)
	for len(order) < n {
		v := rng.IntN(n)
		ready := !done[v]
		for u := range n {
			ready = ready && (done[u] || matrix[u][v] == 0)
		}
		if ready {
			done[v] = true
			order = append(order, v)
		}
	}
	image, ops := make([][]int, n), make([]string, n)
	for i, v := range order {
		image[i], ops[i] = make([]int, n), names[v]
		for j, w := range order {
			image[i][j] = matrix[v][w]
		}
	}
	same, err := nasbench101.New(image, ops)
	if err != nil {
		t.Fatal(err)
	}
	return same
}

// The chain input → 3×3 → 3×3 → output and the single 3×3 share the input's and the
// first vertex's forward states, and the last vertex's backward state.
func TestPlanShares(t *testing.T) {
	var cells []nasbench101.Cell
	for _, text := range []string{"101:A", "100101:AA"} {
		c, err := nasbench101.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		cells = append(cells, c)
	}
	p := NewPlan(cells)
	if f, b := p.forward.len(), p.backward.len(); f != 3 || b != 3 {
		t.Errorf("%d forward and %d backward states, want 3 and 3", f, b)
	}
	if v, e := len(p.vertices.forward), len(p.edges.forward); v != 3 || e != 5 {
		t.Errorf("%d vertices and %d edges, want 3 and 5", v, e)
	}
}
