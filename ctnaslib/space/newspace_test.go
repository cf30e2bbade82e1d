package space_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/controller"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// A search space that the library does not know: NAS-Bench-201 (Dong and Yang, ICLR
// 2020). A cell has four nodes and an operation on each of the six edges between them,
// one of five. README.md leads through it.

var opNames = []string{"none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"}

// edgesOf are the edges of a cell, those that enter node 1 first.
var edgesOf = [6][2]int{{0, 1}, {0, 2}, {1, 2}, {0, 3}, {1, 3}, {2, 3}}

// cell holds the operation on each of edgesOf.
type cell [6]int

// String is the form of NAS-Bench-201: |op~0|+|op~0|op~1|+|op~0|op~1|op~2|.
func (c cell) String() string {
	var s strings.Builder
	for i, e := range edgesOf {
		if e[0] == 0 && i > 0 {
			s.WriteString("+")
		}
		if e[0] == 0 {
			s.WriteString("|")
		}
		s.WriteString(opNames[c[i]] + "~" + strconv.Itoa(e[0]) + "|")
	}
	return s.String()
}

func (c cell) ID() string { return c.String() }

// Graph has a node for the input, for each operation, and for the output: what enters
// a node of the cell is read by the operations that leave it.
func (c cell) Graph() space.Graph {
	const input, output, firstOp = 1, 2, 3
	g := space.Graph{Ops: []int{input}}
	entering := [4][]int{0: {0}}
	for i, e := range edgesOf {
		g.Ops = append(g.Ops, firstOp+c[i])
		for _, from := range entering[e[0]] {
			g.Edges = append(g.Edges, [2]int{from, i + 1})
		}
		entering[e[1]] = append(entering[e[1]], i+1)
	}
	g.Ops = append(g.Ops, output)
	for _, from := range entering[3] {
		g.Edges = append(g.Edges, [2]int{from, 7})
	}
	return g
}

type nasbench201 struct{}

func (nasbench201) Name() string { return "nasbench201" }
func (nasbench201) Nodes() int   { return 8 }
func (nasbench201) Ops() int     { return 3 + len(opNames) }

func (nasbench201) Sample(rng *rand.Rand) space.Arch {
	var c cell
	for i := range c {
		c[i] = rng.IntN(len(opNames))
	}
	return c
}

func (nasbench201) Mutate(rng *rand.Rand, a space.Arch) (space.Arch, error) {
	c, ok := a.(cell)
	if !ok {
		return nil, fmt.Errorf("nasbench201: %v is not a cell of this space", a)
	}
	i := rng.IntN(len(c))
	c[i] = (c[i] + 1 + rng.IntN(len(opNames)-1)) % len(opNames)
	return c, nil
}

func (nasbench201) Parse(text string) (space.Arch, error) {
	fields := strings.FieldsFunc(text, func(r rune) bool { return r == '|' || r == '+' })
	var c cell
	for i, field := range fields {
		name, _, _ := strings.Cut(field, "~")
		if op := slices.Index(opNames, name); i < len(c) && op >= 0 {
			c[i] = op
		}
	}
	if c.String() != text {
		return nil, fmt.Errorf("nasbench201: %q is not of the form |op~0|+|op~0|op~1|+|op~0|op~1|op~2|", text)
	}
	return c, nil
}

// Decisions are the six operations, one after another.
func (nasbench201) Decisions() *space.Decisions {
	d := &space.Decisions{Kinds: []space.Kind{{Name: "operation", Choices: len(opNames)}}, Steps: len(edgesOf)}
	for i := range edgesOf {
		d.States = append(d.States, space.State{Next: slices.Repeat([]int{i + 1}, len(opNames))})
	}
	return d
}

func (s nasbench201) Decode(sequence []int) (space.Arch, error) {
	if err := s.Decisions().Check(sequence); err != nil {
		return nil, err
	}
	return cell(sequence), nil
}

// toyBenchmark gives a cell a point for each 3×3 convolution, half for each 1×1.
type toyBenchmark struct{ seen map[string]bool }

func (toyBenchmark) Space() space.Space { return nasbench201{} }
func (toyBenchmark) Source() string     { return "toy" }
func (b toyBenchmark) Queries() int     { return len(b.seen) }

func (toyBenchmark) Sample(rng *rand.Rand, n int) ([]space.Arch, error) {
	archs := make([]space.Arch, 0, n)
	drawn := make(map[space.Arch]bool)
	for len(archs) < n {
		if a := (nasbench201{}).Sample(rng); !drawn[a] {
			drawn[a] = true
			archs = append(archs, a)
		}
	}
	return archs, nil
}

func (b toyBenchmark) Validation(a space.Arch) (float64, error) {
	b.seen[a.ID()] = true
	accuracy := 0.0
	for _, op := range a.(cell) {
		accuracy += []float64{0, 0, 0.5, 1, 0}[op] / 6
	}
	return accuracy, nil
}

func TestNewSpaceByHand(t *testing.T) {
	const text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|avg_pool_3x3~1|none~2|"
	a, err := nasbench201{}.Parse(text)
	if err != nil || a != space.Arch(cell{3, 0, 1, 2, 4, 0}) || a.String() != text {
		t.Fatalf("%q is read as %v, %v", text, a, err)
	}
	// Node 1 is entered by operation 1, node 2 by 2 and 3, the output by 4, 5 and 6.
	want := [][2]int{{0, 1}, {0, 2}, {1, 3}, {0, 4}, {1, 5}, {2, 6}, {3, 6}, {4, 7}, {5, 7}, {6, 7}}
	if g := a.Graph(); !slices.Equal(g.Edges, want) || !slices.Equal(g.Ops, []int{1, 6, 3, 4, 5, 7, 3, 2}) {
		t.Errorf("its graph is %v", g)
	}
}

// A comparator learns the new space, a policy writes its cells, and Algorithm 1 finds a
// cell that is better than all of its labels.
func TestNewSpace(t *testing.T) {
	backend, err := engine.Open()
	if err != nil {
		t.Fatal(err)
	}
	benchmark := toyBenchmark{make(map[string]bool)}
	labelled, err := search.Label(t.Context(), benchmark, 60, 1)
	if err != nil {
		t.Fatal(err)
	}
	c := search.Paper()
	c.Labels, c.Iterations, c.PolicySteps, c.PolicyBatch = 60, 10, 8, 8
	c.Samples, c.BaselineSamples, c.TopK = 20, 20, 30
	c.NAC.Width, c.NAC.Epochs, c.NAC.BatchSize, c.NAC.LearningRate = 16, 40, 32, 5e-3
	c.Controller.Hidden, c.Controller.LearningRate = 16, 1e-2
	c.Seed = 1

	trained, err := comparator.Train(t.Context(), t.TempDir(), comparator.Training{
		Backend: backend, Space: nasbench201{}, Labelled: labelled, Config: c.NAC,
	})
	if err != nil {
		t.Fatal(err)
	}
	others, err := benchmark.Sample(rand.New(rand.NewPCG(2, 2)), 200)
	if err != nil {
		t.Fatal(err)
	}
	var accuracies []float64
	for _, a := range others {
		accuracy, err := toyBenchmark{make(map[string]bool)}.Validation(a)
		if err != nil {
			t.Fatal(err)
		}
		accuracies = append(accuracies, accuracy)
	}
	if tau, err := trained.NAC.KendallTau(others, accuracies); err != nil || tau < 0.6 {
		t.Errorf("Kendall's tau is %.3f, %v; want more than 0.6", tau, err)
	}

	policy, err := controller.New(backend, nasbench201{}.Decisions(), c.Controller)
	if err != nil {
		t.Fatal(err)
	}
	sequences, err := policy.Sample(rand.New(rand.NewPCG(3, 3)), 10)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := controller.Decoded(nasbench201{}, sequences); err != nil {
		t.Error(err)
	}

	found, err := search.CTNAS(t.Context(), t.TempDir(), search.Problem{Backend: backend, Benchmark: benchmark}, c)
	if err != nil {
		t.Fatal(err)
	}
	if found.Queries != 60 {
		t.Errorf("%d queries, want 60", found.Queries)
	}
	reached, err := benchmark.Validation(found.Best)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range labelled {
		if l.Accuracy >= reached {
			t.Errorf("found %v with %.3f, but the label %v has %.3f", found.Best, reached, l.Arch, l.Accuracy)
		}
	}
	t.Logf("found %v with %.3f", found.Best, reached)
}
