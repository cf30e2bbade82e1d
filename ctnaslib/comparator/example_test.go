package comparator_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/nb"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// labelledCells returns n random cells, the better the more 3×3 convolutions they have.
func labelledCells(n int) []space.Labelled {
	rng := rand.New(rand.NewPCG(1, 1))
	labelled := make([]space.Labelled, n)
	for i := range labelled {
		cell := nasbench101.Space{}.Sample(rng).(nasbench101.Cell)
		labelled[i].Arch, labelled[i].Accuracy = cell, 0.8
		for v := 1; v < cell.N()-1; v++ {
			if cell.Op(v) == nasbench101.Conv3x3 {
				labelled[i].Accuracy += 0.02
			}
		}
	}
	return labelled
}

// split returns the architectures and the accuracies of labelled.
func split(labelled []space.Labelled) (archs []space.Arch, accuracies []float64) {
	for _, l := range labelled {
		archs, accuracies = append(archs, l.Arch), append(accuracies, l.Accuracy)
	}
	return archs, accuracies
}

// NAC learns to compare from 60 labelled cells; a training that was done before is loaded.
func ExampleTrain() {
	backend := nb.Must(engine.Open())
	config := comparator.Quick()
	config.Width, config.Epochs, config.LearningRate = 16, 60, 1e-2
	training := comparator.Training{Backend: backend, Space: nasbench101.Space{}, Labelled: labelledCells(60), Config: config}
	dir := nb.Must(os.MkdirTemp("", "runs"))
	defer os.RemoveAll(dir)
	for range 2 {
		trained := nb.Must(comparator.Train(context.Background(), dir, training))
		good, _ := nasbench101.Parse("101:A") // input, 3×3 convolution, output
		bad, _ := nasbench101.Parse("101:M")  // with max pooling
		p, err := trained.NAC.Compare(good, bad)
		fmt.Println(trained.Status, len(trained.Metrics), "epochs; the convolution is better:", p > 0.9, err)
	}
	// Output:
	// trained 60 epochs; the convolution is better: true <nil>
	// loaded 60 epochs; the convolution is better: true <nil>
}
