package metric

import (
	"errors"
	"math"
	"strings"
	"testing"
)

// Worked out by hand: ten items, in the order of their accuracies from 0.90 to 0.99.
func TestTopTau(t *testing.T) {
	accuracies := []float64{0.90, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99}
	scores := []float64{0, 1, 2, 3, 4, 5, 9, 8, 6, 7}
	for n, want := range map[int]float64{
		2:   1,         // 6 < 7
		3:   -1.0 / 3,  // 8, 6, 7: one pair of three is in order
		4:   -2.0 / 3,  // 9, 8, 6, 7: one pair of six
		5:   0,         // 5 before all of them: five of ten
		10:  35.0 / 45, // five of 45 pairs are out of order
		100: 35.0 / 45,
	} {
		if got, err := TopTau(scores, accuracies, n); err != nil || math.Abs(got-want) > 1e-12 {
			t.Errorf("of the best %d it is %g (%v), want %g", n, got, err, want)
		}
	}
	// Of equal accuracies the first count; a tie among the scores is in neither order: one pair of τ-b's √(3·2).
	tied, err := TopTau([]float64{1, 1, 2, 0}, []float64{0.8, 0.9, 0.95, 0.8}, 3)
	if want := 2 / math.Sqrt(3*2); err != nil || math.Abs(tied-want) > 1e-12 {
		t.Errorf("with ties it is %g (%v), want %g", tied, err, want)
	}
}

// Worked out by hand: the first of the ranking are the third, the first and the fourth.
func TestBestOfFirst(t *testing.T) {
	scores, accuracies := []float64{3, 1, 4, 2}, []float64{0.7, 0.9, 0.6, 0.8}
	for n, want := range map[int]float64{1: 0.6, 2: 0.7, 3: 0.8, 4: 0.9, 100: 0.9} {
		if got, err := BestOfFirst(scores, accuracies, n); err != nil || got != want {
			t.Errorf("of the first %d it is %g (%v), want %g", n, got, err, want)
		}
	}
	if got, err := BestOfFirst([]float64{1, 1}, []float64{0.2, 0.3}, 1); err != nil || got != 0.2 {
		t.Errorf("of equal scores it is %g (%v), want that of the first", got, err)
	}
}

func TestTopErrors(t *testing.T) {
	two := []float64{1, 2}
	for _, test := range []struct {
		scores, accuracies []float64
		n                  int
		want               string
	}{
		{two, []float64{1}, 2, "2 and 1"},
		{[]float64{1}, []float64{1}, 2, "at least two"},
		{two, []float64{1, math.NaN()}, 2, "item 1 is not a number"},
		{[]float64{math.NaN(), 1}, two, 2, "item 0 is not a number"},
		{two, two, 0, " 0"},
		{two, two, -1, " -1"},
	} {
		if got, err := TopTau(test.scores, test.accuracies, test.n); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("TopTau(%v, %v, %d) is %g, %v; want an error with %q", test.scores, test.accuracies, test.n, got, err, test.want)
		}
		if got, err := BestOfFirst(test.scores, test.accuracies, test.n); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("BestOfFirst(%v, %v, %d) is %g, %v; want an error with %q", test.scores, test.accuracies, test.n, got, err, test.want)
		}
	}
	if _, err := TopTau(two, two, 1); err == nil {
		t.Error("one item has an order")
	}
	if _, err := TopTau([]float64{1, 1, 0}, []float64{3, 2, 1}, 2); !errors.Is(err, ErrTied) {
		t.Errorf("where the best are tied, the error is %v", err)
	}
}
