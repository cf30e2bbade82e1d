package comparator

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/ctnas/ctnas/ctnaslib/encoder"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/internal/authors"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/darts"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// golden is what the authors' comparator of one space computed.
type golden struct {
	Archs []goldenArch
	Full  struct{ Logits []float64 } // of each architecture against the next one
	Small struct {
		Features   [][]float64
		Logits     []float64
		Accuracies []float64
		Steps      []struct {
			First, Second []int32 // positions in Archs
			Labels        []float32
			Loss          float64
		}
		Weights map[string]any // after the steps
	}
}

// goldenArch is an architecture as the authors write it: a cell, a genotype or a network.
type goldenArch struct {
	Matrix         [][]int
	Ops            []string
	Normal, Reduce [][2]any
	Net            string
}

func (g goldenArch) arch() (space.Arch, error) {
	if g.Matrix != nil {
		return nasbench101.New(g.Matrix, g.Ops)
	}
	if g.Normal != nil {
		cell := func(edges [][2]any) string {
			var texts []string
			for _, e := range edges {
				texts = append(texts, fmt.Sprintf("('%v', %v)", e[0], e[1]))
			}
			return strings.Join(texts, ", ")
		}
		return darts.Parse(fmt.Sprintf("Genotype(normal=[%s], normal_concat=range(2, 6), reduce=[%s], reduce_concat=range(2, 6))", cell(g.Normal), cell(g.Reduce)))
	}
	var numbers [3][]int // depths, and the kernels and expansions of all 20 places
	for i, list := range strings.Split(g.Net, ":") {
		for _, text := range strings.Split(list, ",") {
			n, err := strconv.Atoi(text)
			if err != nil {
				return nil, err
			}
			numbers[i] = append(numbers[i], n)
		}
	}
	units := make([][]mobilenetv3.Block, mobilenetv3.Units)
	for u := range units {
		for i := range numbers[0][u] {
			at := u*mobilenetv3.MaxDepth + i
			units[u] = append(units[u], mobilenetv3.Block{Kernel: numbers[1][at], Expansion: numbers[2][at]})
		}
	}
	return mobilenetv3.NewNet(units)
}

// weight is a weight of ours and where it is in the authors' state dict.
type weight struct {
	ours, theirs string
	dims         []int // of the authors'
	rows         []int // of an embedding: the authors' row of each of ours
	linear       bool  // whether the authors' has outputs as rows, ours as columns
}

// authorsWeights lists the weights of a comparator of that width.
func authorsWeights(mlp bool, width, features, cells int, ops []int, embeddings int) []weight {
	ratio := 2 * cells
	list := []weight{{ours: nameHead, theirs: "fc.weight", dims: []int{1, ratio * width}, linear: true}, {ours: nameHeadBias, theirs: "fc.bias", dims: []int{1}}}
	if mlp {
		for l := range 3 {
			name, inputs := fmt.Sprintf("linear_extractor.%d.", 2*l), width
			if l == 0 {
				inputs = features
			}
			list = append(list,
				weight{ours: fmt.Sprintf("weight_%d", l), theirs: name + "weight", dims: []int{width, inputs}, linear: true},
				weight{ours: fmt.Sprintf("bias_%d", l), theirs: name + "bias", dims: []int{width}})
		}
		return list
	}
	list = append(list, weight{ours: "embedding", theirs: "embedding.weight", dims: []int{embeddings, width}, rows: ops})
	for l, name := range []string{"gcn.layers.0.", "gcn.layers.1.", "gcn.layers.2.", "gcn.last_layer."} {
		list = append(list,
			weight{ours: fmt.Sprintf("weight_%d", l), theirs: name + "weight", dims: []int{width, width}},
			weight{ours: fmt.Sprintf("bias_%d", l), theirs: name + "bias", dims: []int{width}})
	}
	return list
}

// asOurs lays the values of an authors' weight out as ours.
func asOurs[T any](w weight, theirs []T) []T {
	if w.linear {
		return authors.Transposed(theirs, w.dims[1])
	}
	if w.rows == nil {
		return theirs
	}
	var values []T
	for _, row := range w.rows {
		values = append(values, theirs[row*w.dims[1]:(row+1)*w.dims[1]]...)
	}
	return values
}

// layout is how the authors' comparator of a space lies in ours.
type layout struct {
	space      space.Space
	rows       []int // the authors' row of each of our operations' embeddings; nil for an MLP
	embeddings int   // the authors' rows
	full       int   // the authors' width
}

// The authors' comparators with given weights, and ours: features, logits, and the losses and all weights of three steps
// of Adam. For NAS-Bench-101 and DARTS they are graph networks, for MobileNetV3 an MLP. The rows of the embeddings are
// in another order; the authors' have one for "none" too, which our DARTS space lacks.
func TestReleasedIsTheAuthors(t *testing.T) {
	var all map[string]golden
	authors.Read(t, "comparator.json", &all)
	nets, err := mobilenetv3.New(mobilenetv3.OFA(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, l := range map[string]layout{
		"nasbench101": {nasbench101.Space{}, []int{0, 1, 3, 2, 4, 5}, 6, 128},
		"darts":       {darts.Space{}, []int{10, 0, 1, 6, 7, 3, 4, 5, 8, 9}, 11, 128},
		"mobilenetv3": {nets, nil, 0, 512},
	} {
		t.Run(name, func(t *testing.T) {
			golden := all[name]
			archs := make([]space.Arch, len(golden.Archs))
			for i, g := range golden.Archs {
				if archs[i], err = g.arch(); err != nil {
					t.Fatal(err)
				}
			}
			full, _ := l.comparator(t, l.full)
			compareLogits(t, full, archs, golden.Full.Logits)
			small, weights := l.comparator(t, 8)
			compareLogits(t, small, archs, golden.Small.Logits)
			compareFeatures(t, small, archs, golden.Small.Features)
			compareSteps(t, small, archs, golden, weights)
		})
	}
}

// comparator makes ours of that width with the authors' given weights, which it lists.
func (l layout) comparator(t *testing.T, width int) (*NAC, []weight) {
	t.Helper()
	c, sizes := Released(), encoder.SizesOf(l.space)
	c.Width = width
	if l.rows == nil {
		c.Encoder, sizes.Cells = encoder.MLP{Layers: 3, Width: width}, 1
	}
	n, err := New(backend(t), l.space, c)
	if err != nil {
		t.Fatal(err)
	}
	list := authorsWeights(l.rows == nil, width, sizes.Features, sizes.Cells, l.rows, l.embeddings)
	count := 0
	for range n.store.IterVariables() {
		count++
	}
	if count != len(list) {
		t.Fatalf("ours has %d weights, the authors' %d", count, len(list))
	}
	for _, w := range list {
		v := n.store.GetVariable("/" + scopeNAC + "/" + w.ours)
		values := asOurs(w, authors.Weights(w.theirs, w.dims...))
		if err := v.SetValue(tensors.FromFlatDataAndDimensions(values, v.Shape().Dimensions...)); err != nil {
			t.Fatal(err)
		}
	}
	return n, list
}

// compareSteps trains on the authors' batches.
func compareSteps(t *testing.T, n *NAC, archs []space.Arch, golden golden, list []weight) {
	t.Helper()
	for k, step := range golden.Small.Steps {
		b := &pairs{archs: archs}
		for i, first := range step.First {
			second := step.Second[i]
			if i < len(step.First)*2/3 { // of a batch's pairs a third is pseudo-labelled
				if better := golden.Small.Accuracies[first] > golden.Small.Accuracies[second]; better != (step.Labels[i] == 1) {
					t.Errorf("step %d: the label of pair %d is %g", k, i, step.Labels[i])
				}
			}
			b.add(int(first), int(second), step.Labels[i] == 1, 1)
		}
		loss, err := n.trainStep(b)
		if err != nil {
			t.Fatal(err)
		}
		near(t, fmt.Sprintf("the loss of step %d", k), loss, step.Loss)
	}
	for _, w := range list {
		got := tensors.MustCopyFlatData[float32](n.store.GetVariable("/" + scopeNAC + "/" + w.ours).MustValue())
		want := asOurs(w, authors.Flat(t, golden.Small.Weights[w.theirs]))
		for i := range want {
			near(t, fmt.Sprintf("%s[%d] after the steps", w.ours, i), float64(got[i]), want[i])
		}
	}
}

func compareLogits(t *testing.T, n *NAC, archs []space.Arch, want []float64) {
	t.Helper()
	scores, err := n.Scores(archs)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range scores {
		near(t, fmt.Sprintf("logit %d", i), s.First+scores[(i+1)%len(scores)].Second, want[i])
	}
}

func compareFeatures(t *testing.T, n *NAC, archs []space.Arch, want [][]float64) {
	t.Helper()
	inputs, err := n.encoder.Inputs(archs, n.sizes, len(archs))
	if err != nil {
		t.Fatal(err)
	}
	exec, err := model.NewExec(backend(t), n.store, func(root *model.Scope, inputs []*Node) *Node {
		return n.encoder.Encode(root.At(scopeNAC), n.sizes, inputs)
	})
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Call1(engine.Args(inputs)...)
	if err != nil {
		t.Fatal(err)
	}
	z := tensors.MustCopyFlatData[float32](out)
	dim := n.encoder.Dim(n.sizes)
	for i := range archs {
		for k := range dim {
			near(t, fmt.Sprintf("feature %d of architecture %d", k, i), float64(z[i*dim+k]), want[i][k])
		}
	}
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-5*(1+math.Abs(want))) {
		t.Errorf("%s is %.7g, the authors' %.7g", what, got, want)
	}
}

// A batch of m gets int(m·ratio) pseudo-labelled pairs in the authors' code, each of which counts as much as one of
// labelled architectures; the last batch of 423 has 167. Beside all pairs they make up the share r.
func TestPseudoLabelledPairsOfABatch(t *testing.T) {
	labelled := sample(8, 167)
	pseudo := make([]Pair, 1000)
	for i := range pseudo {
		pseudo[i] = Pair{labelled[i%7].Arch, labelled[i%11].Arch, i%2 == 0}
	}
	chosen := make([]int, len(labelled))
	for i := range chosen {
		chosen[i] = i
	}
	for _, test := range []struct {
		r    float64
		want int
	}{{0.3, 71}, {0.5, 167}, {0.8, 668}} { // 0.3/0.7·167 is 71.6
		for _, pairing := range []Pairing{Shuffled, AllPairs} {
			c := tiny(1)
			c.Pairing = pairing
			rng := rand.New(rand.NewPCG(8, 8))
			b := newNACOf(t, c).pairUp(labelled, chosen, rng)
			own := len(b.y)
			b.addPseudo(pseudo, test.r, rng)
			if got := len(b.y) - own; got != test.want {
				t.Errorf("%s, r = %g: %d pseudo-labelled pairs, want %d", pairing, test.r, got, test.want)
			}
			total := 0.0
			for _, w := range b.weight[own:] {
				total += float64(w)
			}
			want := float64(test.want)
			if pairing == AllPairs {
				want = test.r / (1 - test.r) * 167 * 166
			}
			if math.Abs(total-want) > 1e-3*want {
				t.Errorf("%s, r = %g: they weigh %g, want %g", pairing, test.r, total, want)
			}
		}
	}
}
