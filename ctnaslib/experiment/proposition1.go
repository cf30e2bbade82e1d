package experiment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"

	"github.com/gomlx/compute"
	"gonum.org/v1/gonum/floats"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/metric"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/risk"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/train"
	"github.com/ctnas/ctnas/datasets"
)

// Proposition1Config says how [Proposition1] trains and what it measures on.
type Proposition1Config struct {
	Seeds      int               // trainings, with seeds 1, 2, …
	Labels     int               // architectures to learn from
	HeldOut    int               // other architectures, whose pairs the risks are measured on
	ProbeEvery int               // epochs from one measurement to the next
	NAC        comparator.Config // the comparator; each training sets its seed
}

// Proposition1At returns the paper's 423 labels and 10 runs, or 2 runs at the size Small, for a lesson. For a preset that
// there is not it is empty, which [Proposition1] refuses.
func Proposition1At(p Preset) Proposition1Config {
	if p.Check() != nil {
		return Proposition1Config{}
	}
	c := Proposition1Config{Seeds: 10, Labels: 423, HeldOut: 1000, ProbeEvery: 10, NAC: comparator.Quick()}
	if p == Small {
		c.Seeds = 2
	}
	return c
}

// Proposition1 trains comparators and measures, before training and after every
// ProbeEvery epochs, the two risks of the paper's Proposition 1 on the pairs of
// held-out architectures, by their test accuracies: see [risk.Pairs]. Each
// number of epochs is a row of the result.
//
// It works in run directories under root. A training that was finished before is
// loaded, one that was interrupted continues. Watch, if set, is told of each training, and of its
// epochs as a stage.
func Proposition1(ctx context.Context, root string, table *datasets.NASBench101, backend compute.Backend, c Proposition1Config, watch train.Watch) (report.Result, error) {
	r, err := c.runner(root, table, backend, watch)
	if err != nil {
		return report.Result{}, err
	}
	return r.whole(ctx)
}

// Plan cuts [Proposition1] into units, as [Experiment.Plan] does.
func (c Proposition1Config) Plan(root string, table *datasets.NASBench101, backend compute.Backend, watch train.Watch) (*Plan, error) {
	r, err := c.runner(root, table, backend, watch)
	if err != nil {
		return nil, err
	}
	return newPlan(r), nil
}

// nameTrainings are the tasks of [Proposition1].
const nameTrainings = "comparator"

func (c Proposition1Config) runner(root string, table *datasets.NASBench101, backend compute.Backend, watch train.Watch) (*runner[[]map[string]float64], error) {
	switch {
	case c.Seeds == 0 && c.Labels == 0:
		return nil, fmt.Errorf("experiment: Proposition 1 has an empty configuration, as Proposition1At gives for no preset that there is; take %q or %q", Small, Paper)
	case table == nil:
		return nil, errors.New("experiment: Proposition 1 has no table to be measured on; open one with datasets.OpenNASBench101")
	case backend == nil:
		return nil, errors.New("experiment: Proposition 1 has no backend; open one with engine.Open")
	}
	if c.Seeds < 1 || c.HeldOut < 2 || c.ProbeEvery < 1 || c.ProbeEvery > c.NAC.Epochs {
		return nil, fmt.Errorf("experiment: Proposition 1 needs at least 1 seed, 2 held-out architectures, and a measurement every 1 to %d epochs, not %d, %d and %d",
			c.NAC.Epochs, c.Seeds, c.HeldOut, c.ProbeEvery)
	}
	r := &runner[[]map[string]float64]{id: "proposition1", data: about(table.Benchmark().Space().Name(), table.Benchmark().Source()), root: root, backend: backend, parallel: 1, watch: watch,
		values: func(risks []map[string]float64) map[string]float64 { return risks[len(risks)-1] }}
	for seed := uint64(1); seed <= uint64(c.Seeds); seed++ {
		own := c
		own.Seeds, own.NAC.Seed = 1, seed // how many others there are does not matter
		key := rundir.Key{
			Step: "proposition1", Algorithms: c.versions(), Config: own, Backend: engine.Fingerprint(backend),
			Data: map[string]string{"benchmark": space.Identity(table.Benchmark())},
		}
		r.tasks = append(r.tasks, task[[]map[string]float64]{name: nameTrainings, seed: seed, key: key, run: func(ctx context.Context, watch train.Watch) ([]map[string]float64, error) {
			return own.measure(ctx, filepath.Join(root, "proposition1"), table, backend, watch)
		}})
	}
	r.assemble = func(context.Context) (report.Result, error) { return c.result(r, table, backend) }
	return r, nil
}

// result puts the risks together.
func (c Proposition1Config) result(r *runner[[]map[string]float64], table *datasets.NASBench101, backend compute.Backend) (report.Result, error) {
	result := newResultOn(r.id, table.Benchmark(), backend, c.Seeds, c, c.versions())
	r.account(&result)
	measured := make([]map[string][]float64, c.NAC.Epochs/c.ProbeEvery+1)
	for i := range measured {
		measured[i] = make(map[string][]float64)
		for _, risks := range r.outcomes[nameTrainings] {
			for name, value := range risks[i] {
				measured[i][name] = append(measured[i][name], value)
			}
		}
	}
	for i, perSeed := range measured {
		row := report.NewRow(epochs(i*c.ProbeEvery), ofAll(perSeed, len(r.outcomes[nameTrainings])))
		row.Seeds = r.seedsOf(nameTrainings, c.Seeds)
		result.Rows = append(result.Rows, row)
	}
	if c.Seeds > 1 && len(r.missing) == 0 {
		for _, risk := range []string{"bce_risk", "ranking_risk"} {
			test, err := result.Compare(epochs(0), epochs(c.NAC.Epochs/c.ProbeEvery*c.ProbeEvery), risk)
			if err != nil {
				return report.Result{}, err
			}
			result.Tests = append(result.Tests, test)
		}
	}
	return result, result.Check()
}

// epochs names a row.
func epochs(n int) string {
	if n == 1 {
		return "after 1 epoch"
	}
	return fmt.Sprintf("after %d epochs", n)
}

// measure trains a NAC with the seed of its configuration in run directories under root, and returns the
// risks before training, then at each measurement.
func (c Proposition1Config) measure(ctx context.Context, root string, table *datasets.NASBench101, backend compute.Backend, watch train.Watch) ([]map[string]float64, error) {
	seed, benchmark := c.NAC.Seed, table.Benchmark()
	labelled, err := search.Label(ctx, benchmark, c.Labels, seed)
	if err != nil {
		return nil, err
	}
	others, accuracies, err := table.Report().HeldOut(engine.Stream(seed, heldOutStream, 0), c.HeldOut, space.Archs(labelled))
	if err != nil {
		return nil, err
	}
	probe := func(n comparator.Comparator) (map[string]float64, error) { return probeRisks(n, others, accuracies) }
	untrained, err := comparator.New(backend, benchmark.Space(), c.NAC)
	if err != nil {
		return nil, err
	}
	before, err := probe(untrained)
	if err != nil {
		return nil, err
	}
	trained, err := comparator.Train(ctx, root, comparator.Training{
		Backend: backend, Space: benchmark.Space(), Labelled: labelled, Config: c.NAC,
		Probe: comparator.Probe{Key: "risks and order near the top on " + comparator.DigestOf(others, accuracies), Measure: probe}, ProbeEvery: c.ProbeEvery, Watch: watch.Stage("epoch"),
	})
	if err != nil {
		return nil, err
	}
	risks := []map[string]float64{before}
	for _, m := range trained.Metrics {
		if (m.Step+1)%c.ProbeEvery == 0 {
			delete(m.Values, "loss")
			risks = append(risks, m.Values)
		}
	}
	return risks, nil
}

// versions returns the versions of the algorithms behind the two risks.
func (c Proposition1Config) versions() rundir.Versions {
	return c.NAC.Versions().With(search.Versions(), rundir.Versions{"proposition1": 2})
}

func probeRisks(n comparator.Scorer, archs []space.Arch, accuracies []float64) (map[string]float64, error) {
	scores, err := n.Scores(archs)
	if err != nil {
		return nil, err
	}
	bce, ranking, err := risk.Pairs(scores, accuracies)
	if err != nil {
		return nil, err
	}
	utilities := make([]float64, len(scores))
	for i, s := range scores {
		utilities[i] = s.Utility()
	}
	tau, err := metric.KendallTau(utilities, accuracies)
	if err != nil {
		return nil, err
	}
	values, err := nearTop(utilities, accuracies)
	if err != nil {
		return nil, err
	}
	values["bce_risk"], values["ranking_risk"], values["ktau"] = bce, 100*ranking, tau
	return values, nil
}

// Proposition1Columns are the columns of the result's table.
var Proposition1Columns = withOrder([]report.Column{
	{Header: "cross-entropy", Unit: "nats", Value: "bce_risk_mean", StdDev: "bce_risk_std", Digits: 3,
		About: "mean over all ordered pairs of held-out cells."},
	{Header: "pairs in the wrong order", Unit: "%", Value: "ranking_risk_mean", StdDev: "ranking_risk_std", Digits: 2,
		About: "the share of these pairs for which the comparator prefers the cell of lower test accuracy."},
	report.KTau,
})

// Proposition1Figures draws the result: "cross-entropy" and "order", the two risks over the epochs, and "bound",
// one against the other during training. The cross-entropy is in bits there, since
// in bits it is never below the share of pairs in the wrong order.
func Proposition1Figures(r report.Result) []report.Figure {
	var bce, ranking report.Series
	each := report.Series{Name: "measured during training", Points: true}
	for _, row := range r.Rows {
		var epoch float64
		if _, err := fmt.Sscanf(row.Method, "after %f epoch", &epoch); err != nil {
			continue
		}
		var bits []float64
		for _, nats := range row.PerSeed["bce_risk"] {
			bits = append(bits, nats/math.Ln2)
		}
		bce.Summarise(epoch, bits)
		ranking.Summarise(epoch, row.PerSeed["ranking_risk"])
		if epoch == 0 {
			continue // untrained networks lie far from all others
		}
		each.X = append(each.X, bits...)
		for _, percent := range row.PerSeed["ranking_risk"] {
			each.Y = append(each.Y, percent/100)
		}
	}
	most := floats.Max(append(each.X, 1))
	bound := report.Series{Name: "bound", X: []float64{0, most}, Y: []float64{0, most}, Reference: true}
	return []report.Figure{
		{Name: "cross-entropy", Chart: report.Chart{
			Title: "Cross-entropy of held-out pairs", Note: medianNote(r), X: "epochs", Y: "cross-entropy (bits)", Series: []report.Series{bce},
		}},
		{Name: "order", Chart: report.Chart{
			Title: "Held-out pairs in the wrong order", Note: medianNote(r), X: "epochs", Y: "pairs in the wrong order (%)", Series: []report.Series{ranking},
		}},
		{Name: "bound", Chart: report.Chart{
			Title: "Proposition 1: one risk against the other", X: "cross-entropy (bits)", Y: "share in the wrong order", Series: []report.Series{each, bound},
		}},
	}
}

var proposition1 = Entry{
	plan: func(ctx context.Context, o planning) (plannedRun, error) {
		table, err := datasets.OpenNASBench101(ctx, "")
		if err != nil {
			return nil, err
		}
		c := Proposition1At(o.preset)
		c.Seeds, c.Labels = cmp.Or(o.seeds, c.Seeds), cmp.Or(o.labels, c.Labels)
		return c.runner(o.root, table, o.backend, o.watch)
	},
	settings: func(p Preset) (any, int) {
		c := Proposition1At(p)
		return c, c.Seeds
	},
	labelled: true,
	Columns:  Proposition1Columns,
	Figures:  Proposition1Figures,
}
