package space

import (
	"fmt"
	"math"
)

// Labelled is an architecture with its accuracy R(α, w_α), in [0, 1].
type Labelled struct {
	Arch     Arch
	Accuracy float64
}

// Archs returns the architectures of labelled, without their accuracies.
func Archs(labelled []Labelled) []Arch {
	archs := make([]Arch, len(labelled))
	for i, l := range labelled {
		archs[i] = l.Arch
	}
	return archs
}

// Accuracies returns the accuracies of labelled, without their architectures.
func Accuracies(labelled []Labelled) []float64 {
	accuracies := make([]float64, len(labelled))
	for i, l := range labelled {
		accuracies[i] = l.Accuracy
	}
	return accuracies
}

// CheckLabels reports the first label that is not a finite number.
func CheckLabels(labelled []Labelled) error {
	for _, l := range labelled {
		if math.IsNaN(l.Accuracy) || math.IsInf(l.Accuracy, 0) {
			return fmt.Errorf("space: the label of %s is %g; leave the architecture out, or give it a number", l.Arch, l.Accuracy)
		}
	}
	return nil
}
