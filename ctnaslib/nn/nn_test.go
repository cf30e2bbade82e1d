package nn_test

import (
	"context"
	"errors"
	"image"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/ctnas/ctnas/ctnaslib/nn"
	"github.com/ctnas/ctnas/ctnaslib/nn/nntest"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// linear is the smallest network: the mean colours of an image, and a linear layer.
func linear(backend compute.Backend, data *nn.Data, in nn.Input) (*nn.Model, error) {
	return nn.NewModel(backend, data, in, rand.New(rand.NewPCG(1, 1)), func(b nn.Builder, images *Node) *Node {
		return b.Dense("dense", ReduceMean(images, 1, 2), data.Classes)
	})
}

func TestInputErrors(t *testing.T) {
	data := nntest.Data(t)
	for want, in := range map[string]nn.Input{
		"at least 2 images":   {Side: 4, Classes: data.Classes, BatchSize: 1},
		"shared by 3 devices": {Side: 4, Classes: data.Classes, BatchSize: 8, Devices: 3},
		"fewer than the 2":    {Side: 4, Classes: data.Classes, BatchSize: 8, Devices: 2},
		"set Classes":         {Side: 4, Classes: 77, BatchSize: 8},
	} {
		if _, err := linear(nntest.Backend(t), data, in); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// Too little memory on a device is said in a sentence with remedies. The program asks for more than a process can
// address.
func TestOutOfMemory(t *testing.T) {
	data := nntest.Data(t)
	m, err := linear(nntest.TwoDevices(t), data, nn.Input{Side: 4, Classes: data.Classes, BatchSize: 8})
	if err != nil {
		t.Fatal(err)
	}
	huge, err := m.Program(func(_ *model.Scope, inputs []*Node) []*Node {
		return []*Node{Add(Iota(inputs[0].Graph(), nn.Shape(10_000_000, 30_000_000), 0), inputs[0])}
	}, nn.Replicated)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = huge.Call(tensors.FromScalar(float32(1))); err == nil || !strings.Contains(err.Error(), "smaller BatchSize") {
		t.Errorf("got %v", err)
	}
}

// The images are read for the identity once; an error is not kept.
func TestIdentity(t *testing.T) {
	data := nntest.Data(t)
	want, err := data.Identity()
	if err != nil {
		t.Fatal(err)
	}
	again, read, broken := nntest.Data(t), 0, true
	of := again.Train.Read
	again.Train.Read = func(i int) (image.Image, error) {
		if read++; broken {
			return nil, errors.New("train/cat/0007.jpg is not an image")
		}
		return of(i)
	}
	if _, err := again.Identity(); err == nil || !strings.Contains(err.Error(), "0007.jpg is not an image") {
		t.Errorf("error %v", err)
	}
	read, broken = 0, false
	for range 2 {
		if got, err := again.Identity(); err != nil || got != want {
			t.Errorf("identity %q, want %q (error %v)", got, want, err)
		}
	}
	if read != 64 {
		t.Errorf("%d images were read, want 64", read)
	}
	again = nntest.Data(t)
	again.Train.Labels = append([]int32{again.Train.Labels[0] + 1}, again.Train.Labels[1:]...)
	if got, err := again.Identity(); err != nil || got == want {
		t.Errorf("with another label the identity is the same (error %v)", err)
	}
}

// rate and decay are the settings of the optimisers in TestOptimisersByHand.
const rate, decay = 0.1, 0.4

// byHand is an optimiser: a step of it in a graph, and by its rule written out, on a weight w with the gradient g and
// two states, at step t from 1.
type byHand struct {
	step func(m *nn.Model, variables []*model.Variable, gradients []*Node, rate, t *Node)
	rule func(w, g float64, s *[2]float64, t int) float64
}

var optimisers = map[string]byHand{
	"momentum": {
		func(m *nn.Model, v []*model.Variable, g []*Node, rate, _ *Node) {
			nn.Momentum{Momentum: 0.9, WeightDecay: decay}.Step(m.Store, v, g, rate, nil)
		},
		func(w, g float64, s *[2]float64, _ int) float64 {
			s[0] = 0.9*s[0] + g + decay*w
			return w - rate*s[0]
		},
	},
	"RMSProp": {
		func(m *nn.Model, v []*model.Variable, g []*Node, rate, _ *Node) {
			nn.RMSProp{Momentum: 0.9, WeightDecay: decay}.Step(m.Store, v, g, rate)
		},
		func(w, g float64, s *[2]float64, t int) float64 {
			if t == 1 {
				s[1] = 1
			}
			g += decay * w
			s[1] = 0.9*s[1] + 0.1*g*g
			s[0] = 0.9*s[0] + rate*g/math.Sqrt(s[1]+1)
			return w - s[0]
		},
	},
	"Adam": {
		func(m *nn.Model, v []*model.Variable, g []*Node, _, t *Node) {
			nn.Adam{LearningRate: rate, WeightDecay: decay}.Step(m.Store, v, g, t)
		},
		func(w, g float64, s *[2]float64, t int) float64 {
			g += decay * w
			s[0], s[1] = 0.5*s[0]+0.5*g, 0.999*s[1]+0.001*g*g
			return w - rate*s[0]/(1-math.Pow(0.5, float64(t)))/(math.Sqrt(s[1]/(1-math.Pow(0.999, float64(t))))+1e-8)
		},
	},
}

// Three steps of every optimiser on the loss 3·w₁ − w₂ from w = (2, 1), by the rules written out.
func TestOptimisersByHand(t *testing.T) {
	data := nntest.Data(t)
	for name, o := range optimisers {
		m, err := linear(nntest.Backend(t), data, nn.Input{Side: 4, Classes: data.Classes, BatchSize: 8})
		if err != nil {
			t.Fatal(err)
		}
		w, gradient, states := [2]float64{2, 1}, [2]float64{3, -1}, [2][2]float64{}
		next := -1
		err = m.Create("/test", nn.ParameterSpec{Name: "w", Dims: []int{2}}, func() float64 { next++; return w[next] })
		if err != nil {
			t.Fatal(err)
		}
		variable := m.Store.GetVariable("/test/w")
		p, err := m.Program(func(_ *model.Scope, inputs []*Node) []*Node {
			g := Const(inputs[0].Graph(), []float32{float32(gradient[0]), float32(gradient[1])})
			o.step(m, []*model.Variable{variable}, []*Node{g}, inputs[0], inputs[1])
			return []*Node{inputs[0]}
		}, nn.Replicated, nn.Replicated)
		if err != nil {
			t.Fatal(err)
		}
		for step := 1; step <= 3; step++ {
			if _, err := p.Call(tensors.FromScalar(float32(rate)), tensors.FromScalar(float32(step))); err != nil {
				t.Fatal(err)
			}
			got := tensors.MustCopyFlatData[float32](variable.MustValue())
			for i := range w {
				if w[i] = o.rule(w[i], gradient[i], &states[i], step); math.Abs(float64(got[i])-w[i]) > 1e-5 {
					t.Errorf("%s: after step %d weight %d is %.6f, want %.6f", name, step, i, got[i], w[i])
				}
			}
		}
	}
}

// A benchmark asks its network for each architecture once, also two at a time, and a ranker ends with its context.
func TestLabelsAtOnce(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	asked := 0
	net := nn.Ranker(ctx, "a cell", func(ctx context.Context, c nasbench101.Cell) (float64, error) {
		asked++
		return float64(c.Edges()) / 10, ctx.Err()
	})
	b := nn.NewBenchmark("runs/some-run", nasbench101.Space{}, net)
	if b.Source() != "proxy" || b.Version() != "weights of some-run" {
		t.Errorf("source %s, version %s", b.Source(), b.Version())
	}
	sample, err := b.Sample(rand.New(rand.NewPCG(1, 1)), 5)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for _, a := range sample {
				if got, err := b.Validation(a); err != nil || got != float64(a.(nasbench101.Cell).Edges())/10 {
					t.Errorf("%s has the accuracy %g (error %v)", a, got, err)
				}
			}
		})
	}
	all.Wait()
	if asked != 5 {
		t.Errorf("the network was asked %d times for 5 cells", asked)
	}
	if _, err := net.Utilities([]space.Arch{other{sample[0]}}); err == nil || !strings.Contains(err.Error(), "is not a cell") {
		t.Errorf("for an architecture of another kind: error %v", err)
	}
	stop()
	if _, err := b.Validation(nntest.Sample[nasbench101.Cell](nasbench101.Space{}, 9, 1)[0]); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: error %v", err)
	}
}

// other is an architecture of another kind.
type other struct{ space.Arch }
