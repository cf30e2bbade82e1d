package metric

import (
	"math"
	"math/rand/v2"
	"testing"
)

// The expected values were printed by scipy.stats.kendalltau (τ-b), run by hand.
func TestKendallTau(t *testing.T) {
	for _, test := range []struct {
		x, y []float64
		want float64
	}{
		{[]float64{1, 2, 3, 4, 5}, []float64{1, 2, 3, 4, 5}, 1},
		{[]float64{1, 2, 3, 4, 5}, []float64{5, 4, 3, 2, 1}, -1},
		{[]float64{12, 2, 1, 12, 2}, []float64{1, 4, 7, 1, 0}, -0.4714045207910316},
		{[]float64{1, 1, 2, 2, 3, 3, 4, 4}, []float64{2, 1, 1, 3, 3, 5, 4, 4}, 0.6531972647421809},
		{[]float64{0.5, -1, 3.25, 7, 2, 2.5}, []float64{9, 3, 4, 8, 8.5, -2}, -0.06666666666666665},
	} {
		got, err := KendallTau(test.x, test.y)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(got-test.want) > 1e-12 {
			t.Errorf("KendallTau(%v, %v) = %.15f, want %.15f", test.x, test.y, got, test.want)
		}
	}
}

// The same order has a tau of 1, without a rounding error beyond.
func TestKendallTauOfOneOrder(t *testing.T) {
	var up, down []float64
	for n := range 120 {
		up, down = append(up, float64(n)), append(down, -float64(n))
		if n == 0 {
			continue
		}
		one, err := KendallTau(up, up)
		minus, other := KendallTau(up, down)
		if err != nil || other != nil || math.Abs(one-1) > 1e-12 || math.Abs(minus+1) > 1e-12 || one > 1 || minus < -1 {
			t.Errorf("%d items: %v and %v (%v, %v)", n+1, one, minus, err, other)
		}
	}
}

// The definition, pair by pair.
func TestKendallTauIsItsDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		n := 2 + rng.IntN(40)
		x, y := make([]float64, n), make([]float64, n)
		for i := range n {
			x[i], y[i] = float64(rng.IntN(12)), float64(rng.IntN(12))
		}
		var concordant, discordant, untiedX, untiedY float64
		for i := range n {
			for j := range i {
				dx, dy := x[i]-x[j], y[i]-y[j]
				switch {
				case dx*dy > 0:
					concordant++
				case dx*dy < 0:
					discordant++
				}
				if dx != 0 {
					untiedX++
				}
				if dy != 0 {
					untiedY++
				}
			}
		}
		got, err := KendallTau(x, y)
		if untiedX == 0 || untiedY == 0 {
			if err == nil {
				t.Fatalf("all tied: got %g, want an error", got)
			}
			continue
		}
		want := (concordant - discordant) / math.Sqrt(untiedX*untiedY)
		if err != nil || math.Abs(got-want) > 1e-12 {
			t.Fatalf("KendallTau(%v, %v) = %g, %v; want %g", x, y, got, err, want)
		}
	}
}

func TestKendallTauErrors(t *testing.T) {
	for name, test := range map[string][2][]float64{
		"lengths":  {{1, 2, 3}, {1, 2}},
		"too few":  {{1}, {1}},
		"nan in x": {{1, math.NaN()}, {1, 2}},
		"nan in y": {{1, 2, 3}, {math.NaN(), 2, 1}},
		"all nan":  {{math.NaN(), math.NaN()}, {math.NaN(), math.NaN()}},
		"all tied": {{1, 1, 1}, {1, 2, 3}},
	} {
		if tau, err := KendallTau(test[0], test[1]); err == nil {
			t.Errorf("%s: got %g, want an error", name, tau)
		}
	}
}

// The authors' measure, worked out by hand: one order of each pair, and of a tie the first is better on both sides.
func TestAuthorsTau(t *testing.T) {
	accuracies := []float64{0.9, 0.8, 0.8, 0.7}
	wins := map[[2]int]bool{{0, 1}: true, {0, 2}: false, {0, 3}: true, {1, 2}: true, {1, 3}: false, {2, 3}: true} // 4 of 6 agree
	tau, err := AuthorsTau(accuracies, func(i, j int) bool {
		win, asked := wins[[2]int{i, j}]
		if !asked {
			t.Errorf("%d was compared with %d", i, j)
		}
		return win
	})
	if err != nil || math.Abs(tau-2.0/6) > 1e-12 {
		t.Errorf("tau is %g (%v), want 1/3", tau, err)
	}
	always := func(int, int) bool { return true } // all are tied: all of the comparisons take the first
	if tau, err := AuthorsTau([]float64{1, 1, 1}, always); err != nil || tau != 1 {
		t.Errorf("of ties it is %g (%v), want 1", tau, err)
	}
	if tau, err := AuthorsTau([]float64{1, 2, 3}, always); err != nil || tau != -1 {
		t.Errorf("of a reversed order it is %g (%v), want -1", tau, err)
	}
	for _, bad := range [][]float64{nil, {1}, {1, math.NaN()}} {
		if tau, err := AuthorsTau(bad, always); err == nil {
			t.Errorf("%v: got %g, want an error", bad, tau)
		}
	}
}
