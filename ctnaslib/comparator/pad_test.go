package comparator

import (
	"fmt"
	"math"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/ctnas/ctnas/ctnaslib/encoder"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// A padded batch teaches what the batch itself does: rests of any size, and pseudo-labelled pairs, few and enough.
func TestPaddingCountsForNothing(t *testing.T) {
	all := sample(1, 75)
	var pseudo []Pair
	for _, l := range all[:60] {
		pseudo = append(pseudo, Pair{l.Arch, all[70].Arch, l.Accuracy > all[70].Accuracy})
	}
	for _, pairing := range []Pairing{AllPairs, Shuffled} {
		for _, size := range []struct{ labels, pairs int }{{3, 0}, {19, 5}, {40, 60}, {75, 60}} {
			c := tiny(1)
			c.Pairing = pairing
			exact, padded := newNACOf(t, c), newNACOf(t, c)
			exact.pads, padded.pads = false, true
			where := fmt.Sprintf("%s, %d labels, %d pairs", pairing, size.labels, size.pairs)
			for epoch := range 2 {
				want, err := exact.TrainEpoch(epoch, all[:size.labels], pseudo[:size.pairs], 0.5)
				if err != nil {
					t.Fatal(err)
				}
				got, err := padded.TrainEpoch(epoch, all[:size.labels], pseudo[:size.pairs], 0.5)
				if err != nil {
					t.Fatal(err)
				}
				if math.Abs(got-want) > 1e-6 {
					t.Errorf("%s: loss %.8f with padding, %.8f without", where, got, want)
				}
			}
			if step := difference(t, exact, padded) / c.LearningRate; step > 1e-4 {
				t.Errorf("%s: a weight is %g of a step off", where, step)
			}
			exact.Release()
			padded.Release()
		}
	}
}

// difference returns by how much the weights of two NACs differ at most.
func difference(t *testing.T, a, b *NAC) (most float64) {
	t.Helper()
	for v := range a.store.RootScope().At(scopeNAC).IterVariables() {
		x, y := tensors.MustCopyFlatData[float32](v.MustValue()), tensors.MustCopyFlatData[float32](b.store.GetVariable(v.Path()).MustValue())
		for i := range x {
			most = max(most, math.Abs(float64(x[i]-y[i])))
		}
	}
	return most
}

// builds is an encoder that counts how many graphs are built with it.
type builds struct{ encoder.Encoder }

var built int

func (b builds) Encode(scope *model.Scope, sizes encoder.Sizes, inputs []*Node) *Node {
	built++
	return b.Encoder.Encode(scope, sizes, inputs)
}

// However many pairs are pseudo-labelled, steps have few shapes.
func TestFewGraphsForPseudoLabels(t *testing.T) {
	all := sample(1, 70)
	for _, pairing := range []Pairing{AllPairs, Shuffled} {
		c := tiny(1)
		c.Pairing, c.BatchSize, c.Encoder = pairing, 50, builds{tiny(1).GCN}
		n := newNACOf(t, c)
		n.pads = true
		train := func(labelled []space.Labelled, pseudo []Pair) {
			if _, err := n.TrainEpoch(0, labelled, pseudo, 0.5); err != nil {
				t.Fatal(err)
			}
		}
		built = 0
		var pseudo []Pair
		for range 20 {
			for k := range 3 {
				pseudo = append(pseudo, Pair{all[k].Arch, all[k+1].Arch, true})
			}
			train(all[:50], pseudo)
		}
		if built > 4 {
			t.Errorf("%s: %d graphs for 20 numbers of pseudo-labelled pairs", pairing, built)
		}
	}
}

// What is left for the last batch of an epoch becomes a whole batch where that takes less than compiling once more.
func TestOneGraphForAShortTraining(t *testing.T) {
	all := sample(1, 70)
	for i, want := range []int{1, 1, 2} {
		c, epochs := tiny(1), []int{20, 100, compiling}[i]
		c.BatchSize, c.Epochs, c.Encoder = 50, epochs, builds{tiny(1).GCN}
		c.LearningRate = 0.00123 * float64(i+1) // which no other NAC has, whose graphs it would share
		n := newNACOf(t, c)
		n.pads = true
		built = 0
		for epoch := range 5 {
			if _, err := n.TrainEpoch(epoch, all, nil, 0); err != nil {
				t.Fatal(err)
			}
		}
		if built != want {
			t.Errorf("%d graphs for %d epochs of two batches, want %d", built, epochs, want)
		}
	}
}
