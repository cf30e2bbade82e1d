package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/ctnaslib/supernet"
	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/datasets/images"
	"github.com/ctnas/ctnas/measure/steps"
)

// plan is a part to do.
type plan struct {
	name        string
	limit       time.Duration
	rest        float64 // of a training, the share of the time that is left, in place of the limit
	rateOf      string  // of a training, the network whose rate it is told
	exact       bool    // float32 is not rounded to TF32
	plainMemory bool    // memory is taken and given back at once, so that it can be measured
	do          func(context.Context, *worker) error
}

// What stands behind a network's name.
const (
	precisionTF32    = ", TF32"
	precisionFloat32 = ", float32"
)

// parts are all of them, the most important first.
func parts(rehearse bool) []plan {
	const second = time.Second
	all := []plan{
		{name: "proof", limit: 100 * second, exact: true, do: proof},
		{name: "peak: float32", limit: 40 * second, exact: true, do: func(ctx context.Context, w *worker) error { return peak(w, "float32", dtypes.Float32) }},
		{name: "peak: TF32", limit: 40 * second, do: func(ctx context.Context, w *worker) error { return peak(w, "TF32", dtypes.Float32) }},
		{name: "peak: bfloat16", limit: 40 * second, do: func(ctx context.Context, w *worker) error { return peak(w, "bfloat16", dtypes.BFloat16) }},
		{name: "images: reading", limit: 20 * second, do: reading},
	}
	pace := func(trained []network, precision string, limit time.Duration, exact bool) {
		for i, n := range trained {
			limit := limit
			if i < 2 { // those that real training trains, too
				limit = 150 * second
			}
			all = append(all, plan{name: "training" + precision + ": " + n.name, limit: limit, exact: exact,
				do: func(ctx context.Context, w *worker) error { return w.pace(ctx, n, precision) }})
		}
	}
	trained := networks(sizeOf(rehearse))
	all = append(all,
		plan{name: "comparator", limit: 60 * second, exact: true, do: comparatorSteps},
		plan{name: "search: one", limit: 120 * second, exact: true, do: func(ctx context.Context, w *worker) error { return w.searches(ctx, 1) }},
	)
	pace(trained, precisionTF32, 60*second, false)
	all = append(all, plan{name: "search: side by side", limit: 120 * second, exact: true, do: func(ctx context.Context, w *worker) error { return w.searches(ctx, w.side) }})
	if rehearse {
		trained = trained[:1] // the others do the same again
	}
	pace(trained, precisionFloat32, 40*second, true)
	return append(all,
		plan{name: "memory", limit: 60 * second, plainMemory: true, do: memory},
		plan{name: "real training: " + rowAlone, rest: 0.5, limit: 20 * time.Minute, rateOf: rowAlone, do: trainAlone},
		plan{name: "real training: SPOS", rest: 0.95, limit: 20 * time.Minute, rateOf: "SPOS", do: trainShared},
	)
}

// size is how large everything is.
type size struct {
	small  bool
	side   int // searches side by side
	matrix int // rows and columns
	calls  int // that are timed
	steps  int // of training that are timed
	cells  int // to score
	search search.Config
}

func sizeOf(rehearse bool) size {
	if !rehearse {
		return size{side: 10, matrix: 8192, calls: 21, steps: 15, cells: nasbench101.NumCells, search: search.Released()}
	}
	s := search.Quick()
	s.Labels, s.Iterations, s.NAC.Epochs, s.PolicySteps, s.PolicyBatch, s.Samples = 20, 2, 2, 2, 4, 20
	return size{small: true, side: 2, matrix: 128, calls: 3, steps: 2, cells: 500, search: s}
}

// data opens the photographs, or the drawn shapes where there are none, and holds some out.
func (w *worker) data(ctx context.Context, validation int) (*supernet.Data, error) {
	set, err := images.Open(ctx, "")
	if err != nil {
		return nil, err
	}
	if w.small {
		some := *set
		for _, part := range []*images.Images{&some.Train, &some.Test} {
			if _, *part, err = part.HoldOut(320, 0); err != nil {
				return nil, err
			}
		}
		set, validation = &some, 64
	}
	return supernet.NewData(set, validation)
}

// proofJSON holds what pure Go computes in the steps of [proofSteps], made by
//
//	go test ./figures/gpu -run TestProof -update
//
//go:embed proof.json
var proofJSON []byte

// provedNumbers are the numbers of each step: of some calls, some numbers each.
type provedNumbers map[string][][]float64

const (
	tolerance = 1e-4 // between the numbers of two backends
	proved    = 5    // calls
)

// proofSteps are those whose numbers are compared, a comparator's first.
func proofSteps() []steps.Step {
	return []steps.Step{
		steps.Training("Quick", comparator.Quick()),
		steps.Training("Paper", comparator.Paper()),
		steps.Training("Released", comparator.Released()),
		steps.Scoring(100),
		steps.Policy(search.Quick().PolicyBatch),
	}
}

// numbers are those of a step's first calls.
func numbers(w *worker, s steps.Step) ([][]float64, error) {
	do, err := s.On(w.backend)
	if err != nil {
		return nil, err
	}
	all := make([][]float64, proved)
	for i := range all {
		if all[i], err = do(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// convolved is the loss of some steps that train the small network of a cell of a convolution and a
// pooling: the numbers of a step that convolves.
func convolved(ctx context.Context, w *worker, root string) ([][]float64, error) {
	const cell, held = "100101:AM", 32
	c := supernet.SmallAlone(10)
	c.Epochs, c.Round = 1, 1
	set := images.Shapes()
	var err error
	if _, set.Train, err = set.Train.HoldOut(proved*c.BatchSize+held, 0); err != nil {
		return nil, err
	}
	data, err := supernet.NewData(set, held)
	if err != nil {
		return nil, err
	}
	parsed, err := nasbench101.Parse(cell)
	if err != nil {
		return nil, err
	}
	trained, err := supernet.TrainAlone(ctx, root, supernet.AloneTraining{Backend: w.backend, Data: data, Cell: parsed, Config: c})
	if err != nil {
		return nil, err
	}
	var losses [][]float64
	for _, m := range trained.Metrics {
		losses = append(losses, []float64{m.Values["loss"]})
	}
	return losses, nil
}

const rowConvolved = "training step of a cell that convolves"

// proof compares what the backend computes with what pure Go computed. The error says that a
// number is another one.
func proof(ctx context.Context, w *worker) error {
	var want provedNumbers
	if err := json.Unmarshal(proofJSON, &want); err != nil {
		return err
	}
	check := func(name string, got [][]float64) error {
		difference, err := differ(want[name], got)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		w.row(name, map[string]float64{"difference": difference}, "")
		if !(difference <= tolerance) { // also not a number
			return fmt.Errorf("%s differs from pure Go by %g", name, difference)
		}
		return nil
	}
	for _, s := range proofSteps() {
		got, err := numbers(w, s)
		if err != nil {
			return err
		}
		if err := check(s.Name, got); err != nil {
			return err
		}
	}
	root, err := os.MkdirTemp("", "proof") // elsewhere the numbers of an earlier proof might lie
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	got, err := convolved(ctx, w, root)
	if err != nil {
		return err
	}
	return check(rowConvolved, got)
}

// differ is the largest difference of two lists of numbers, of numbers above 1 relative to them; NaN
// if one is not a number.
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

// rowProduct stands behind the precision in the name of a peak.
const rowProduct = ", product of matrices"

// peak is how many floating point operations a second products of matrices and convolutions do, in
// one precision. They are the network's own, through GoMLX.
func peak(w *worker, name string, dtype dtypes.DType) error {
	n, chain := w.matrix, 4
	random := func(dims ...int) *tensors.Tensor {
		rng, total := rand.New(rand.NewPCG(1, 0)), 1
		for _, d := range dims {
			total *= d
		}
		values := make([]float32, total)
		for i := range values {
			values[i] = (rng.Float32() - 0.5) / float32(math.Sqrt(float64(dims[0])))
		}
		return tensors.FromFlatDataAndDimensions(values, dims...)
	}
	// Numbers are summed in float32, so that the sum is one in every precision.
	sum := func(x *graph.Node) *graph.Node { return graph.ReduceAllSum(graph.ConvertDType(x, dtypes.Float32)) }
	err := w.flops(name+rowProduct, float64(chain)*2*math.Pow(float64(n), 3), []*tensors.Tensor{random(n, n)}, func(in []*graph.Node) *graph.Node {
		a := graph.ConvertDType(in[0], dtype)
		x := a
		for range chain {
			x = graph.MatMul(x, a)
		}
		return sum(x)
	})
	if err != nil {
		return err
	}
	batch, side, channels := 256, 32, 128
	if w.small {
		batch, side, channels = 4, 8, 8
	}
	operations := 3 * 2 * 9 * float64(batch*side*side) * float64(channels*channels)
	return w.flops(name+", 3×3 convolution of 128 channels, with its gradients", operations,
		[]*tensors.Tensor{random(batch, side, side, channels), random(3, 3, channels, channels)}, func(in []*graph.Node) *graph.Node {
			x, kernel := graph.ConvertDType(in[0], dtype), graph.ConvertDType(in[1], dtype)
			y := sum(graph.Square(graph.Convolve(x, kernel).PadSame().Done()))
			gradients := graph.Gradient(y, x, kernel)
			return graph.Add(y, graph.Add(sum(gradients[0]), sum(gradients[1])))
		})
}

// flops tells how fast a graph with so many floating point operations is.
func (w *worker) flops(name string, operations float64, inputs []*tensors.Tensor, build func([]*graph.Node) *graph.Node) error {
	exec, err := graph.NewExec(w.backend, build)
	if err != nil {
		return err
	}
	t, err := timed(w.calls, func() error {
		out, err := exec.Call1(engine.Args(inputs)...)
		if err == nil {
			tensors.ToScalar[float32](out)
		}
		return err
	})
	if err != nil {
		return err
	}
	w.row(name, map[string]float64{"tflops": operations / t.best / 1e12, "time_ms": 1000 * t.median, "first_s": t.first}, "")
	return nil
}

// times are seconds.
type times struct{ first, best, median float64 }

// timed calls a function once, and then so many times.
func timed(calls int, do func() error) (times, error) {
	var taken []float64
	for range calls + 1 {
		start := time.Now()
		if err := do(); err != nil {
			return times{}, err
		}
		taken = append(taken, time.Since(start).Seconds())
	}
	first, rest := taken[0], slices.Sorted(slices.Values(taken[1:]))
	return times{first, rest[0], rest[len(rest)/2]}, nil
}

const rowReading = "32 pixels, moved and mirrored"

// reading is how many images a second the processor reads, without any network.
func reading(ctx context.Context, w *worker) error {
	data, err := w.data(ctx, 2048)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		name    string
		side    int
		augment images.Augment
	}{{rowReading, 32, images.PadCropFlip(4)}, {"224 pixels, random crops", 224, images.RandomResizedCrop()}} {
		const most = 3 * time.Second
		l := images.Loader{Images: data.Train, BatchSize: 256, Size: c.side, Normalization: data.Normalization, Augment: c.augment, Shuffle: true}
		if w.small {
			l.BatchSize = 32
		}
		start, count := time.Now(), 0
		for b, err := range l.Batches(ctx, 0, 0) {
			if err != nil {
				return err
			}
			if count += len(b.Labels); time.Since(start) > most {
				break
			}
		}
		w.row(c.name, map[string]float64{"images_per_s": float64(count) / time.Since(start).Seconds()}, data.Source)
	}
	return nil
}

// comparatorSteps times what a search does.
func comparatorSteps(_ context.Context, w *worker) error {
	all := []steps.Step{
		steps.Training("Quick", comparator.Quick()),
		steps.Scoring(w.cells),
		steps.Policy(search.Released().PolicyBatch),
		steps.Training("Released", comparator.Released()),
		steps.Training("Paper", comparator.Paper()),
		steps.Policy(search.Quick().PolicyBatch),
	}
	if w.small {
		all = all[:3]
	}
	for _, s := range all {
		do, err := s.On(w.backend)
		if err != nil {
			return err
		}
		calls := w.calls
		if s.Name == steps.Scoring(w.cells).Name {
			calls = 2
		}
		t, err := timed(calls, func() error { _, err := do(); return err })
		if err != nil {
			return err
		}
		w.row(s.Name, map[string]float64{"time_ms": 1000 * t.median, "first_s": t.first}, "")
	}
	return nil
}

// searches runs a search with so many seeds, all at the same time on one device.
func (w *worker) searches(ctx context.Context, seeds int) error {
	table, err := datasets.OpenNASBench101(ctx, "")
	if err != nil {
		return err
	}
	name := fmt.Sprintf("search, %d side by side", seeds)
	if seeds == 1 {
		name = "search"
	}
	var waiting sync.WaitGroup
	var mu sync.Mutex
	var took, test []float64
	var failed error
	start := time.Now()
	for seed := range seeds {
		waiting.Go(func() {
			c := w.search
			c.Seed = uint64(seed + 1)
			// A run directory of another run would have the result already.
			root := filepath.Join(w.runs, fmt.Sprintf("search-%d-%d", seeds, start.UnixNano()))
			found, err := search.CTNAS(ctx, root, search.Problem{Backend: w.backend, Benchmark: table.Benchmark()}, c)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
				return
			}
			accuracy, err := table.Report().Test(found.Best)
			if err != nil {
				failed = err
			}
			took, test = append(took, time.Since(start).Seconds()), append(test, 100*accuracy)
			all := slices.Max(took)
			w.row(name, map[string]float64{
				"seconds": all, "hours": all / 3600, "queries": float64(found.Queries), "test_accuracy": mean(test),
			}, fmt.Sprintf("%d of %d have ended; %s", len(took), seeds, table.Source().Kind))
		})
	}
	waiting.Wait()
	return failed
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}
