package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/metric"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/datasets/internal/training"
	"github.com/ctnas/ctnas/datasets/internal/weights"
	"github.com/ctnas/ctnas/datasets/surrogate/internal/dagnet"
	"github.com/ctnas/ctnas/datasets/surrogate/internal/model"
	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	gomlx "github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train/loss"
)

// parts are the rows of the table by what they serve for; see [model.PartOf].
type parts struct{ train, tuning, heldOut []datasets.Row }

func split(table *datasets.NASBench101) (p parts) {
	for row := range table.Report().Rows() {
		switch model.PartOf(row.Hash) {
		case model.HeldOut:
			p.heldOut = append(p.heldOut, row)
		case model.Tuning:
			p.tuning = append(p.tuning, row)
		default:
			p.train = append(p.train, row)
		}
	}
	return p
}

// config is all that the weights depend on, beside the data.
type config struct {
	training.Config
	Width       int     `json:"width"`
	Warmup      int     `json:"warmup"`       // steps until the learning rate is reached
	WeightDecay float64 `json:"weight_decay"` // share of the learning rate by which weights shrink in a step
	Huber       float64 `json:"huber"`        // score error from which the loss grows linearly
}

var configuration = config{
	Config: training.Config{Epochs: 30, Batch: 2048, LearningRate: 4e-3, Seed: 1},
	Width:  128, Warmup: 300, WeightDecay: 0.05, Huber: 0.3,
}

// facts is what the card tells of the training.
type facts struct {
	Config       config  `json:"config"`
	Cells        int     `json:"cells"`
	Weights      int     `json:"weights"`
	Minutes      float64 `json:"minutes"`
	Cores        int     `json:"cores"`
	Go           string  `json:"go"`
	KendallTuned float64 `json:"kendall_tau_tuning"`
}

// fit trains a model in a run directory under root.
func fit(ctx context.Context, backend compute.Backend, root string, p parts) (*model.Model, *facts, error) {
	c := configuration
	cells := make([]string, len(p.train))
	for i, row := range p.train {
		cells[i] = fmt.Sprintf("%x %g", row.Hash, row.Test)
	}
	run, err := rundir.Open(root, rundir.Key{
		Step: "surrogate", Algorithms: rundir.Versions{"surrogate": 2}, Config: c,
		Data: map[string]string{"cells": rundir.Digest(cells), "backend": engine.Fingerprint(backend)},
	})
	if err != nil {
		return nil, nil, err
	}
	defer run.Close()
	net := dagnet.New(c.Width)
	net.Init(rand.New(rand.NewPCG(c.Seed, 0)))
	f := &facts{Config: c, Cells: len(p.train), Weights: weights.Count(net.Parts()), Cores: runtime.GOMAXPROCS(0), Go: runtime.Version()}
	if err := trainNet(ctx, backend, run, net, p, f); err != nil {
		return nil, nil, err
	}
	var measured []model.Measured
	for _, row := range p.train {
		if v := row.Validation[last]; !math.IsNaN(v) {
			measured = append(measured, model.Measured{Test: row.Test, Validation: v})
		}
	}
	noise, err := model.FitNoise(measured)
	if err != nil {
		return nil, nil, err
	}
	return &model.Model{Net: net, Noise: noise}, f, nil
}

// last is the index of the full budget in [datasets.Epochs].
const last = len(datasets.Epochs) - 1

// trainNet trains the network, from the checkpoint of the run on if there is one.
func trainNet(ctx context.Context, backend compute.Backend, run *rundir.Run, net *dagnet.Net, p parts, f *facts) error {
	cells, scores := make([]nasbench101.Cell, len(p.train)), make([]float32, len(p.train))
	for i, row := range p.train {
		cells[i], scores[i] = row.Cell, float32(model.Score(row.Test))
	}
	huber := loss.MakeHuberLoss(f.Config.Huber)
	err := training.Loop{
		Config: f.Config.Config, Warmup: f.Config.Warmup, WeightDecay: f.Config.WeightDecay, Examples: len(cells),
		Inputs: func(chosen []int) []*tensors.Tensor {
			batch, targets := make([]nasbench101.Cell, len(chosen)), make([]float32, len(chosen))
			for k, i := range chosen {
				batch[k], targets[k] = cells[i], scores[i]
			}
			return append(inputsOf(batch), tensors.FromValue(targets))
		},
		// Under the Huber loss the prediction becomes the median, undisturbed by the runs that failed.
		Loss: func(root *gomlx.Scope, inputs []*Node) *Node {
			scores := inputs[len(inputs)-1]
			return huber([]*Node{scores}, []*Node{predict(root, net.Parts(), inputs)})
		},
	}.Run(ctx, backend, net.Parts(), run)
	if err != nil {
		return err
	}
	epochs, err := run.Metrics()
	if err != nil {
		return err
	}
	for _, m := range epochs {
		f.Minutes += m.Values["minutes"]
	}
	tuning, tests := cellsAndTests(p.tuning)
	predicted := net.Predict(new(dagnet.Memory), dagnet.NewPlan(tuning))
	f.KendallTuned, err = metric.KendallTau(asFloat64(predicted), tests)
	f.Minutes, f.KendallTuned = training.RoundTo(f.Minutes, 1), training.RoundTo(f.KendallTuned, 4)
	return err
}

func asFloat64(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

func cellsAndTests(rows []datasets.Row) (cells []nasbench101.Cell, tests []float64) {
	for _, row := range rows {
		cells = append(cells, row.Cell)
		tests = append(tests, row.Test)
	}
	return cells, tests
}
