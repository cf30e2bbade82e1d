package distilled

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/space/darts"
	"github.com/ctnas/ctnas/datasets/internal/weights"
)

// By hand: the normal cell's edges are numbers 0 to 13, the reduction cell's 14 to 27;
// edge 0 is from node 0 to node 2, edge 2 from 0 to 3, 5 from 0 to 4 and 9 from 0 to 5.
func TestFeatures(t *testing.T) {
	want := [Active]int32{
		0*7 + 3, 1*7 + 3, 2*7 + 3, 3*7 + 3, 5*7 + 2, 6*7 + 3, 9*7 + 2, 11*7 + 5,
		14*7 + 0, 15*7 + 0, 17*7 + 0, 18*7 + 2, 19*7 + 0, 21*7 + 2, 24*7 + 0, 25*7 + 2,
	}
	if got := Of(darts.DARTSV2); got != want {
		t.Errorf("DARTS_V2 has the features %v, want %v", got, want)
	}
}

func random(rng *rand.Rand, n int) []float32 {
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(rng.NormFloat64()) / 8
	}
	return values
}

// Predict against the formula written out with dense matrices in float64.
func TestPredict(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	n := New()
	for _, p := range n.Parts() {
		copy(p.Values, random(rng, len(p.Values)))
	}
	copy(n.Parts()[Scale].Values, []float32{0.9, 0.01})
	of := func(part int) []float32 { return n.Parts()[part].Values }
	for range 20 {
		g := darts.Space{}.Sample(rng).(darts.Genotype)
		var x [Features]float64
		for _, f := range Of(g) {
			x[f] = 1
		}
		layer := func(weights, bias []float32, x []float64) []float64 {
			y := make([]float64, Hidden)
			for j := range y {
				y[j] = float64(bias[j])
				for i := range x {
					y[j] += x[i] * float64(weights[i*Hidden+j])
				}
				y[j] = max(y[j], 0)
			}
			return y
		}
		hidden := layer(of(Second), of(SecondBias), layer(of(First), of(FirstBias), x[:]))
		want := float64(of(OutBias)[0])
		for j := range hidden {
			want += hidden[j] * float64(of(Out)[j])
		}
		want = 0.9 + 0.01*want
		if got := n.Predict([]darts.Genotype{g})[0]; math.Abs(got-want) > 1e-6 {
			t.Errorf("%v: %v, want %v", g, got, want)
		}
	}
}

func TestDecode(t *testing.T) {
	n := New()
	for i, p := range n.Parts() {
		copy(p.Values, random(rand.New(rand.NewPCG(2, uint64(i))), len(p.Values)))
	}
	data := n.Encode()
	back, err := Decode(data)
	if err != nil || !reflect.DeepEqual(back, n) {
		t.Errorf("the network was read and written differently, %v", err)
	}
	for name, damaged := range map[string][]byte{
		"changed": append(append(slices.Clone(data[:999]), data[999]^1), data[1000:]...),
		"empty":   nil, "cut off": data[:len(data)-1],
		"too long": weights.Encode(name, append(n.Parts(), weights.NewPart("more", 1))),
	} {
		if _, err := Decode(damaged); err == nil {
			t.Errorf("weights that are %s were read", name)
		}
	}
}
