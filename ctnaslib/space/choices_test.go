package space_test

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// layers returns the configuration of a chain of so many layers.
func layers(n int) space.ChoicesConfig {
	return space.ChoicesConfig{Name: "layers", Choices: slices.Repeat([]space.Choice{
		{Name: "width", Options: []string{"8", "16", "32"}},
		{Name: "kernel", Options: []string{"3", "5"}},
	}, n)}
}

func mustChoices(t testing.TB, config space.ChoicesConfig) *space.Choices {
	t.Helper()
	s, err := space.NewChoices(config)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Samples, mutants and what a policy writes are of the space and read back from their texts.
func TestChoices(t *testing.T) {
	cell, err := newNASBench201()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*space.Choices{mustChoices(t, layers(1)), mustChoices(t, layers(7)), cell} {
		rng := rand.New(rand.NewPCG(1, 1))
		counts := make(map[space.Arch]int)
		for range 2000 {
			a := s.Sample(rng)
			counts[a]++
			if read, err := s.Parse(a.String()); err != nil || read != a {
				t.Fatalf("%s: %s is read as %v, %v", s.Name(), a, read, err)
			}
			mutant, err := s.Mutate(rng, a)
			if err != nil {
				t.Fatal(err)
			}
			changed := 0
			before, after := a.(space.Chosen).Options(), mutant.(space.Chosen).Options()
			for i := range before {
				if before[i] != after[i] {
					changed++
				}
			}
			if changed != 1 {
				t.Fatalf("%s: %s became %s", s.Name(), a, mutant)
			}
			walk := s.Decisions().Walk(rng)
			written, err := s.Decode(walk)
			if err != nil || !slices.Equal(written.(space.Chosen).Options(), walk) {
				t.Fatalf("%s: %v is decoded as %v, %v", s.Name(), walk, written, err)
			}
			if _, err := space.NewBatch([]space.Arch{a, mutant, written}, s.Nodes()); err != nil {
				t.Fatal(err)
			}
		}
		if s.Nodes() == 4 { // 6 networks of one layer; 5 standard deviations of a count are 83
			for a, n := range counts {
				if len(counts) != 6 || n < 250 || n > 417 {
					t.Errorf("%d of 2000 samples of %d networks are %s", n, len(counts), a)
				}
			}
		}
	}
}

// By hand: padding is 0, input 1, output 2, the widths 3 to 5, the kernels 6 and 7.
func TestChoicesChain(t *testing.T) {
	s := mustChoices(t, layers(2))
	a, err := s.Parse("16,5,8,3")
	if err != nil {
		t.Fatal(err)
	}
	want := space.Graph{Ops: []int{1, 4, 7, 3, 6, 2}, Edges: [][2]int{{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 5}}}
	if got := a.Graph(); !reflect.DeepEqual(got, want) || s.Nodes() != 6 || s.Ops() != 8 {
		t.Errorf("graph %v of %d nodes and %d operations, want %v of 6 and 8", got, s.Nodes(), s.Ops(), want)
	}
	d := s.Decisions()
	if len(d.Kinds) != 2 || d.Kinds[0] != (space.Kind{Name: "width", Choices: 3}) || d.Kinds[1].Name != "kernel" || d.Steps != 4 || d.States[2].Kind != 0 {
		t.Errorf("decisions %+v", d)
	}
	again := mustChoices(t, layers(2))
	if mutant, err := again.Mutate(rand.New(rand.NewPCG(1, 1)), a); err != nil || mutant == a {
		t.Errorf("in a space made again, %s became %v, %v", a, mutant, err)
	}
}

func TestChoicesErrors(t *testing.T) {
	word := func(options ...string) []space.Choice { return []space.Choice{{Name: "op", Options: options}} }
	graph := func(g space.Graph) func([]int) space.Graph { return func([]int) space.Graph { return g } }
	for _, test := range []struct {
		config space.ChoicesConfig
		want   string
	}{
		{space.ChoicesConfig{Choices: word("a", "b")}, "needs a name"},
		{space.ChoicesConfig{Name: "s"}, "the space s has no choices"},
		{space.ChoicesConfig{Name: "s", Choices: word("a")}, "choice 1 (op) has 1 options; give it 2 to 256"},
		{space.ChoicesConfig{Name: "s", Choices: word(strings.Split(strings.Repeat("a ", 257), " ")...)}, "has 258 options"},
		{space.ChoicesConfig{Name: "s", Choices: slices.Concat(word("a", "b"), word("a", "c"))}, `two choices named "op" have different options`},
		{space.ChoicesConfig{Name: "s", Choices: word("a", "b"), Text: "%s %s"}, "has 2 times %s for 1 choices"},
		{space.ChoicesConfig{Name: "s", Choices: word("a", "a")}, "mind what stands between the options, and that they differ"},
		{space.ChoicesConfig{Name: "s", Choices: slices.Repeat(word("a,", ",b"), 2)}, `the text "a,,a,"`},
		{space.ChoicesConfig{Name: "s", Choices: slices.Repeat(word("a", "b"), 2), Text: "%s%s"}, "cannot be read back"},
		{space.ChoicesConfig{Name: "s", Choices: word("a", "b"), Graph: graph(space.Graph{Ops: []int{1, 2}}), Nodes: 1, Ops: 3}, "has 2 nodes, and the space at most 1"},
		{space.ChoicesConfig{Name: "s", Choices: word("a", "b"), Graph: graph(space.Graph{Ops: []int{1, 2}}), Nodes: 2, Ops: 2}, "has the operation 2 at node 1; it may be 1 to 1"},
		{space.ChoicesConfig{Name: "s", Choices: word("a", "b"), Graph: graph(space.Graph{Ops: []int{1, 2}, Edges: [][2]int{{1, 1}}}), Nodes: 2, Ops: 3}, "has the edge 1 → 1"},
	} {
		if s, err := space.NewChoices(test.config); s != nil || err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %v, want %q", err, test.want)
		}
	}
	s := mustChoices(t, layers(2))
	for text, want := range map[string]string{
		"":            `is not of the form "…,…,…,…" of the space layers`,
		"8,3,8":       "is not of the form",
		"8,3,8,3,8":   `choice 4 (kernel) of "8,3,8,3,8" is "3,8"; the options are 3, 5`,
		"8,3,9,3":     `choice 3 (width) of "8,3,9,3" is "9"; the options are 8, 16, 32`,
		"8, 3, 8, 3 ": `is " 3"`,
	} {
		if a, err := s.Parse(text); a != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is read as %v, %v; want an error with %q", text, a, err, want)
		}
	}
	for _, sequence := range [][]int{nil, {0, 0, 0}, {0, 2, 0, 0}, {0, 0, 0, 0, 0}} {
		if a, err := s.Decode(sequence); a != nil || err == nil {
			t.Errorf("%v is decoded as %v", sequence, a)
		}
	}
	for _, a := range []space.Arch{nil, space.Chosen{}, mustChoices(t, layers(1)).Sample(rand.New(rand.NewPCG(1, 1)))} {
		if mutant, err := s.Mutate(rand.New(rand.NewPCG(1, 1)), a); mutant != nil || err == nil {
			t.Errorf("an architecture of another space became %v", mutant)
		}
	}
}

// widest gives a network a point for each layer of the largest width.
type widest struct{ space *space.Choices }

func (b widest) Space() space.Space { return b.space }
func (widest) Source() string       { return "toy" }
func (widest) Queries() int         { return 0 }

func (b widest) Sample(rng *rand.Rand, n int) ([]space.Arch, error) {
	return space.Draw(rng, b.space, n, nil)
}

func (b widest) Validation(a space.Arch) (float64, error) {
	return float64(strings.Count(a.String(), "32")) / 4, nil
}

// A search finds the best network of a space of choices.
func TestChoicesSearch(t *testing.T) {
	found, err := search.Random(t.Context(), t.TempDir(), search.Problem{Benchmark: widest{mustChoices(t, layers(4))}}, search.RandomConfig{Labels: 400, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(found.Best.ID(), "32") != 4 {
		t.Errorf("found %s", found.Best)
	}
}

// What is read is written as it was.
func FuzzChoicesParse(f *testing.F) {
	chain := mustChoices(f, layers(2))
	cell, err := newNASBench201()
	if err != nil {
		f.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for _, s := range []*space.Choices{chain, cell} {
		f.Add(s.Sample(rng).String())
	}
	f.Add("8,3,8,")
	f.Add("|none~0|+|none~0|none~1|+|none~0|none~1|none~2||")
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range []*space.Choices{chain, cell} {
			if a, err := s.Parse(text); err == nil && a.String() != text {
				t.Errorf("%q is read as %q", text, a)
			}
		}
	})
}
