package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/datasets/internal/training"
	"github.com/ctnas/ctnas/datasets/surrogate/internal/model"
	"github.com/gomlx/compute"
	"gonum.org/v1/gonum/stat"
)

// nac compares NACs trained on validation accuracies of the surrogate with NACs
// trained on real ones, of the same cells. Both are measured against the real mean
// test accuracy of the same other cells.
type nac struct {
	Labels        int       `json:"labels"`
	TestCells     int       `json:"test_cells"`
	Epochs        int       `json:"epochs"`
	Backend       string    `json:"backend"`
	TauReal       []float64 `json:"tau_real_labels"` // one for each seed
	TauSurrogate  []float64 `json:"tau_surrogate_labels"`
	MeanReal      float64   `json:"mean_tau_real_labels"`
	MeanSurrogate float64   `json:"mean_tau_surrogate_labels"`
}

const nacSeeds = 6

func measureNAC(ctx context.Context, backend compute.Backend, m *model.Model, rows []datasets.Row) (n nac, err error) {
	config := comparator.Released()
	config.Pairing, config.LearningRate, config.Epochs, config.BatchSize = comparator.AllPairs, 1e-3, 200, 423
	n = nac{Labels: 423, TestCells: 1000, Epochs: config.Epochs, Backend: engine.Describe(backend)}
	rows = slices.DeleteFunc(rows, func(row datasets.Row) bool { return math.IsNaN(row.Validation[last]) })
	for seed := range uint64(nacSeeds) {
		config.Seed = seed
		chosen := rand.New(rand.NewPCG(configuration.Seed, 1<<32+seed)).Perm(len(rows))[:n.Labels+n.TestCells]
		cells := make([]nasbench101.Cell, len(chosen))
		for k, i := range chosen {
			cells[k] = rows[i].Cell
		}
		predicted, err := m.Predict(ctx, cells)
		if err != nil {
			return n, err
		}
		var archs []space.Arch
		var tests []float64
		real, surrogate := make([]space.Labelled, n.Labels), make([]space.Labelled, n.Labels)
		for k, i := range chosen {
			row := rows[i]
			if k < n.Labels {
				real[k] = space.Labelled{Arch: row.Cell, Accuracy: row.Validation[last]}
				surrogate[k] = space.Labelled{Arch: row.Cell, Accuracy: m.Noise.Validation(predicted[k], row.Hash, 0)}
			} else {
				archs, tests = append(archs, row.Cell), append(tests, row.Test)
			}
		}
		tau := func(labelled []space.Labelled) (float64, error) {
			nac, err := comparator.New(backend, nasbench101.Space{}, config)
			if err != nil {
				return 0, err
			}
			for epoch := range config.Epochs {
				if err := ctx.Err(); err != nil {
					return 0, err
				}
				if _, err := nac.TrainEpoch(epoch, labelled, nil, 0); err != nil {
					return 0, err
				}
			}
			tau, err := nac.KendallTau(archs, tests)
			return training.RoundTo(tau, 4), err
		}
		ofReal, err := tau(real)
		if err != nil {
			return n, err
		}
		ofSurrogate, err := tau(surrogate)
		if err != nil {
			return n, err
		}
		fmt.Printf("NAC, seed %d: tau %.4f from real labels, %.4f from the surrogate's\n", seed, ofReal, ofSurrogate)
		n.TauReal, n.TauSurrogate = append(n.TauReal, ofReal), append(n.TauSurrogate, ofSurrogate)
	}
	n.MeanReal, n.MeanSurrogate = training.RoundTo(stat.Mean(n.TauReal, nil), 4), training.RoundTo(stat.Mean(n.TauSurrogate, nil), 4)
	return n, nil
}
