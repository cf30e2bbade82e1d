package experiment

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/predictor"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/ctnaslib/supernet"
	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/datasets/images"
)

// Table3Config says what [Table3] measures.
type Table3Config struct {
	Cells   int // ranked at once
	Repeats int // of which the median counts

	// The networks on images, of which the time to rank is that of evaluating each cell
	// with ENAS's shared weights, and that of training each from scratch.
	Shared  supernet.Config
	Alone   supernet.AloneConfig
	Held    int // images that a cell is evaluated on with shared weights
	Images  int // that a cell is trained on in an epoch
	Trained int // of the cells, whose steps of training are timed
}

// table3Config is Table 3 at the size of a preset.
func table3Config(p Preset, classes int) Table3Config {
	if p == Small {
		return Table3Config{Cells: 100, Repeats: 51, Held: 64, Images: 640, Trained: 2,
			Shared: supernet.Small(supernet.ENAS, classes), Alone: supernet.SmallAlone(classes)}
	}
	alone := supernet.ProxyAlone()
	alone.Epochs = supernet.BenchmarkAlone().Epochs
	return Table3Config{Cells: 100, Repeats: 501, Held: 2048, Images: 40_000, Trained: 10,
		Shared: supernet.Proxy(supernet.ENAS), Alone: alone}
}

// rows of Table 3, and the paper's times in milliseconds.
const (
	nameReNAS       = "ReNAS"
	paperNACTime    = 4.1
	paperReNASTime  = 85.6
	paperENASTime   = 2_700
	paperTrainHours = 5_430
	msPerHour       = 3_600_000
)

// Table3 is the paper's Table 3: the time to rank 100 architectures, from their graphs
// to their order. The models take turns, warm, on one backend; time_ms is the median,
// and speedup how many times as fast as ReNAS. What they have learned does not matter
// for their speed, so they are not trained. Then come the two ways with images, whose
// networks are smaller than the paper's (source proxy): evaluating each cell with
// ENAS's shared weights, and training each from scratch, which is extrapolated from
// steps of some of them. Watch, if set, is told of each turn.
func Table3(ctx context.Context, table *datasets.NASBench101, set *images.Set, backend compute.Backend, c Table3Config, watch rundir.Watch) (report.Result, error) {
	s := table.Benchmark().Space()
	cells, err := table.Benchmark().Sample(engine.Stream(1, heldOutStream, 0), c.Cells)
	if err != nil {
		return report.Result{}, err
	}
	labelled, err := search.Label(ctx, table.Benchmark(), 2, 1) // ReNAS scales its features by those of labelled cells
	if err != nil {
		return report.Result{}, err
	}
	renas, err := predictor.NewReNAS(backend, s, labelled, predictor.ReleasedReNAS())
	if err != nil {
		return report.Result{}, err
	}
	paper, err := comparator.New(backend, s, comparator.Paper())
	if err != nil {
		return report.Result{}, err
	}
	released, err := comparator.New(backend, s, comparator.Released())
	if err != nil {
		return report.Result{}, err
	}
	contestants := []struct {
		name   string
		ranker space.Ranker
		paper  float64
	}{{nameReNAS, renas, paperReNASTime}, {namePaper, paper, paperNACTime}, {nameReleased, released, paperNACTime}}

	start := time.Now()
	times := make([][]float64, len(contestants))
	const warmUp = 3
	for turn := range warmUp + c.Repeats {
		if err := ctx.Err(); err != nil {
			return report.Result{}, fmt.Errorf("experiment: table3 was stopped; run it again: %w", err)
		}
		for i, contestant := range contestants {
			begin := time.Now()
			if _, err := space.Rank(contestant.ranker, cells); err != nil {
				return report.Result{}, err
			}
			if turn >= warmUp {
				times[i] = append(times[i], 1000*time.Since(begin).Seconds())
			}
		}
		watch.Tell(rundir.Progress{Done: turn + 1, Total: warmUp + c.Repeats})
	}
	result := newResult("table3", s.Name(), string(table.Source().Kind), space.Identity(table.Benchmark()), backend, 1, c, predictor.Versions().With(paper.Config().Versions(), supernet.Versions()))
	median := func(values []float64) float64 {
		slices.Sort(values)
		return values[len(values)/2]
	}
	baseline := median(times[0])
	for i, contestant := range contestants {
		m := median(times[i])
		result.Rows = append(result.Rows, report.Row{
			Method: contestant.name, Paper: map[string]float64{"time_ms": contestant.paper},
			Metrics: map[string]float64{"time_ms": m, "speedup": baseline / m},
		})
	}
	slow, err := c.withImages(ctx, backend, set, cells)
	if err != nil {
		return report.Result{}, err
	}
	for i := range slow {
		slow[i].Metrics["speedup"] = baseline / slow[i].Metrics["time_ms"]
	}
	result.Rows, result.Elapsed = append(result.Rows, slow...), time.Since(start).Seconds()
	return result, result.Check()
}

// withImages are the rows of ENAS and of training from scratch.
func (c Table3Config) withImages(ctx context.Context, backend compute.Backend, set *images.Set, cells []space.Arch) ([]report.Row, error) {
	data, err := supernet.NewData(set, c.Held)
	if err != nil {
		return nil, err
	}
	net, err := supernet.NewNet(backend, data, c.Shared)
	if err != nil {
		return nil, err
	}
	if _, err := net.Ranker(ctx).Utilities(cells); err != nil { // compiles what is timed then
		return nil, err
	}
	begin := time.Now()
	if _, err := space.Rank(net.Ranker(ctx), cells); err != nil {
		return nil, err
	}
	shared := time.Since(begin)

	var steps time.Duration
	for _, cell := range cells[:c.Trained] {
		alone, err := supernet.NewAlone(backend, data, cell.(nasbench101.Cell), c.Alone)
		if err != nil {
			return nil, err
		}
		step, err := alone.StepTime(ctx, 15)
		if err != nil {
			return nil, err
		}
		steps += step
	}
	count := float64(c.Alone.Epochs*c.Cells) * float64(c.Images/c.Alone.BatchSize)
	scratch := steps.Seconds() / float64(c.Trained) * count
	return []report.Row{
		{
			Method: "ENAS", Source: string(datasets.Proxy), Seeds: 1,
			Paper: map[string]float64{"time_ms": paperENASTime}, Metrics: map[string]float64{"time_ms": 1000 * shared.Seconds()},
			Note: fmt.Sprintf("Each cell's accuracy on %d images of %d pixels with shared weights of %d channels; once, warm.", c.Held, c.Shared.Side, c.Shared.Channels),
		},
		{
			Method: "training from scratch", Source: string(datasets.Proxy), Seeds: 1,
			Paper: map[string]float64{"time_ms": paperTrainHours * msPerHour}, Metrics: map[string]float64{"time_ms": 1000 * scratch},
			Note: fmt.Sprintf("Extrapolated from the median step of %d cells to %d epochs of %d images of %d pixels, with %d channels: nobody waited for it.", c.Trained, c.Alone.Epochs, c.Images, c.Alone.Side, c.Alone.Channels),
		},
	}, nil
}
