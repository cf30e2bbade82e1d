package main

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/metric"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/ctnaslib/supernet"
	"github.com/ctnas/ctnas/datasets"
)

// aloneCell is trained alone: the cell of the official example of NAS-Bench-101.
const aloneCell = "111010000010001100011:BAAAM"

const rowAlone = "one cell alone"

// cifar10 is the number of images that the presets for CIFAR-10 train on.
const cifar10 = 40_000

// network is one that can be trained: what its step takes, and how much of it the preset needs.
type network struct {
	name  string
	batch int
	total float64 // images that the whole preset trains, counted once for each network that a step trains
	flops func(*worker) (float64, error)
	note  string

	// step is how long a step takes.
	step func(ctx context.Context, w *worker, data *supernet.Data, batch int) (time.Duration, error)
}

// networks are those of package supernet at the size of their Paper presets, or small; first those
// that say most.
func networks(s size) []network {
	var all []network
	add := func(n network) { all = append(all, n) }
	shared := func(method supernet.Method) {
		c := supernet.Paper(method)
		total := float64(c.Steps * c.BatchSize)
		if s.small {
			c = supernet.Small(method, c.Classes)
			c.Stacks = 1
		}
		open := func(w *worker, data *supernet.Data, batch int) (*supernet.Net, error) {
			c := c
			c.Classes, c.BatchSize = data.Classes, batch
			return supernet.NewNet(w.backend, data, c)
		}
		add(network{name: string(method), batch: c.BatchSize, total: total, note: "with reading the images",
			flops: func(w *worker) (float64, error) {
				data, err := w.data(context.Background(), 2048)
				if err != nil {
					return 0, err
				}
				n, err := open(w, data, c.BatchSize)
				if err != nil {
					return 0, err
				}
				return n.FLOPs(w.backend)
			},
			step: func(ctx context.Context, w *worker, data *supernet.Data, batch int) (time.Duration, error) {
				n, err := open(w, data, batch)
				if err != nil {
					return 0, err
				}
				return n.StepTime(ctx, w.steps)
			}})
	}
	shared(supernet.SPOS)
	alone := supernet.BenchmarkAlone()
	total := float64(alone.Epochs * cifar10)
	if s.small {
		alone = supernet.SmallAlone(alone.Classes)
	}
	add(network{name: rowAlone, batch: alone.BatchSize, total: total,
		flops: func(w *worker) (float64, error) {
			cell, err := nasbench101.Parse(aloneCell)
			if err != nil {
				return 0, err
			}
			flops, err := alone.FLOPs(w.backend, cell)
			return float64(flops), err
		},
		step: func(ctx context.Context, w *worker, data *supernet.Data, batch int) (time.Duration, error) {
			cell, err := nasbench101.Parse(aloneCell)
			if err != nil {
				return 0, err
			}
			c := alone
			c.Classes, c.BatchSize = data.Classes, batch
			n, err := supernet.NewAlone(w.backend, data, cell, c)
			if err != nil {
				return 0, err
			}
			return n.StepTime(ctx, w.steps)
		}})
	elastic, stages := supernet.PaperElastic(), [2]float64{}
	for i, stage := range elastic.Stages {
		stages[min(i, 1)] += float64(stage.Steps) * float64(elastic.BatchSize) * float64(stage.Networks)
	}
	elastic.BatchSize = 256 // a part of the preset's 2,048, which are those of 32 GPUs
	if s.small {
		elastic = supernet.SmallElastic(elastic.Classes)
	}
	for stage, name := range []string{"MobileNetV3 supernet, largest network", "MobileNetV3 supernet, with a teacher"} {
		add(network{name: name, batch: elastic.BatchSize, total: stages[stage],
			flops: func(*worker) (float64, error) { return elastic.FLOPs(stage), nil },
			step: func(ctx context.Context, w *worker, data *supernet.Data, batch int) (time.Duration, error) {
				c := elastic
				c.Classes, c.BatchSize = data.Classes, batch
				n, err := supernet.NewElastic(w.backend, data, c)
				if err != nil {
					return 0, err
				}
				step, err := n.StepTime(ctx, stage, w.steps)
				return step / time.Duration(c.Stages[stage].Networks), err
			}})
	}
	for _, method := range []supernet.Method{supernet.DARTS, supernet.FairNAS, supernet.ENAS, supernet.FBNet} {
		shared(method)
	}
	mixed := supernet.DARTSSearch()
	total = float64(mixed.Steps * mixed.BatchSize)
	if s.small {
		mixed = supernet.SmallMixed(mixed.Classes)
	}
	add(network{name: "DARTS in its own space", batch: mixed.BatchSize, total: total,
		note: "its separable convolutions are sums of shifted images, whose operations are not counted, so there is no share of the peak",
		step: func(ctx context.Context, w *worker, data *supernet.Data, batch int) (time.Duration, error) {
			c := mixed
			c.Classes, c.BatchSize = data.Classes, batch
			n, err := supernet.NewMixed(w.backend, data, c)
			if err != nil {
				return 0, err
			}
			return n.StepTime(ctx, w.steps)
		}})
	return all
}

// pace tells how fast a network trains, and how long its whole preset would take.
func (w *worker) pace(ctx context.Context, n network, precision string) error {
	data, err := w.data(ctx, 2048)
	if err != nil {
		return err
	}
	start := time.Now()
	step, err := n.step(ctx, w, data, n.batch)
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
	flops, err := n.flops(w)
	if err != nil {
		return err
	}
	metrics["tflops"] = 3 * flops * rate / 1e12
	w.row(n.name+precision, metrics, note)
	return nil
}

// memory tells how much of the card's memory training takes, by the size of the batches.
func memory(ctx context.Context, w *worker) error {
	data, err := w.data(ctx, 2048)
	if err != nil {
		return err
	}
	before, err := usedMemory(ctx)
	if err != nil {
		w.row("memory", nil, "Not measured: there is no nvidia-smi, and go-xla does not tell the memory of a device.")
		return nil
	}
	w.row("nothing but the plugin", map[string]float64{"memory_gib": before}, "")
	batches := []int{64, 128, 256, 512}
	if w.small {
		batches = []int{8, 16}
	}
	for _, n := range networks(w.size) {
		if n.name != "SPOS" && n.name != rowAlone && !strings.HasSuffix(n.name, "largest network") {
			continue
		}
		for _, batch := range batches {
			name := fmt.Sprintf("%s, batch %d", n.name, batch)
			most, err := peakMemory(ctx, func() error { _, err := n.step(ctx, w, data, batch); return err })
			if err != nil {
				w.row(name, nil, err.Error())
				break // larger ones do not fit either
			}
			w.row(name, map[string]float64{"memory_gib": most}, "")
		}
	}
	return nil
}

// memoryQuery asks for the used memory of the first card, in MiB.
var memoryQuery = []string{"--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"}

// usedMemory is the used memory of the card, in GiB.
func usedMemory(ctx context.Context) (float64, error) {
	text, err := exec.CommandContext(ctx, "nvidia-smi", memoryQuery...).Output()
	if err != nil {
		return 0, err
	}
	mib, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
	return mib / 1024, err
}

// peakMemory is the most memory of the card that was used, of what is seen ten times a second,
// while a function was at work.
func peakMemory(ctx context.Context, do func() error) (float64, error) {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	cmd := exec.CommandContext(watching, "nvidia-smi", append(memoryQuery[:len(memoryQuery):len(memoryQuery)], "--loop-ms=100")...)
	seen, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	most := make(chan float64)
	go func() {
		largest := 0.0
		for lines := bufio.NewScanner(seen); lines.Scan(); {
			if mib, err := strconv.ParseFloat(strings.TrimSpace(lines.Text()), 64); err == nil {
				largest = max(largest, mib/1024)
			}
		}
		most <- largest
	}()
	err = do()
	stop()
	largest := <-most
	_ = cmd.Wait() // it was stopped
	return largest, err
}

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
	cell, err := nasbench101.Parse(aloneCell)
	if err != nil {
		return err
	}
	c := supernet.BenchmarkAlone()
	c.Seed = 1
	if w.small {
		c = supernet.SmallAlone(data.Classes)
	} else {
		c.Epochs = budgets[0]
		for _, epochs := range budgets {
			if float64(epochs*data.Train.Len()) <= w.planned {
				c.Epochs = epochs
			}
		}
		c.Round = data.Train.Len() / c.BatchSize
	}
	c.Classes = data.Classes
	note := fmt.Sprintf("%d epochs of %d images (%s), in batches of %d.", c.Epochs, data.Train.Len(), data.Source, c.BatchSize)
	watch, last := w.watch(rowAlone, float64(c.Epochs), note)
	start := time.Now()
	trained, err := supernet.TrainAlone(ctx, w.runs, supernet.AloneTraining{Backend: w.backend, Data: data, Cell: cell, Config: c, Watch: watch})
	if err != nil {
		return err
	}
	test, err := trained.Net.Test(ctx)
	if err != nil {
		return err
	}
	last(trained.Metrics, map[string]float64{"test_accuracy": 100 * test, "seconds": time.Since(start).Seconds()})
	return nil
}

// trainShared trains shared weights with SPOS at full width, for as many steps as there is time for,
// and compares their ranking with the benchmark's.
func trainShared(ctx context.Context, w *worker) error {
	data, err := w.data(ctx, 2048)
	if err != nil {
		return err
	}
	c := supernet.Paper(supernet.SPOS)
	if w.small {
		c = supernet.Small(supernet.SPOS, data.Classes)
		c.Stacks = 1
	} else {
		c.Steps = max(200, min(c.Steps, int(w.planned/float64(c.BatchSize))))
		c.Round = max(50, c.Steps/20)
	}
	c.Classes, c.Seed = data.Classes, 1
	epochs := float64(c.Steps*c.BatchSize) / float64(data.Train.Len())
	note := fmt.Sprintf("%d steps on %d images (%s), in batches of %d.", c.Steps, data.Train.Len(), data.Source, c.BatchSize)
	watch, last := w.watch("SPOS", epochs, note)
	start := time.Now()
	trained, err := supernet.Train(ctx, w.runs, supernet.Training{Backend: w.backend, Data: data, Config: c, Watch: watch})
	if err != nil {
		return err
	}
	metrics := map[string]float64{"seconds": time.Since(start).Seconds()}
	last(trained.Metrics, metrics)
	cell, err := nasbench101.Parse(aloneCell)
	if err != nil {
		return err
	}
	test, err := trained.Net.Test(ctx, cell)
	if err != nil {
		return err
	}
	metrics["test_accuracy"] = 100 * test
	last(trained.Metrics, metrics)
	table, err := datasets.OpenNASBench101(ctx, "")
	if err != nil {
		return err
	}
	count := 100
	if w.small {
		count = 4
	}
	cells, accuracies, err := table.Report().HeldOut(engine.Stream(c.Seed, "gpu: cells", 0), count, nil)
	if err != nil {
		return err
	}
	shared, err := trained.Net.Ranker(ctx).Utilities(cells)
	if err != nil {
		return err
	}
	if metrics["ktau"], err = metric.KendallTau(shared, accuracies); err != nil {
		return err
	}
	last(trained.Metrics, metrics)
	return nil
}

// watch tells of a training after each round. The second function tells of its end, with further
// metrics.
func (w *worker) watch(name string, epochs float64, note string) (rundir.Watch, func([]rundir.Metrics, map[string]float64)) {
	curves := map[string][]float64{}
	tell := func(done float64, metrics map[string]float64) {
		all := map[string]float64{"epochs": epochs * done}
		if n := len(curves["loss"]); n > 0 {
			all["loss"], all["train_accuracy"] = curves["loss"][n-1], 100*curves["accuracy"][n-1]
		}
		for name, value := range metrics {
			all[name] = value
		}
		w.send(message{Row: &row{Name: "training of " + name, Metrics: all, Curves: curves, Note: note}})
	}
	watch := func(p rundir.Progress) {
		for _, metric := range []string{"loss", "accuracy"} {
			if value, ok := p.Values[metric]; ok {
				curves[metric] = append(curves[metric], value)
			}
		}
		tell(float64(p.Done)/float64(p.Total), nil)
	}
	return watch, func(metrics []rundir.Metrics, more map[string]float64) {
		curves = map[string][]float64{} // all rounds, also of an earlier process
		for _, m := range metrics {
			curves["loss"] = append(curves["loss"], m.Values["loss"])
			curves["accuracy"] = append(curves["accuracy"], m.Values["accuracy"])
		}
		tell(1, more)
	}
}
