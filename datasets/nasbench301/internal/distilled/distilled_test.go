package distilled

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/space/darts"
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
	n := &Net{
		First: random(rng, Features*Hidden), FirstBias: random(rng, Hidden),
		Second: random(rng, Hidden*Hidden), SecondBias: random(rng, Hidden),
		Out: random(rng, Hidden), OutBias: 0.1, Centre: 0.9, Spread: 0.01,
	}
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
		hidden := layer(n.Second, n.SecondBias, layer(n.First, n.FirstBias, x[:]))
		want := 0.1
		for j := range hidden {
			want += hidden[j] * float64(n.Out[j])
		}
		want = 0.9 + 0.01*want
		if got := n.Predict([]darts.Genotype{g})[0]; math.Abs(got-want) > 1e-6 {
			t.Errorf("%v: %v, want %v", g, got, want)
		}
	}
}

func TestDecode(t *testing.T) {
	n, err := Decode(weights)
	if err != nil {
		t.Fatal(err) // the program's own weights
	}
	if string(n.Encode()) != string(weights) {
		t.Error("the weights were read and written differently")
	}
	damaged := append([]byte(nil), weights...)
	damaged[len(damaged)/2] ^= 1
	if _, err := Decode(damaged); err == nil {
		t.Error("damaged weights were read")
	}
	for _, length := range []int{0, 10, len(weights) - 1} {
		if _, err := Decode(weights[:length]); err == nil {
			t.Errorf("%d bytes of weights were read", length)
		}
	}
}
