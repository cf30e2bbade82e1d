package model

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
)

// Noise is the distribution of the difference between the validation accuracy of
// one run and the test accuracy of its cell in the mean of all runs that could be,
// at several levels of the latter. Between levels it is interpolated.
type Noise struct {
	Levels []Level // two or more, in ascending order of Test
}

// Level is the distribution at one mean test accuracy.
type Level struct {
	Test      float32
	Quantiles [noiseQuantiles]float32 // from the smallest to the largest difference
}

const noiseQuantiles = 129

// images is how many images an accuracy of the benchmark was measured on.
const images = 9984

// Measured is a cell that was measured: its mean test accuracy over three runs, and
// the validation accuracy of one.
type Measured struct{ Test, Validation float64 }

// healthy is the mean test accuracy from which no run can have failed.
const healthy = 0.8

// failures separates cells of which all runs failed, two of three, one, and cells
// that are only poor. Their validation accuracy mostly is that of a run that did
// not fail, far above the mean test accuracy.
var failures = []float64{0, 0.15, 0.5, 0.7, healthy}

// healthyLevels is the number of levels above that, for equal numbers of cells.
const healthyLevels = 20

// FitNoise takes the noise from measured cells.
func FitNoise(measured []Measured) (n Noise, err error) {
	measured = slices.Clone(measured)
	slices.SortFunc(measured, func(a, b Measured) int { return cmp.Compare(a.Test, b.Test) })
	below := func(test float64) int {
		i, _ := slices.BinarySearchFunc(measured, test, func(m Measured, test float64) int { return cmp.Compare(m.Test, test) })
		return i
	}
	for k := 1; k < len(failures); k++ {
		if part := measured[below(failures[k-1]):below(failures[k])]; len(part) > 0 {
			n.Levels = append(n.Levels, newLevel(part))
		}
	}
	rest := measured[below(healthy):]
	if len(rest) < 100*healthyLevels {
		return Noise{}, errors.New("surrogate: too few measured cells to fit the noise")
	}
	for k := range healthyLevels {
		n.Levels = append(n.Levels, newLevel(rest[k*len(rest)/healthyLevels:(k+1)*len(rest)/healthyLevels]))
	}
	return n, nil
}

// ofOneRun is the share of one run in the measured differences. Its variance is
// joined there by that of the mean of three runs, a third of it.
var ofOneRun = math.Sqrt(3. / 4)

func newLevel(measured []Measured) (l Level) {
	differences := make([]float64, len(measured))
	mean := 0.0
	for i, m := range measured {
		differences[i] = m.Validation - m.Test
		mean += m.Test / float64(len(measured))
	}
	slices.Sort(differences)
	median := interpolate(differences, float64(len(differences)-1)/2)
	l.Test = float32(mean)
	for q := range l.Quantiles {
		at := float64(q) / (noiseQuantiles - 1) * float64(len(differences)-1)
		l.Quantiles[q] = float32(median + ofOneRun*(interpolate(differences, at)-median))
	}
	return l
}

// interpolate reads a table between its entries.
func interpolate[T float32 | float64](table []T, at float64) float64 {
	i := min(int(at), len(table)-2)
	if i < 0 {
		return float64(table[0])
	}
	share := at - float64(i)
	return float64((1-share)*float64(table[i])) + float64(share*float64(table[i+1]))
}

// at returns the quantiles at a mean test accuracy.
func (n *Noise) at(test float64) (quantiles [noiseQuantiles]float64) {
	i, _ := slices.BinarySearchFunc(n.Levels, test, func(l Level, test float64) int {
		return cmp.Compare(float64(l.Test), test)
	})
	i = min(max(i, 1), len(n.Levels)-1)
	low, high := &n.Levels[i-1], &n.Levels[i]
	share := (test - float64(low.Test)) / float64(high.Test-low.Test)
	share = min(max(share, 0), 1)
	for q := range quantiles {
		quantiles[q] = float64((1-share)*float64(low.Quantiles[q])) + float64(share*float64(high.Quantiles[q]))
	}
	return quantiles
}

// Validation draws the validation accuracy of one run, a function of the cell's
// mean test accuracy, its hash and the number of the run.
func (n *Noise) Validation(test float64, hash [16]byte, run uint64) float64 {
	rng := rand.New(rand.NewPCG(binary.LittleEndian.Uint64(hash[:8]), binary.LittleEndian.Uint64(hash[8:])^run))
	quantiles := n.at(test)
	accuracy := test + interpolate(quantiles[:], (noiseQuantiles-1)*rng.Float64())
	return math.Round(images*min(max(accuracy, 0), 1)) / images
}

// Median returns the median difference of Validation to the mean test accuracy.
func (n *Noise) Median(test float64) float64 {
	quantiles := n.at(test)
	return interpolate(quantiles[:], (noiseQuantiles-1)/2.)
}

// Spread returns the standard deviation of Validation between runs.
func (n *Noise) Spread(test float64) float64 {
	quantiles := n.at(test)
	// Between neighbouring quantiles a and b the distribution is uniform.
	var mean, square float64
	for q := 1; q < noiseQuantiles; q++ {
		a, b := quantiles[q-1], quantiles[q]
		mean += (a + b) / 2 / (noiseQuantiles - 1)
		square += (a*a + a*b + b*b) / 3 / (noiseQuantiles - 1)
	}
	return math.Sqrt(max(square-mean*mean, 0))
}

// flat lists all numbers in a fixed order, and setFlat reads them back.
func (n *Noise) flat() []float32 {
	var all []float32
	for _, l := range n.Levels {
		all = append(append(all, l.Test), l.Quantiles[:]...)
	}
	return all
}

func (n *Noise) setFlat(all []float32) {
	n.Levels = nil
	for part := range slices.Chunk(all, 1+noiseQuantiles) {
		n.Levels = append(n.Levels, Level{Test: part[0], Quantiles: [noiseQuantiles]float32(part[1:])})
	}
}
