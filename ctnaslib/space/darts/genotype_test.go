package darts

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// The texts of the published genotypes, copied from their authors' code; see
// published.go for the files. CNAS's code has its edges as (op, from, to).
var publishedTexts = map[string]struct {
	genotype Genotype
	text     string
}{
	"DARTS_V1":       {DARTSV1, "Genotype(normal=[('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 0), ('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 0), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('avg_pool_3x3', 0)], reduce_concat=[2, 3, 4, 5])"},
	"DARTS_V2":       {DARTSV2, "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"},
	"PDARTS":         {PDARTS, "Genotype(normal=[('skip_connect', 0), ('dil_conv_3x3', 1), ('skip_connect', 0),('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('sep_conv_3x3', 3), ('sep_conv_3x3',0), ('dil_conv_5x5', 4)], normal_concat=range(2, 6), reduce=[('avg_pool_3x3', 0), ('sep_conv_5x5', 1), ('sep_conv_3x3', 0), ('dil_conv_5x5', 2), ('max_pool_3x3', 0), ('dil_conv_3x3', 1), ('dil_conv_3x3', 1), ('dil_conv_5x5', 3)], reduce_concat=range(2, 6))"},
	"PC_DARTS_cifar": {PCDARTS, "Genotype(normal=[('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 0), ('dil_conv_3x3', 1), ('sep_conv_5x5', 0), ('sep_conv_3x3', 1), ('avg_pool_3x3', 0), ('dil_conv_3x3', 1)], normal_concat=range(2, 6), reduce=[('sep_conv_5x5', 1), ('max_pool_3x3', 0), ('sep_conv_5x5', 1), ('sep_conv_5x5', 2), ('sep_conv_3x3', 0), ('sep_conv_3x3', 3), ('sep_conv_3x3', 1), ('sep_conv_3x3', 2)], reduce_concat=range(2, 6))"},
	"PC_DARTS_image": {PCDARTSImage, "Genotype(normal=[('skip_connect', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 0), ('skip_connect', 1), ('sep_conv_3x3', 1), ('sep_conv_3x3', 3), ('sep_conv_3x3', 1), ('dil_conv_5x5', 4)], normal_concat=range(2, 6), reduce=[('sep_conv_3x3', 0), ('skip_connect', 1), ('dil_conv_5x5', 2), ('max_pool_3x3', 1), ('sep_conv_3x3', 2), ('sep_conv_3x3', 1), ('sep_conv_5x5', 0), ('sep_conv_3x3', 3)], reduce_concat=range(2, 6))"},
	"CNAS":           {CNAS, "Genotype(normal=[('dil_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 0), ('skip_connect', 1), ('sep_conv_3x3', 1), ('max_pool_3x3', 3), ('sep_conv_3x3', 2), ('sep_conv_3x3', 4)], normal_concat=[2, 3, 4, 5], reduce=[('sep_conv_3x3', 0), ('skip_connect', 1), ('dil_conv_5x5', 2), ('skip_connect', 1), ('dil_conv_3x3', 2), ('sep_conv_3x3', 1), ('sep_conv_5x5', 0), ('sep_conv_3x3', 3)], reduce_concat=[2, 3, 4, 5])"},
}

func TestPublished(t *testing.T) {
	for name, p := range publishedTexts {
		if g, err := Parse(p.text); err != nil || g != p.genotype {
			t.Errorf("%s is read as %v, %v; want %v", name, g, err, p.genotype)
		}
		if g, err := Parse(p.genotype.String()); err != nil || g != p.genotype {
			t.Errorf("%s is written as %v, which is read as %v, %v", name, p.genotype, g, err)
		}
	}
}

// By hand: the normal cell of the code 0 reads its inputs with max_pool_3x3 only. A
// step of 1 changes the last operation, a step of 49 the last pair, 1–0 to 2–0.
func TestCodeByHand(t *testing.T) {
	pools := Cell{}
	for i := range pools {
		pools[i] = [2]Edge{{MaxPool3x3, 0}, {MaxPool3x3, 1}}
	}
	op, pair := pools, pools
	op[3][1].Op = AvgPool3x3
	pair[3][1].From = 2
	for code, reduce := range map[uint64]Cell{0: pools, 1: op, 49: pair} {
		g, err := FromCode(code)
		if err != nil || g.Normal() != pools || g.Reduce() != reduce {
			t.Errorf("code %d is %v, %v", code, g, err)
		}
		if g.Code() != code {
			t.Errorf("%v has the code %d, want %d", g, g.Code(), code)
		}
	}
	if _, err := FromCode(NumGenotypes); err == nil {
		t.Error("there is one genotype too many")
	}
}

func TestCodeRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	codes := []uint64{0, NumGenotypes - 1}
	for range 5000 {
		codes = append(codes, rng.Uint64N(NumGenotypes))
	}
	for _, code := range codes {
		g, err := FromCode(code)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := New(g.Normal(), g.Reduce()); err != nil || back != g || g.Code() != code {
			t.Fatalf("code %d is %v with the code %d; made again it is %v, %v", code, g, g.Code(), back, err)
		}
	}
}

// The order of a node's edges makes no difference, the numbering of nodes does.
func TestID(t *testing.T) {
	swapped := DARTSV2.Normal()
	swapped[0][0], swapped[0][1] = swapped[0][1], swapped[0][0]
	g, err := New(swapped, DARTSV2.Reduce())
	if err != nil || g.ID() != DARTSV2.ID() {
		t.Errorf("with two edges swapped, the ID is %s, not %s (%v)", g.ID(), DARTSV2.ID(), err)
	}
	if DARTSV1.ID() == DARTSV2.ID() {
		t.Error("two genotypes have one ID")
	}
}

func TestNewErrors(t *testing.T) {
	change := func(node, edge int, e Edge) Cell {
		c := DARTSV2.Normal()
		c[node][edge] = e
		return c
	}
	for _, test := range []struct {
		cell Cell
		want string
	}{
		{change(0, 1, Edge{SepConv3x3, 0}), "node 2 of the reduction cell reads node 0 twice"},
		{change(1, 0, Edge{SepConv3x3, 3}), "node 3 of the reduction cell reads node 3; it can read 0 to 2"},
		{change(3, 0, Edge{SepConv3x3, -1}), "reads node -1"},
		{change(2, 0, Edge{numOps, 0}), "node 4 of the reduction cell has the operation op(7)"},
	} {
		if _, err := New(DARTSV2.Normal(), test.cell); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want %q", err, test.want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	good := publishedTexts["DARTS_V2"].text
	for _, test := range []struct{ old, new, want string }{
		{"('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ", "", "normal: there are 6 edges, not 8"},
		{"Genotype(normal", "Genotype(normals", `no field "normals"`},
		{"Genotype", "Phenotype", "it holds no Genotype("},
		{"dil_conv_3x3", "none", `normal: edge 8: the space has no operation "none"`},
		{"reduce=[('max_pool_3x3', 0)", "reduce=[('max_pool_3x3' 0)", `reduce: edge 1: "('max_pool_3x3' 0), ('max_pool_3x3', 1)`},
		{"dil_conv_3x3', 2", "dil_conv_3x3', 7", "node 5 of the normal cell reads node 7"},
		{"dil_conv_3x3', 2", "dil_conv_3x3', 0", "node 5 of the normal cell reads node 0 twice"},
		{"dil_conv_3x3', 2", "dil_conv_3x3', two", `"two" is not the number of a node`},
		{"dil_conv_3x3', 2", "dil_conv_3x3', 99999999999999999999", "is not the number of a node"},
		{"[2, 3, 4, 5]", "[2, 3, 4]", "the output is of [2, 3, 4];"},
		{"[2, 3, 4, 5]", "range(2, 5)", "normal_concat: the output is of range(2, 5); in this space it is of the nodes 2, 3, 4 and 5"},
		{"[2, 3, 4, 5]", "[3, 4, 5]", "the output is of [3, 4, 5]; in this space it is of the nodes 2, 3, 4 and 5"},
		{"[2, 3, 4, 5]", "range(0, 1000000000)", "normal_concat: the output is of"},
		{"[2, 3, 4, 5]", "\n range(2, 2 + steps)", "normal_concat: the output is of range(2, 2 + steps);"},
		{"[2, 3, 4, 5]", "concat()", "normal_concat: the output is of concat();"},
		{"[2, 3, 4, 5]", "\nlambda: 4", `in line 2 before ": 4, reduce=`},
		{", normal_concat=[2, 3, 4, 5]", "", "normal_concat is missing"},
		{"[2, 3, 4, 5]", "None", "the output is of None;"},
		{", reduce=[('max", ", extra=1, reduce=[('max", `no field "extra"`},
		{"[('sep_conv_3x3', 0), ('sep_conv_3x3', 1)", "[[('sep_conv_3x3', 0)], ('sep_conv_3x3', 1)", `normal: edge 1: "[('sep_conv_3x3', 0)], ('sep_conv_3x3', 1), ('sep_conv_3x3'," is neither`},
		{"('sep_conv_3x3', 0), ('sep_conv_3x3', 1)", "[('sep_conv_3x3', 0), [('sep_conv_3x3', 1), ('skip_connect', 0)]]", `edge 1: "[('sep_conv_3x3', 0), [('sep_conv_3x3', 1), ('skip_connect'," is neither ('operation', node) nor a node of two such edges`},
		{"('sep_conv_3x3', 0)", "('sep_conv_3x3', 0, 2)", `edge 1: "('sep_conv_3x3', 0, 2), `},
		{"('sep_conv_3x3', 0)", "(0, 'sep_conv_3x3')", `edge 1: the space has no operation "0"`},
		{"('sep_conv_3x3', 0)", "('sep_conv_3x3', -1)", `node 2 of the normal cell reads node -1`},
		{"('sep_conv_3x3', 0)", strings.Repeat("(", 1_000_000), "with at most 8 brackets within each other is expected in line 1"},
		{"Genotype(", "{'normal': [", `normal: "," or "}" is expected where the text ends`},
		{"reduce=", "normal=", "normal is given twice"},
		{"('dil_conv_3x3', 2)]", "('dil_conv_3x3', 2))", "normal: the brackets of"},
		{"('dil_conv_3x3', 2)]", "(dil_conv_3x3', 2)]", `normal: "," or ")" is expected where the text ends`},
		{"reduce=[", "[", "normal is given twice"},
		{"5])", "5]", `")" is expected where the text ends; it is cut off`},
		{"5])", "5]))\nX = Genotype([], [], [], [])", "it holds 2 genotypes, give the text of one: line 1, X in line 2"},
		{"5])", "5], reduce_concat=[2, 3, 4, 5])", "reduce_concat is given twice"},
	} {
		if _, err := Parse(strings.Replace(good, test.old, test.new, 1)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("with %q for %q: error %v, want %q", test.new, test.old, err, test.want)
		}
	}
}

// What people have: a genotype in a log, in code, as JSON. Each form has its own spelling of the same genotype.
func forms(g Genotype) map[string]string {
	text := g.String()
	list := func(cell Cell, open, close string) string {
		var s []string
		for _, node := range cell {
			for _, e := range node {
				s = append(s, fmt.Sprintf("%s'%s', %d%s", open, e.Op, e.From, close))
			}
		}
		return strings.Join(s, ", ")
	}
	normal, reduce := list(g.Normal(), "(", ")"), list(g.Reduce(), "(", ")")
	var nodes [2][]string
	for c, cell := range []Cell{g.Normal(), g.Reduce()} {
		for _, node := range cell {
			nodes[c] = append(nodes[c], fmt.Sprintf("[('%s', %d), ('%s', %d)]", node[1].Op, node[1].From, node[0].Op, node[0].From)) // in the other order
		}
	}
	nested := fmt.Sprintf("{'normal': [%s], 'reduce': [%s]}", strings.Join(nodes[0], ", "), strings.Join(nodes[1], ", "))
	dict := fmt.Sprintf("{'normal': [%s], 'normal_concat': range(2, 6), 'reduce': [%s], 'reduce_concat': [2, 3, 4, 5]}", normal, reduce)
	object := strings.ReplaceAll(fmt.Sprintf("{'epoch': 3, 'lr': 2.5e-02, 'best': true, 'seed': null, 'normal': [%s], 'normal_concat': [2, 3, 4, 5], 'reduce': [%s], 'reduce_concat': null}",
		list(g.Normal(), "[", "]"), list(g.Reduce(), "[", "]")), "'", `"`)
	object = strings.Replace(object, `"lr"`, `"learning rate, (mean)"`, 1)
	quoted := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	lines := strings.NewReplacer("'", `"`, "[", "[\n ", ", ", ",\t", "])", "],\n)", "), ", "),  # it's (odd\r\n# [\n\t\t").Replace(text)
	return map[string]string{
		"repr":             text,
		"log":              "07/08 05:56:53 AM genotype = " + text,
		"logging":          "INFO:root:genotype = " + text + "\r\n",
		"log of one epoch": "07/08 AM epoch 3 lr 2.5e-02\n07/08 AM genotype = " + text + "\n07/08 AM train_acc 97.1 it's {best}\n",
		"printed twice":    "genotype = " + text + "\nNamespace(arch='" + "X" + "')\n" + text,
		"JSON log":         `{"time": "05:56", "level": 1, "msg": ` + quoted("genotype = "+text) + `}`,
		"JSON log, quotes": `{"msg": ` + quoted("genotype = "+strings.ReplaceAll(text, "'", `"`)+"\n") + `}`,
		"JSON within JSON": `{"epoch": 3, "genotype": ` + object + `, "acc": [1, 2]}`,
		"string":           quoted("\t" + strings.ReplaceAll(text, " ", "\n\t")),
		"assignment":       "MY_NET = " + text + "  # seed 2",
		"annotated":        "MY_NET: Genotype = genotypes.Genotype" + strings.TrimPrefix(text, "Genotype"),
		"module":           "darts.cnn.genotypes." + text,
		"lines":            lines,
		"continued":        "X = \\\n  " + strings.ReplaceAll(text, "normal=", "\\\n normal = "),
		"list(range)":      strings.ReplaceAll(text, "range(2, 6)", "list( range(2,6) )"),
		"range":            strings.ReplaceAll(text, "range(2, 6)", "range(2,6)"),
		"list":             strings.ReplaceAll(text, "range(2, 6)", "[2, 3, 4, 5]"),
		"tuple":            strings.ReplaceAll(text, "range(2, 6)", "(2,3,4,5)"),
		"numpy":            strings.NewReplacer("range(2, 6)", "np.array([2, 3, 4, 5])", ", 0)", ", np.int64(0))").Replace(text),
		"lists for tuples": strings.NewReplacer("('", "['", "),", "],", ")]", "]]").Replace(strings.ReplaceAll(text, "range(2, 6)", "[2, 3, 4, 5]")),
		"tuples for lists": strings.NewReplacer("[", "(", "]", ")").Replace(text),
		"parenthesised":    strings.NewReplacer("[", "([", "]", "])").Replace(text),
		"double quotes":    strings.ReplaceAll(text, "'", `"`),
		"Python 2":         strings.ReplaceAll(text, "('", "(u'"),
		"trailing commas":  strings.NewReplacer(")]", ",),]", "6)", "6,)").Replace(text),
		"other order":      fmt.Sprintf("Genotype(reduce_concat=range(2, 6), reduce=[%s], normal_concat=range(2, 6), normal=[%s])", reduce, normal),
		"by position":      fmt.Sprintf("Genotype([%s], range(2, 6), [%s], range(2, 6))", normal, reduce),
		"some by position": fmt.Sprintf("Genotype([%s], [2, 3, 4, 5], reduce=[%s], reduce_concat=range(2, 6))", normal, reduce),
		"dictionary":       dict,
		"dict":             fmt.Sprintf("x = dict(normal=[%s], normal_concat=range(2, 6), reduce=[%s], reduce_concat=range(2, 6), seed=None)", normal, reduce),
		"JSON":             object,
		"nodes":            nested,
		"Genotype of nodes": fmt.Sprintf("Genotype(normal=[%s], normal_concat=[2, 3, 4, 5], reduce=[%s], reduce_concat=[2, 3, 4, 5])",
			strings.Join(nodes[0], ", "), strings.Join(nodes[1], ", ")),
		"genotypes.py": "from collections import namedtuple\n\nGenotype = namedtuple('Genotype', 'normal normal_concat reduce reduce_concat')\n\n" +
			"PRIMITIVES = [\n    'none',\n    'max_pool_3x3',\n]\n\n# OLD = Genotype(normal=[], reduce=[])\nMINE = " + lines + "\n\nDARTS = MINE\n",
		"a class": "class Genotype(NamedTuple):\n    normal: list\n\nMINE = " + text,
	}
}

// Any genotype is read back from any form.
func TestParseForms(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 1))
	for range 100 {
		g, err := FromCode(rng.Uint64N(NumGenotypes))
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range forms(g) {
			if got, err := Parse(text); err != nil || got != g {
				t.Fatalf("%s: %s\nis read as %v, %v", name, text, got, err)
			}
		}
	}
}

func TestParseSeveral(t *testing.T) {
	var file strings.Builder
	for _, name := range slices.Sorted(maps.Keys(publishedTexts)) {
		fmt.Fprintf(&file, "%s = %s\n\n", name, publishedTexts[name].text)
	}
	_, err := Parse(file.String())
	want := "it holds 6 genotypes, give the text of one: CNAS in line 1, DARTS_V1 in line 3, DARTS_V2 in line 5, PC_DARTS_cifar in line 7, PC_DARTS_image in line 9, PDARTS in line 11"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}

// A long log of dictionaries that are no genotypes, and cannot be read, takes no longer for each than a short one.
func TestParseLongLog(t *testing.T) {
	const line = "01/05 10:00:00 AM train 050 {'epoch': 3, 'top1': 93.1%, 'loss': 0.2}\n"
	start := time.Now()
	got, err := Parse(strings.Repeat(line, 20_000) + "genotype = " + CNAS.String() + "\n")
	if took := time.Since(start); err != nil || got != CNAS || took > 20*time.Second {
		t.Errorf("%v, %v, after %v", got, err, took)
	}
}

func FuzzParse(f *testing.F) {
	for _, p := range publishedTexts {
		f.Add(p.text)
	}
	f.Add("Genotype(normal=[], normal_concat=range(2, 6), reduce=[], reduce_concat=range(2, 6))")
	for _, text := range forms(CNAS) {
		f.Add(text)
	}
	f.Add("Genotype(reduce_concat=[2,3,4,5,],normal=[(\"skip_connect\",0,),")
	f.Fuzz(func(t *testing.T, text string) {
		g, err := Parse(text)
		if err != nil {
			if g != (Genotype{}) {
				t.Fatalf("a genotype beside the error %v", err)
			}
			return
		}
		if back, err := Parse(g.String()); err != nil || back != g {
			t.Fatalf("%q is read as %v, which is read as %v, %v", text, g, back, err)
		}
		if back, err := FromCode(g.Code()); err != nil || back != g {
			t.Fatalf("%v has the code of %v, %v", g, back, err)
		}
	})
}

// The normal cell of DARTS_V1, by hand, in the authors' numbering: the inputs 0 and 1;
// node 2's operations 2 and 3; node 3's 4 and 5; node 4's 6 and 7; node 5's 8, and 9,
// which reads node 2. The reduction cell is 10 further; its operations 14, 17 and 18
// read its node 2.
func TestGraph(t *testing.T) {
	g := DARTSV1.Graph()
	if want := []int{1, 2, 6, 6, 5, 6, 5, 6, 6, 5 /* reduction */, 1, 2, 3, 3, 3, 5, 3, 5, 4, 5}; !slices.Equal(g.Ops, want) {
		t.Errorf("operations %v, want %v", g.Ops, want)
	}
	want := [][2]int{
		{0, 2}, {1, 3}, {0, 4}, {1, 5}, {0, 6}, {1, 7}, {0, 8}, {2, 9}, {3, 9},
		{10, 12}, {11, 13}, {10, 14}, {12, 15}, {13, 15}, {10, 16}, {12, 17}, {13, 17}, {10, 18}, {12, 19}, {13, 19},
	}
	if !slices.Equal(g.Edges, want) {
		t.Errorf("edges %v, want %v", g.Edges, want)
	}
}

func TestSVG(t *testing.T) {
	for name, p := range publishedTexts {
		svg := p.genotype.SVG()
		if boxes := strings.Count(svg, `rx="6"`); boxes != 2*7 {
			t.Errorf("%s: %d boxes, want 14", name, boxes)
		}
		if arrows := strings.Count(svg, "marker-end"); arrows != 2*8 {
			t.Errorf("%s: %d arrows, want 16", name, arrows)
		}
	}
	if svg := DARTSV2.SVG(); strings.Count(svg, ">max 3×3<") != 5 || strings.Count(svg, ">dil 3×3<") != 1 {
		t.Error("DARTS_V2 is not drawn with five max poolings and a dilated convolution")
	}
}

// Of DARTS_V1, by hand: node 2 of the normal cell has sep_conv_3x3 (3) on both inputs,
// node 3 skip_connect (2) on input 0; the reduction cell, 98 numbers later, has max pooling
// (0) on both inputs of node 2, and avg pooling (1) on input 0 of node 5, its tenth edge.
func TestVector(t *testing.T) {
	v := DARTSV1.Vector()
	sum := float32(0)
	for _, x := range v {
		sum += x
	}
	if len(v) != 196 || sum != 16 {
		t.Fatalf("%d numbers, their sum is %g", len(v), sum)
	}
	for _, i := range []int{0*7 + 3, 1*7 + 3, 2*7 + 2, 98 + 0*7, 98 + 1*7, 98 + 9*7 + 1} {
		if v[i] != 1 {
			t.Errorf("number %d is %g", i, v[i])
		}
	}
}
