package comparator

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
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
			exact.pads, padded.pads, padded.grows = false, true, true
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

func TestPaddedSize(t *testing.T) {
	for _, test := range []struct{ n, full, want int }{
		{0, 256, 0}, {1, 256, 16}, {16, 256, 16}, {17, 256, 32}, {167, 256, 176}, {255, 256, 256}, {256, 256, 256},
		{100, 100, 100}, {97, 100, 100}, {257, 1000, 288}, {423, 1000, 448}, {600, 1000, 640}, {990, 1000, 1000},
	} {
		if got := paddedSize(test.n, test.full); got != test.want {
			t.Errorf("%d of at most %d are padded to %d, want %d", test.n, test.full, got, test.want)
		}
	}
	for n := 128; n < 10_000; n++ {
		if got := paddedSize(n, 1<<20); got < n || float64(got) > 1.125*float64(n) {
			t.Fatalf("%d are padded to %d", n, got)
		}
	}
}

// builds is an encoder that counts how many graphs are built with it.
type builds struct{ encoder.Encoder }

var built int

func (b builds) Encode(scope *model.Scope, sizes encoder.Sizes, inputs []*Node) *Node {
	built++
	return b.Encoder.Encode(scope, sizes, inputs)
}

// However often a set grows, its steps have few shapes.
func TestFewGraphsForAGrowingSet(t *testing.T) {
	all := sample(1, 70)
	for _, pairing := range []Pairing{AllPairs, Shuffled} {
		c := tiny(1)
		c.Pairing, c.BatchSize, c.Encoder = pairing, 50, builds{tiny(1).GCN}
		n := newNACOf(t, c)
		n.pads, n.grows = true, true
		train := func(labelled []space.Labelled, pseudo []Pair) {
			if _, err := n.TrainEpoch(0, labelled, pseudo, 0.5); err != nil {
				t.Fatal(err)
			}
		}
		built = 0
		for count := 10; count <= 70; count += 3 {
			train(all[:count], nil)
		}
		if built > 4 { // 16, 32, 48 and 50
			t.Errorf("%s: %d graphs for 21 sizes of a set", pairing, built)
		}
		built, n.grows = 0, false
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

// NACs that rest after each use share graphs, and learn what they learn with graphs of their own.
func TestRest(t *testing.T) {
	const members, epochs = 3, 4
	rng := rand.New(rand.NewPCG(3, 3))
	var labelled [members][]space.Labelled
	for k := range labelled {
		labelled[k] = sample(rng.Uint64(), 20)
	}
	c := tiny(1)
	c.Encoder = builds{c.GCN}
	learn := func(n *NAC, k, epoch int) {
		if _, err := n.TrainEpoch(epoch, labelled[k], nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	encode := func(n *NAC) []byte {
		state, err := n.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return state
	}
	var want [members][]byte
	var nacs [members]*NAC
	for k := range members {
		c.Seed = uint64(k)
		n := newNACOf(t, c)
		for epoch := range epochs {
			learn(n, k, epoch)
		}
		want[k] = encode(n)
	}
	built = 0
	for k := range members {
		c.Seed = uint64(k)
		nacs[k] = newNACOf(t, c)
		if err := nacs[k].Rest(); err != nil {
			t.Fatal(err)
		}
	}
	for epoch := range epochs {
		for k, n := range nacs {
			learn(n, k, epoch)
			if err := n.Rest(); err != nil {
				t.Fatal(err)
			}
			if _, err := n.Scores(space.Archs(labelled[0])); err != nil {
				t.Fatal(err)
			}
			if err := n.Rest(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if built != 2 {
		t.Errorf("%d graphs were built, want one of the step and one of the scores", built)
	}
	for k, n := range nacs {
		if got := encode(n); !bytes.Equal(got, want[k]) {
			t.Errorf("NAC %d learned something else by turns", k)
		}
		if err := n.Restore(want[(k+1)%members]); err != nil || !bytes.Equal(encode(n), want[(k+1)%members]) {
			t.Errorf("NAC %d, restored: error %v", k, err)
		}
		n.Release()
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
