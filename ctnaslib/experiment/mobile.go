package experiment

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/encoder"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/datasets/ofa"
)

// MobileLimit is the mobile setting of the paper (Sec. 5.2): at most 600M multiply-adds.
const MobileLimit = 600e6

// OFA is the MobileNetV3 space, up to a limit of multiply-adds, with the accuracies that
// OFA's predictor gives, as [Costed] data. There are no others: what is reported of a
// network is what a search may query. The error says what is wrong with the limit.
func OFA(p *ofa.Predictor, limit int64) (Data, error) {
	s, err := mobilenetv3.New(mobilenetv3.OFA(), limit)
	if err != nil {
		return nil, err
	}
	return predicted{p, s}, nil
}

type predicted struct {
	predictor *ofa.Predictor
	space     mobilenetv3.Space
}

var _ Costed = predicted{}

func (p predicted) Source() datasets.Source { return p.predictor.Source() }

func (p predicted) Benchmark(epochs int) (space.Benchmark, error) {
	if epochs != 0 {
		return nil, fmt.Errorf("experiment: OFA's predictor knows no networks trained for %d epochs", epochs)
	}
	return p.predictor.Benchmark(p.space)
}

func (p predicted) net(a space.Arch) (mobilenetv3.Net, error) {
	n, ok := a.(mobilenetv3.Net)
	if !ok {
		return n, fmt.Errorf("experiment: %v is not a network of the MobileNetV3 space", a)
	}
	return n, nil
}

func (p predicted) Accuracy(a space.Arch) (float64, error) {
	n, err := p.net(a)
	if err != nil {
		return 0, err
	}
	return p.predictor.Accuracies([]mobilenetv3.Net{n})[0], nil
}

func (p predicted) MAdds(a space.Arch) (int64, error) {
	n, err := p.net(a)
	if err != nil {
		return 0, err
	}
	return p.space.MAdds(n), nil
}

func (p predicted) HeldOut(rng *rand.Rand, n int, exclude []space.Arch) (archs []space.Arch, accuracies []float64, err error) {
	if archs, err = space.Draw(rng, p.space, n, exclude); err != nil {
		return nil, nil, err
	}
	accuracies = make([]float64, n)
	for i, a := range archs {
		if accuracies[i], err = p.Accuracy(a); err != nil {
			return nil, nil, err
		}
	}
	return archs, accuracies, nil
}

// The methods of the MobileNetV3 space.
const (
	nameAnyNetwork  = "Random network"
	nameBestSampled = "Best sampled"
	nameMobile      = "CTNAS"
	nameGenerations = "Evolution (OFA's)"
	nameRegularised = "Evolution (regularised)"
)

// mobileNAC is the comparator of the authors' code for this space, an MLP of three layers
// on the one-hot vector, with the training of [comparator.Quick].
func (p Preset) mobileNAC() comparator.Config {
	c := comparator.Quick()
	c.GCN, c.MLP = encoder.GCN{}, encoder.MLP{Layers: 3, Width: 512}
	if p == Small {
		c.MLP.Width, c.Epochs = 64, 60
	}
	return c
}

// queriesOf is a number of queries at the size of a preset.
func (p Preset) queriesOf(n int) int {
	if p == Small {
		return max(20, n/10)
	}
	return n
}

// mobile is [search.Quick] with that comparator: how the authors searched this space is
// not in their released code's settings or the paper.
func (p Preset) mobile(name string, queries int) Method {
	c := search.Quick()
	c.Labels, c.NAC = p.queriesOf(queries), p.mobileNAC()
	if p == Small {
		c.Iterations, c.PolicySteps, c.PolicyBatch = 10, 5, 16
	}
	return CTNAS(name, c, nil)
}

// activeMobile is [search.Active] with pools that evolve.
func (p Preset) activeMobile(queries int) Method {
	c := search.ActiveConfig{Labels: p.queriesOf(queries), Rounds: 5, Pool: 3000, Members: 2, Evolved: true, NAC: p.mobileNAC()}
	c.NAC.Antisymmetric, c.NAC.Epochs = true, 60
	if p == Small {
		c.Rounds, c.Pool = 4, 400
	}
	c.First = c.Labels / 5
	return activeOf(c)
}

// activeOf is [search.Active] with pools that evolve, on whatever space.
func activeOf(c search.ActiveConfig) Method {
	m := activeSearch(nameActive, c)
	m.Anytime = true
	m.Note = "Not the paper's: a fifth of the labels are random, the others are bought in rounds, for what an evolution by two comparators ranks highest."
	return m
}

func randomOf(name string, labels int) Method {
	m := randomSearch(name, labels)
	m.Anytime = labels > 1
	return m
}

func (p Preset) generations(queries int) Method {
	m := method(nameGenerations, search.OFAGenerations(p.queriesOf(queries)), search.Generations, func(c *search.GenerationsConfig) *uint64 { return &c.Seed })
	m.Anytime = true
	return m
}

func (p Preset) regularised(queries int) Method {
	labels := p.queriesOf(queries)
	population := min(100, labels/2)
	return evolutionOf(nameRegularised, search.EvolvedConfig{Labels: labels, Population: population, Tournament: min(25, population)})
}

func evolutionOf(name string, c search.EvolvedConfig) Method {
	m := method(name, c, search.Evolution, func(c *search.EvolvedConfig) *uint64 { return &c.Seed })
	m.Anytime = true
	return m
}

// Table2 is the paper's Table 2: networks for ImageNet of at most 600M multiply-adds. Ours
// are found and judged by OFA's accuracy predictor, in place of a supernet of the paper's,
// so their accuracies are not those of ImageNet's validation images, and not to be
// compared with the paper's.
func Table2(p Preset) Experiment {
	paper := func(top1, top5, madds, queries float64) map[string]float64 {
		all := map[string]float64{"top1_mean": top1, "top5_mean": top5, "madds_m": madds, "queries": queries}
		for name, v := range all {
			if v == 0 {
				delete(all, name)
			}
		}
		return all
	}
	only := func(name string, top1, top5, madds, thousands float64) Method {
		return Method{Name: name, Paper: paper(top1, top5, madds, 1000*thousands)}
	}
	labels := p.queriesOf(1000)
	anyNetwork, sampled, ctnas := randomOf(nameAnyNetwork, 1), randomOf(nameBestSampled, labels), p.mobile(nameMobile, 1000)
	anyNetwork.Note = "One random network: what the paper means by random search is not said."
	anyNetwork.Paper = paper(76.0, 92.6, 314, 1000)
	sampled.Paper, ctnas.Paper = paper(76.7, 93.1, 382, 1000), paper(77.3, 93.4, 482, 1000)
	return Experiment{
		ID: "table2", Seeds: p.seeds(),
		Methods: []Method{
			only("MobileNetV2 (1.4×)", 74.7, 0, 585, 0), only("ShuffleNetV2 (2×)", 73.7, 0, 524, 0),
			only("NASNet-A", 74.0, 91.6, 564, 20), only("AmoebaNet-A", 74.5, 92.0, 555, 20),
			only("DARTS", 73.1, 91.0, 595, 19.5), only("P-DARTS", 75.6, 92.6, 577, 11.7),
			only("PC-DARTS", 75.8, 92.7, 597, 3.4), only("CNAS", 75.4, 92.6, 576, 100),
			only("MobileNetV3-Large", 75.2, 0, 219, 0), only("FBNet-C", 74.9, 0, 375, 11.5),
			only("MnasNet-A3", 76.7, 93.3, 403, 8), only("ProxylessNAS", 75.1, 92.3, 465, 0),
			only("OFA", 76.0, 0, 230, 16), only("FBNetV2", 76.3, 92.9, 321, 11.5), only("AtomNAS", 75.9, 92.0, 367, 78),
			anyNetwork, sampled, ctnas, p.generations(1000), p.activeMobile(1000),
		},
		Compare: [][2]string{{nameMobile, nameBestSampled}, {nameMobile, nameAnyNetwork}, {nameMobile, nameGenerations}, {nameActive, nameMobile}, {nameActive, nameGenerations}},
	}
}

// Figure4 is the paper's Figure 4: accuracy against the number of queries, by OFA's
// predictor as in [Table2].
func Figure4(p Preset) Experiment {
	e := Experiment{ID: "figure4", Seeds: p.seeds()}
	for _, queries := range []int{100, 300, 1000} {
		e.Methods = append(e.Methods, p.mobile(fmt.Sprintf("%s, %d queries", nameMobile, p.queriesOf(queries)), queries))
	}
	e.Methods = append(e.Methods, randomOf("Random search", p.queriesOf(10_000)), p.generations(10_000), p.regularised(10_000), p.activeMobile(1000))
	return e
}

// onOFA runs an experiment on the MobileNetV3 space.
func onOFA(make func(Preset) Experiment) func(context.Context, string, compute.Backend, Preset, rundir.Watch) (report.Result, error) {
	return func(ctx context.Context, root string, backend compute.Backend, p Preset, watch rundir.Watch) (report.Result, error) {
		predictor, err := ofa.Open(ctx, "")
		if err != nil {
			return report.Result{}, err
		}
		data, err := OFA(predictor, MobileLimit)
		if err != nil {
			return report.Result{}, err
		}
		return make(p).Run(ctx, root, data, backend, watch)
	}
}

// byPredictor is what OFA's predictor says, a column of its own.
var byPredictor = report.Column{Header: "accuracy by the predictor", Unit: "%", Value: "accuracy_mean", StdDev: "accuracy_std", Digits: 2}

var table2 = Entry{
	Run:      onOFA(Table2),
	Settings: settingsOf(Table2),
	Columns:  []report.Column{byPredictor, report.Best, report.KTau, report.Top1, report.Top5, report.MAdds, report.Queries},
	Figures: func(r report.Result) []report.Figure {
		return []report.Figure{{Name: "accuracy", Chart: r.Chart(byPredictor)}}
	},
}

var figure4 = Entry{
	Run:      onOFA(Figure4),
	Settings: settingsOf(Figure4),
	Columns:  []report.Column{byPredictor, report.Best, report.KTau, report.MAdds, report.Queries},
	Figures: func(r report.Result) []report.Figure {
		return []report.Figure{{Name: "accuracy", Chart: overQueries(r, nameMobile, "accuracy by the predictor (%)")}}
	},
}

// overQueries draws the accuracy over the number of queries: the curves of searches that
// could stop at any time, and one line through the rows of a method with several numbers
// of queries, whose names begin with its name and a comma.
func overQueries(r report.Result, method, label string) report.Chart {
	var fixed report.Series
	var curves []report.Series
	for _, row := range r.Rows {
		switch {
		case strings.HasPrefix(row.Method, method+","):
			fixed.Name = method
			fixed.X = append(fixed.X, row.Metrics["queries"])
			fixed.Y = append(fixed.Y, row.Metrics["accuracy_mean"])
			fixed.Err = append(fixed.Err, row.Metrics["accuracy_std"])
		case len(row.Curves[curveQueries]) > 0:
			curves = append(curves, report.Series{Name: row.Method, X: row.Curves[curveQueries], Y: row.Curves[curveAccuracy], Err: row.Curves[curveSpread]})
		}
	}
	return report.Chart{X: "queries", Y: label, LogX: true, Series: append([]report.Series{fixed}, curves...)}
}

// QueriesToReach is the first point of a row's curve, in queries, at which its mean
// accuracy is at least the given one, in percent; false if it never is, or if the row has
// no curve.
func QueriesToReach(row report.Row, accuracy float64) (queries int, reached bool) {
	for i, y := range row.Curves[curveAccuracy] {
		if y >= accuracy {
			return int(row.Curves[curveQueries][i]), true
		}
	}
	return 0, false
}
