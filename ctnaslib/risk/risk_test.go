package risk

import (
	"math"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
)

// The expected values were printed by NumPy and SciPy 1.17.1, run by hand:
//
//	u, v, R = numpy.array([0.3, -1.2, 2.0]), numpy.array([-0.5, 0.9, -1.1]), numpy.array([0.9, 0.8, 0.8])
//	f, better, ordered = u[:, None] + v, R[:, None] > R, R[:, None] != R
//	print(-numpy.where(better, log_expit(f), log_expit(-f))[ordered].mean(), (numpy.where(better, f, -f) <= 0)[ordered].mean())
func TestPairs(t *testing.T) {
	scores := []comparator.Score{{First: 0.3, Second: -0.5}, {First: -1.2, Second: 0.9}, {First: 2, Second: -1.1}}
	bce, ranking, err := Pairs(scores, []float64{0.9, 0.8, 0.8})
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(bce-0.8258956101637068) > 1e-12 || ranking != 0.5 {
		t.Errorf("risks %.15f and %g", bce, ranking)
	}
	// A comparator that knows nothing has the risk of a coin.
	bce, ranking, err = Pairs(make([]comparator.Score, 2), []float64{1, 2})
	if err != nil || math.Abs(bce-math.Ln2) > 1e-12 || ranking != 1 {
		t.Errorf("of zeros: %g, %g, %v; want ln 2 and 1", bce, ranking, err)
	}
	// Large margins do not overflow.
	bce, _, err = Pairs([]comparator.Score{{First: -2000}, {First: 2000}}, []float64{2, 1})
	if err != nil || bce != 2000 {
		t.Errorf("of large margins: %g, %v; want 2000", bce, err)
	}
	for _, accuracies := range [][]float64{{1, 1}, {1}} {
		if _, _, err := Pairs(make([]comparator.Score, 2), accuracies); err == nil {
			t.Errorf("accuracies %v have no error", accuracies)
		}
	}
}

// scipy.stats.norm.cdf(1 / (2**.5 * 2)) is 0.638163195; for these odds the excess
// risk of f = 0, log 2 − entropy([η, 1 − η]), is 0.03867947038.
func TestToyProbability(t *testing.T) {
	toy := Toy{Quality: []float64{1, 2}, Noise: 2}
	if eta := toy.Eta(1, 0); math.Abs(eta-0.638163195) > 1e-9 {
		t.Errorf("η = %.9f", eta)
	}
	if s := toy.at(0, [][]float64{{0, 0}, {0, 0}}); math.Abs(s.ExcessBCE-0.03867947038) > 1e-9 || s.Wrong != 2 {
		t.Errorf("f = 0 stands at %+v", s)
	}
}

// Proposition 1 on the toy: the cross-entropy alone leads to the Bayes-optimal
// order, and on the way the excess ranking risk obeys the bound.
func TestToyIsConsistent(t *testing.T) {
	toy := Toy{Quality: []float64{0, 1, 2, 3, 4, 5, 6, 7}, Noise: 2, Seed: 1}
	f, path := toy.Minimise(4000)
	for i := range f {
		for j := range f[i] {
			if eta := toy.Eta(i, j); i != j && (f[i][j] > 0) != (eta > 0.5) {
				t.Errorf("f(%d, %d) = %.2f for η = %.3f", i, j, f[i][j], eta)
			}
		}
	}
	for _, s := range path {
		if s.ExcessRanking > s.Bound() {
			t.Errorf("step %d: excess ranking risk %g above the bound %g", s.Step, s.ExcessRanking, s.Bound())
		}
	}
	if _, err := Figure(path).Chart.SVG(); err != nil {
		t.Error(err)
	}
	first, last := path[0], path[len(path)-1]
	if first.Wrong == 0 || last.Wrong != 0 || last.ExcessRanking != 0 || last.ExcessBCE > 0.01 {
		t.Errorf("from %+v to %+v", first, last)
	}
}
