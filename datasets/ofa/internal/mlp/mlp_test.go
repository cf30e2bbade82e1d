package mlp_test

import (
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/ctnas/ctnas/datasets/ofa/internal/mlp"
)

// By hand: (1, 1) gives the first layer 3.25, −0.5, −3, of which ReLU leaves 3.25, 0, 0;
// (0, −1) gives −1.75, −0.5, 5, of which it leaves 0, 0, 5.
func TestApply(t *testing.T) {
	parts := mlp.Parts(2, 3, 1)
	for i, values := range [][]float32{{1, 2, -1, 0.5, 0, -4}, {0.25, 0, 1}, {2, -1, 8}, {-3}} {
		if n := copy(parts[i].Values, values); n != len(parts[i].Values) {
			t.Fatalf("part %s has %d numbers", parts[i].Name, len(parts[i].Values))
		}
	}
	n := mlp.New(parts)
	if n.Inputs() != 2 {
		t.Errorf("%d inputs", n.Inputs())
	}
	got := n.Apply(mat.NewDense(2, 2, []float64{1, 1, 0, -1}))
	if want := mat.NewDense(2, 1, []float64{3.5, 37}); !mat.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	digest := n.Digest()
	parts[3].Values[0]++
	if mlp.New(parts).Digest() == digest {
		t.Error("other weights have the same digest")
	}
}
