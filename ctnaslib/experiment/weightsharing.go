package experiment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/ctnas/ctnas/ctnaslib/ctnas"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/metric"
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

// Sharing is the rows of Table 1 that train shared weights on images instead of asking
// the benchmark: each method ends in a cell, whose test accuracy is looked up. Beside
// them stand CTNAS on labels of shared weights (Alg. 1 without any table), and one cell
// trained alone.
type Sharing struct {
	Nets       []supernet.Config // the methods
	CTNAS      ctnas.Config      // on the labels of the first method
	Alone      supernet.ScratchConfig
	Images     int // the most training images, and test images, to use; 0 is all
	Validation int // training images held out
	Seeds      int // each method is run with the seeds 1 to Seeds

	wrong error // with the preset that it was made for
}

// sharingMethods are the methods. SPOS stands first, as its labels serve CTNAS.
var sharingMethods = []supernet.Method{supernet.SPOS, supernet.FairNAS, supernet.ENAS, supernet.DARTS, supernet.FBNet}

// WeightSharing returns the experiment of [Sharing]: at the size Small in a minute or two, on images of 8
// pixels, where nothing is learned; else at the size of [supernet.Proxy].
func WeightSharing(p Preset, classes int) Sharing {
	s := Sharing{CTNAS: p.sized(ctnas.Released()), Alone: supernet.ProxyScratch(), Validation: 2048, Seeds: 3, wrong: p.Check()}
	if p == Small {
		s.Alone, s.Images, s.Validation, s.Seeds = supernet.SmallScratch(classes), 640, 64, 1
		s.CTNAS.Labels, s.CTNAS.Iterations = 20, 4
	}
	for _, m := range sharingMethods {
		c := supernet.Proxy(m)
		if p == Small {
			c = supernet.Small(m, classes)
		}
		s.Nets = append(s.Nets, c)
	}
	return s
}

// aloneCell is trained alone: the cell of the official example of NAS-Bench-101
// (google-research/nasbench, README).
const aloneCell = "111010000010001100011:BAAAM"

const (
	nameSharedCTNAS = "CTNAS (labels of SPOS)"
	nameAlone       = "one cell alone"
)

// sharingOutcome is what a method reached with one seed. It is stored in a run directory.
type sharingOutcome struct {
	Cell     string               `json:"cell"`
	Accuracy float64              `json:"accuracy"`           // of the cell, looked up, in percent
	Rank     float64              `json:"rank_percent"`       // of the cell, looked up
	KTau     *float64             `json:"ktau"`               // of shared and benchmark accuracy of other cells
	NearTop  map[string]float64   `json:"near_top,omitempty"` // of the same cells
	Network  float64              `json:"network"`            // test accuracy of the network here, in percent
	Curves   map[string][]float64 `json:"curves"`
}

// Run trains every network with every seed, one after another, in run directories under
// root: a network on images keeps all processors busy, and two at a time get less done. What
// was done before is not done again. How many images training takes in a second is measured
// at the end. Watch, if set, is told of each outcome.
func (s Sharing) Run(ctx context.Context, root string, table *datasets.NASBench101, set *images.Set, backend compute.Backend, watch train.Watch) (report.Result, error) {
	r, err := s.runner(root, table, set, backend, watch)
	if err != nil {
		return report.Result{}, err
	}
	return r.whole(ctx)
}

// Plan cuts the experiment into units, as [Experiment.Plan] does.
func (s Sharing) Plan(root string, table *datasets.NASBench101, set *images.Set, backend compute.Backend, watch train.Watch) (*Plan, error) {
	r, err := s.runner(root, table, set, backend, watch)
	if err != nil {
		return nil, err
	}
	return newPlan(r), nil
}

func (s Sharing) runner(root string, table *datasets.NASBench101, set *images.Set, backend compute.Backend, watch train.Watch) (*sharingRun, error) {
	switch {
	case s.wrong != nil:
		return nil, s.wrong
	case s.Seeds < 1:
		return nil, fmt.Errorf("experiment: weight sharing needs at least one seed, not %d", s.Seeds)
	case table == nil:
		return nil, errors.New("experiment: weight sharing has no table to look cells up in; open one with datasets.OpenNASBench101")
	case set == nil:
		return nil, errors.New("experiment: weight sharing has no images to train on; open some with images.Open")
	case backend == nil:
		return nil, errors.New("experiment: weight sharing has no backend; open one with engine.Open")
	}
	data, err := someImages(set, s.Images, s.Validation)
	if err != nil {
		return nil, err
	}
	identity, err := data.Identity()
	if err != nil {
		return nil, err
	}
	r := &sharingRun{Sharing: s, table: table, data: data, images: identity}
	r.runner = runner[sharingOutcome]{id: "weightsharing", data: about(nasbench101.Space{}.Name(), string(r.source())), root: root, backend: backend, parallel: 1, watch: watch, assemble: r.result,
		values: func(o sharingOutcome) map[string]float64 {
			return map[string]float64{"accuracy": o.Accuracy, "network": o.Network}
		}}
	r.tasks = []task[sharingOutcome]{r.task(nameAlone, 1, s.Alone, r.alone)}
	for seed := uint64(1); seed <= uint64(s.Seeds); seed++ {
		for _, c := range s.Nets {
			c.Seed = seed
			r.tasks = append(r.tasks, r.task(string(c.Method), seed, c, func(ctx context.Context, watch train.Watch) (sharingOutcome, error) { return r.share(ctx, c, watch) }))
		}
		first := s.Nets[0]
		first.Seed = seed
		both := map[string]any{"supernet": first, "search": s.CTNAS}
		r.tasks = append(r.tasks, r.task(nameSharedCTNAS, seed, both, func(ctx context.Context, watch train.Watch) (sharingOutcome, error) {
			return r.ctnas(ctx, first, watch)
		}))
		r.sharing(first)
	}
	return r, nil
}

// sharing makes the training of a network, which its own method and CTNAS begin with, a unit.
func (r *sharingRun) sharing(c supernet.Config) {
	shared := r.task(fmt.Sprintf("the network of %s", c.Method), c.Seed, c, func(ctx context.Context, watch train.Watch) (sharingOutcome, error) {
		_, err := r.train(ctx, c, watch)
		return sharingOutcome{}, err
	})
	r.shared = append(r.shared, shared)
	for i, t := range r.tasks {
		if t.seed == c.Seed && (t.name == string(c.Method) || t.name == nameSharedCTNAS) {
			r.tasks[i].shares = shared.name
		}
	}
}

// someImages returns so many images of each part of a set, 0 for all, of which some are held
// out to validate on.
func someImages(set *images.Set, count, validation int) (*nn.Data, error) {
	some := *set
	for _, part := range []*images.Images{&some.Train, &some.Test} {
		if count == 0 || part.Len() <= count {
			continue
		}
		var err error
		if _, *part, err = part.HoldOut(count, 0); err != nil {
			return nil, err
		}
	}
	return nn.NewData(&some, validation)
}

// sharingRun is a Sharing at work.
type sharingRun struct {
	Sharing
	table  *datasets.NASBench101
	data   *nn.Data
	images string // [nn.Data.Identity]
	runner[sharingOutcome]
}

// versions returns the versions of all that the experiment runs.
func (r *sharingRun) versions() rundir.Versions {
	versions := supernet.Versions().With(r.CTNAS.Versions(), search.Versions(), rundir.Versions{"sharing": 1})
	for _, c := range r.Nets {
		versions = versions.With(c.Versions())
	}
	return versions
}

// task returns a row with a seed.
func (r *sharingRun) task(name string, seed uint64, config any, run func(context.Context, train.Watch) (sharingOutcome, error)) task[sharingOutcome] {
	return task[sharingOutcome]{name: name, seed: seed, run: run, key: rundir.Key{
		Step: "sharing", Algorithms: r.versions(), Backend: engine.Fingerprint(r.backend),
		Config: map[string]any{"name": name, "config": config, "seed": seed, "held_out": heldOut},
		Data:   map[string]string{"images": r.images, "benchmark": space.Identity(r.table.Benchmark())},
	}}
}

// pace is how fast a network trains.
type pace struct {
	PerSecond float64 `json:"images_per_s"`
	FLOPs     float64 `json:"flops"` // forward, for one image
}

// measured returns the pace of a network, measured once and then stored. For a network and the
// size of its batches it takes its FLOPs and the time of a step.
func (r *sharingRun) measured(name string, config any, batchSize int, measure func() (flops float64, step time.Duration, err error)) (pace, error) {
	return rundir.Once(r.root, rundir.Key{
		Step: "pace", Algorithms: r.versions(), Backend: engine.Fingerprint(r.backend),
		Config: map[string]any{"name": name, "config": config},
		Data:   map[string]string{"images": r.images},
	}, func(*rundir.Run) (pace, error) {
		flops, step, err := measure()
		return pace{float64(batchSize) / step.Seconds(), flops}, err
	})
}

// pacedSteps are the steps of training whose time is taken.
const pacedSteps = 50

// sharedPace returns the pace of a network with shared weights.
func (r *sharingRun) sharedPace(ctx context.Context, c supernet.Config) (pace, error) {
	c.Seed = 1
	return r.measured(string(c.Method), c, c.BatchSize, func() (float64, time.Duration, error) {
		net, err := supernet.New(r.backend, r.data, c)
		if err != nil {
			return 0, 0, err
		}
		flops, err := net.FLOPs(r.backend)
		if err != nil {
			return 0, 0, err
		}
		step, err := net.StepTime(ctx, min(pacedSteps, c.Steps))
		return flops, step, err
	})
}

// alonePace returns the pace of the lone cell.
func (r *sharingRun) alonePace(ctx context.Context) (pace, error) {
	return r.measured(nameAlone, r.Alone, r.Alone.BatchSize, func() (float64, time.Duration, error) {
		cell, err := nasbench101.Parse(aloneCell)
		if err != nil {
			return 0, 0, err
		}
		net, err := supernet.NewScratch(r.backend, r.data, cell, r.Alone)
		if err != nil {
			return 0, 0, err
		}
		flops, err := r.Alone.FLOPs(r.backend, cell)
		if err != nil {
			return 0, 0, err
		}
		step, err := net.StepTime(ctx, pacedSteps)
		return float64(flops), step, err
	})
}

func (r *sharingRun) train(ctx context.Context, c supernet.Config, watch train.Watch) (*supernet.Trained, error) {
	return supernet.Train(ctx, r.root, supernet.Training{Backend: r.backend, Data: r.data, Config: c, Watch: watch.Stage("round")})
}

// share trains shared weights by a method, and looks up the cell that it ends in.
func (r *sharingRun) share(ctx context.Context, c supernet.Config, watch train.Watch) (sharingOutcome, error) {
	trained, err := r.train(ctx, c, watch)
	if err != nil {
		return sharingOutcome{}, err
	}
	cell, _, err := trained.Net.Best(ctx)
	if err != nil {
		return sharingOutcome{}, err
	}
	o := sharingOutcome{Curves: curves(trained.Metrics)}
	if err := r.lookUp(&o, cell); err != nil {
		return o, err
	}
	if o.Network, err = trained.Net.Test(ctx, cell); err != nil {
		return o, err
	}
	o.Network *= 100
	others, tests, err := r.table.Report().HeldOut(engine.Stream(c.Seed, heldOutStream, 0), heldOut, nil)
	if err != nil {
		return o, err
	}
	shared, err := trained.Net.Ranker(ctx).Utilities(others)
	if err != nil {
		return o, err
	}
	tau, err := metric.KendallTau(shared, tests)
	if err != nil {
		return o, err
	}
	o.KTau = &tau
	if o.NearTop, err = nearTop(shared, tests); err != nil {
		return o, err
	}
	for i := range tests {
		o.Curves["cells_benchmark"] = append(o.Curves["cells_benchmark"], 100*tests[i])
		o.Curves["cells_shared"] = append(o.Curves["cells_shared"], 100*shared[i])
	}
	return o, nil
}

// ctnas runs Alg. 1 on labels of shared weights.
func (r *sharingRun) ctnas(ctx context.Context, c supernet.Config, watch train.Watch) (sharingOutcome, error) {
	trained, err := r.train(ctx, c, watch)
	if err != nil {
		return sharingOutcome{}, err
	}
	config := r.CTNAS
	config.Seed = c.Seed
	found, err := ctnas.Search(ctx, trained.Dir, search.Problem{Backend: r.backend, Benchmark: trained.Benchmark(ctx), Watch: watch.Stage("search")}, config)
	if err != nil {
		return sharingOutcome{}, err
	}
	cell := found.Best.(nasbench101.Cell)
	var o sharingOutcome
	if err := r.lookUp(&o, cell); err != nil {
		return o, err
	}
	o.Network, err = trained.Net.Test(ctx, cell)
	o.Network *= 100
	return o, err
}

// alone trains one cell from scratch.
func (r *sharingRun) alone(ctx context.Context, watch train.Watch) (sharingOutcome, error) {
	cell, err := nasbench101.Parse(aloneCell)
	if err != nil {
		return sharingOutcome{}, err
	}
	config := r.Alone
	config.Seed = 1
	trained, err := supernet.TrainFromScratch(ctx, r.root, supernet.ScratchTraining{Backend: r.backend, Data: r.data, Cell: cell, Config: config, Watch: watch.Stage("round")})
	if err != nil {
		return sharingOutcome{}, err
	}
	o := sharingOutcome{Curves: curves(trained.Metrics)}
	if err := r.lookUp(&o, cell); err != nil {
		return o, err
	}
	o.Network, err = trained.Net.Test(ctx)
	o.Network *= 100
	return o, err
}

// lookUp notes what the benchmark says of a cell.
func (r *sharingRun) lookUp(o *sharingOutcome, c nasbench101.Cell) (err error) {
	o.Cell = c.String()
	truth := r.table.Report()
	if o.Accuracy, err = truth.Test(c); err != nil {
		return err
	}
	o.Accuracy *= 100
	o.Rank, err = truth.RankPercent(c)
	return err
}

// curves returns the metrics of a training by name, each over the rounds.
func curves(metrics []rundir.Metrics) map[string][]float64 {
	all := make(map[string][]float64)
	for _, m := range metrics {
		for name, v := range m.Values {
			all[name] = append(all[name], v)
		}
	}
	return all
}

// source is that of the networks, or that of the cells' accuracies where these are not real.
func (r *sharingRun) source() datasets.Kind {
	if kind := r.table.Source().Kind; kind != datasets.Real {
		return kind
	}
	return datasets.Proxy
}

// result puts the outcomes together. The curves of a row are those of the first seed.
func (r *sharingRun) result(ctx context.Context) (report.Result, error) {
	result := newResult("weightsharing", nasbench101.Space{}.Name(), string(r.source()), r.images+"; "+space.Identity(r.table.Benchmark()), r.backend, r.Seeds,
		map[string]any{"experiment": r.Sharing, "images": r.data.Source, "table": r.table.Source().Description}, r.versions())
	r.account(&result)
	peak, err := matrixFLOPs(r.backend)
	if err != nil {
		return result, err
	}
	paced := func(row report.Row, p pace) report.Row {
		row.Metrics["images_per_s"], row.Metrics["peak_percent"] = p.PerSecond, 100*3*p.FLOPs*p.PerSecond/peak
		return row
	}
	for _, c := range r.Nets {
		if len(r.outcomes[string(c.Method)]) == 0 {
			continue // they are missing
		}
		p, err := r.sharedPace(ctx, c)
		if err != nil {
			return result, err
		}
		result.Rows = append(result.Rows, paced(r.row(string(c.Method)), p))
	}
	if len(r.outcomes[nameSharedCTNAS]) > 0 {
		result.Rows = append(result.Rows, r.row(nameSharedCTNAS))
	}
	if len(r.outcomes[nameAlone]) == 0 {
		return result, result.Check()
	}
	alone := r.row(nameAlone)
	alone.Seeds, alone.Note = 1, "The cell of the benchmark's official example, trained by itself."
	p, err := r.alonePace(ctx)
	if err != nil {
		return result, err
	}
	result.Rows = append(result.Rows, paced(alone, p))
	return result, result.Check()
}

// row returns the row of a method.
func (r *sharingRun) row(name string) report.Row {
	perSeed, ranks := map[string][]float64{}, []float64{}
	for _, o := range r.outcomes[name] {
		perSeed["accuracy"] = append(perSeed["accuracy"], o.Accuracy)
		perSeed["network"] = append(perSeed["network"], o.Network)
		if o.KTau != nil {
			perSeed["ktau"] = append(perSeed["ktau"], *o.KTau)
		}
		for name, value := range o.NearTop {
			perSeed[name] = append(perSeed[name], value)
		}
		ranks = append(ranks, o.Rank)
	}
	row := report.NewRow(name, ofAll(perSeed, len(r.outcomes[name])))
	row.Seeds = r.seedsOf(name, r.Seeds)
	row.Curves, row.Metrics["best_rank_percent"] = r.outcomes[name][0].Curves, slices.Min(ranks)
	for _, m := range Table1(Paper).Methods {
		if m.Name == name {
			row.Paper = m.Paper
		}
	}
	return row
}

// matrixFLOPs returns the floating point operations per second of a product of two matrices
// of 1,024 rows and columns, the best of some.
func matrixFLOPs(backend compute.Backend) (float64, error) {
	const side = 1024
	exec, err := graph.NewExec(backend, func(a *graph.Node) *graph.Node { return graph.ReduceAllSum(graph.MatMul(a, a)) })
	if err != nil {
		return 0, fmt.Errorf("experiment: %w", err)
	}
	a := tensors.FromShape(shapes.Make(dtypes.Float32, side, side))
	best := time.Hour
	for range 10 {
		start := time.Now()
		out, err := exec.Call1(a)
		if err != nil {
			return 0, fmt.Errorf("experiment: %w", err)
		}
		tensors.ToScalar[float32](out)
		best = min(best, time.Since(start))
	}
	return 2 * side * side * side / best.Seconds(), nil
}

// weightSharing shows the experiment: Small and, for all other presets, the proxy's size.
var weightSharing = Entry{
	plan: func(ctx context.Context, o planning) (plannedRun, error) {
		table, err := datasets.OpenNASBench101(ctx, "")
		if err != nil {
			return nil, err
		}
		set, err := images.Open(ctx, "")
		if err != nil {
			return nil, err
		}
		s := WeightSharing(o.preset, len(set.Classes))
		s.Seeds = cmp.Or(o.seeds, s.Seeds)
		for i := range s.Nets {
			s.Nets[i].Devices = o.devices
		}
		s.Alone.Devices = o.devices
		return s.runner(o.root, table, set, o.backend, o.watch)
	},
	images: true, memory: 1200,
	settings: func(p Preset) (any, int) {
		s := WeightSharing(p, cifar10Classes)
		return s, s.Seeds
	},
	Columns: withOrder([]report.Column{report.KTau, report.Accuracy, report.Best, report.Rank, report.Network, report.Images, report.Peak}),
	Figures: sharingFigures,
}

// sharingFigures returns the learning curves, and the accuracy of cells with shared weights
// against the benchmark's.
func sharingFigures(r report.Result) []report.Figure {
	learning := report.Chart{Title: "Weight sharing: learning curves", X: "share of the training (%)", Y: "accuracy on training images (%)"}
	var scatter []report.Figure
	for _, row := range r.Rows {
		if y := row.Curves["accuracy"]; len(y) > 0 {
			s := report.Series{Name: row.Method}
			for i := range y {
				s.X, s.Y = append(s.X, 100*float64(i+1)/float64(len(y))), append(s.Y, 100*y[i])
			}
			learning.Series = append(learning.Series, s)
		}
		if x := row.Curves["cells_benchmark"]; len(x) > 0 && slices.Contains([]string{string(supernet.SPOS), string(supernet.FairNAS)}, row.Method) {
			x, y, note := withoutFailed(x, row.Curves["cells_shared"])
			scatter = append(scatter, report.Figure{Name: "scatter-" + row.Method, Chart: report.Chart{
				Note:  note,
				Title: row.Method + ": accuracy with shared weights and alone", X: "test accuracy in the benchmark (%)", Y: "with shared weights (%)",
				Series: []report.Series{{Name: row.Method, X: x, Y: y, Points: true}},
			}})
		}
	}
	return append([]report.Figure{{Name: "learning", Chart: learning}}, scatter...)
}

// withoutFailed returns the points of cells whose training did not fail, if there are some, and says how many it leaves out: they would
// press all others together.
func withoutFailed(benchmark, shared []float64) (x, y []float64, note string) {
	const failed = 80 // percent
	for i, accuracy := range benchmark {
		if accuracy >= failed {
			x, y = append(x, accuracy), append(y, shared[i])
		}
	}
	if len(x) == 0 || len(x) == len(benchmark) {
		return benchmark, shared, fmt.Sprintf("%d cells.", len(benchmark))
	}
	return x, y, fmt.Sprintf("%d cells; %d more, below %d %% in the benchmark, are left out.", len(x), len(benchmark)-len(x), failed)
}
