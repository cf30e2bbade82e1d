package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"os"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/nn"
	"github.com/ctnas/ctnas/ctnaslib/supernet"
	"github.com/ctnas/ctnas/datasets/images"
	"github.com/ctnas/ctnas/measure/steps"
)

// proofJSON holds what pure Go computes in the steps of [proofSteps], made by
//
//	go test ./figures/gpu -run TestProof -update
//
//go:embed proof.json
var proofJSON []byte

// provedNumbers are the numbers of each step: of some calls, some numbers each.
type provedNumbers map[string][][]float64

// proofSteps returns the steps whose numbers are compared, a comparator's first.
func proofSteps() []steps.Step {
	return []steps.Step{
		steps.Training("Quick", comparator.Quick()),
		steps.Training("Paper", comparator.Paper()),
		steps.Training("Released", comparator.Released()),
		steps.Scoring(100),
		{Name: "training step of a cell that convolves", On: convolved},
	}
}

// numbers returns what the first calls of a step return.
func numbers(backend compute.Backend, s steps.Step) ([][]float64, error) {
	do, err := s.On(backend)
	if err != nil {
		return nil, err
	}
	all := make([][]float64, steps.Compared)
	for i := range all {
		if all[i], err = do(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// convolved trains the small network of a cell of a convolution and a pooling for as many steps as are compared; each
// call returns the loss of one.
func convolved(backend compute.Backend) (func() ([]float64, error), error) {
	const held = 32
	c := supernet.SmallScratch(10)
	c.Epochs, c.CheckpointInterval = 1, 1
	set := images.Shapes()
	var err error
	if _, set.Train, err = set.Train.HoldOut(steps.Compared*c.BatchSize+held, 0); err != nil {
		return nil, err
	}
	data, err := nn.NewData(set, held)
	if err != nil {
		return nil, err
	}
	root, err := os.MkdirTemp("", "proof") // elsewhere the numbers of an earlier proof might lie
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(root)
	trained, err := supernet.TrainFromScratch(context.Background(), root, supernet.ScratchTraining{Backend: backend, Data: data, Cell: mustParse("100101:AM"), Config: c})
	if err != nil {
		return nil, err
	}
	call := 0
	return func() ([]float64, error) {
		if call == len(trained.Metrics) {
			return nil, fmt.Errorf("%d steps were trained, not more", call)
		}
		call++
		return []float64{trained.Metrics[call-1].Values["loss"]}, nil
	}, nil
}

// proof compares what the backend computes with what pure Go computed. The error says which number
// is another one.
func proof(_ context.Context, w *worker) error {
	var want provedNumbers
	if err := json.Unmarshal(proofJSON, &want); err != nil {
		return err
	}
	for _, s := range proofSteps() {
		got, err := numbers(w.backend, s)
		if err != nil {
			return err
		}
		difference, err := differ(want[s.Name], got)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		w.row(s.Name, map[string]float64{"difference": difference}, "")
		if !(difference <= steps.Tolerance) { // also not a number
			return fmt.Errorf("%s differs from pure Go by %g", s.Name, difference)
		}
	}
	return nil
}

// differ returns the largest difference of two lists of numbers, relative to numbers above 1; NaN if one is not a
// number.
func differ(want, got [][]float64) (float64, error) {
	if len(want) == 0 || len(got) != len(want) {
		return 0, fmt.Errorf("there are %d calls where %d are stored", len(got), len(want))
	}
	most := 0.0
	for call := range want {
		if len(want[call]) != len(got[call]) {
			return 0, fmt.Errorf("call %d has %d numbers where %d are stored", call+1, len(got[call]), len(want[call]))
		}
		for i := range want[call] {
			most = max(most, math.Abs(want[call][i]-got[call][i])/max(1, math.Abs(want[call][i])))
		}
	}
	return most, nil
}
