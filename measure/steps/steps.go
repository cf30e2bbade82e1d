// Package steps holds the library's heavy steps, on cells and labels that need no data, for programs
// that compare backends: each is the same computation on every backend.
package steps

import (
	"fmt"
	"math/rand/v2"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// Step is a computation to compare: on a backend it becomes a function that does one step and
// returns numbers to compare.
type Step struct {
	Name string
	On   func(compute.Backend) (func() ([]float64, error), error)
}

// Training returns one step of Adam on a full batch of a comparator, whose configuration has this
// name; its number is the loss.
func Training(name string, config comparator.Config) Step {
	pairs := config.BatchSize
	if config.Pairing == comparator.AllPairs {
		pairs *= config.BatchSize - 1
	}
	return Step{fmt.Sprintf("NAC training step, %s (%d cells, %d pairs)", name, config.BatchSize, pairs), func(b compute.Backend) (func() ([]float64, error), error) {
		nac, err := comparator.New(b, nasbench101.Space{}, config)
		labelled := cells(config.BatchSize)
		epoch := 0
		return func() ([]float64, error) {
			loss, err := nac.TrainEpoch(epoch, labelled, nil, 0)
			epoch++
			return []float64{loss}, err
		}, err
	}}
}

// Scoring returns what ranking so many cells takes; its numbers are their utilities.
func Scoring(n int) Step {
	return Step{fmt.Sprintf("scores of %d cells, Quick", n), func(b compute.Backend) (func() ([]float64, error), error) {
		archs := nasbench101.Space{}.All()
		if n < len(archs) {
			archs = space.Archs(cells(n))
		}
		nac, err := comparator.New(b, nasbench101.Space{}, comparator.Quick())
		return func() ([]float64, error) { return nac.Utilities(archs) }, err
	}}
}

// cells draws n cells, with labels that need no data.
func cells(n int) []space.Labelled {
	const most = 50e6 // parameters of the largest cell, rounded up
	rng := rand.New(rand.NewPCG(1, 0))
	labelled := make([]space.Labelled, n)
	for i := range labelled {
		cell := nasbench101.Space{}.Sample(rng).(nasbench101.Cell)
		labelled[i] = space.Labelled{Arch: cell, Accuracy: float64(cell.Params()) / most}
	}
	return labelled
}
