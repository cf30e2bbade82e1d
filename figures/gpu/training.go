package main

import (
	"context"
	"fmt"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/metric"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/supernet"
	"github.com/ctnas/ctnas/ctnaslib/train"
	"github.com/ctnas/ctnas/datasets"
)

// budgets are the epochs for which the benchmark trained its cells.
var budgets = []int{4, 12, 36, 108}

// room is the share of a training's time, without that of compiling, that its steps are planned to take.
const room = 0.7

// trainAlone trains one cell from scratch at full width, for as many of the benchmark's epochs as
// there is time for.
func trainAlone(ctx context.Context, w *worker) error {
	data, err := w.data(ctx, 10_000)
	if err != nil {
		return err
	}
	c := supernet.BenchmarkScratch()
	c.Seed = 1
	if w.small {
		c = supernet.SmallScratch(data.Classes)
	} else {
		c.Epochs = budgets[0]
		for _, epochs := range budgets {
			if float64(epochs*data.Train.Len()) <= w.planned {
				c.Epochs = epochs
			}
		}
		c.CheckpointInterval = data.Train.Len() / c.BatchSize
	}
	c.Classes = data.Classes
	t := w.training(rowAlone, float64(c.Epochs), fmt.Sprintf("%d epochs of %d images (%s), in batches of %d.", c.Epochs, data.Train.Len(), data.Source, c.BatchSize))
	trained, err := supernet.TrainFromScratch(ctx, w.runs, supernet.ScratchTraining{Backend: w.backend, Data: data, Cell: aloneCell, Config: c, Watch: t.watch})
	if err != nil {
		return err
	}
	t.ended(trained.Metrics)
	test, err := trained.Net.Test(ctx)
	if err != nil {
		return err
	}
	t.tell("test_accuracy", 100*test)
	return nil
}

// trainShared trains shared weights with SPOS at full width, for as many steps as there is time for,
// and compares their ranking with the benchmark's.
func trainShared(ctx context.Context, w *worker) error {
	data, err := w.data(ctx, heldOut)
	if err != nil {
		return err
	}
	c, ranked := supernet.Paper(supernet.SPOS), 100
	if w.small {
		c, ranked = supernet.Small(supernet.SPOS, data.Classes), 4
		c.Stacks = 1
	} else {
		c.Steps = max(200, min(c.Steps, int(w.planned/float64(c.BatchSize))))
		c.CheckpointInterval = max(50, c.Steps/10) // one has half a gigabyte
	}
	c.Classes, c.Seed = data.Classes, 1
	t := w.training("SPOS", float64(c.Steps*c.BatchSize)/float64(data.Train.Len()),
		fmt.Sprintf("%d steps on %d images (%s), in batches of %d.", c.Steps, data.Train.Len(), data.Source, c.BatchSize))
	trained, err := supernet.Train(ctx, w.runs, supernet.Training{Backend: w.backend, Data: data, Config: c, Watch: t.watch})
	if err != nil {
		return err
	}
	t.ended(trained.Metrics)
	test, err := trained.Net.Test(ctx, aloneCell)
	if err != nil {
		return err
	}
	t.tell("test_accuracy", 100*test)
	table, err := datasets.OpenNASBench101(ctx, "")
	if err != nil {
		return err
	}
	cells, accuracies, err := table.Report().HeldOut(engine.Stream(c.Seed, "gpu: cells", 0), ranked, nil)
	if err != nil {
		return err
	}
	shared, err := trained.Net.Ranker(ctx).Utilities(cells)
	if err != nil {
		return err
	}
	ktau, err := metric.KendallTau(shared, accuracies)
	if err != nil {
		return err
	}
	t.tell("ktau", ktau)
	return nil
}

// training tells of a training as it goes on. Not safe for concurrent use.
type training struct {
	*worker
	row    row
	epochs float64 // of the whole training
	start  time.Time
}

func (w *worker) training(name string, epochs float64, note string) *training {
	return &training{w, row{Name: "training of " + name, Metrics: map[string]float64{}, Curves: map[string][]float64{}, Note: note}, epochs, time.Now()}
}

// watch tells of a round.
func (t *training) watch(p train.Progress) {
	t.add(p.Values)
	t.row.Metrics["seconds"] = time.Since(t.start).Seconds()
	t.tell("epochs", t.epochs*float64(p.Done)/float64(p.Total))
}

// ended tells of the end, with the curves of all rounds, also of an earlier process.
func (t *training) ended(rounds []rundir.Metrics) {
	t.row.Curves = map[string][]float64{}
	for _, m := range rounds {
		t.add(m.Values)
	}
	t.row.Metrics["epochs"] = t.epochs
	t.tell("seconds", time.Since(t.start).Seconds())
}

func (t *training) add(values map[string]float64) {
	if loss, ok := values["loss"]; ok {
		t.row.Curves["loss"], t.row.Metrics["loss"] = append(t.row.Curves["loss"], loss), loss
	}
	if accuracy, ok := values["accuracy"]; ok {
		t.row.Curves["accuracy"], t.row.Metrics["train_accuracy"] = append(t.row.Curves["accuracy"], accuracy), 100*accuracy
	}
}

func (t *training) tell(metric string, value float64) {
	t.row.Metrics[metric] = value
	t.put(t.row)
}
