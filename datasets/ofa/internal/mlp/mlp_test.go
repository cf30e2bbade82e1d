package mlp_test

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/ctnas/ctnas/datasets/ofa/internal/mlp"
)

func small() mlp.Net {
	return mlp.Net{
		{Weights: mat.NewDense(3, 2, []float64{1, 2, -1, 0.5, 0, -4}), Bias: []float64{0.25, 0, 1}},
		{Weights: mat.NewDense(1, 3, []float64{2, -1, 8}), Bias: []float64{-3}},
	}
}

// By hand: (1, 1) gives the first layer 3.25, −0.5, −3, of which ReLU leaves 3.25, 0, 0;
// (0, −1) gives −1.75, −0.5, 5, of which it leaves 0, 0, 5.
func TestApply(t *testing.T) {
	got := small().Apply(mat.NewDense(2, 2, []float64{1, 1, 0, -1}))
	if want := mat.NewDense(2, 1, []float64{3.5, 37}); !mat.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestEncode(t *testing.T) {
	data := small().Encode()
	if want := 4 + 4 + 2*4 + 9*2 + 4*4 + 4; len(data) != want {
		t.Errorf("encoded in %d bytes, want %d", len(data), want)
	}
	n, err := mlp.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range small() {
		if !mat.Equal(n[i].Weights, want.Weights) || !mat.Equal(mat.NewVecDense(len(n[i].Bias), n[i].Bias), mat.NewVecDense(len(want.Bias), want.Bias)) {
			t.Errorf("layer %d is %v, want %v", i, n[i], want)
		}
	}
	for i := range data {
		data[i] ^= 1
		if _, err := mlp.Decode(data); err == nil {
			t.Errorf("a change of byte %d goes unnoticed", i)
		}
		data[i] ^= 1
		if _, err := mlp.Decode(data[:i]); err == nil {
			t.Errorf("%d of %d bytes are taken for all", i, len(data))
		}
	}
}

func TestCheck(t *testing.T) {
	if err := small().Check(); err != nil {
		t.Error(err)
	}
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		n, m := small(), small()
		n[1].Weights.Set(0, 2, v)
		m[0].Bias[1] = v
		if n.Check() == nil || m.Check() == nil {
			t.Errorf("a weight of %v goes unnoticed", v)
		}
	}
}
