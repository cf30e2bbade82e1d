package nasbench101

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// inception is the example of the official API's manual
// (google-research/nasbench, nasbench/api.py).
func inception(t *testing.T) Cell {
	t.Helper()
	c, err := New([][]int{
		{0, 1, 1, 1, 0, 1, 0},
		{0, 0, 0, 0, 0, 0, 1},
		{0, 0, 0, 0, 0, 0, 1},
		{0, 0, 0, 0, 1, 0, 0},
		{0, 0, 0, 0, 0, 0, 1},
		{0, 0, 0, 0, 0, 0, 1},
		{0, 0, 0, 0, 0, 0, 0},
	}, []string{"input", "conv1x1-bn-relu", "conv3x3-bn-relu", "conv3x3-bn-relu", "conv3x3-bn-relu", "maxpool3x3", "output"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mustParse(t *testing.T, text string) Cell {
	t.Helper()
	c, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The expected hashes were printed by hash_module of google-research/nasbench
// (nasbench/lib/graph_util.py), run by hand on these cells.
func TestHash(t *testing.T) {
	if got, want := inception(t).ID(), "28cfc7874f6d200472e1a9dcd8650aa0"; got != want {
		t.Errorf("inception: hash %s, want %s", got, want)
	}
	for text, want := range map[string]string{
		"1:":                          "043721b9c7fe8c5fad811d47d83132ec",
		"111:A":                       "d32d0b26d534203b48d866facd98cc3e",
		"1101001111:AMA":              "0c35c4a7b701f70bb67ddbb72dfdcd23",
		"100111100110011:BBAA":        "0b92c9d715f07beee5e8424dc9a7bed8",
		"100100100011100010011:BABBA": "735706b0cd4f574e954f215004c3f795",
	} {
		if got := mustParse(t, text).ID(); got != want {
			t.Errorf("%s: hash %s, want %s", text, got, want)
		}
	}
}

// Vertices 1 and 2 both lie between the input and the output, so swapping their
// operations renumbers the cell without changing it.
func TestHashIgnoresOrder(t *testing.T) {
	a, b := mustParse(t, "110011:AM"), mustParse(t, "110011:MA")
	if a.ID() != b.ID() {
		t.Error("two numberings of one cell have different hashes")
	}
}

// Hand-counted: the stem has 3·3·3·128+2·128 parameters, the dense layer
// 512·10+10. The cell input → output is one 1×1 projection, in channels → out.
func TestParams(t *testing.T) {
	conv := func(k, in, out int) int { return k*k*in*out + 2*out }
	want := conv(3, 3, 128) + 512*10 + 10 +
		3*conv(1, 128, 128) + conv(1, 128, 256) + 2*conv(1, 256, 256) + conv(1, 256, 512) + 2*conv(1, 512, 512)
	if got := mustParse(t, "1:").Params(); got != want {
		t.Errorf("identity cell: %d parameters, want %d", got, want)
	}
}

// The published costs of the vertices of one cell, in the first cell of each stack
// and the others (Guo et al., AlbertiPot/nar, data/nasbench101_vertice_example.json).
func TestCosts(t *testing.T) {
	c, err := New([][]int{
		{0, 1, 0, 0, 1, 1, 0},
		{0, 0, 1, 0, 0, 0, 0},
		{0, 0, 0, 1, 0, 0, 1},
		{0, 0, 0, 0, 0, 1, 0},
		{0, 0, 0, 0, 0, 1, 0},
		{0, 0, 0, 0, 0, 0, 1},
		{0, 0, 0, 0, 0, 0, 0},
	}, []string{"input", "conv3x3-bn-relu", "maxpool3x3", "conv3x3-bn-relu", "conv3x3-bn-relu", "conv1x1-bn-relu", "output"})
	if err != nil {
		t.Fatal(err)
	}
	flops, params := c.Costs()
	if len(flops) != 9 || len(params) != 9 {
		t.Fatalf("costs of %d and %d cells, want 9", len(flops), len(params))
	}
	for k, want := range map[int][]int{
		0: {0, 92274688, 589824, 75497472, 92274688, 25296896, 0},
		2: {0, 92274688, 589824, 75497472, 92274688, 25296896, 0},
		3: {0, 83886080, 294912, 75497472, 83886080, 16842752, 0},
		5: {0, 92274688, 294912, 75497472, 92274688, 25231360, 0},
		6: {0, 83886080, 147456, 75497472, 83886080, 16809984, 0},
		7: {0, 92274688, 147456, 75497472, 92274688, 25198592, 0},
	} {
		if !slices.Equal(flops[k], want) {
			t.Errorf("cell %d: operations %v, want %v", k, flops[k], want)
		}
	}
	for k, want := range map[int][]int{
		1: {0, 45312, 0, 36992, 45312, 12544, 0},
		3: {0, 164352, 0, 147712, 164352, 33280, 0},
		8: {0, 721920, 0, 590336, 721920, 197632, 0},
	} {
		if !slices.Equal(params[k], want) {
			t.Errorf("cell %d: parameters %v, want %v", k, params[k], want)
		}
	}
	if got := c.Params(); got != 8555530 {
		t.Errorf("%d parameters in all, want 8555530", got)
	}

	// input → output is a projection of 128 channels to 128, with its batch norm.
	flops, params = mustParse(t, "1:").Costs()
	if flops[0][1] != 2*128*128*32*32 || params[0][1] != 128*128+2*128 {
		t.Errorf("the projection costs %d operations and %d parameters", flops[0][1], params[0][1])
	}
	// With a convolution beside it, it is also added to what the convolution gives.
	if flops, _ = mustParse(t, "111:A").Costs(); flops[0][2] != (2*128*128+128)*32*32 {
		t.Errorf("the output costs %d operations", flops[0][2])
	}
}

// Figure 2(c) of the NAS-Bench-101 paper's rule, worked by hand: of 128 output
// channels, four vertices lead to the output, so each has 32.
func TestChannels(t *testing.T) {
	got := inception(t).Channels(128, 128)
	want := []int{128, 32, 32, 32, 32, 32, 128}
	for v := range want {
		if got[v] != want[v] {
			t.Fatalf("channels %v, want %v", got, want)
		}
	}
	// 128 = 43 + 43 + 42: the first two of three take one more.
	got = mustParse(t, "1110001011:AAA").Channels(128, 128)
	want = []int{128, 43, 43, 42, 128}
	for v := range want {
		if got[v] != want[v] {
			t.Fatalf("channels %v, want %v", got, want)
		}
	}
}

func TestPrune(t *testing.T) {
	// Vertex 2 has no way to the output, vertex 3 none from the input.
	c, err := New([][]int{
		{0, 1, 1, 0, 0},
		{0, 0, 0, 0, 1},
		{0, 0, 0, 0, 0},
		{0, 0, 0, 0, 1},
		{0, 0, 0, 0, 0},
	}, []string{"input", "maxpool3x3", "conv3x3-bn-relu", "conv1x1-bn-relu", "output"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.String(), "101:M"; got != want {
		t.Errorf("pruned to %s, want %s", got, want)
	}
}

func TestNewErrors(t *testing.T) {
	chain := func(n int) [][]int {
		m := make([][]int, n)
		for i := range m {
			m[i] = make([]int, n)
			if i+1 < n {
				m[i][i+1] = 1
			}
		}
		return m
	}
	ops := func(n int) []string {
		names := []string{"input"}
		for range n - 2 {
			names = append(names, "maxpool3x3")
		}
		return append(names, "output")
	}
	cyclic := chain(4)
	cyclic[2][1] = 1
	loop := chain(3)
	loop[1][1] = 1
	backwards := [][]int{{0, 0, 1, 0}, {0, 0, 0, 1}, {0, 1, 0, 0}, {0, 0, 0, 0}}
	crowded := chain(7)
	for i, j := range []int{2, 3, 4, 5} {
		crowded[i][j] = 1
	}
	two := chain(3)
	two[0][1] = 2
	broken := chain(3)
	broken[1][2] = 0
	ragged := chain(3)
	ragged[1] = ragged[1][:2]
	dense := ops(3)
	dense[1] = "dense"

	for name, test := range map[string]struct {
		matrix [][]int
		ops    []string
		want   string
	}{
		"8 vertices":  {chain(8), ops(8), "this one has 8"},
		"no vertices": {nil, nil, "this one has 0"},
		"10 edges":    {crowded, ops(7), "this one has 10"},
		"cycle":       {cyclic, ops(4), "cycle"},
		"self-loop":   {loop, ops(3), "cycle"},
		"backwards":   {backwards, ops(4), "goes backwards"},
		"entry 2":     {two, ops(3), "is 2, not 0 or 1"},
		"no path":     {broken, ops(3), "no path"},
		"ragged":      {ragged, ops(3), "not square"},
		"unknown op":  {chain(3), dense, `unknown operation "dense"`},
		"few ops":     {chain(3), ops(2), "2 operations are given"},
		"no input":    {chain(3), []string{"output", "maxpool3x3", "output"}, "first operation"},
	} {
		_, err := New(test.matrix, test.ops)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line with %q", name, err, test.want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, text := range []string{"", "101", "101:", "101:X", "1x1:A", "0111:A", "1:AAAAAA", "000:A", ":", "111111111111111:ABMA"} {
		if c, err := Parse(text); err == nil {
			t.Errorf("Parse(%q) = %v, want an error", text, c)
		}
	}
}

func TestEnumerate(t *testing.T) {
	cells := Enumerate()
	if len(cells) != NumCells {
		t.Fatalf("%d cells, want %d", len(cells), NumCells)
	}
	seen := make(map[[16]byte]bool, len(cells))
	step := 1
	if testing.Short() {
		step = 97
	}
	for i := 0; i < len(cells); i += step {
		h := cells[i].Hash()
		if seen[h] {
			t.Fatalf("cell %v has the hash of an earlier one", cells[i])
		}
		seen[h] = true
	}
}

func TestRoundTrips(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		c := Space{}.Sample(rng).(Cell)
		if back, err := Parse(c.String()); err != nil || back != c {
			t.Fatalf("Parse(%s) = %v, %v", c, back, err)
		}
		if back, err := FromCode(c.Code()); err != nil || back != c {
			t.Fatalf("FromCode(%#x) = %v, %v; want %v", c.Code(), back, err, c)
		}
		if back, err := New(c.Matrix(), c.OpNames()); err != nil || back != c {
			t.Fatalf("New of %s = %v, %v", c, back, err)
		}
	}
	for _, code := range []uint64{0, 1, 2, 7, 1 << 63, 0x18 | 3} {
		if c, err := FromCode(code); err == nil {
			t.Errorf("FromCode(%#x) = %v, want an error", code, c)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("101:A")
	f.Add("100100100011100010011:BABBA")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse(text)
		if err != nil {
			return
		}
		if c.N() < 2 || c.N() > MaxVertices || c.Edges() > MaxEdges {
			t.Fatalf("Parse(%q) left the space: %v", text, c)
		}
		if again, err := Parse(c.String()); err != nil || again != c {
			t.Fatalf("Parse(%q) is %v, whose text reads back as %v, %v", text, c, again, err)
		}
	})
}
