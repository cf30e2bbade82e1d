package encoder

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/layers/activation"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/darts"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// plain builds a GCN as Eq. 7 reads, layer by layer, for GoMLX to differentiate.
func plain(c GCN, scope *model.Scope, sizes Sizes, inputs []*Node) *Node {
	adjacency, ops := inputs[0], inputs[1]
	variable := func(format string, args ...any) *Node {
		return scope.GetVariable(fmt.Sprintf(format, args...)).NodeValue(ops)
	}
	self := ExpandAxes(DiagonalWithValue(ScalarOne(ops.Graph(), dtypes.Float32), ops.Shape().Dim(1)), 0)
	forward, backward := Add(Transpose(adjacency, 1, 2), self), Add(adjacency, self)
	if c.Direction == Backward {
		forward = backward
	}
	x := Gather(variable(nameEmbedding), ExpandAxes(ops, -1))
	for l := range c.Layers {
		h := Einsum("bij,bjw->biw", forward, MatMul(x, variable(nameWeight, l)))
		if c.Direction == Both {
			h = Add(h, Einsum("bij,bjw->biw", backward, MatMul(x, variable(nameBackward, l))))
		}
		if c.Residual {
			h = Add(h, x)
		}
		if c.Bias {
			h = Add(h, ExpandLeftToRank(variable(nameBias, l), 3))
		}
		if l < c.Layers-1 || c.FinalReLU {
			h = activation.Relu(h)
		}
		x = h
	}
	cells := Reshape(x, ops.Shape().Dim(0), sizes.Cells, sizes.Nodes/sizes.Cells, c.Width)
	return Reshape(ReduceMean(cells, 2), ops.Shape().Dim(0), c.Dim(sizes))
}

// The features, and the gradients of all weights, are those of Eq. 7 written down plainly and differentiated by
// GoMLX, whatever the settings, in two spaces.
func TestGradients(t *testing.T) {
	backend, err := engine.Open()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []space.Space{nasbench101.Space{}, darts.Space{}} {
		for bits := range 24 {
			c := GCN{
				Layers: 3, Width: 5, Residual: bits&1 != 0, Bias: bits&2 != 0, FinalReLU: bits&4 != 0,
				Direction: []Direction{Forward, Backward, Both}[bits/8],
			}
			if bits%8 == 7 {
				c.Layers = 1
			}
			testGradients(t, backend, s, c, c.Inputs)
			if c.Direction != Both {
				testGradients(t, backend, s, c, c.shareRows)
			}
		}
	}
}

func testGradients(t *testing.T, backend compute.Backend, s space.Space, c GCN, layOut func([]space.Arch, Sizes, int) ([]*tensors.Tensor, error)) {
	t.Helper()
	rng := rand.New(rand.NewPCG(7, 7))
	sizes, store := SizesOf(s), model.NewStore()
	scope := store.RootScope().At("gcn")
	if err := c.Create(scope, sizes, rng); err != nil {
		t.Fatal(err)
	}
	archs := make([]space.Arch, 6)
	for i := range archs {
		archs[i] = s.Sample(rng)
	}
	inputs, err := c.Inputs(archs, sizes, 8)
	if err != nil {
		t.Fatal(err)
	}
	laidOut, err := layOut(archs, sizes, 8)
	if err != nil {
		t.Fatal(err)
	}
	inputs = append(inputs, laidOut...)
	var names []string
	for v := range scope.IterVariables() {
		names = append(names, v.Name())
	}
	// The loss is a sum of squares of the features, each with a weight of its own.
	loss := func(z *Node) *Node {
		z = Slice(z, AxisRange(0, len(archs)))
		return ReduceAllSum(Mul(Square(z), Sin(IotaFull(z.Graph(), z.Shape()))))
	}
	program, err := engine.NewProgram(backend, store, func(root *model.Scope, inputs []*Node) []*Node {
		scope := root.At("gcn")
		wanted := plain(c, scope, sizes, inputs)
		z, minimised := ForLoss(c, scope, sizes, inputs[2:])
		var weights []*Node
		for _, name := range names {
			weights = append(weights, scope.GetVariable(name).NodeValue(z))
		}
		out := append([]*Node{Slice(z, AxisRange(0, len(archs))), Slice(wanted, AxisRange(0, len(archs)))}, Gradient(minimised(loss(z)), weights...)...)
		return append(out, Gradient(loss(wanted), weights...)...)
	})
	if err != nil {
		t.Fatal(err)
	}
	out, err := program.Call(engine.Args(inputs)...)
	if err != nil {
		t.Fatal(err)
	}
	same := func(what string, got, want *tensors.Tensor) {
		a, b := tensors.MustCopyFlatData[float32](got), tensors.MustCopyFlatData[float32](want)
		largest := 0.0
		for _, v := range b {
			largest = math.Max(largest, math.Abs(float64(v)))
		}
		for i := range b {
			if math.Abs(float64(a[i]-b[i])) > 1e-5*math.Max(largest, 1) {
				t.Fatalf("%s, %+v: %s differs at %d: %g, want %g", s.Name(), c, what, i, a[i], b[i])
			}
		}
	}
	same("the feature", out[0], out[1])
	for i, name := range names {
		same("the gradient of "+name, out[2+i], out[2+len(names)+i])
	}
}
