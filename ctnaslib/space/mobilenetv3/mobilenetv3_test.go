package mobilenetv3

import (
	"encoding/csv"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func mustNew(t *testing.T, s Skeleton, limit int64) Space {
	t.Helper()
	sp, err := New(s, limit)
	if err != nil {
		t.Fatal(err)
	}
	return sp
}

func numbers(t *testing.T, text, separator string) []int {
	t.Helper()
	var all []int
	for _, word := range strings.Split(text, separator) {
		n, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}

// The costs of sub-networks of the original supernet, counted by hooks on its layers:
// see testdata/README.md.
func TestCostsOfOriginal(t *testing.T) {
	file, err := os.Open("testdata/costs.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows[1:] {
		n, err := FromOFA(numbers(t, row[2], "-"), numbers(t, row[0], "-"), numbers(t, row[1], "-"))
		if err != nil {
			t.Fatal(err)
		}
		s := OFA()
		s.Resolution = numbers(t, row[3], "-")[0]
		if s.Width, err = strconv.ParseFloat(row[6], 64); err != nil {
			t.Fatal(err)
		}
		madds, params := int64(numbers(t, row[4], "-")[0]), int64(numbers(t, row[5], "-")[0])
		if got := s.Cost(n); got.MAdds != madds || got.Params != params {
			t.Errorf("%s ×%g at %d: %+v, want %d multiply-adds and %d parameters", n, s.Width, s.Resolution, got, madds, params)
		}
	}
	if len(rows) < 100 {
		t.Errorf("only %d rows", len(rows))
	}
}

func TestText(t *testing.T) {
	const text = "3x3,5x4|7x6,3x3,3x3|5x6,5x6,5x6,5x6|3x4,3x4|7x3,7x3,7x3"
	n, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if n.String() != text || n.ID() != text {
		t.Errorf("%q became %q with the id %q", text, n, n.ID())
	}
	if got := n.Blocks(1); !slices.Equal(got, []Block{{7, 6}, {3, 3}, {3, 3}}) {
		t.Errorf("the second unit is %v", got)
	}
	for bad, want := range map[string]string{
		"":                                    "is no block",
		"3x3,3x3|3x3,3x3":                     "has 5 units",
		"3x3|3x3,3x3|3x3,3x3|3x3,3x3|":        "is no block",
		"3x3|3x3,3x3|3x3,3x3|3x3,3x3|3x3,3x3": "unit 1 has 1 blocks",
		"3x3,3x3,3x3,3x3,3x3|3x3,3x3|3x3,3x3|3x3,3x3|3x3,3x3":     "unit 1 has 5 blocks",
		"3x3,3x3|3x3,4x3|3x3,3x3|3x3,3x3|3x3,3x3":                 "kernel 4",
		"3x3,3x3|3x3,3x5|3x3,3x3|3x3,3x3|3x3,3x3":                 "expansion 5",
		"3x3,3x3|3x3,3-6|3x3,3x3|3x3,3x3|3x3,3x3":                 "is no block",
		"3x3,3x3|3x3,3x3|3x3,3x3|3x3,3x3|3x3,3x3|3x3,3x3,3x3,3x3": "has 5 units",
	} {
		if _, err := Parse(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", bad, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("3x3,5x4|7x6,3x3,3x3|5x6,5x6,5x6,5x6|3x4,3x4|7x3,7x3,7x3")
	f.Add("3x3|")
	f.Fuzz(func(t *testing.T, text string) {
		n, err := Parse(text)
		if err != nil {
			return
		}
		if again, err := Parse(n.String()); err != nil || again != n {
			t.Errorf("%q is read as %q, and that as %q, %v", text, n, again, err)
		}
	})
}

func TestFromOFA(t *testing.T) {
	lists := func(v int) []int { return slices.Repeat([]int{v}, NumBlock) }
	kernels := lists(3)
	kernels[1], kernels[2] = 7, 99 // the third block of a unit of depth 2 means nothing
	n, err := FromOFA([]int{2, 2, 3, 4, 2}, kernels, lists(6))
	if err != nil {
		t.Fatal(err)
	}
	if want := "3x6,7x6|3x6,3x6|3x6,3x6,3x6|3x6,3x6,3x6,3x6|3x6,3x6"; n.String() != want {
		t.Errorf("%s, want %s", n, want)
	}
	if _, err := FromOFA([]int{2, 2, 3, 4, 5}, kernels, lists(6)); err == nil || !strings.Contains(err.Error(), "unit 5 has a depth of 5") {
		t.Errorf("a depth of 5: error %v", err)
	}
	if _, err := FromOFA([]int{2, 2}, kernels, lists(6)); err == nil {
		t.Error("two depths were taken")
	}
}

// Kernel 5 and expansion 6 of the first block are bits 1 and 60+2; of the second unit's
// first block, bits 12 to 14 and 72 to 74.
func TestVector(t *testing.T) {
	n, err := Parse("5x6,3x3|7x4,3x3|3x3,3x3|3x3,3x3|3x3,3x3")
	if err != nil {
		t.Fatal(err)
	}
	v := n.Vector()
	sum := float32(0)
	for _, x := range v {
		sum += x
	}
	if len(v) != 120 || sum != 20 || v[1] != 1 || v[62] != 1 || v[14] != 1 || v[73] != 1 || v[6] != 0 || v[66] != 0 {
		t.Errorf("the vector is %v", v)
	}
}

func TestGraph(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	s := mustNew(t, OFA(), 0)
	for range 200 {
		n := s.Sample(rng).(Net)
		g := n.Graph()
		if len(g.Ops) > s.Nodes() || len(g.Edges) != len(g.Ops)-1 {
			t.Fatalf("%s has %d nodes and %d edges", n, len(g.Ops), len(g.Edges))
		}
		if !slices.IsSorted([]int{g.Ops[0], 2, slices.Max(g.Ops)}) || slices.Max(g.Ops) >= s.Ops() {
			t.Fatalf("%s has the operations %v", n, g.Ops)
		}
	}
}

// Depths are uniform, and a limit is kept.
func TestSample(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	free, tight := mustNew(t, OFA(), 0), mustNew(t, OFA(), 300e6)
	if m := tight.MAdds(mustNew(t, OFA(), 200e6).Sample(rng).(Net)); m > 200e6 {
		t.Errorf("under a limit that random networks hardly ever keep to, one of %d multiply-adds", m)
	}
	const n = 3000
	var depths [MaxDepth + 1]float64
	for range n {
		depths[len(free.Sample(rng).(Net).Blocks(2))] += 1.0 / n
		if m := tight.MAdds(tight.Sample(rng).(Net)); m > 300e6 {
			t.Fatalf("a network of %d multiply-adds", m)
		}
	}
	for d := MinDepth; d <= MaxDepth; d++ {
		if math.Abs(depths[d]-1.0/3) > 0.03 {
			t.Errorf("depth %d: share %.3f", d, depths[d])
		}
	}
}

// A mutation changes exactly one choice, and keeps to the limit.
func TestMutate(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	s := mustNew(t, OFA(), 350e6)
	changed := map[string]int{}
	for range 3000 {
		n := s.Sample(rng).(Net)
		a, err := s.Mutate(rng, n)
		if err != nil {
			t.Fatal(err)
		}
		m := a.(Net)
		if !s.Contains(m) {
			t.Fatalf("%s breaks the limit", m)
		}
		differences := 0
		for u := range Units {
			old, now := n.Blocks(u), m.Blocks(u)
			if len(old) != len(now) {
				changed["depth"]++
				differences++
			}
			for i := range min(len(old), len(now)) {
				if old[i].Kernel != now[i].Kernel {
					changed["kernel"]++
					differences++
				}
				if old[i].Expansion != now[i].Expansion {
					changed["expansion"]++
					differences++
				}
			}
		}
		if differences != 1 {
			t.Fatalf("%s became %s: %d differences", n, m, differences)
		}
	}
	for _, kind := range []string{"depth", "kernel", "expansion"} {
		if changed[kind] < 300 {
			t.Errorf("%d of 3000 mutations changed a %s", changed[kind], kind)
		}
	}
	if _, err := s.Mutate(rng, nil); err == nil || !strings.Contains(err.Error(), "not a network of this space") {
		t.Errorf("no network at all: error %v", err)
	}
}

// Every choice of a child is one of its parents'.
func TestCross(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	s := mustNew(t, OFA(), 450e6)
	mixed := 0
	for range 500 {
		m, n := s.Sample(rng).(Net), s.Sample(rng).(Net)
		a, err := s.Cross(rng, m, n)
		if err != nil {
			t.Fatal(err)
		}
		child := a.(Net)
		if !s.Contains(child) {
			t.Fatalf("%s breaks the limit", child)
		}
		if child != m && child != n {
			mixed++
		}
		for u := range Units {
			d := len(child.Blocks(u))
			if d != len(m.Blocks(u)) && d != len(n.Blocks(u)) {
				t.Fatalf("%s and %s have the child %s", m, n, child)
			}
			for i, b := range child.Blocks(u) {
				if b != m.blocks[u][i] && b != n.blocks[u][i] {
					t.Fatalf("%s and %s have the child %s", m, n, child)
				}
			}
		}
	}
	if mixed < 490 {
		t.Errorf("only %d of 500 children are mixed", mixed)
	}
	if _, err := s.Cross(rng, nil, nil); err == nil {
		t.Error("nothing was crossed with nothing")
	}
}

// Random walks through the automaton: every sequence decodes to a network within the
// limit, and with a limit that binds, close to it too.
func TestDecisions(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for _, limit := range []int64{0, 300e6, 600e6, 200e6} {
		s := mustNew(t, OFA(), limit)
		d := s.Decisions()
		if d != s.Decisions() {
			t.Error("the decisions of a space were made twice")
		}
		most, lengths := int64(0), map[int]bool{}
		for range 2000 {
			sequence := d.Walk(rng)
			if len(sequence) > d.Steps {
				t.Fatalf("%d decisions, want at most %d", len(sequence), d.Steps)
			}
			lengths[len(sequence)] = true
			a, err := s.Decode(sequence)
			if err != nil {
				t.Fatal(err)
			}
			if n := a.(Net); !s.Contains(n) {
				t.Fatalf("limit %d: %s has %d multiply-adds", limit, n, s.MAdds(n))
			} else {
				most = max(most, s.MAdds(n))
			}
		}
		if limit == 300e6 && most < 295e6 {
			t.Errorf("limit %d: the largest of many networks has %d multiply-adds", limit, most)
		}
		if limit == 0 && len(lengths) < 10 {
			t.Errorf("sequences have only %d lengths", len(lengths))
		}
	}
}

// The decisions of a known network, by hand: depth 2, then expansion and kernel twice.
func TestDecode(t *testing.T) {
	s := mustNew(t, OFA(), 0)
	sequence := []int{0, 2, 0, 0, 2}
	for range Units - 1 {
		sequence = append(sequence, 0, 0, 0, 0, 0)
	}
	a, err := s.Decode(sequence)
	if err != nil {
		t.Fatal(err)
	}
	if want := "3x6,7x3|3x3,3x3|3x3,3x3|3x3,3x3|3x3,3x3"; a.String() != want {
		t.Errorf("%s, want %s", a, want)
	}
	if _, err := s.Decode(sequence[1:]); err == nil {
		t.Error("a sequence without its first decision was taken")
	}
}

func TestNewErrors(t *testing.T) {
	if _, err := New(OFA(), 100e6); err == nil || !strings.Contains(err.Error(), "the smallest network has 193078200") {
		t.Errorf("a limit of 100M: error %v", err)
	}
	if _, err := New(OFA(), -1); err == nil || !strings.Contains(err.Error(), "the smallest network has 193078200") {
		t.Errorf("a limit of -1: error %v", err)
	}
	for _, change := range []func(*Skeleton){
		func(s *Skeleton) { *s = Skeleton{} },
		func(s *Skeleton) { s.Width = math.NaN() },
		func(s *Skeleton) { s.Width = math.Inf(1) },
		func(s *Skeleton) { s.Resolution = 1 << 40 },
		func(s *Skeleton) { s.Classes = math.MaxInt },
		func(s *Skeleton) { s.Strides[2] = 3 },
	} {
		s := OFA()
		change(&s)
		if _, err := New(s, 0); err == nil {
			t.Errorf("the skeleton %+v was taken", s)
		}
	}
	s := mustNew(t, OFA(), 300e6)
	if _, err := s.Parse("7x6,7x6,7x6,7x6|7x6,7x6,7x6,7x6|7x6,7x6,7x6,7x6|7x6,7x6,7x6,7x6|7x6,7x6,7x6,7x6"); err == nil || !strings.Contains(err.Error(), "843101040 multiply-adds") {
		t.Errorf("the largest network in a limited space: error %v", err)
	}
}

func TestSVG(t *testing.T) {
	n, err := Parse("3x3,5x4|7x6,3x3,3x3|5x6,5x6,5x6,5x6|3x4,3x4|7x3,7x3,7x3")
	if err != nil {
		t.Fatal(err)
	}
	if bars := strings.Count(n.SVG(), "<rect"); bars != 14 {
		t.Errorf("%d bars, want 14", bars)
	}
}

// The multiply-adds and parameters that Once-for-All publishes of its specialised
// networks, in millions with no and one decimal: see testdata/README.md.
func TestPublishedCosts(t *testing.T) {
	var published struct {
		Networks []struct {
			Name                     string
			MAdds                    float64 `json:"madds_m"`
			Params                   float64 `json:"params_m"`
			Width                    float64
			Resolution               int
			Kernels, Expands, Depths []int
		}
	}
	text, err := os.ReadFile("testdata/published.json")
	if err == nil {
		err = json.Unmarshal(text, &published)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range published.Networks {
		if p.Kernels == nil {
			continue
		}
		n, err := FromOFA(p.Depths, p.Kernels, p.Expands)
		if err != nil {
			t.Errorf("%s: %v", p.Name, err)
			continue
		}
		s := OFA()
		s.Width, s.Resolution = p.Width, p.Resolution
		c := s.Cost(n)
		if madds := float64(c.MAdds) / 1e6; math.Abs(madds-p.MAdds) > max(0.005*p.MAdds, 0.55) {
			t.Errorf("%s: %.1fM multiply-adds, published are %gM", p.Name, madds, p.MAdds)
		}
		if params := float64(c.Params) / 1e6; math.Abs(params-p.Params) > 0.051 {
			t.Errorf("%s: %.2fM parameters, published are %gM", p.Name, params, p.Params)
		}
	}
	if len(published.Networks) < 3 {
		t.Errorf("only %d networks", len(published.Networks))
	}
}
