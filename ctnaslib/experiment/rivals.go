package experiment

import (
	"context"
	"fmt"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/encoder"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/datasets/ofa"
)

// The methods of [Rivals].
const (
	nameThompson = "Thompson (ours)"
	nameLinear   = "linear Thompson"
	nameLocal    = "Local search"
	nameBananas  = "BANANAS-like"
)

// thompson returns [search.Thompson] in its one setting.
func thompson(name string, labels int) Method {
	m := stoppable(method(name, search.DefaultThompson(labels), search.Thompson, thompsonSeed))
	m.Note = "Draws functions from a Gaussian process that was fitted to the labels, and buys a label where each is highest: search.Thompson."
	return m
}

func thompsonSeed(c *search.ThompsonConfig) *uint64 { return &c.Seed }

// stoppable returns a method with a curve.
func stoppable(m Method) Method {
	m.Anytime = true
	return m
}

// linearModel returns Thompson sampling with a linear comparator, in batches of 10 among 500 mutants of the 20 best labels.
func linearModel(labels int) Method {
	c := search.DefaultThompson(labels)
	c.Batch, c.Random, c.Generations, c.Parents, c.Children, c.Linear = 10, 0, 1, 20, 50, true
	m := stoppable(method(nameLinear, c, search.Thompson, thompsonSeed))
	m.Note = "The same with linear functions: Bayesian linear regression. Candidates are 500 mutants of the 20 best labels; ten labels are bought at a time."
	return m
}

// bananas returns [search.Bananas] with five predictors like that of RegressionNAS, but smaller, in batches of 20 among 500
// mutants of the 20 best labels.
func (p Preset) bananas(labels int, like search.RegressionPredictorConfig) Method {
	const batch = 20
	c := search.BananasConfig{
		Labels: labels, First: batch + labels%batch, // all batches are whole, so that nothing is compiled again
		Batch: batch, Members: 5, Predictor: like, Parents: 20, Children: 25,
	}
	c.Predictor.Epochs, c.Predictor.BatchSize, c.Predictor.LearningRate = 100, batch, 3e-3
	if _, vector := like.Encoder.(encoder.MLP); vector {
		c.Predictor.Encoder = encoder.MLP{Layers: 3, Width: 64}
	}
	if p == Small {
		c.Members, c.Predictor.Epochs = 2, 20
	}
	m := stoppable(method(nameBananas, c, search.Bananas, func(c *search.BananasConfig) *uint64 { return &c.Seed }))
	m.Note = "Five regressions, trained from scratch in each round; candidates are 500 mutants of the 20 best labels, and Thompson sampling among the five chooses 20 of them: search.Bananas."
	return m
}

// Rivals returns the comparison behind "which search do I use on my own space?", on one space: what each search answers
// after equal numbers of queries, and some after another number. NAC is the comparator of CTNAS there, and the network
// of RegressionNAS.
func Rivals(id string, vector bool, other int) func(Preset) Experiment {
	return func(p Preset) Experiment {
		labels := p.queriesOf(423)
		nac, regression := p.quickCTNAS(labels), p.quickRegression(labels)
		if vector {
			nac.NAC, regression = p.mobileNAC(), p.onVectors(regression)
		}
		e := Experiment{ID: id, Seeds: 2 * p.seeds(), Methods: []Method{
			thompson(nameThompson, labels),
			linearModel(labels),
			p.bananas(labels, regression.Predictor),
			stoppable(method(nameLocal, search.LocalConfig{Labels: labels, First: 20, Patience: 50}, search.Local, func(c *search.LocalConfig) *uint64 { return &c.Seed })),
			regularised(methodEvolution, labels),
			randomOf(methodRandom, labels),
			regressionNAS(methodRegression, regression),
			CTNAS(methodCTNAS, nac, nil),
		}}
		for _, m := range e.Methods[1:] {
			e.Compare = append(e.Compare, [2]string{nameThompson, m.Name})
		}
		labels = p.queriesOf(other)
		for _, m := range []Method{thompson(nameThompson, labels), linearModel(labels), regularised(methodEvolution, labels)} {
			m.Name = fmt.Sprintf("%s, %d queries", m.Name, labels)
			e.Methods = append(e.Methods, m)
		}
		return p.checked(e)
	}
}

// validation is the column of accuracies of spaces that have no other than validation accuracies.
var validation = report.Column{Header: "validation accuracy", Unit: "%", Value: "accuracy_mean", StdDev: "accuracy_std", Digits: 2, Better: report.Higher,
	Shows: "accuracy of the architecture found", About: "of the architecture found, by the model that gives the labels; mean ± standard deviation over the seeds."}

// rivals returns the entry of [Rivals] on one space.
func rivals(id string, vector bool, other int, data func(context.Context, compute.Backend) (Data, error), accuracy report.Column) Entry {
	return Entry{
		compare: Rivals(id, vector, other), data: data,
		Columns: withOrder([]report.Column{accuracy, report.Best, report.KTau, report.Queries}),
		Figures: func(r report.Result) []report.Figure {
			return []report.Figure{{Name: "accuracy", Chart: r.Chart(accuracy)}, {Name: "queries", Chart: overQueries(r, methodCTNAS, "accuracy (%)")}}
		},
	}
}

// onOFA opens the MobileNetV3 space of width 1.2 in the mobile setting, with the published predictor's accuracies.
func onOFA(ctx context.Context, _ compute.Backend) (Data, error) {
	predictor, err := ofa.Open(ctx, "")
	if err != nil {
		return Data{}, err
	}
	return OFA(predictor, MobileLimit)
}
