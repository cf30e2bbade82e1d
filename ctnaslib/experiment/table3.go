package experiment

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gomlx/compute"
	"gonum.org/v1/gonum/stat"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/nn"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/ctnaslib/supernet"
	"github.com/ctnas/ctnas/ctnaslib/train"
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
	Alone   supernet.ScratchConfig
	Held    int // images that a cell is evaluated on with shared weights
	Images  int // that a cell is trained on in an epoch
	Trained int // of the cells, whose steps of training are timed
}

// table3Config is Table 3 at the size of a preset.
func table3Config(p Preset, classes int) Table3Config {
	if p == Small {
		return Table3Config{Cells: 100, Repeats: 51, Held: 64, Images: 640, Trained: 2,
			Shared: supernet.Small(supernet.ENAS, classes), Alone: supernet.SmallScratch(classes)}
	}
	alone := supernet.ProxyScratch()
	alone.Epochs = supernet.BenchmarkScratch().Epochs
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

// Table3 returns the paper's Table 3: the time to rank 100 architectures, from their graphs
// to their order. The models take turns, warm, on one backend; time_ms is the median,
// and speedup how many times as fast as ReNAS. What they have learned does not matter
// for their speed, so they are not trained. Then come the two ways with images, whose
// networks are smaller than the paper's (source proxy): evaluating each cell with
// ENAS's shared weights, and training each from scratch, which is extrapolated from
// steps of some of them. Watch, if set, is told of each turn.
func Table3(ctx context.Context, table *datasets.NASBench101, set *images.Set, backend compute.Backend, c Table3Config, watch train.Watch) (report.Result, error) {
	start := time.Now()
	cells, err := table.Benchmark().Sample(engine.Stream(1, heldOutStream, 0), c.Cells)
	if err != nil {
		return report.Result{}, err
	}
	contestants, err := table3Contestants(ctx, table.Benchmark(), backend)
	if err != nil {
		return report.Result{}, err
	}
	times, err := c.timed(ctx, contestants, cells, watch)
	if err != nil {
		return report.Result{}, err
	}
	result := newResultOn("table3", table.Benchmark(), backend, 1, c, table3Versions())
	for i, contestant := range contestants {
		result.Rows = append(result.Rows, report.Row{
			Method: contestant.name, Paper: map[string]float64{"time_ms": contestant.paper},
			Metrics: map[string]float64{"time_ms": times[i]},
		})
	}
	slow, err := c.withImages(ctx, backend, set, cells)
	if err != nil {
		return report.Result{}, err
	}
	result.Rows = append(result.Rows, slow...)
	for _, row := range result.Rows {
		row.Metrics["speedup"] = times[0] / row.Metrics["time_ms"]
	}
	result.Elapsed = time.Since(start).Seconds()
	return result, result.Check()
}

// table3Versions returns the versions of all that is timed.
func table3Versions() rundir.Versions {
	return search.ReleasedRegression().Versions().With(comparator.Paper().Versions(), supernet.Versions())
}

// table3Run is Table 3 as a single unit: what takes turns cannot be cut.
type table3Run struct{ runner[report.Result] }

// whole measures again each time: what is stored is of another moment, and is for [Plan.Collect].
func (r *table3Run) whole(ctx context.Context) (report.Result, error) {
	return r.tasks[0].run(ctx, r.watch)
}

// contestant is a model whose time to rank is measured.
type contestant struct {
	name   string
	ranker space.Ranker
	paper  float64 // milliseconds
}

// table3Contestants returns the models, ReNAS first, with random weights.
func table3Contestants(ctx context.Context, b space.Benchmark, backend compute.Backend) ([]contestant, error) {
	labelled, err := search.Label(ctx, b, 2, 1) // ReNAS scales its features by those of labelled cells
	if err != nil {
		return nil, err
	}
	renas, err := search.NewReNASPredictor(backend, b.Space(), labelled, search.ReleasedReNASPredictor())
	if err != nil {
		return nil, err
	}
	paper, err := comparator.New(backend, b.Space(), comparator.Paper())
	if err != nil {
		return nil, err
	}
	released, err := comparator.New(backend, b.Space(), comparator.Released())
	return []contestant{{nameReNAS, renas, paperReNASTime}, {namePaper, paper, paperNACTime}, {nameReleased, released, paperNACTime}}, err
}

// timed returns the median times, in milliseconds, in which the contestants rank the cells, in turns.
func (c Table3Config) timed(ctx context.Context, contestants []contestant, cells []space.Arch, watch train.Watch) ([]float64, error) {
	const warmUp = 3
	times := make([][]float64, len(contestants))
	for turn := range warmUp + c.Repeats {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("experiment: table3 was stopped; run it again: %w", err)
		}
		for i, contestant := range contestants {
			begin := time.Now()
			if _, err := space.Rank(contestant.ranker, cells); err != nil {
				return nil, err
			}
			if turn >= warmUp {
				times[i] = append(times[i], 1000*time.Since(begin).Seconds())
			}
		}
		watch.Tell(train.Progress{Done: turn + 1, Total: warmUp + c.Repeats})
	}
	medians := make([]float64, len(times))
	for i, all := range times {
		slices.Sort(all)
		medians[i] = stat.Quantile(0.5, stat.Empirical, all, nil)
	}
	return medians, nil
}

// withImages returns the rows of ENAS and of training from scratch.
func (c Table3Config) withImages(ctx context.Context, backend compute.Backend, set *images.Set, cells []space.Arch) ([]report.Row, error) {
	data, err := nn.NewData(set, c.Held)
	if err != nil {
		return nil, err
	}
	net, err := supernet.New(backend, data, c.Shared)
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
		alone, err := supernet.NewScratch(backend, data, cell.(nasbench101.Cell), c.Alone)
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
			Note: fmt.Sprintf("Extrapolated from the median step of %d cells to %d epochs of %d images of %d pixels, with %d channels.", c.Trained, c.Alone.Epochs, c.Images, c.Alone.Side, c.Alone.Channels),
		},
	}, nil
}

var table3 = Entry{
	plan: func(ctx context.Context, o planning) (plannedRun, error) {
		table, err := datasets.OpenNASBench101(ctx, "")
		if err != nil {
			return nil, err
		}
		set, err := images.Open(ctx, "")
		if err != nil {
			return nil, err
		}
		c := table3Config(o.preset, len(set.Classes))
		data, err := nn.NewData(set, c.Held)
		if err != nil {
			return nil, err
		}
		identity, err := data.Identity()
		if err != nil {
			return nil, err
		}
		r := &table3Run{runner[report.Result]{id: "table3", root: o.root, backend: o.backend, parallel: 1, watch: o.watch,
			values: func(report.Result) map[string]float64 { return nil }}}
		r.tasks = []task[report.Result]{{name: "all models, in turns", seed: 1,
			key: rundir.Key{
				Step: "table3", Algorithms: table3Versions(), Config: c, Backend: engine.Fingerprint(o.backend),
				Data: map[string]string{"benchmark": space.Identity(table.Benchmark()), "images": identity},
			},
			run: func(ctx context.Context, watch train.Watch) (report.Result, error) {
				return Table3(ctx, table, set, o.backend, c, watch)
			}}}
		r.assemble = func(context.Context) (report.Result, error) {
			result := r.outcomes[r.tasks[0].name][0]
			result.Config, result.Elapsed = c, 0 // which is not read back as what it was
			r.account(&result)
			return result, result.Check()
		}
		return r, nil
	},
	timing:   true,
	memory:   1200,
	settings: func(p Preset) (any, int) { return table3Config(p, cifar10Classes), 1 },
	Columns:  []report.Column{report.TimeMS, report.Speedup},
	Figures:  func(r report.Result) []report.Figure { return nil },
}

// cifar10Classes is for how many classes networks are made at the paper's size.
const cifar10Classes = 10
