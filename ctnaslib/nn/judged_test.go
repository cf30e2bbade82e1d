package nn_test

import (
	"math"
	"slices"
	"testing"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/ctnas/ctnas/ctnaslib/nn"
	"github.com/ctnas/ctnas/ctnaslib/nn/nntest"
)

// Each part of the images is judged by itself, and all of it: here the labels say which part an image is of.
func TestWhichImagesAreJudged(t *testing.T) {
	const training, heldOut, test = 0, 1, 2
	data := *nntest.Data(t)
	for part, labels := range map[int32]*[]int32{training: &data.Train.Labels, heldOut: &data.Validation.Labels, test: &data.Test.Labels} {
		*labels = slices.Repeat([]int32{part}, len(*labels))
	}
	m, err := linear(nntest.Backend(t), &data, nn.Input{Side: 4, Classes: data.Classes, BatchSize: 16})
	if err != nil {
		t.Fatal(err)
	}
	areOf, err := m.Program(func(_ *model.Scope, inputs []*Node) []*Node {
		same := Equal(inputs[2], BroadcastToDims(inputs[0], inputs[2].Shape().Dimensions...))
		return []*Node{ReduceAllSum(ConvertDType(same, dtypes.Float32))}
	}, nn.Replicated, nn.Sharded, nn.Sharded)
	if err != nil {
		t.Fatal(err)
	}
	for part := range int32(3) {
		of := tensors.FromScalar(part)
		validation, err := m.Validation(t.Context(), areOf, of)
		if want := map[bool]float64{true: 1}[part == heldOut]; err != nil || validation != want {
			t.Errorf("%g of the images that are validated on are of part %d, want %g (%v)", validation, part, want, err)
		}
		tested, err := m.Test(t.Context(), areOf, of)
		if want := map[bool]float64{true: 1}[part == test]; err != nil || tested != want {
			t.Errorf("%g of the images that are tested on are of part %d, want %g (%v)", tested, part, want, err)
		}
	}
	held, err := m.Held(t.Context())
	total := 0
	for _, b := range held {
		total += b.Size
	}
	if err != nil || total != data.Validation.Len() {
		t.Errorf("%d of %d images are held out (%v)", total, data.Validation.Len(), err)
	}
}

// Two devices share also a batch of fewer images than it should have, in an odd number.
func TestFewImagesOnTwoDevices(t *testing.T) {
	b := nntest.TwoDevices(t)
	data := *nntest.Data(t)
	data.Validation.Labels = data.Validation.Labels[:33]
	m, err := linear(b, &data, nn.Input{Side: 4, Classes: data.Classes, BatchSize: 64, Devices: 2})
	if err != nil {
		t.Fatal(err)
	}
	count, err := m.Program(func(_ *model.Scope, inputs []*Node) []*Node {
		return []*Node{ReduceAllSum(ConvertDType(OnesLike(inputs[1]), dtypes.Float32))}
	}, nn.Sharded, nn.Sharded)
	if err != nil {
		t.Fatal(err)
	}
	if all, err := m.Validation(t.Context(), count); err != nil || all != 1 {
		t.Errorf("%g of them were seen (%v)", all, err)
	}
}

// computed returns what a graph computes of vectors.
func computed(t *testing.T, graph func(inputs []*Node) []*Node, inputs ...*tensors.Tensor) (outputs [][]float32) {
	t.Helper()
	exec, err := NewExec(nntest.Backend(t), graph)
	if err != nil {
		t.Fatal(err)
	}
	args := make([]any, len(inputs))
	for i, in := range inputs {
		args[i] = in
	}
	out, err := exec.Call(args...)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range out {
		outputs = append(outputs, tensors.MustCopyFlatData[float32](o))
	}
	return outputs
}

// The gradients 3 and 4 have the norm 5, by hand.
func TestClipNorm(t *testing.T) {
	for limit, want := range map[float64][2]float32{0: {3, 4}, 10: {3, 4}, 5: {3, 4}, 1: {0.6, 0.8}} {
		got := computed(t, func(in []*Node) []*Node { return nn.ClipNorm(in, limit) },
			tensors.FromFlatDataAndDimensions([]float32{3}, 1), tensors.FromFlatDataAndDimensions([]float32{4}, 1))
		for i := range want {
			if math.Abs(float64(got[i][0]-want[i])) > 1e-6 {
				t.Errorf("with the limit %g the gradients are %v, want %v", limit, got, want)
			}
		}
	}
}

// 1 and 3 have the mean 2 and the variance 1, so with the scale 2 and the shift 0.5 they become −1.5 and 2.5.
func TestNormalizeByHand(t *testing.T) {
	got := computed(t, func(in []*Node) []*Node {
		return []*Node{nn.Builder{Moments: nn.BatchMoments}.Normalize("norm", in[0], in[1], in[2])}
	}, tensors.FromFlatDataAndDimensions([]float32{1, 3}, 2, 1, 1, 1), tensors.FromFlatDataAndDimensions([]float32{2}, 1), tensors.FromFlatDataAndDimensions([]float32{0.5}, 1))
	if math.Abs(float64(got[0][0])+1.5) > 1e-4 || math.Abs(float64(got[0][1])-2.5) > 1e-4 {
		t.Errorf("they become %v", got[0])
	}
}
