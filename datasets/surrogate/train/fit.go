package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/metric"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/datasets/surrogate/internal/dagnet"
	"github.com/ctnas/ctnas/datasets/surrogate/internal/model"
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
	Width        int     `json:"width"`
	Epochs       int     `json:"epochs"`
	Batch        int     `json:"batch"`
	LearningRate float64 `json:"learning_rate"` // of Adam at first; it falls to 0 as a cosine
	Warmup       int     `json:"warmup"`        // steps until it is reached
	WeightDecay  float64 `json:"weight_decay"`  // share of the learning rate by which weights shrink in a step
	Huber        float64 `json:"huber"`         // score error from which the loss grows linearly
	Seed         uint64  `json:"seed"`
}

var configuration = config{
	Width: 128, Epochs: 30, Batch: 2048, LearningRate: 4e-3, Warmup: 300, WeightDecay: 0.05, Huber: 0.3, Seed: 1,
}

// shards is the number of parts of a batch that are worked on at once. It is fixed,
// because the sum of their gradients depends on it.
const shards = 2

// training is what the card tells of it.
type training struct {
	Config       config  `json:"config"`
	Cells        int     `json:"cells"`
	Weights      int     `json:"weights"`
	Minutes      float64 `json:"minutes"`
	Cores        int     `json:"cores"`
	Go           string  `json:"go"`
	KendallTuned float64 `json:"kendall_tau_tuning"`
}

// fit trains a model in a run directory under root.
func fit(ctx context.Context, root string, p parts) (*model.Model, *training, error) {
	c := configuration
	cells := make([]string, len(p.train))
	for i, row := range p.train {
		cells[i] = fmt.Sprintf("%x %g", row.Hash, row.Test)
	}
	run, err := rundir.Open(root, rundir.Key{
		Step: "surrogate", Algorithms: rundir.Versions{"surrogate": 1}, Config: c,
		Data: map[string]string{"cells": rundir.Digest(cells)},
	})
	if err != nil {
		return nil, nil, err
	}
	defer run.Close()
	t := newTrainer(c, p)
	done, state, err := run.Checkpoint()
	if err != nil {
		return nil, nil, err
	}
	if done > 0 {
		if err := t.decode(state); err != nil {
			return nil, nil, err
		}
	}
	for epoch := done; epoch < c.Epochs; epoch++ {
		start := time.Now()
		loss, err := t.epoch(ctx, epoch)
		if err != nil {
			return nil, nil, err
		}
		if t.tau, err = t.tuningTau(); err != nil {
			return nil, nil, err
		}
		t.seconds += time.Since(start).Seconds()
		fmt.Printf("epoch %d of %d: loss %.4f, Kendall's tau on the tuning cells %.4f, %v in all\n",
			epoch+1, c.Epochs, loss, t.tau, (time.Duration(t.seconds) * time.Second))
		if err := run.Log(epoch, map[string]float64{"loss": loss, "tau": t.tau}); err != nil {
			return nil, nil, err
		}
		if err := run.Save(epoch+1, t.encode()); err != nil {
			return nil, nil, err
		}
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
	return &model.Model{Net: t.net, Noise: noise}, &training{
		Config: c, Cells: len(p.train), Weights: len(t.net.Weights()),
		Minutes: round(t.seconds/60, 1), Cores: runtime.GOMAXPROCS(0), Go: runtime.Version(), KendallTuned: round(t.tau, 4),
	}, nil
}

// last is the index of the full budget in [datasets.Epochs].
const last = len(datasets.Epochs) - 1

// trainer is the network and its optimiser, Adam.
type trainer struct {
	config         config
	cells          []nasbench101.Cell
	scores         []float32
	tuning         *dagnet.Plan
	tuningTests    []float64
	net            *dagnet.Net
	mean, variance []float32 // Adam's averages of the gradient and of its square
	shards         [shards]shard
	seconds, tau   float64 // of the epochs so far
}

// shard works on a part of each batch.
type shard struct {
	pass     dagnet.Pass
	backward dagnet.Gradient
	gradient *dagnet.Net
	loss     float64
}

func newTrainer(c config, p parts) *trainer {
	t := &trainer{config: c, net: dagnet.New(c.Width)}
	t.net.Init(rand.New(rand.NewPCG(c.Seed, 0)))
	t.mean = make([]float32, len(t.net.Weights()))
	t.variance = make([]float32, len(t.net.Weights()))
	for s := range t.shards {
		t.shards[s].gradient = dagnet.New(c.Width)
	}
	for _, row := range p.train {
		t.cells = append(t.cells, row.Cell)
		t.scores = append(t.scores, float32(model.Score(row.Test)))
	}
	cells, tests := cellsAndTests(p.tuning)
	t.tuning, t.tuningTests = dagnet.NewPlan(cells), tests
	return t
}

func cellsAndTests(rows []datasets.Row) (cells []nasbench101.Cell, tests []float64) {
	for _, row := range rows {
		cells = append(cells, row.Cell)
		tests = append(tests, row.Test)
	}
	return cells, tests
}

// epoch trains on every cell once, but for a rest that fills no batch, and returns
// the mean loss.
func (t *trainer) epoch(ctx context.Context, epoch int) (loss float64, err error) {
	order := rand.New(rand.NewPCG(t.config.Seed, 1+uint64(epoch))).Perm(len(t.cells))
	steps := len(order) / t.config.Batch
	for step := range steps {
		if err := ctx.Err(); err != nil {
			return 0, fmt.Errorf("interrupted; the same command continues from epoch %d: %w", epoch+1, err)
		}
		batch := order[step*t.config.Batch : (step+1)*t.config.Batch]
		var working sync.WaitGroup
		for s := range t.shards {
			part := batch[s*len(batch)/shards : (s+1)*len(batch)/shards]
			working.Go(func() { t.shards[s].work(t, part) })
		}
		working.Wait()
		for s := range t.shards {
			loss += t.shards[s].loss / float64(len(batch))
		}
		t.adam(epoch*steps+step, t.config.Epochs*steps)
	}
	return loss / float64(steps), nil
}

// work computes the loss and its gradient for some cells: the Huber loss of the
// scores, under which the prediction becomes the median, undisturbed by the runs
// that failed.
func (s *shard) work(t *trainer, part []int) {
	cells := make([]nasbench101.Cell, len(part))
	for k, i := range part {
		cells[k] = t.cells[i]
	}
	huber := t.config.Huber
	out := s.pass.Predict(t.net, dagnet.NewPlan(cells))
	slopes := make([]float32, len(out))
	s.loss = 0
	for k, i := range part {
		difference := float64(out[k] - t.scores[i])
		if size := math.Abs(difference); size < huber {
			s.loss += difference * difference / (2 * huber)
			slopes[k] = float32(difference / huber)
		} else {
			s.loss += size - huber/2
			slopes[k] = float32(math.Copysign(1, difference))
		}
		slopes[k] /= float32(t.config.Batch)
	}
	clear(s.gradient.Weights())
	s.backward.Backward(&s.pass, s.gradient, slopes)
}

// adam updates the weights with the sum of the shards' gradients.
func (t *trainer) adam(step, steps int) {
	const beta1, beta2, epsilon = 0.9, 0.999, 1e-8
	now := float64(step + 1)
	rate := t.config.LearningRate * min(1, now/float64(t.config.Warmup)) * (1 + math.Cos(math.Pi*now/float64(steps))) / 2
	kept := float32(1 - rate*t.config.WeightDecay)
	rate /= 1 - math.Pow(beta1, now)
	unbiased := 1 / (1 - math.Pow(beta2, now))
	weights := t.net.Weights()
	for i := range weights {
		gradient := float32(0)
		for s := range t.shards {
			gradient += t.shards[s].gradient.Weights()[i]
		}
		t.mean[i] += (1 - beta1) * (gradient - t.mean[i])
		t.variance[i] += (1 - beta2) * (gradient*gradient - t.variance[i])
		weights[i] = kept*weights[i] - float32(rate*float64(t.mean[i])/(math.Sqrt(unbiased*float64(t.variance[i]))+epsilon))
	}
}

func (t *trainer) tuningTau() (float64, error) {
	return metric.KendallTau(asFloat64(t.shards[0].pass.Predict(t.net, t.tuning)), t.tuningTests)
}

func asFloat64(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// encode writes the state after an epoch to bytes, and decode reads it back.
func (t *trainer) encode() []byte {
	le := binary.LittleEndian
	data := le.AppendUint64(nil, math.Float64bits(t.seconds))
	data = le.AppendUint64(data, math.Float64bits(t.tau))
	for _, values := range t.state() {
		for _, x := range values {
			data = le.AppendUint32(data, math.Float32bits(x))
		}
	}
	return data
}

func (t *trainer) decode(data []byte) error {
	le := binary.LittleEndian
	if want := 16 + 3*4*len(t.mean); len(data) != want {
		return fmt.Errorf("the checkpoint has %d bytes, not %d; delete its run directory", len(data), want)
	}
	t.seconds, t.tau = math.Float64frombits(le.Uint64(data)), math.Float64frombits(le.Uint64(data[8:]))
	data = data[16:]
	for _, values := range t.state() {
		for i := range values {
			values[i] = math.Float32frombits(le.Uint32(data))
			data = data[4:]
		}
	}
	return nil
}

func (t *trainer) state() [3][]float32 {
	return [...][]float32{t.net.Weights(), t.mean, t.variance}
}
