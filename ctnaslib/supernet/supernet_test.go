package supernet

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/datasets/images"
	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
)

var goBackend = sync.OnceValues(func() (compute.Backend, error) { return engine.OpenConfig("go") })

func backend(t *testing.T) compute.Backend {
	t.Helper()
	b, err := goBackend()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// shapesData are some of the drawn shapes, which are always there.
func shapesData(t *testing.T) *Data {
	t.Helper()
	set := images.Shapes()
	for _, part := range []*images.Images{&set.Train, &set.Test} {
		var err error
		if _, *part, err = part.HoldOut(320, 1); err != nil {
			t.Fatal(err)
		}
	}
	data, err := NewData(set, 64)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// tiny is a network that a step of the Go backend trains in milliseconds.
func tiny(t *testing.T, method Method) (*Net, *Data) {
	t.Helper()
	data := shapesData(t)
	c := Small(method, data.Classes)
	c.Channels, c.Side, c.BatchSize = 7, 4, 8 // 7 channels: no number of slots but 1 divides them
	n, err := NewNet(backend(t), data, c)
	if err != nil {
		t.Fatal(err)
	}
	return n, data
}

// first is the first training batch.
func first(t *testing.T, n *Net) batch {
	t.Helper()
	var first batch
	err := stream(context.Background(), n.data.augmented(n.config.Side, n.config.BatchSize, 1), 0, 1, func(_ int, b batch) error {
		first = b
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return first
}

func cells(seed uint64, count int) []nasbench101.Cell {
	rng := rand.New(rand.NewPCG(seed, 0))
	cells := make([]nasbench101.Cell, count)
	for i := range cells {
		cells[i] = nasbench101.Space{}.Sample(rng).(nasbench101.Cell)
	}
	return cells
}

// The network that is built has the parameters that the benchmark counts: those of
// Ying et al.'s best cell were published, those of random cells are Cell.Params, which
// package datasets holds against the whole real table.
func TestParams(t *testing.T) {
	b := backend(t)
	best, err := nasbench101.New([][]int{
		{0, 1, 1, 0, 0, 1, 1},
		{0, 0, 0, 1, 0, 0, 0},
		{0, 0, 0, 0, 1, 0, 0},
		{0, 0, 0, 0, 1, 0, 0},
		{0, 0, 0, 0, 0, 1, 0},
		{0, 0, 0, 0, 0, 0, 1},
		{0, 0, 0, 0, 0, 0, 0},
	}, []string{"input", "conv1x1-bn-relu", "conv3x3-bn-relu", "conv3x3-bn-relu", "conv3x3-bn-relu", "maxpool3x3", "output"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range append(cells(1, 200), best) {
		got, err := Benchmark().Params(b, c)
		if err != nil {
			t.Fatal(err)
		}
		if got != c.Params() {
			t.Errorf("the network of %s has %d parameters, the benchmark counts %d", c, got, c.Params())
		}
	}
}

// The shared network wired as a cell computes what the network of that cell alone
// computes with the same weights, cut to the cell's channels.
func TestSharedIsAlone(t *testing.T) {
	n, _ := tiny(t, SPOS)
	b := first(t, n)
	rng := rand.New(rand.NewPCG(9, 9))
	for v := range n.store.IterVariables() { // scales of 1 and shifts of 0 would hide mistakes
		values := make([]float32, v.Shape().Size())
		for i := range values {
			values[i] = float32(0.5 * rng.NormFloat64())
		}
		v.SetValue(tensors.FromFlatDataAndDimensions(values, v.Shape().Dimensions...))
	}
	shared, err := model.NewExec(backend(t), n.store, func(root *model.Scope, inputs []*Node) *Node {
		return n.builder(values(inputs[0].Graph(), n.variables(root))).sharedNetwork(n.config.Skeleton, wiresOf(inputs[:4]), inputs[4])
	})
	if err != nil {
		t.Fatal(err)
	}
	slots := make(map[int]bool)
	empty, err := nasbench101.New([][]int{{0, 1}, {0, 0}}, []string{"input", "output"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range append(cells(2, 25), empty) {
		alone, err := model.NewExec(backend(t), n.store, func(root *model.Scope, x *Node) *Node {
			return n.builder(values(x.Graph(), n.variables(root))).cellNetwork(n.config.Skeleton, c, x)
		})
		if err != nil {
			t.Fatal(err)
		}
		want := tensors.MustCopyFlatData[float32](alone.MustCall1(b.images))
		w := n.config.wire(c)
		got := tensors.MustCopyFlatData[float32](shared.MustCall1(append(w.inputs(), b.images)...))
		for i := range want {
			if math.Abs(float64(got[i]-want[i])) > 1e-3*(1+math.Abs(float64(want[i]))) {
				t.Fatalf("%s: logit %d is %g, alone %g", c, i, got[i], want[i])
			}
		}
		slots[w.slots.Shape().Dim(0)] = true
	}
	if len(slots) < 4 {
		t.Errorf("the cells have only %d different numbers of slots", len(slots))
	}
}

// snapshot copies all weights.
func snapshot(n *Net) map[string][]float32 {
	all := make(map[string][]float32)
	for _, p := range n.parameters {
		all[p.name] = tensors.MustCopyFlatData[float32](n.store.GetVariable(scopeWeights + "/" + p.name).MustValue())
	}
	return all
}

// changed counts the entries of each parameter that differ.
func changed(before, after map[string][]float32) map[string]int {
	count := make(map[string]int)
	for name, values := range before {
		for i := range values {
			if values[i] != after[name][i] {
				count[name]++
			}
		}
	}
	return count
}

// A step on one cell changes the weights of that cell only, in number no more than the
// cell's own network has, also when momentum of earlier steps and weight decay would
// move others.
func TestOnlyThePathChanges(t *testing.T) {
	n, _ := tiny(t, SPOS)
	b := first(t, n)
	for _, c := range cells(3, 6) {
		if _, _, err := n.trainOn([]nasbench101.Cell{c}, b, 0.1); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range cells(4, 12) {
		own, err := n.config.Skeleton.parameters(backend(t), c)
		if err != nil {
			t.Fatal(err)
		}
		size := make(map[string]int)
		for _, p := range own {
			size[p.name] = 1
			for _, d := range p.dims {
				size[p.name] *= d
			}
		}
		before := snapshot(n)
		if _, _, err := n.trainOn([]nasbench101.Cell{c}, b, 0.1); err != nil {
			t.Fatal(err)
		}
		difference := changed(before, snapshot(n))
		for name, count := range difference {
			if count > size[name] {
				t.Errorf("%s: %d weights of %s changed, the cell has %d", c, count, name, size[name])
			}
		}
		for name, count := range size {
			if difference[name] < count*8/10 {
				t.Errorf("%s: of the %d weights of %s only %d changed", c, count, name, difference[name])
			}
		}
	}
}

// Strict fairness: in each step of FairNAS each vertex has each operation once.
func TestFair(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, c := range cells(5, 50) {
		three, err := fair(rng, c)
		if err != nil {
			t.Fatal(err)
		}
		for v := 1; v < c.N()-1; v++ {
			seen := make(map[nasbench101.Op]int)
			for _, one := range three {
				seen[one.Op(v)]++
			}
			if len(seen) != ops {
				t.Fatalf("%s: vertex %d has the operations %v", c, v, seen)
			}
		}
		for _, one := range three {
			if fmt.Sprint(one.Matrix()) != fmt.Sprint(c.Matrix()) {
				t.Fatalf("%s became %s", c, one)
			}
		}
	}
}

// A step of FairNAS changes the weights of all operations of the cell's vertices.
func TestFairUpdates(t *testing.T) {
	n, _ := tiny(t, FairNAS)
	c := cells(6, 1)[0]
	three, err := fair(rand.New(rand.NewPCG(1, 1)), c)
	if err != nil {
		t.Fatal(err)
	}
	before := snapshot(n)
	if _, _, err := n.trainOn(three, first(t, n), 0.1); err != nil {
		t.Fatal(err)
	}
	difference := changed(before, snapshot(n))
	for v := 1; v <= vertices; v++ {
		for _, op := range []string{"conv3x3-bn-relu", "conv1x1-bn-relu"} {
			name := fmt.Sprintf("stack_0/module_0/vertex_%d/%s/kernel", v, op)
			if inCell := v < c.N()-1; inCell != (difference[name] > 0) {
				t.Errorf("%s: in the cell: %v, but %d weights of %s changed", c, inCell, difference[name], name)
			}
		}
	}
}

// The gradient of the mixture's weights is what finite differences say.
func TestMixtureGradient(t *testing.T) {
	for _, method := range []Method{DARTS, FBNet} {
		n, _ := tiny(t, method)
		b := first(t, n)
		rng := rand.New(rand.NewPCG(3, 3))
		random := func(dims ...int) *tensors.Tensor {
			values := make([]float32, dims[0]*dims[1])
			for i := range values {
				values[i] = float32(rng.NormFloat64())
			}
			return tensors.FromFlatDataAndDimensions(values, dims...)
		}
		z := []any{random(vertices, ops), random(ends, ends), float32(0.7)}
		alpha := []*tensors.Tensor{random(vertices, ops), random(ends, ends)}
		exec := func(gradient bool) *model.Exec {
			e, err := model.NewExec(backend(t), n.store, func(root *model.Scope, inputs []*Node) []*Node {
				z := noise{ops: inputs[4], edges: inputs[5], temperature: inputs[6]}
				weights := values(inputs[0].Graph(), n.variables(root))
				if gradient {
					return n.mixtureGradient(weights, inputs[:2], nil, inputs[2:4], nil, z)
				}
				loss, _ := n.mixedLoss(weights, inputs[:2], inputs[2:4], z)
				return []*Node{loss}
			})
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		inputs := append([]any{alpha[0], alpha[1], b.images, b.labels}, z...)
		analytic := exec(true).MustCall(inputs...)
		loss := exec(false)
		for which := range alpha {
			gradient := tensors.MustCopyFlatData[float32](analytic[which])
			largest := 0.0
			for _, g := range gradient {
				largest = max(largest, math.Abs(float64(g)))
			}
			base := tensors.MustCopyFlatData[float32](alpha[which])
			for i := range base {
				at := func(by float64) float64 {
					moved := append([]float32(nil), base...)
					moved[i] += float32(by)
					inputs := append([]any(nil), inputs...)
					inputs[which] = tensors.FromFlatDataAndDimensions(moved, alpha[which].Shape().Dimensions...)
					return scalar(loss.MustCall(inputs...)[0])
				}
				const h = 1e-2
				if numeric := (at(h) - at(-h)) / (2 * h); math.Abs(numeric-float64(gradient[i])) > 0.03*largest+2e-4 {
					t.Errorf("%s: the gradient of weight %d of %d is %g, by differences %g", method, i, which, gradient[i], numeric)
				}
			}
		}
	}
}

// Training interrupted and continued leads to the weights of training in one go, for
// every method.
func TestResume(t *testing.T) {
	data := shapesData(t)
	for _, method := range []Method{SPOS, FairNAS, ENAS, DARTS, FBNet} {
		c := Small(method, data.Classes)
		c.Channels, c.Stacks, c.Side, c.BatchSize, c.Steps, c.Round, c.PolicySteps, c.PolicyBatch = 5, 1, 4, 8, 6, 2, 1, 2
		c.SecondOrder = method == DARTS
		train := func(ctx context.Context, root string, watch func(int, int, map[string]float64)) (*Trained, error) {
			return Train(ctx, root, Training{Backend: backend(t), Data: data, Config: c, Watch: watch})
		}
		whole, err := train(context.Background(), t.TempDir(), nil)
		if err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		root := t.TempDir()
		ctx, stop := context.WithCancel(context.Background())
		if _, err := train(ctx, root, func(done, _ int, _ map[string]float64) {
			if done == 2 {
				stop()
			}
		}); err == nil {
			t.Fatalf("%s: training was not stopped", method)
		}
		resumed, err := train(context.Background(), root, nil)
		if err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		if resumed.Status != "resumed" {
			t.Errorf("%s: status %s", method, resumed.Status)
		}
		if !sameVariables(whole.Net, resumed.Net) {
			t.Errorf("%s: the weights differ after resuming", method)
		}
		loaded, err := train(context.Background(), root, nil)
		if err != nil || loaded.Status != "loaded" {
			t.Errorf("%s: loaded: %v, %v", method, loaded, err)
		}
		best, accuracy, err := loaded.Net.Best(context.Background())
		if err != nil || best.N() < 2 || accuracy < 0 || accuracy > 1 {
			t.Errorf("%s: best %v with %g, error %v", method, best, accuracy, err)
		}
	}
}

// sameVariables says whether two networks have the same weights and optimiser state.
func sameVariables(a, b *Net) bool {
	count := 0
	for v := range a.store.IterVariables() {
		w := b.store.GetVariable(v.Path())
		if w == nil || fmt.Sprint(v.MustValue().Value()) != fmt.Sprint(w.MustValue().Value()) {
			return false
		}
		count++
	}
	return count > len(a.parameters)
}

// A cell alone learns the drawn shapes better than chance in a few epochs.
func TestAloneLearns(t *testing.T) {
	data := shapesData(t)
	c := SmallAlone(data.Classes)
	c.Epochs, c.BatchSize, c.Round = 8, 16, 16
	trained, err := TrainAlone(context.Background(), t.TempDir(), AloneTraining{Backend: backend(t), Data: data, Cell: cells(7, 1)[0], Config: c})
	if err != nil {
		t.Fatal(err)
	}
	accuracy, err := trained.Net.Test(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	m := trained.Metrics
	if firstLoss, last := m[0].Values["loss"], m[len(m)-1].Values["loss"]; last >= firstLoss {
		t.Errorf("the loss went from %g to %g", firstLoss, last)
	}
	if chance := 1 / float64(data.Classes); accuracy < 1.3*chance {
		t.Errorf("test accuracy %g", accuracy)
	}
}

// strongest keeps at most nine edges and the strongest operations.
func TestStrongestCell(t *testing.T) {
	opWeights := make([]float32, vertices*ops)
	edgeWeights := make([]float32, ends*ends)
	for v := range vertices {
		opWeights[v*ops+v%ops] = 1
		edgeWeights[v*ends+v+1] = 3 // a chain
	}
	edgeWeights[5*ends+6] = 3
	edgeWeights[0*ends+6] = 2 // and the three strongest others
	edgeWeights[1*ends+6] = 1.5
	edgeWeights[2*ends+6] = 1
	edgeWeights[0*ends+5] = 2
	c, err := strongestCell(opWeights, edgeWeights)
	if err != nil {
		t.Fatal(err)
	}
	if c.N() != ends || c.Edges() != nasbench101.MaxEdges || !c.Edge(0, 6) || !c.Edge(0, 5) {
		t.Errorf("cell %s has %d edges", c, c.Edges())
	}
	for v := range vertices {
		if c.Op(v+1) != nasbench101.Op(v%ops) {
			t.Errorf("vertex %d has %s", v+1, c.Op(v+1))
		}
	}
}

func TestConfigErrors(t *testing.T) {
	data := shapesData(t)
	for name, spoil := range map[string]func(*Config){
		"method":    func(c *Config) { c.Method = "LOTTERY" },
		"channels":  func(c *Config) { c.Channels = 2 },
		"halved":    func(c *Config) { c.Side = 5 },
		"classes":   func(c *Config) { c.Classes = 77 },
		"steps":     func(c *Config) { c.Steps = 0 },
		"learning":  func(c *Config) { c.LearningRate = 0 },
		"SecondOrd": func(c *Config) { c.SecondOrder = true },
	} {
		c := Small(SPOS, data.Classes)
		spoil(&c)
		_, err := Train(context.Background(), t.TempDir(), Training{Backend: backend(t), Data: data, Config: c})
		if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
