package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"golang.org/x/sync/errgroup"
	"gonum.org/v1/gonum/stat"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/ctnas"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/datasets/images"
	"github.com/ctnas/ctnas/measure/steps"
)

// rowProduct stands behind the precision in the name of a peak.
const rowProduct = ", product of matrices"

// peak measures how many floating point operations a second products of matrices and convolutions do, in
// one precision, through GoMLX as in the networks.
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

// reading measures how many images a second the processor reads, without any network.
func reading(ctx context.Context, w *worker) error {
	data, err := w.data(ctx, heldOut)
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
		steps.Training("Released", comparator.Released()),
		steps.Training("Paper", comparator.Paper()),
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
	var running errgroup.Group
	var mu sync.Mutex
	var took, test []float64
	start := time.Now()
	// A run directory of another run would have the result already.
	root := filepath.Join(w.runs, fmt.Sprintf("search-%d-%d", seeds, start.UnixNano()))
	for seed := range seeds {
		running.Go(func() error {
			c := w.search
			c.Seed = uint64(seed + 1)
			found, err := ctnas.Search(ctx, root, search.Problem{Backend: w.backend, Benchmark: table.Benchmark()}, c)
			if err != nil {
				return err
			}
			accuracy, err := table.Report().Test(found.Best)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			took, test = append(took, time.Since(start).Seconds()), append(test, 100*accuracy)
			all := slices.Max(took)
			w.row(name, map[string]float64{
				"seconds": all, "hours": all / 3600, "queries": float64(found.Queries), "test_accuracy": stat.Mean(test, nil),
			}, fmt.Sprintf("%d of %d have ended; %s", len(took), seeds, table.Source().Kind))
			return nil
		})
	}
	return running.Wait()
}
