// Package risk is the theory behind comparing: the two risks of the paper's Proposition 1, measured on
// pairs of architectures ([Pairs]), and a problem small enough to know them exactly ([Toy]).
//
//	bce, ranking, err := risk.Pairs(scores, accuracies)
//	f, path := risk.Toy{Quality: []float64{0, 1, 2}, Noise: 2, Seed: 1}.Minimise(1000)
package risk

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/report"
)

// Pairs returns the two risks of Proposition 1 over all ordered pairs of
// architectures with these scores and accuracies:
//
//	bce     = mean of −y·log p − (1−y)·log(1−p),   p = NAC(α, α'), y = 1{R_α ≥ R_α'}
//	ranking = mean of 1{(R_α − R_α')·f(α, α') ≤ 0},   f = logit p
//
// Pairs of equal accuracy have no order, and are left out. The error says that no
// pair is left.
func Pairs(scores []comparator.Score, accuracies []float64) (bce, ranking float64, err error) {
	if len(scores) != len(accuracies) {
		return 0, 0, fmt.Errorf("risk: the risks need an accuracy for each architecture, got %d scores and %d accuracies", len(scores), len(accuracies))
	}
	pairs := 0
	for i := range scores {
		for j := range scores {
			if accuracies[i] == accuracies[j] {
				continue
			}
			pairs++
			margin := scores[i].First + scores[j].Second // f, or −f for y = 0
			if accuracies[i] < accuracies[j] {
				margin = -margin
			}
			bce += logistic(margin)
			if margin <= 0 {
				ranking++
			}
		}
	}
	if pairs == 0 {
		return 0, 0, errors.New("risk: the risks need two architectures of different accuracy")
	}
	return bce / float64(pairs), ranking / float64(pairs), nil
}

// logistic is −log σ(margin), computed so that it does not overflow.
func logistic(margin float64) float64 {
	return max(-margin, 0) + math.Log1p(math.Exp(-math.Abs(margin)))
}

// Toy is a ranking problem whose probabilities are known: each training
// of architecture i ends with the accuracy Quality[i] plus normal noise, so that one
// of i beats one of j with the probability
//
//	η(i, j) = Φ((Quality[i] − Quality[j]) / (√2·Noise))
type Toy struct {
	Quality []float64
	Noise   float64 // standard deviation of an accuracy
	Seed    uint64  // of the start f and of the labels
}

// Step is where the minimisation of the toy's risk stands: how far both
// risks are above the smallest that any f can have, and how many pairs f orders
// against the odds.
type Step struct {
	Step                     int
	ExcessBCE, ExcessRanking float64
	Wrong                    int
}

// Bound returns the most that the excess ranking risk can be, for this excess BCE risk:
// √(2·ExcessBCE).
func (s Step) Bound() float64 { return math.Sqrt(2 * s.ExcessBCE) }

// Eta is η(i, j), the probability of the label 1 for the pair (i, j).
func (t Toy) Eta(i, j int) float64 {
	return distuv.UnitNormal.CDF((t.Quality[i] - t.Quality[j]) / (math.Sqrt2 * t.Noise))
}

// Minimise learns a number f(i, j) for every ordered pair, from noisy labels alone:
// it starts with a random f, draws a fresh label y for each pair in each step, and
// goes down the gradient of the cross-entropy, σ(f) − y, by 4/√step. It returns f
// and where it stood before the first and after each step.
func (t Toy) Minimise(steps int) (f [][]float64, path []Step) {
	rng := rand.New(rand.NewPCG(t.Seed, 0))
	n := len(t.Quality)
	f = make([][]float64, n)
	for i := range f {
		f[i] = make([]float64, n)
		for j := range f[i] {
			f[i][j] = rng.NormFloat64()
		}
	}
	path = append(path, t.at(0, f))
	for step := 1; step <= steps; step++ {
		rate := 4 / math.Sqrt(float64(step))
		for i := range f {
			for j := range f[i] {
				y := 0.0
				if rng.Float64() < t.Eta(i, j) {
					y = 1
				}
				f[i][j] -= rate * (1/(1+math.Exp(-f[i][j])) - y)
			}
		}
		path = append(path, t.at(step, f))
	}
	return f, path
}

// at computes the excess risks of f exactly, from η.
func (t Toy) at(step int, f [][]float64) Step {
	s := Step{Step: step}
	pairs := 0
	for i := range f {
		for j := range f[i] {
			if i == j {
				continue
			}
			pairs++
			eta := t.Eta(i, j)
			s.ExcessBCE += eta*logistic(f[i][j]) + (1-eta)*logistic(-f[i][j]) - entropy(eta)
			if (eta-0.5)*f[i][j] <= 0 && eta != 0.5 {
				s.ExcessRanking += math.Abs(2*eta - 1)
				s.Wrong++
			}
		}
	}
	s.ExcessBCE /= float64(pairs)
	s.ExcessRanking /= float64(pairs)
	return s
}

// entropy returns that of a coin, in nats: the smallest cross-entropy any f has for a
// pair.
func entropy(eta float64) float64 {
	h := 0.0
	for _, p := range []float64{eta, 1 - eta} {
		if p > 0 {
			h -= p * math.Log(p)
		}
	}
	return h
}

// Figure draws a path of [Toy.Minimise]: the excess
// ranking risk and its bound, over the steps, on a logarithmic axis.
func Figure(path []Step) report.Figure {
	excess := report.Series{Name: "excess ranking risk"}
	bound := report.Series{Name: "bound: √(2 · excess cross-entropy)", Reference: true}
	for step := 1; step < len(path); step = max(step+1, step*3/2) {
		for s, y := range map[*report.Series]float64{&excess: path[step].ExcessRanking, &bound: path[step].Bound()} {
			s.X, s.Y = append(s.X, float64(step)), append(s.Y, y)
		}
	}
	return report.Figure{Name: "toy", Chart: report.Chart{
		Title: "Proposition 1: a problem with known odds", X: "steps", Y: "excess risk", LogX: true, Series: []report.Series{excess, bound},
	}}
}
