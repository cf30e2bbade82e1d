package gaussian

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/floats"

	"github.com/ctnas/ctnas/ctnaslib/space"
)

// Samples are functions drawn from the posterior: what the utilities may be, as far as the labels say. Unlike values
// drawn for a list of architectures, they can be asked for any architecture, so a search can climb them. They do
// not change, and are safe for concurrent use.
//
// Each is made by Matheron's rule (Wilson et al., "Efficiently Sampling Functions from Gaussian Process
// Posteriors", ICML 2020): a function of the prior, in random Fourier features, plus what corrects it at the labelled
// architectures.
type Samples struct {
	comparator *Comparator
	frequency  [][]float64 // [columns, waves]
	phase      []float64   // [waves]
	linear     [][]float64 // by sample, [columns]
	height     [][]float64 // by sample, [waves]
	correction [][]float64 // by sample, [labelled]
}

// waves is the number of random Fourier features.
const waves = 1024

// Sample draws n functions.
func (c *Comparator) Sample(rng *rand.Rand, n int) (*Samples, error) {
	s := &Samples{comparator: c, frequency: make([][]float64, len(c.features.group)), phase: make([]float64, waves)}
	// The frequencies of Matérn's kernel are distributed as Student's t of 2ν = 3 degrees of freedom.
	tail := make([]float64, waves)
	for w := range tail {
		squares := 0.0
		for range 3 {
			z := rng.NormFloat64()
			squares += z * z
		}
		tail[w] = math.Sqrt(3 / squares)
		s.phase[w] = rng.Float64() * 2 * math.Pi
	}
	for column, g := range c.features.group {
		s.frequency[column] = make([]float64, waves)
		for w := range tail {
			s.frequency[column][w] = rng.NormFloat64() * tail[w] * math.Sqrt(c.Hyper.Weight[g])
		}
	}
	labelled := make([][]float64, len(c.data.points))
	for i, p := range c.data.points {
		labelled[i] = s.waves(p)
	}
	for range n {
		linear, height := make([]float64, len(c.features.group)), make([]float64, waves)
		for column, g := range c.features.group {
			linear[column] = rng.NormFloat64() * math.Sqrt(c.Hyper.Linear[g])
		}
		for w := range height {
			height[w] = rng.NormFloat64() * math.Sqrt(2*c.Hyper.Amplitude/waves)
		}
		miss := make([]float64, len(c.data.points))
		for i, p := range c.data.points {
			miss[i] = c.data.scores[i] - prior(p, labelled[i], linear, height) - rng.NormFloat64()*math.Sqrt(c.Hyper.Noise)
		}
		correction, err := c.solveScores(&c.gram, miss)
		if err != nil {
			return nil, err
		}
		s.linear, s.height, s.correction = append(s.linear, linear), append(s.height, height), append(s.correction, correction)
	}
	return s, nil
}

// waves returns the random Fourier features of a point.
func (s *Samples) waves(p point) []float64 {
	at := make([]float64, waves)
	copy(at, s.phase)
	for i, column := range p.columns {
		floats.AddScaled(at, p.values[i], s.frequency[column])
	}
	for w := range at {
		at[w] = math.Cos(at[w])
	}
	return at
}

// prior returns the value of a function of the prior at a point.
func prior(p point, at, linear, height []float64) float64 {
	value := floats.Dot(at, height)
	for i, column := range p.columns {
		value += p.values[i] * linear[column]
	}
	return value
}

// Values returns the value of each function at an architecture, in the unit of [Comparator.Utilities].
func (s *Samples) Values(a space.Arch) []float64 {
	p := s.comparator.features.point(a)
	row, at := s.comparator.row(p), s.waves(p)
	values := make([]float64, len(s.linear))
	for i := range values {
		values[i] = floats.Dot(row, s.correction[i]) + prior(p, at, s.linear[i], s.height[i])
	}
	return values
}
