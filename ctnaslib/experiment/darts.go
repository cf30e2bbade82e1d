package experiment

import (
	"context"
	"fmt"
	"math"
	"slices"

	spacedarts "github.com/ctnas/ctnas/ctnaslib/space/darts"

	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/search"
)

// DARTS returns the experiment of the paper's third search space, whose results are in its
// supplementary: what each method finds with equal numbers of queries. The published
// genotypes are scored by the same model; beside them are the numbers of the paper's
// Table 2, for ImageNet.
func DARTS(p Preset) Experiment {
	e := Experiment{ID: "darts", Seeds: p.seeds()}
	budgets := []int{100, 423, 1000}
	if p == Small {
		budgets = []int{25, 50}
	}
	for _, labels := range budgets {
		names := make(map[string]string)
		add := func(method string, m Method) {
			m.Name = fmt.Sprintf("%s, %d queries", method, labels)
			names[method] = m.Name
			e.Methods = append(e.Methods, m)
		}
		add(methodRandom, randomOf("", labels))
		add(methodEvolution, regularised("", labels))
		regression := p.quickRegression(labels)
		add(methodRegression, regressionNAS("", regression))
		add(methodRegressionOneHot, regressionNAS("", p.onVectors(regression)))
		ours := p.quickCTNAS(labels)
		add(methodCTNAS, CTNAS("", ours, nil))
		ours.NAC = p.mobileNAC()
		add(methodOneHot, CTNAS("", ours, nil))
		add(nameThompson, thompson("", labels))
		for _, rival := range []string{methodRandom, methodEvolution, methodRegression} {
			e.Compare = append(e.Compare, [2]string{names[methodCTNAS], names[rival]})
		}
		e.Compare = append(e.Compare, [2]string{names[methodOneHot], names[methodCTNAS]}, [2]string{names[methodOneHot], names[methodRegressionOneHot]}, [2]string{names[nameThompson], names[methodEvolution]})
	}
	imageNet := func(top1, top5, madds float64) map[string]float64 {
		return map[string]float64{"top1_mean": top1, "top5_mean": top5, "madds_m": madds}
	}
	e.Methods = append(e.Methods,
		published("DARTS (first order)", spacedarts.DARTSV1, nil, ""),
		published("DARTS (second order)", spacedarts.DARTSV2, imageNet(73.1, 91.0, 595), "The paper's multiply-adds are of an earlier version of DARTS's article; the later one has 574M."),
		published("P-DARTS", spacedarts.PDARTS, imageNet(75.6, 92.6, 577), "Found on CIFAR-10. The paper's numbers have the multiply-adds of the one found on CIFAR-100, which is not published."),
		published("PC-DARTS (CIFAR-10)", spacedarts.PCDARTS, nil, ""),
		published("PC-DARTS (ImageNet)", spacedarts.PCDARTSImage, imageNet(75.8, 92.7, 597), ""),
		published("CNAS", spacedarts.CNAS, imageNet(75.4, 92.6, 576), ""),
	)
	return p.checked(e)
}

// The methods of [DARTS], in rows with their number of queries.
const (
	methodRandom     = "Random search"
	methodEvolution  = "Regularised evolution"
	methodRegression = "RegressionNAS"
	methodCTNAS      = "CTNAS"
	methodOneHot     = "CTNAS, one-hot" // with the MLP that the authors have for the MobileNetV3 space

	methodRegressionOneHot = "RegressionNAS, one-hot" // with the same
)

// genotype is what a published genotype is a function of.
type genotype struct {
	Genotype string `json:"genotype"`
}

func (genotype) Versions() rundir.Versions { return rundir.Versions{"published": 1} }

// published returns a genotype that its authors published, found without a query.
func published(name string, g spacedarts.Genotype, paper map[string]float64, note string) Method {
	return Method{Name: name, Note: note, Paper: paper, Config: genotype{g.String()}, OneSeed: true,
		Search: func(context.Context, string, search.Problem, uint64) (*search.Found, error) {
			return &search.Found{Best: g}, nil
		}}
}

var darts = Entry{
	compare: DARTS,
	data:    onNASBench301,
	Columns: withOrder([]report.Column{
		{Header: "validation accuracy", Unit: "%", Value: "accuracy_mean", StdDev: "accuracy_std", Digits: 3, Better: report.Higher,
			About: "of the genotype found; mean ± standard deviation over the seeds."},
		{Header: "best", Unit: "%", Value: "accuracy_best", Digits: 3, Better: report.Higher, About: report.Best.About},
		report.KTau, report.Queries, report.MAdds, report.Top1, report.Top5,
	}),
	Figures: func(r report.Result) []report.Figure {
		return []report.Figure{{Name: "regret", Chart: regret(r)}, {Name: "ktau", Chart: r.Chart(report.KTau)}}
	},
}

// regret draws how far below the best genotype of the whole experiment the methods are,
// over the number of queries: as curves for those that could stop at any time, else as a
// point for each number. A predictor's spread, which is in the table, would hide the rest.
func regret(r report.Result) report.Chart {
	best := 0.0
	for _, row := range r.Rows {
		best = math.Max(best, row.Metrics["accuracy_best"])
	}
	chart := report.Chart{Title: "DARTS space: how far from the best genotype found", X: "queries", Y: "below the best (% accuracy)", LogX: true,
		Note: fmt.Sprintf("Mean of %d seeds; bands are one standard deviation, of searches that could stop at any time.", r.Seeds)}
	for _, method := range []string{methodRandom, methodEvolution, nameThompson, methodRegression, methodRegressionOneHot, methodCTNAS, methodOneHot} {
		s := report.Series{Name: method}
		for _, row := range r.Rows {
			queries := row.Metrics["queries"]
			if row.Method != fmt.Sprintf("%s, %.0f queries", method, queries) {
				continue
			}
			if c := row.Curves; c != nil { // of the largest number, as the last row has it
				s.X, s.Y, s.Low, s.High = slices.Clone(c[curveQueries]), nil, nil, nil
				for i, accuracy := range c[curveAccuracy] {
					s.Y = append(s.Y, best-accuracy)
					s.Low = append(s.Low, math.Max(0, best-accuracy-c[curveSpread][i])) // none is better than the best
					s.High = append(s.High, best-accuracy+c[curveSpread][i])
				}
				continue
			}
			s.X = append(s.X, queries)
			s.Y = append(s.Y, best-row.Metrics["accuracy_mean"])
		}
		if len(s.X) > 0 {
			chart.Series = append(chart.Series, s)
		}
	}
	return chart
}
