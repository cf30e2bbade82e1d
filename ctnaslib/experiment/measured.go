package experiment

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/metric"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/datasets/ofa"
	"github.com/ctnas/ctnas/datasets/ofa/top1"
)

// MeasuredRankings returns a comparison on accuracies that were measured on ImageNet: how well NAC and regressions order the networks of
// [Measured] that they have no labels of, by the number of labels, and how well OFA's predictor does without any.
func MeasuredRankings(p Preset) Experiment {
	labels := []int{50, 100, 300, 1000}
	if p == Small {
		labels = []int{20, 50, 100}
	}
	e := Experiment{ID: "measured", Seeds: p.seeds(), Tested: []string{tauOf100}}
	nac := p.mobileNAC()
	regression := search.RegressionPredictorConfig{
		GCN: nac.GCN, Encoder: nac.Encoder, Epochs: nac.Epochs, BatchSize: nac.BatchSize,
		LearningRate: nac.LearningRate, Beta1: nac.Beta1, Beta2: nac.Beta2, WeightDecay: nac.WeightDecay,
	}
	ridge := top1.Default()
	for _, m := range labels {
		name := func(method string) string { return fmt.Sprintf("%s, %d labels", method, m) }
		e.Methods = append(e.Methods,
			orderOf(name(nameOrderNAC), OrderConfig{Labels: m, NAC: &nac}),
			orderOf(name(nameOrderRegression), OrderConfig{Labels: m, Regression: &regression}),
			orderOf(name(nameOrderRidge), OrderConfig{Labels: m, Ridge: &ridge}))
		if m == labels[0] {
			e.Methods[len(e.Methods)-1].Note = "With every number of labels: two of its settings, the limit and the share of pairs, were chosen on these same networks, with all of their labels."
		}
		e.Compare = append(e.Compare, [2]string{name(nameOrderNAC), name(nameOrderRegression)}, [2]string{name(nameOrderNAC), name(nameOrderRidge)})
	}
	predictor := orderOf(nameOrderPredictor, OrderConfig{})
	predictor.OneSeed = true
	predictor.Note = "It was trained by OFA's authors on sub-networks of the supernet of width 1.2, with labels of its own."
	e.Methods = append(e.Methods, predictor)
	return p.checked(e)
}

// The methods of [MeasuredRankings], in rows with their number of labels.
const (
	nameOrderNAC        = "NAC"
	nameOrderRegression = "Regression"
	nameOrderRidge      = "Ridge on pairs of choices"
	nameOrderPredictor  = "OFA's predictor of width 1.2, no labels"
)

// OrderConfig says how networks of a table are ordered: by what is trained on the labels of some of them, which is the one field of NAC,
// Regression and Ridge that is set, else by OFA's predictor. Those of one seed have the same labels.
type OrderConfig struct {
	Labels     int
	NAC        *comparator.Config                `json:",omitempty"`
	Regression *search.RegressionPredictorConfig `json:",omitempty"` // a network like NAC's
	Ridge      *top1.Config                      `json:",omitempty"` // a linear model of choices and pairs of choices
	Seed       uint64
}

// Versions returns the versions of the algorithms behind the order.
func (c OrderConfig) Versions() rundir.Versions {
	v := rundir.Versions{"order": 1}
	switch {
	case c.NAC != nil:
		return v.With(c.NAC.Versions())
	case c.Regression != nil:
		return v.With(search.RegressionConfig{}.Versions())
	}
	return v
}

// orderOf returns an order as a method. Its answer is the first of those it has no label of.
func orderOf(name string, c OrderConfig) Method {
	return method(name, c, orderNetworks, func(c *OrderConfig) *uint64 { return &c.Seed })
}

// measuredNetworks is the benchmark of [Measured], which knows OFA's predictor.
type measuredNetworks struct {
	*space.Table
	predictor *ofa.Predictor
}

// others returns the networks of the table that are not labelled, with their accuracies.
func (b measuredNetworks) others(labelled []space.Arch) ([]space.Arch, []float64, error) {
	taken := make(map[string]bool, len(labelled))
	for _, a := range labelled {
		taken[a.ID()] = true
	}
	all, err := b.Sample(rand.New(rand.NewPCG(0, 0)), b.Len())
	if err != nil {
		return nil, nil, err
	}
	var archs []space.Arch
	var accuracies []float64
	for _, a := range all {
		if taken[a.ID()] {
			continue
		}
		accuracy, err := b.Validation(a)
		if err != nil {
			return nil, nil, err
		}
		archs, accuracies = append(archs, a), append(accuracies, accuracy)
	}
	return archs, accuracies, nil
}

// Measured returns the measured networks of OFA's supernet of width 1.0 as [Data], with OFA's predictor of width 1.2 beside them. What a
// ranking is measured on are all networks that it has no labels of.
func Measured(m *ofa.Measured, predictor *ofa.Predictor) Data {
	if m == nil || predictor == nil {
		return Data{} // which an experiment refuses
	}
	b := measuredNetworks{m.Benchmark(), predictor}
	return Data{
		Benchmark: b, ReportOf: m.Source().Description + ", and beside it " + predictor.Source().Description,
		Metrics: []Metric{{Name: tauOf100, Measure: b.tauOfBest100}},
		HeldOut: func(_ *rand.Rand, _ int, exclude []space.Arch) ([]space.Arch, []float64, error) {
			return b.others(exclude)
		},
	}
}

// orderNetworks orders the networks of the problem's table.
func orderNetworks(ctx context.Context, root string, p search.Problem, c OrderConfig) (*search.Found, error) {
	b, ok := p.Benchmark.(measuredNetworks)
	if !ok {
		return nil, fmt.Errorf("experiment: the measured networks are ordered, and not those of %s; take the data of experiment.Measured", space.Identity(p.Benchmark))
	}
	labels, err := search.OpenLabels(root, p)
	if err != nil {
		return nil, err
	}
	labelled, err := labels.Random(ctx, c.Labels, c.Seed)
	if err != nil {
		return nil, err
	}
	ranker, err := c.train(ctx, root, p, b, labelled)
	if err != nil {
		return nil, err
	}
	others, _, err := b.others(space.Archs(labelled))
	if err != nil {
		return nil, err
	}
	if len(others) == 0 {
		return nil, errors.New("experiment: all measured networks are labelled, so that none is left to order; take fewer labels")
	}
	order, err := space.Rank(ranker, others)
	if err != nil {
		return nil, err
	}
	return search.Finish(root, p, "order", c, labels, &search.Found{Best: others[order[0]], Labelled: labelled, Ranker: ranker})
}

// train returns what is trained on the labels.
func (c OrderConfig) train(ctx context.Context, root string, p search.Problem, b measuredNetworks, labelled []space.Labelled) (space.Ranker, error) {
	switch {
	case c.NAC != nil:
		config := *c.NAC
		config.Seed = c.Seed
		trained, err := comparator.Train(ctx, root, comparator.Training{Backend: p.Backend, Space: b.Space(), Labelled: labelled, Config: config, Watch: p.Watch.Stage("comparator, epoch")})
		if err != nil {
			return nil, err
		}
		return trained.NAC, nil
	case c.Regression != nil:
		config := *c.Regression
		config.Seed = c.Seed
		trained, err := search.TrainRegressionPredictor(ctx, root, search.PredictorTraining[search.RegressionPredictorConfig]{
			Backend: p.Backend, Space: b.Space(), Labelled: labelled, Config: config, Watch: p.Watch.Stage("regression, epoch"),
		})
		if err != nil {
			return nil, err
		}
		return trained.Predictor, nil
	case c.Ridge != nil:
		nets, err := asNets(space.Archs(labelled))
		if err != nil {
			return nil, err
		}
		m, err := top1.Fit(nets, space.Accuracies(labelled), *c.Ridge)
		if err != nil {
			return nil, err
		}
		return byAccuracy{m}, nil
	}
	return byAccuracy{b.predictor}, nil
}

// byAccuracy ranks networks by predicted accuracies.
type byAccuracy struct {
	of interface {
		Accuracies([]mobilenetv3.Net) []float64
	}
}

func (r byAccuracy) Utilities(archs []space.Arch) ([]float64, error) {
	nets, err := asNets(archs)
	if err != nil {
		return nil, err
	}
	return r.of.Accuracies(nets), nil
}

func asNets(archs []space.Arch) ([]mobilenetv3.Net, error) {
	nets := make([]mobilenetv3.Net, len(archs))
	for i, a := range archs {
		var err error
		if nets[i], err = asNet(a); err != nil {
			return nil, err
		}
	}
	return nets, nil
}

// tauOf100 is the name of Kendall's tau among the 100 best of the networks without a label.
const tauOf100 = "ktau_100"

// tauOfBest100 measures it.
func (b measuredNetworks) tauOfBest100(found *search.Found, _ uint64) (float64, error) {
	others, accuracies, err := b.others(space.Archs(found.Labelled))
	if err != nil {
		return 0, err
	}
	utilities, err := found.Ranker.Utilities(others)
	if err != nil {
		return 0, err
	}
	tau, err := metric.TopTau(utilities, accuracies, 100)
	if errors.Is(err, metric.ErrTied) {
		return 0, ErrNotMeasured
	}
	return tau, err
}

// labelsOf returns the number of labels of a row of a method, false if it is not the method's.
func labelsOf(row report.Row, method string) (labels float64, ok bool) {
	labels = row.Metrics["queries"]
	return labels, row.Method == fmt.Sprintf("%s, %.0f labels", method, labels)
}

// byLabels draws a metric over the number of labels, and what the predictor has without any.
func byLabels(r report.Result, title, metric, label string) report.Chart {
	c := report.Chart{Title: "Measured networks: " + title, Note: medianNote(r), X: "labels", Y: label, LogX: true}
	without := report.Series{Name: nameOrderPredictor, Reference: true}
	for _, method := range []string{nameOrderNAC, nameOrderRegression, nameOrderRidge} {
		s := report.Series{Name: method}
		for _, row := range r.Rows {
			if labels, ok := labelsOf(row, method); ok {
				s.Summarise(labels, row.PerSeed[metric])
			}
		}
		if len(s.X) > 0 {
			c.Series = append(c.Series, s)
			without.X = []float64{s.X[0], s.X[len(s.X)-1]}
		}
	}
	for _, row := range r.Rows {
		if row.Method == nameOrderPredictor && without.X != nil {
			without.Y = []float64{row.Metrics[metric+"_mean"], row.Metrics[metric+"_mean"]}
			c.Series = append(c.Series, without)
		}
	}
	return c
}

var measured = Entry{
	compare: MeasuredRankings,
	data: func(ctx context.Context, _ compute.Backend) (Data, error) {
		m, err := ofa.OpenMeasured(ctx, "")
		if err != nil {
			return Data{}, err
		}
		predictor, err := ofa.Open(ctx, "")
		if err != nil {
			return Data{}, err
		}
		return Measured(m, predictor), nil
	},
	Columns: withOrder([]report.Column{
		report.KTau, {Header: "KTau of the 100 best", Value: tauOf100 + "_mean", StdDev: tauOf100 + "_std", Digits: 3, Better: report.Higher,
			About: "Kendall's τ among the 100 best of the networks without a label."},
		{Header: "measured top-1 of its first", Unit: "%", Value: "accuracy_mean", StdDev: "accuracy_std", Digits: 2, Better: report.Higher,
			About: "measured accuracy on ImageNet of the network that is ranked first."}, report.Queries,
	}),
	Figures: func(r report.Result) []report.Figure {
		return []report.Figure{
			{Name: "ktau", Chart: byLabels(r, "how well they are ranked", "ktau", "Kendall's tau")}, {Name: "ktau_100", Chart: byLabels(r, "how well the 100 best are ranked", tauOf100, "Kendall's tau")},
			{Name: "first", Chart: byLabels(r, "accuracy of the one ranked first", "accuracy", "ImageNet top-1, measured (%)")},
		}
	},
}
