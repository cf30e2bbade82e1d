package nasbench101

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/space"
)

// Worked by hand: 3 interior vertices; 1 from 0 is a 3×3 convolution, 2 from 1 is
// pooling, 3 from 0 is a 1×1 convolution; the output from 2; then the pairs 3–4
// (an edge 3 → 4), 2–2 (dropped), 1–0 (turned round, there already), 1–4, 3–4
// (there already).
func TestDecode(t *testing.T) {
	sequence := []int{2, 0, 0, 1, 2, 0, 1, 2, 3, 4, 2, 2, 1, 0, 1, 4, 3, 4}
	a, err := Space{}.Decode(sequence)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := a.String(), "1010101011:AMB"; got != want {
		t.Errorf("decoded to %s, want %s", got, want)
	}
}

func TestDecodeErrors(t *testing.T) {
	good := []int{2, 0, 0, 1, 2, 0, 1, 2, 3, 4, 2, 2, 1, 0, 1, 4, 3, 4}
	for _, test := range []struct {
		sequence []int
		want     string
	}{
		{nil, "stops after 0"},
		{good[:17], "stops after 17"},
		{append(slices.Clone(good), 0), "complete after 18"},
		{append([]int{5}, good[1:]...), "decision 0"},
		{append([]int{2, 1}, good[2:]...), "decision 1"},
		{append([]int{2, 0, 3}, good[3:]...), "decision 2"},
		{append([]int{2, -1}, good[2:]...), "decision 1"},
	} {
		if _, err := (Space{}).Decode(test.sequence); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Decode(%v): error %v, want %q", test.sequence, err, test.want)
		}
	}
}

// Every walk through the automaton must end after 18 decisions, in a cell.
func TestDecisionsAlwaysDecode(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	d := Space{}.Decisions()
	for range 5000 {
		sequence := d.Walk(rng)
		if len(sequence) != d.Steps {
			t.Fatalf("%d decisions, want %d", len(sequence), d.Steps)
		}
		a, err := Space{}.Decode(sequence)
		if err != nil {
			t.Fatal(err)
		}
		if c := a.(Cell); c.Edges() > MaxEdges {
			t.Fatalf("%v has %d edges", c, c.Edges())
		}
	}
}

// A uniform sample has the same share of 7-vertex cells as the whole space.
func TestSampleIsUniform(t *testing.T) {
	share := 0.0
	for _, c := range Enumerate() {
		if c.N() == MaxVertices {
			share += 1.0 / NumCells
		}
	}
	rng := rand.New(rand.NewPCG(5, 6))
	const n = 20000
	hits := 0.0
	for range n {
		if (Space{}).Sample(rng).(Cell).N() == MaxVertices {
			hits++
		}
	}
	if got := hits / n; got < share-0.01 || got > share+0.01 {
		t.Errorf("%.3f of the samples have 7 vertices, want about %.3f", got, share)
	}
}

func TestBatch(t *testing.T) {
	b, err := space.NewBatch([]space.Arch{mustParse(t, "1:"), mustParse(t, "101:M")}, 3)
	if err != nil {
		t.Fatal(err)
	}
	if want := []float32{0, 1, 0, 0, 0, 0, 0, 0, 0 /* second */, 0, 1, 0, 0, 0, 1, 0, 0, 0}; !slices.Equal(b.Adjacency, want) {
		t.Errorf("adjacency %v, want %v", b.Adjacency, want)
	}
	if want := []int32{1, 5, 0 /* second */, 1, 4, 5}; !slices.Equal(b.Ops, want) {
		t.Errorf("ops %v, want %v", b.Ops, want)
	}
	if _, err := space.NewBatch([]space.Arch{mustParse(t, "101:M")}, 2); err == nil {
		t.Error("a cell of 3 vertices fitted into 2 nodes")
	}
}

func TestSVG(t *testing.T) {
	svg := inception(t).SVG()
	if boxes := strings.Count(svg, "<rect"); boxes != 7 {
		t.Errorf("%d boxes, want 7", boxes)
	}
	if arrows := strings.Count(svg, "marker-end"); arrows != 9 {
		t.Errorf("%d arrows, want 9", arrows)
	}
}
