package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/nn"
	"github.com/ctnas/ctnas/ctnaslib/onceforall"
	"github.com/ctnas/ctnas/ctnaslib/relaxation"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/ctnaslib/supernet"
)

const (
	rowAlone   = "one cell alone"
	rowLargest = "MobileNetV3 supernet, largest network"
	cifar10    = 40_000 // images that the presets for CIFAR-10 train on
	heldOut    = 2048   // images, of a training that only measures
)

// aloneCell is trained alone: the cell of the official example of NAS-Bench-101.
var aloneCell = mustParse("111010000010001100011:BAAAM")

// mustParse returns the cell of a text that is in this program.
func mustParse(text string) nasbench101.Cell {
	cell, err := nasbench101.Parse(text)
	if err != nil {
		panic(err)
	}
	return cell
}

// network is one that can be trained: what its step takes, and how much of it the preset needs.
type network struct {
	name  string
	batch int
	total float64 // images that the whole preset trains, counted once for each network that a step trains
	note  string
	open  func(w *worker, data *nn.Data, batch int) (stepper, error)
	flops func(*worker, stepper) (float64, error) // of an image, forward; nil where they are not counted
}

// stepper is an open network. StepTime is how long a step of training takes, of so many.
type stepper interface {
	StepTime(ctx context.Context, steps int) (time.Duration, error)
}

// networks returns the networks of package supernet at the size of their Paper presets, or small: the
// most telling ones first.
func networks(s size) []network {
	return []network{
		sharedNetwork(s, supernet.SPOS), aloneNetwork(s),
		onceForAllNetwork(s, 0, rowLargest), onceForAllNetwork(s, 1, "MobileNetV3 supernet, with a teacher"),
		sharedNetwork(s, supernet.DARTS), sharedNetwork(s, supernet.FairNAS), sharedNetwork(s, supernet.ENAS), sharedNetwork(s, supernet.FBNet),
		relaxedNetwork(s),
	}
}

// sharedNetwork returns the network of all cells, with shared weights.
func sharedNetwork(s size, method supernet.Method) network {
	c := supernet.Paper(method)
	total := float64(c.Steps * c.BatchSize)
	if s.small {
		c = supernet.Small(method, c.Classes)
		c.Stacks = 1
	}
	return network{
		name: string(method), batch: c.BatchSize, total: total, note: "with reading the images",
		open: func(w *worker, data *nn.Data, batch int) (stepper, error) {
			c := c
			c.Classes, c.BatchSize = data.Classes, batch
			return supernet.New(w.backend, data, c)
		},
		flops: func(w *worker, n stepper) (float64, error) { return n.(*supernet.Supernet).FLOPs(w.backend) },
	}
}

// aloneNetwork returns the network of one cell.
func aloneNetwork(s size) network {
	c := supernet.BenchmarkScratch()
	total := float64(c.Epochs * cifar10)
	if s.small {
		c = supernet.SmallScratch(c.Classes)
	}
	return network{
		name: rowAlone, batch: c.BatchSize, total: total,
		open: func(w *worker, data *nn.Data, batch int) (stepper, error) {
			c := c
			c.Classes, c.BatchSize = data.Classes, batch
			return supernet.NewScratch(w.backend, data, aloneCell, c)
		},
		flops: func(w *worker, _ stepper) (float64, error) {
			flops, err := c.FLOPs(w.backend, aloneCell)
			return float64(flops), err
		},
	}
}

// stage is a stage of training the MobileNetV3 supernet.
type stage struct {
	*onceforall.Supernet
	stage, networks int
}

// StepTime returns the time for one of the networks that a step trains.
func (s stage) StepTime(ctx context.Context, steps int) (time.Duration, error) {
	step, err := s.Supernet.StepTime(ctx, s.stage, steps)
	return step / time.Duration(s.networks), err
}

// onceForAllNetwork returns the MobileNetV3 supernet: in its first stage, or in the others, which have a teacher.
func onceForAllNetwork(s size, at int, name string) network {
	c := onceforall.Paper()
	total := 0.0
	for i, st := range c.Stages {
		if min(i, 1) == at {
			total += float64(st.Steps) * float64(c.BatchSize) * float64(st.Networks)
		}
	}
	c.BatchSize = 256 // a part of the preset's 2,048, which 32 GPUs share
	if s.small {
		c = onceforall.Small(c.Classes)
	}
	return network{
		name: name, batch: c.BatchSize, total: total,
		open: func(w *worker, data *nn.Data, batch int) (stepper, error) {
			c := c
			c.Classes, c.BatchSize = data.Classes, batch
			n, err := onceforall.New(w.backend, data, c)
			return stage{n, at, c.Stages[at].Networks}, err
		},
		flops: func(*worker, stepper) (float64, error) { return c.FLOPs(at), nil },
	}
}

// relaxedNetwork returns DARTS's continuous relaxation of its own space.
func relaxedNetwork(s size) network {
	c := relaxation.Paper()
	total := float64(c.Steps * c.BatchSize)
	if s.small {
		c = relaxation.Small(c.Classes)
	}
	return network{
		name: "DARTS in its own space", batch: c.BatchSize, total: total,
		note: "its separable convolutions are sums of shifted images, whose operations are not counted, so there is no share of the peak",
		open: func(w *worker, data *nn.Data, batch int) (stepper, error) {
			c := c
			c.Classes, c.BatchSize = data.Classes, batch
			return relaxation.New(w.backend, data, c)
		},
	}
}

// pace tells how fast a network trains, and how long its whole preset would take.
func (w *worker) pace(ctx context.Context, n network, precision string) error {
	data, err := w.data(ctx, heldOut)
	if err != nil {
		return err
	}
	start := time.Now()
	open, err := n.open(w, data, n.batch)
	if err != nil {
		return err
	}
	step, err := open.StepTime(ctx, w.steps)
	if err != nil {
		return err
	}
	rate := float64(n.batch) / step.Seconds()
	metrics := map[string]float64{
		"time_ms": 1000 * step.Seconds(), "images_per_s": rate, "hours": n.total / rate / 3600,
		"first_s": time.Since(start).Seconds() - float64(w.steps)*step.Seconds(),
	}
	note := fmt.Sprintf("batches of %d", n.batch)
	if n.note != "" {
		note += "; " + n.note
	}
	w.row(n.name+precision, metrics, note)
	if n.flops == nil {
		return nil
	}
	flops, err := n.flops(w, open)
	if err != nil {
		return err
	}
	metrics["tflops"] = 3 * flops * rate / 1e12
	if peak := w.result.find(strings.TrimPrefix(precision, ", ") + rowProduct).Metrics["tflops"]; peak > 0 {
		metrics["peak_percent"] = 100 * metrics["tflops"] / peak
	}
	w.row(n.name+precision, metrics, note)
	return nil
}
