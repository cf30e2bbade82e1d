// Package experiment holds the paper's tables, figures and ablations as values:
// methods × seeds over a benchmark, run side by side, resumable, and written down
// with the paper's numbers beside.
//
//	data := experiment.NASBench101(table)
//	result, err := experiment.Table4(experiment.Small).Run(ctx, "runs", data, backend, nil)
//	result.Table(report.Accuracy) // what was measured, and the paper's
//
// It is the only package that sees both a search and the test accuracy of what the
// search found.
package experiment

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/gomlx/compute"
	"golang.org/x/sync/errgroup"
	"gonum.org/v1/gonum/stat"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/metric"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/datasets"
)

// Method is a row of a table: a search that is run with many seeds.
type Method struct {
	Name  string
	Note  string             // a sentence for the reader, if it takes one
	Paper map[string]float64 // the paper's numbers, by the names of [report.Row]

	// Config is what the search is a function of, but for the seed: a plain value. What this
	// package's own methods computed is shared by all of the same Config, also between experiments; a
	// method with a Search of its own shares nothing with methods of another name or experiment.
	Config any

	// Epochs is how long the networks behind the labels were trained, one of
	// [datasets.Epochs]; 0 is the full budget.
	Epochs int

	// Anytime says that the search could stop after any query, and answer the best label
	// so far: the row gets the curve of what that reaches.
	Anytime bool

	// Once says that the method is run with the first seed only: its answer is given, not
	// found, or hardly depends on the seed.
	Once bool

	// Search runs the method with a seed, in run directories under root. It is for
	// methods of one's own: those that functions of this package make have a search without it.
	// A method that has neither has only the paper's numbers.
	Search func(ctx context.Context, root string, p search.Problem, seed uint64) (*search.Found, error)

	own *ownSearch // of this package
}

// ownSearch is a search of package search, with the versions of what it runs.
type ownSearch struct {
	run      func(ctx context.Context, root string, p search.Problem, seed uint64) (*search.Found, error)
	versions rundir.Versions
}

// Find runs the method's search with a seed, in run directories under root. The errors are the
// search's; a method that has only the paper's numbers has none to run.
func (m Method) Find(ctx context.Context, root string, p search.Problem, seed uint64) (*search.Found, error) {
	switch {
	case m.Search != nil:
		return m.Search(ctx, root, p, seed)
	case m.own != nil:
		return m.own.run(ctx, root, p, seed)
	}
	return nil, fmt.Errorf("experiment: %s has only the paper's numbers, and no search to run", m.Name)
}

// runs says whether the method has a search.
func (m Method) runs() bool { return m.Search != nil || m.own != nil }

// CTNAS is Alg. 1 as a method.
func CTNAS(name string, config search.Config, paper map[string]float64) Method {
	m := method(name, config, search.CTNAS, func(c *search.Config) *uint64 { return &c.Seed })
	m.Paper = paper
	return m
}

// randomSearch is [search.Random] as a method.
func randomSearch(name string, labels int) Method {
	return method(name, search.RandomConfig{Labels: labels}, search.Random, func(c *search.RandomConfig) *uint64 { return &c.Seed })
}

// activeSearch is [search.Active] as a method.
func activeSearch(name string, config search.ActiveConfig) Method {
	return method(name, config, search.Active, func(c *search.ActiveConfig) *uint64 { return &c.Seed })
}

// method is a search with a configuration, in which seed finds the seed.
func method[C interface{ Versions() rundir.Versions }](name string, config C, run func(ctx context.Context, root string, p search.Problem, config C) (*search.Found, error), seed func(*C) *uint64) Method {
	return Method{Name: name, Config: config, own: &ownSearch{
		run: func(ctx context.Context, root string, p search.Problem, n uint64) (*search.Found, error) {
			c := config
			*seed(&c) = n
			return run(ctx, root, p, c)
		},
		versions: config.Versions(),
	}}
}

// Data is what an experiment is measured on: a benchmark for the searches and, where
// no search sees it, what architectures really reach.
type Data interface {
	// Source says where the data came from.
	Source() datasets.Source

	// Benchmark makes a benchmark that has counted no query yet, of networks trained
	// for the given number of epochs, 0 for all. The error says that it has no such.
	Benchmark(epochs int) (space.Benchmark, error)

	// Accuracy is what is reported of an architecture, in [0, 1].
	Accuracy(a space.Arch) (float64, error)

	// HeldOut draws n distinct architectures, none of them in exclude, with their
	// accuracies: what Kendall's tau is measured on.
	HeldOut(rng *rand.Rand, n int, exclude []space.Arch) ([]space.Arch, []float64, error)
}

// Ranked is [Data] that knows the accuracy of every architecture.
type Ranked interface {
	Data

	// RankPercent is the rank of an architecture by accuracy, in percent of their number.
	RankPercent(a space.Arch) (float64, error)
}

// Costed is [Data] whose architectures have known costs.
type Costed interface {
	Data

	// MAdds are the multiply-adds of an architecture's network for one image.
	MAdds(a space.Arch) (int64, error)
}

// NASBench101 is a NAS-Bench-101 table as [Ranked] data: searches see validation
// accuracies, what is reported are test accuracies.
func NASBench101(table *datasets.NASBench101) Data { return nasBench101{table.Report(), table} }

type nasBench101 struct {
	*datasets.Report
	table *datasets.NASBench101
}

func (n nasBench101) Source() datasets.Source                { return n.table.Source() }
func (n nasBench101) Accuracy(a space.Arch) (float64, error) { return n.Test(a) }

func (n nasBench101) Benchmark(epochs int) (space.Benchmark, error) {
	if epochs == 0 {
		return n.table.Benchmark(), nil
	}
	return n.table.BenchmarkAt(epochs)
}

// Experiment compares methods on a benchmark.
type Experiment struct {
	ID      string // of the folder in figures, such as "table4"
	Methods []Method
	Seeds   int         // each method is run with the seeds 1 to Seeds
	Compare [][2]string // names of methods to test against each other, seed by seed: in accuracy and, where both rank, in Kendall's tau
}

// heldOutStream is the purpose of the random numbers that choose held-out architectures.
const heldOutStream = "experiment: held out"

// heldOut is the number of further cells that Kendall's tau is measured on (Sec. 5.1).
const heldOut = 100

// outcome is what a method reached with one seed. It is stored in a run directory.
type outcome struct {
	Best     string    `json:"best"`
	Accuracy float64   `json:"accuracy"`          // of the best, as reported, in percent
	Rank     *float64  `json:"rank_percent"`      // none where the data is not [Ranked]
	KTau     *float64  `json:"ktau"`              // none for a search that ranks nothing
	MAdds    *float64  `json:"madds_m,omitempty"` // millions, of the best, where the data is [Costed]
	Curve    []float64 `json:"curve,omitempty"`   // of a search at any time: Accuracy after each of [budgets]
	Queries  int       `json:"queries"`
	Seconds  float64   `json:"seconds"` // of the process that finished it
}

// Run runs every method with every seed, as many seeds at a time as there are
// processors, and puts the results together. A seed that was finished before, in
// this experiment or another, is not run again; one that was interrupted continues.
// Watch, if set, is told of each finished search, and of the steps of those that are under way as
// stages. The errors are those of the
// searches and of the run directories, and ctx's.
func (e Experiment) Run(ctx context.Context, root string, data Data, backend compute.Backend, watch rundir.Watch) (report.Result, error) {
	if e.Seeds < 1 {
		return report.Result{}, fmt.Errorf("experiment: %s needs at least one seed, not %d", e.ID, e.Seeds)
	}
	outcomes := make(map[string][]outcome) // by method, in the order of the seeds
	for _, m := range e.Methods {
		outcomes[m.Name] = make([]outcome, e.runs(m))
	}
	progress := &progress{watch: watch, total: e.total()}
	seeds, ctx := errgroup.WithContext(ctx)
	seeds.SetLimit(runtime.GOMAXPROCS(0))
	for i := range e.Seeds {
		seeds.Go(func() error {
			// One method after another: those of the same seed share trained comparators.
			for _, m := range e.Methods {
				if i >= e.runs(m) {
					continue
				}
				found, err := m.run(ctx, root, e.ID, data, backend, uint64(i+1), progress.of(m.Name, i+1))
				if err != nil {
					return fmt.Errorf("experiment: %s, %s with seed %d: %w", e.ID, m.Name, i+1, err)
				}
				outcomes[m.Name][i] = found
				progress.finished(found)
			}
			return nil
		})
	}
	if err := seeds.Wait(); err != nil {
		return report.Result{}, err
	}
	return e.result(outcomes, data, backend)
}

// runs is with how many seeds a method is run.
func (e Experiment) runs(m Method) int {
	switch {
	case !m.runs():
		return 0
	case m.Once:
		return 1
	}
	return e.Seeds
}

// total is how many searches are run.
func (e Experiment) total() int {
	total := 0
	for _, m := range e.Methods {
		total += e.runs(m)
	}
	return total
}

// progress tells a watch of searches that run side by side.
type progress struct {
	watch rundir.Watch
	total int

	mu   sync.Mutex
	done int
}

// of is the watch of one search.
func (p *progress) of(method string, seed int) rundir.Watch {
	watch := p.watch.Stage(fmt.Sprintf("%s, seed %d", method, seed))
	return func(step rundir.Progress) {
		if step.Stage == "" {
			step.Stage = "step"
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		watch.Tell(step)
	}
}

// finished counts a search.
func (p *progress) finished(o outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	p.watch.Tell(rundir.Progress{Done: p.done, Total: p.total, Values: map[string]float64{"accuracy": o.Accuracy}})
}

// run returns what the method reached with a seed, from its run directory if it is there.
func (m Method) run(ctx context.Context, root, experiment string, data Data, backend compute.Backend, seed uint64, watch rundir.Watch) (outcome, error) {
	benchmark, err := data.Benchmark(m.Epochs)
	if err != nil {
		return outcome{}, err
	}
	return rundir.Once(root, rundir.Key{
		Step: "outcome", Algorithms: m.versions(experiment), Backend: engine.Fingerprint(backend),
		Config: map[string]any{
			"kind": fmt.Sprintf("%T", m.Config), "config": m.Config, "seed": seed, "epochs": m.Epochs,
			"anytime": m.Anytime, "held_out": heldOut,
		},
		Data: map[string]string{"benchmark": space.Identity(benchmark), "report": data.Source().Description},
	}, func(*rundir.Run) (outcome, error) { return m.search(ctx, root, data, benchmark, backend, seed, watch) })
}

// versions are those of what the method runs. A search that is not this package's is known by its
// name alone.
func (m Method) versions(experiment string) rundir.Versions {
	own := rundir.Versions{"outcome": 1}
	if m.Search != nil {
		return own.With(rundir.Versions{fmt.Sprintf("method %s of %s", m.Name, experiment): 1})
	}
	return own.With(m.own.versions)
}

// search runs the method with a seed, and looks up what it found.
func (m Method) search(ctx context.Context, root string, data Data, benchmark space.Benchmark, backend compute.Backend, seed uint64, watch rundir.Watch) (outcome, error) {
	var o outcome
	start := time.Now()
	found, err := m.Find(ctx, root, search.Problem{Backend: backend, Benchmark: benchmark, Watch: watch}, seed)
	if err != nil {
		return o, err
	}
	o.Best, o.Queries, o.Seconds = found.Best.String(), found.Queries, time.Since(start).Seconds()
	if o.Accuracy, err = data.Accuracy(found.Best); err != nil {
		return o, err
	}
	o.Accuracy *= 100
	if ranked, ok := data.(Ranked); ok {
		rank, err := ranked.RankPercent(found.Best)
		if err != nil {
			return o, err
		}
		o.Rank = &rank
	}
	if costed, ok := data.(Costed); ok {
		count, err := costed.MAdds(found.Best)
		if err != nil {
			return o, err
		}
		millions := float64(count) / 1e6
		o.MAdds = &millions
	}
	if m.Anytime {
		if o.Curve, err = anytime(found.Labelled, data); err != nil {
			return o, err
		}
	}
	if found.Ranker != nil {
		others, tests, err := data.HeldOut(engine.Stream(seed, heldOutStream, 0), heldOut, comparator.Archs(found.Labelled))
		if err != nil {
			return o, err
		}
		utilities, err := found.Ranker.Utilities(others)
		if err != nil {
			return o, err
		}
		tau, err := metric.KendallTau(utilities, tests)
		if err != nil {
			return o, err
		}
		o.KTau = &tau
	}
	if r, ok := found.Ranker.(interface{ Release() }); ok {
		r.Release() // to the search with the next seed
	}
	return o, nil
}

// result puts the outcomes of all methods and seeds together.
func (e Experiment) result(outcomes map[string][]outcome, data Data, backend compute.Backend) (report.Result, error) {
	benchmark, err := data.Benchmark(0)
	if err != nil {
		return report.Result{}, err
	}
	algorithms := rundir.Versions{}
	result := newResult(e.ID, benchmark.Space().Name(), string(data.Source().Kind), space.Identity(benchmark), backend, e.Seeds, e.configs(), algorithms)
	for _, m := range e.Methods {
		row := report.Row{Method: m.Name}
		if m.runs() {
			maps.Copy(algorithms, m.versions(e.ID))
			row = rowOf(m.Name, outcomes[m.Name])
			if m.Once {
				row.Seeds = 1
			}
			for _, o := range outcomes[m.Name] {
				result.Elapsed += o.Seconds
			}
		}
		row.Paper, row.Note = m.Paper, m.Note
		result.Rows = append(result.Rows, row)
	}
	if e.Seeds > 1 {
		for _, names := range e.Compare {
			metrics := []string{"accuracy"}
			if outcomes[names[0]][0].KTau != nil && outcomes[names[1]][0].KTau != nil {
				metrics = append(metrics, "ktau")
			}
			for _, name := range metrics {
				test, err := result.Compare(names[0], names[1], name)
				if err != nil {
					return report.Result{}, err
				}
				result.Tests = append(result.Tests, test)
			}
		}
	}
	return result, result.Check()
}

// configs are the configurations of the methods that are run, by name.
func (e Experiment) configs() map[string]any {
	configs := make(map[string]any)
	for _, m := range e.Methods {
		if m.runs() {
			configs[m.Name] = m.Config
		}
	}
	return configs
}

// budgets are the numbers of queries at which a curve has a point: 1, 2, 5, 10, 20, …
// and all.
func budgets(all int) []int {
	var counts []int
	for ten := 1; ten < all; ten *= 10 {
		for _, n := range []int{ten, 2 * ten, 5 * ten} {
			if n < all {
				counts = append(counts, n)
			}
		}
	}
	return append(counts, all)
}

// anytime is the accuracy, in percent, of the best label after each of the budgets.
func anytime(labelled []comparator.Labelled, data Data) ([]float64, error) {
	var curve []float64
	best := 0
	for i, l := range labelled {
		if l.Accuracy > labelled[best].Accuracy {
			best = i
		}
		if slices.Contains(budgets(len(labelled)), i+1) {
			accuracy, err := data.Accuracy(labelled[best].Arch)
			if err != nil {
				return nil, err
			}
			curve = append(curve, 100*accuracy)
		}
	}
	return curve, nil
}

// The names of [report.Row.Curves] of a search at any time.
const (
	curveQueries  = "queries"
	curveAccuracy = "accuracy_mean" // after so many queries, in percent
	curveSpread   = "accuracy_std"
)

func rowOf(method string, outcomes []outcome) report.Row {
	perSeed := make(map[string][]float64)
	ranks, madds, queries := []float64{}, []float64{}, 0
	for _, o := range outcomes {
		perSeed["accuracy"] = append(perSeed["accuracy"], o.Accuracy)
		if o.KTau != nil {
			perSeed["ktau"] = append(perSeed["ktau"], *o.KTau)
		}
		if o.Rank != nil {
			ranks = append(ranks, *o.Rank)
		}
		if o.MAdds != nil {
			madds = append(madds, *o.MAdds)
		}
		queries = max(queries, o.Queries)
	}
	row := report.NewRow(method, perSeed)
	if len(madds) > 0 {
		row.Metrics["madds_m"] = stat.Mean(madds, nil)
	}
	if len(outcomes[0].Curve) > 0 {
		row.Curves = curveOf(outcomes, queries)
	}
	if len(ranks) > 0 {
		row.Metrics["best_rank_percent"] = slices.Min(ranks)
	}
	row.Metrics["queries"] = float64(queries)
	return row
}

// curveOf is the mean and the standard deviation of a search's curves over its seeds. One
// that ended early stays where it was.
func curveOf(outcomes []outcome, queries int) map[string][]float64 {
	curves := make(map[string][]float64)
	for i, n := range budgets(queries) {
		var values []float64
		for _, o := range outcomes {
			values = append(values, o.Curve[min(i, len(o.Curve)-1)])
		}
		mean, spread := stat.Mean(values, nil), 0.0
		if len(values) > 1 {
			spread = stat.StdDev(values, nil)
		}
		curves[curveQueries] = append(curves[curveQueries], float64(n))
		curves[curveAccuracy], curves[curveSpread] = append(curves[curveAccuracy], mean), append(curves[curveSpread], spread)
	}
	return curves
}
