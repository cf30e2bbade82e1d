package supernet

import (
	"context"
	"fmt"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
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

// The network that is built has the parameters that the benchmark counts: for the cell
// of the official example (google-research/nasbench, NASBench.ipynb) 2,694,282, and for
// random cells Cell.Params, which package datasets holds against the whole real table.
func TestParams(t *testing.T) {
	b := backend(t)
	example, err := nasbench101.Parse("111010000010001100011:BAAAM")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Benchmark().Params(b, example); err != nil || got != 2_694_282 {
		t.Errorf("the network of the official example has %d parameters, error %v", got, err)
	}
	for _, c := range cells(1, 1000) {
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
		return n.builder(values(inputs[0].Graph(), variables(root, n.parameters))).sharedNetwork(n.config.Skeleton, wiresOf(inputs[:4]), inputs[4])
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
			return n.builder(values(x.Graph(), variables(root, n.parameters))).cellNetwork(n.config.Skeleton, c, x)
		})
		if err != nil {
			t.Fatal(err)
		}
		want := tensors.MustCopyFlatData[float32](alone.MustCall1(b.images))
		w := n.config.wire(c)
		got := tensors.MustCopyFlatData[float32](shared.MustCall1(w.edges, w.ops, w.slots, w.channels, b.images))
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
				weights := values(inputs[0].Graph(), variables(root, n.parameters))
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

// The second order gradient of DARTS is what finite differences of the validation loss after one
// step of the weights say. It is itself an estimate by differences, which the kinks of ReLU spoil for
// some weights of a network as small as this; for others it is several times as close as the first order.
func TestSecondOrder(t *testing.T) {
	const seeds = 6
	close, first, second := 0, 0.0, 0.0
	for seed := range uint64(seeds) {
		one, two := missedGradients(t, seed)
		t.Logf("seed %d: the first order misses the gradient by differences by %.3f of its norm, the second by %.3f", seed, one, two)
		if two < one/3 {
			close++
		}
		first, second = first+one/seeds, second+two/seeds
	}
	if close < 2 || second > 0.8*first {
		t.Errorf("the second order is much closer for %d of %d seeds; it misses the gradient by %.3f of its norm on average, the first order by %.3f", close, seeds, second, first)
	}
}

// missedGradients is by what share of its norm the gradients of first and of second order miss the
// one by differences, for the weights of a seed.
func missedGradients(t *testing.T, seed uint64) (firstOrder, secondOrder float64) {
	t.Helper()
	n, _ := tiny(t, DARTS)
	n.config.SecondOrder, n.config.Stacks, n.config.Seed = true, 1, seed
	n, err := NewNet(backend(t), n.data, n.config)
	if err != nil {
		t.Fatal(err)
	}
	b := first(t, n)
	rng := rand.New(rand.NewPCG(5, 5))
	values64 := make([]float32, ends*ends)
	for i := range values64 {
		values64[i] = float32(rng.NormFloat64())
	}
	operations := tensors.FromFlatDataAndDimensions(values64[:vertices*ops], vertices, ops)
	edges := tensors.FromFlatDataAndDimensions(values64, ends, ends)
	const rate = 0.05 // large, so that the second term counts
	exec := func(graph func(weights, mixture, train, validation []*Node, rate *Node, z noise) []*Node) *model.Exec {
		e, err := model.NewExec(backend(t), n.store, func(root *model.Scope, inputs []*Node) []*Node {
			g := inputs[0].Graph()
			z := noise{ops: Zeros(g, shapeOf(vertices, ops)), edges: Zeros(g, shapeOf(ends, ends)), temperature: Const(g, float32(1))}
			half := func(x *Node, first int) *Node { return SliceAxis(x, 0, AxisRange(first, first+4)) }
			train := []*Node{half(inputs[2], 0), half(inputs[3], 0)}
			validation := []*Node{half(inputs[2], 4), half(inputs[3], 4)}
			return graph(values(g, variables(root, n.parameters)), inputs[:2], train, validation, Const(g, float32(rate)), z)
		})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	two := exec(n.mixtureGradient).MustCall(operations, edges, b.images, b.labels)
	n.config.SecondOrder = false
	one := exec(n.mixtureGradient).MustCall(operations, edges, b.images, b.labels)
	ahead := exec(func(weights, mixture, train, validation []*Node, rate *Node, z noise) []*Node {
		loss, _ := n.mixedLoss(weights, mixture, train, z)
		moved := make([]*Node, len(weights))
		for i, g := range Gradient(loss, weights...) {
			moved[i] = Sub(weights[i], times(rate, g))
		}
		loss, _ = n.mixedLoss(moved, mixture, validation, z)
		return []*Node{loss}
	})
	base := tensors.MustCopyFlatData[float32](operations)
	numeric := make([]float64, len(base))
	for i := range base {
		at := func(by float32) float64 {
			moved := append([]float32(nil), base...)
			moved[i] += by
			return scalar(ahead.MustCall(tensors.FromFlatDataAndDimensions(moved, vertices, ops), edges, b.images, b.labels)[0])
		}
		const h = 1e-2
		numeric[i] = (at(h) - at(-h)) / (2 * h)
	}
	miss := func(out []*tensors.Tensor) float64 {
		sum, size := 0.0, 0.0
		for i, g := range tensors.MustCopyFlatData[float32](out[0]) {
			sum, size = sum+(float64(g)-numeric[i])*(float64(g)-numeric[i]), size+numeric[i]*numeric[i]
		}
		return math.Sqrt(sum / size)
	}
	return miss(one), miss(two)
}

// Training interrupted and continued leads to the weights of training in one go, for
// every method.
func TestResume(t *testing.T) {
	data := shapesData(t)
	for _, method := range []Method{SPOS, FairNAS, ENAS, DARTS, FBNet} {
		c := Small(method, data.Classes)
		c.Channels, c.Stacks, c.Side, c.BatchSize, c.Steps, c.Round, c.PolicySteps, c.PolicyBatch = 5, 1, 4, 8, 6, 2, 1, 2
		c.SecondOrder = method == DARTS
		train := func(ctx context.Context, root string, watch rundir.Watch) (*Trained, error) {
			return Train(ctx, root, Training{Backend: backend(t), Data: data, Config: c, Watch: watch})
		}
		whole, err := train(context.Background(), t.TempDir(), nil)
		if err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		root := t.TempDir()
		ctx, stop := context.WithCancel(context.Background())
		if _, err := train(ctx, root, func(step rundir.Progress) {
			if step.Stage != "" {
				return
			}
			done := step.Done

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
	c.Side, c.Channels, c.Epochs, c.Round = 8, 8, 8, 16
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

// The operations of a network of one convolution a cell, counted by hand.
func TestFLOPs(t *testing.T) {
	c, err := nasbench101.New([][]int{{0, 1, 0}, {0, 0, 1}, {0, 0, 0}}, []string{"input", "conv3x3-bn-relu", "output"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Skeleton{Channels: 8, Stacks: 2, Modules: 1, Side: 4, Classes: 10}.FLOPs(backend(t), c)
	// By hand: the stem 2·9·3·8 for 16 pixels; then a projection and a convolution of 8
	// channels for 16 pixels, and of 8 to 16 and 16 for 4; at last 16·10.
	want := 2 * (16*9*3*8 + 16*(8*8+9*8*8) + 4*(8*16+9*16*16) + 16*10)
	if err != nil || got != want {
		t.Errorf("%d FLOPs, error %v, want %d", got, err, want)
	}
}

// The operations of a step for one image, of a mixture counted by hand.
func TestStepFLOPs(t *testing.T) {
	data := shapesData(t)
	count := func(m Method) float64 {
		n, err := NewNet(backend(t), data, Small(m, data.Classes))
		if err != nil {
			t.Fatal(err)
		}
		flops, err := n.FLOPs(backend(t))
		if err != nil {
			t.Fatal(err)
		}
		return flops
	}
	// A module has 6 projections, and 5 vertices with both convolutions; its channels are 5
	// for 16 pixels, then 5 to 10 for 4. The stem is 9·3·5 for 16 pixels.
	module := func(pixels, in, out int) int { return pixels * (6*in*out + 5*(9+1)*out*out) }
	want := 2 * 2 * (16*9*3*5 + module(16, 5, 5) + module(4, 5, 10) + 10*data.Classes)
	if got := count(DARTS); got != float64(want) {
		t.Errorf("a mixture: %g, want %d", got, want)
	}
	if one, three := count(SPOS), count(FairNAS); three != 3*one || one >= float64(want)/4 {
		t.Errorf("a random cell: %g, three: %g", one, three)
	}
}
