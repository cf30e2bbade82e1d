// Package experiment holds the paper's tables, figures and ablations as values:
// methods × seeds over a benchmark, run side by side, resumable, and written down
// with the paper's numbers beside. Each folder of figures is a file of its name.
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
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	"github.com/gomlx/compute"
	"gonum.org/v1/gonum/stat"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/metric"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/train"
)

// Experiment compares methods on a benchmark.
type Experiment struct {
	ID      string // of the folder in figures, such as "table4"
	Methods []Method
	Seeds   int         // each method is run with the seeds 1 to Seeds
	Compare [][2]string // names of methods to test against each other, seed by seed: in accuracy and, where both rank, in Kendall's tau
	Tested  []string    // names of further metrics to test them in, where both have them
	Metrics []Metric    // of one's own, beside those of the data

	wrong error // with the preset that it was made for
}

// heldOutStream is the purpose of the random numbers that choose held-out architectures.
const heldOutStream = "experiment: held out"

// heldOut is the number of further cells that Kendall's tau is measured on (Sec. 5.1).
const heldOut = 100

// outcome is what a method reached with one seed. It is stored in a run directory.
type outcome struct {
	Best     string             `json:"best"`
	Accuracy float64            `json:"accuracy"`          // of the best, as reported, in percent
	KTau     *float64           `json:"ktau"`              // none for a search that ranks nothing
	Metrics  map[string]float64 `json:"metrics,omitempty"` // of the data and the experiment, and what was examined
	Ranks    []float64          `json:"ranks,omitempty"`   // of a method with ranked: see [examineRanking]
	Curve    []float64          `json:"curve,omitempty"`   // of a search at any time: Accuracy after each of [budgets]
	Queries  int                `json:"queries"`
}

// Run runs every method with every seed, as many seeds at a time as there are
// processors, and puts the results together. A seed that was finished before, in
// this experiment or another, is not run again; one that was interrupted continues.
// Watch, if set, is told of each finished search, and of the steps of those that are under way as
// stages. The errors are those of the searches and of the run directories, and ctx's.
func (e Experiment) Run(ctx context.Context, root string, data Data, backend compute.Backend, watch train.Watch) (report.Result, error) {
	r, err := e.runner(root, data, backend, watch)
	if err != nil {
		return report.Result{}, err
	}
	return r.whole(ctx)
}

// Plan cuts the experiment into units, which run in run directories under root. Watch, if set, is told of what [Plan.Run]
// does. The error says what the experiment lacks.
func (e Experiment) Plan(root string, data Data, backend compute.Backend, watch train.Watch) (*Plan, error) {
	r, err := e.runner(root, data, backend, watch)
	if err != nil {
		return nil, err
	}
	return newPlan(r), nil
}

// check says, before hours of searches, what keeps their results from being compared.
func (e Experiment) check() error {
	switch {
	case e.wrong != nil:
		return e.wrong
	case e.ID == "":
		return errors.New("experiment: the experiment has no ID; give it a name")
	case e.Seeds < 1:
		return fmt.Errorf("experiment: %s needs at least one seed, not %d", e.ID, e.Seeds)
	}
	seeds := make(map[string]int) // that a method is run with
	for i, m := range e.Methods {
		if m.Name == "" {
			return fmt.Errorf("experiment: method %d of %s has no name", i+1, e.ID)
		}
		if _, twice := seeds[m.Name]; twice {
			return fmt.Errorf("experiment: %s has two methods named %q; give each its own name", e.ID, m.Name)
		}
		switch seeds[m.Name] = e.Seeds; {
		case !m.runs():
			seeds[m.Name] = 0
		case m.OneSeed:
			seeds[m.Name] = 1
		}
	}
	if !slices.ContainsFunc(e.Methods, Method.runs) {
		return fmt.Errorf("experiment: %s has no method to run", e.ID)
	}
	for _, names := range e.Compare {
		for _, name := range names {
			switch n, ok := seeds[name]; {
			case !ok:
				return fmt.Errorf("experiment: %s compares %q, which is none of its methods: %s", e.ID, name, strings.Join(e.names(), ", "))
			case n != e.Seeds:
				return fmt.Errorf("experiment: %s compares %q, which is run with %d of the %d seeds; compare methods that are run with all", e.ID, name, n, e.Seeds)
			}
		}
	}
	return nil
}

// names returns the names of the methods.
func (e Experiment) names() []string {
	var names []string
	for _, m := range e.Methods {
		names = append(names, m.Name)
	}
	return names
}

// runner returns the experiment's tasks.
func (e Experiment) runner(root string, data Data, backend compute.Backend, watch train.Watch) (*runner[outcome], error) {
	switch err := e.check(); {
	case err != nil:
		return nil, err
	case data.Benchmark == nil:
		return nil, fmt.Errorf("experiment: %s has no benchmark to be run on; its data needs one", e.ID)
	case backend == nil:
		return nil, fmt.Errorf("experiment: %s has no backend; open one with engine.Open", e.ID)
	case data.Report != nil && data.ReportOf == "":
		return nil, fmt.Errorf("experiment: the data of %s does not say what it reports, and results of other accuracies would be taken for these; set ReportOf", e.ID)
	}
	data.Metrics = append(slices.Clone(data.Metrics), e.Metrics...)
	r := &runner[outcome]{id: e.ID, data: about(data.Benchmark.Space().Name(), data.Benchmark.Source()), root: root, backend: backend, parallel: runtime.GOMAXPROCS(0), watch: watch,
		values: func(o outcome) map[string]float64 { return map[string]float64{"accuracy": o.Accuracy} }}
	for seed := uint64(1); seed <= uint64(e.Seeds); seed++ {
		shared := e.comparators(seed)
		for _, c := range shared {
			t, err := c.task(root, data, backend, seed)
			if err != nil {
				return nil, err
			}
			r.shared = append(r.shared, t)
		}
		// One method after another: those of the same seed share trained comparators.
		for _, m := range e.Methods {
			if !m.runs() || m.OneSeed && seed > 1 {
				continue
			}
			t, err := m.task(root, e.ID, data, backend, seed)
			if err != nil {
				return nil, err
			}
			for _, c := range shared {
				if slices.Contains(c.methods, m.Name) {
					t.shares = c.name()
				}
			}
			r.tasks = append(r.tasks, t)
		}
	}
	r.assemble = func(context.Context) (report.Result, error) { return e.result(r, data, backend) }
	return r, nil
}

// task returns the method with a seed.
func (m Method) task(root, experiment string, data Data, backend compute.Backend, seed uint64) (task[outcome], error) {
	benchmark, err := m.labels(data)
	if err != nil {
		return task[outcome]{}, err
	}
	var metrics []string
	for _, metric := range data.Metrics {
		metrics = append(metrics, metric.Name)
	}
	key := rundir.Key{
		Step: "outcome", Algorithms: m.versions(experiment), Backend: engine.Fingerprint(backend),
		Config: map[string]any{"config": m.Config, "seed": seed, "epochs": m.Epochs, "anytime": m.Anytime, "held_out": heldOut, "metrics": metrics, "probed": m.probed, "ranked": m.ranked},
		Data:   map[string]string{"benchmark": space.Identity(benchmark), "report": data.ReportOf},
	}
	return task[outcome]{name: m.Name, seed: seed, key: key, run: func(ctx context.Context, watch train.Watch) (outcome, error) {
		problem := search.Problem{Backend: backend, Benchmark: benchmark, Watch: watch}
		if m.probed > 0 {
			problem.Probe = data.sampleProbe(m.probed)
		}
		found, err := m.Find(ctx, root, problem, seed)
		if err != nil {
			return outcome{}, err
		}
		if r, ok := found.Ranker.(interface{ Release() }); ok {
			defer r.Release() // to the search with the next seed
		}
		return m.judge(found, data, seed)
	}}, nil
}

// labels returns the benchmark that the method's labels are of.
func (m Method) labels(data Data) (space.Benchmark, error) {
	benchmark := data.Benchmark
	if m.Epochs != 0 {
		if data.At == nil {
			return nil, fmt.Errorf("experiment: %s needs networks trained for %d epochs, which the data has none of", m.Name, m.Epochs)
		}
		var err error
		if benchmark, err = data.At(m.Epochs); err != nil {
			return nil, err
		}
	}
	if m.reported {
		benchmark = reportedLabels{benchmark, data}
	}
	return benchmark, nil
}

// judge measures what a search with a seed found.
func (m Method) judge(found *search.Found, data Data, seed uint64) (outcome, error) {
	o := outcome{Best: found.Best.String(), Queries: found.Queries, Metrics: make(map[string]float64)}
	accuracy, err := data.accuracy(found.Best)
	if err != nil {
		return o, err
	}
	o.Accuracy = 100 * accuracy
	if m.probed > 0 {
		if err := data.samples(found, m.probed, seed, o.Metrics); err != nil {
			return o, err
		}
	}
	if m.ranked {
		if o.Ranks, err = examineRanking(found, data, o.Metrics); err != nil {
			return o, err
		}
	}
	for _, metric := range data.Metrics {
		value, err := metric.Measure(found, seed)
		if errors.Is(err, ErrNotMeasured) {
			continue
		}
		if err != nil {
			return o, err
		}
		o.Metrics[metric.Name] = value
	}
	if m.Anytime {
		if o.Curve, err = anytime(found.Labelled, data); err != nil {
			return o, err
		}
	}
	if found.Ranker == nil {
		return o, nil
	}
	others, accuracies, err := data.heldOut(engine.Stream(seed, heldOutStream, 0), heldOut, space.Archs(found.Labelled))
	if err != nil || len(others) < 2 {
		return o, err
	}
	utilities, err := found.Ranker.Utilities(others)
	if err != nil {
		return o, err
	}
	tau, err := metric.KendallTau(utilities, accuracies)
	switch {
	case err == nil:
		o.KTau = &tau
	case !errors.Is(err, metric.ErrTied): // where all are tied there is no order to compare with
		return o, err
	}
	return o, data.orderNearTop(o.Metrics, found, seed)
}

// result puts the outcomes of all methods and seeds together.
func (e Experiment) result(r *runner[outcome], data Data, backend compute.Backend) (report.Result, error) {
	algorithms := rundir.Versions{}
	result := newResultOn(e.ID, data.Benchmark, backend, e.Seeds, e.configs(), algorithms)
	r.account(&result)
	if data.ReportOf != "" {
		result.Data += "; reported: " + data.ReportOf
	}
	for _, m := range e.Methods {
		row := report.Row{Method: m.Name}
		if m.runs() {
			maps.Copy(algorithms, m.versions(e.ID))
		}
		if outcomes := r.outcomes[m.Name]; len(outcomes) > 0 {
			row = rowOf(m.Name, outcomes, data.Metrics)
			row.Seeds = r.seedsOf(m.Name, e.Seeds)
		}
		row.Paper, row.Note = m.Paper, m.Note
		result.Rows = append(result.Rows, row)
	}
	if e.Seeds == 1 {
		return result, result.Check()
	}
	for _, names := range e.Compare {
		if len(r.missing) > 0 && min(len(r.outcomes[names[0]]), len(r.outcomes[names[1]])) < e.Seeds {
			continue
		}
		metrics := []string{"accuracy"}
		if r.outcomes[names[0]][0].KTau != nil && r.outcomes[names[1]][0].KTau != nil {
			metrics = append(metrics, "ktau")
		}
		for _, name := range e.Tested {
			_, first := r.outcomes[names[0]][0].Metrics[name]
			if _, second := r.outcomes[names[1]][0].Metrics[name]; first && second {
				metrics = append(metrics, name)
			}
		}
		for _, name := range metrics {
			test, err := result.Compare(names[0], names[1], name)
			if err != nil {
				return report.Result{}, err
			}
			result.Tests = append(result.Tests, test)
		}
	}
	return result, result.Check()
}

// configs returns the configurations of the methods that are run, by name.
func (e Experiment) configs() map[string]any {
	configs := make(map[string]any)
	for _, m := range e.Methods {
		if m.runs() {
			configs[m.Name] = m.Config
		}
	}
	return configs
}

// rowOf returns the row of a method.
func rowOf(method string, outcomes []outcome, metrics []Metric) report.Row {
	perSeed, reduced, queries := make(map[string][]float64), make(map[string]float64), 0
	for _, o := range outcomes {
		perSeed["accuracy"] = append(perSeed["accuracy"], o.Accuracy)
		if o.KTau != nil {
			perSeed["ktau"] = append(perSeed["ktau"], *o.KTau)
		}
		queries = max(queries, o.Queries)
	}
	for name := range outcomes[0].Metrics {
		var values []float64
		for _, o := range outcomes {
			if value, ok := o.Metrics[name]; ok {
				values = append(values, value)
			}
		}
		i := slices.IndexFunc(metrics, func(m Metric) bool { return m.Name == name })
		switch {
		case len(values) < len(outcomes): // not measured of all
		case i < 0 || metrics[i].Reduce == nil:
			perSeed[name] = values
		default:
			reduced[name] = metrics[i].Reduce(values)
		}
	}
	row := report.NewRow(method, perSeed)
	maps.Copy(row.Metrics, reduced)
	row.Metrics["queries"] = float64(queries)
	if len(outcomes[0].Curve) > 0 {
		row.Curves = curveOf(outcomes, queries)
	}
	if len(outcomes[0].Ranks) > 0 {
		row.Curves = map[string][]float64{curveRanks: outcomes[0].Ranks}
	}
	return row
}

// budgets returns the numbers of queries at which a curve has a point: 1, 2, 5, 10, 20, …
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

// anytime returns the accuracy, in percent, of the best label after each of the budgets.
func anytime(labelled []space.Labelled, data Data) ([]float64, error) {
	var curve []float64
	best := 0
	for i, l := range labelled {
		if l.Accuracy > labelled[best].Accuracy {
			best = i
		}
		if slices.Contains(budgets(len(labelled)), i+1) {
			accuracy, err := data.accuracy(labelled[best].Arch)
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

// curveOf returns the mean and the standard deviation of a search's curves over its seeds. One
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
