package experiment

import (
	"fmt"
	"strings"

	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/datasets"
)

// Figure4 returns the paper's Figure 4: accuracy against the number of queries, in ImageNet's scale as in
// [Table2].
func Figure4(p Preset) Experiment {
	e := Experiment{ID: "figure4", Seeds: p.seeds()}
	for _, queries := range []int{100, 300, 1000} {
		e.Methods = append(e.Methods, p.mobile(fmt.Sprintf("%s, %d queries", nameMobile, p.queriesOf(queries)), queries))
	}
	e.Methods = append(e.Methods, randomOf("Random search", p.queriesOf(10_000)), p.generations(10_000), regularised(nameRegularised, p.queriesOf(10_000)), thompson(nameThompson, p.queriesOf(1000)))
	return p.checked(e)
}

var figure4 = Entry{
	compare: Figure4,
	data:    onImageNet,
	beside:  datasets.OFAPredictor,
	Columns: withOrder([]report.Column{byModel, modelError, byPredictor, report.Best, report.KTau, report.MAdds, report.Queries}),
	Figures: func(r report.Result) []report.Figure {
		return []report.Figure{{Name: "accuracy", Chart: overQueries(r, nameMobile, "ImageNet top-1 by the model (%)")}}
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
			fixed.X, fixed.Y = append(fixed.X, row.Metrics["queries"]), append(fixed.Y, row.Metrics["accuracy_mean"])
			fixed.Low = append(fixed.Low, row.Metrics["accuracy_mean"]-row.Metrics["accuracy_std"])
			fixed.High = append(fixed.High, row.Metrics["accuracy_mean"]+row.Metrics["accuracy_std"])
		case len(row.Curves[curveQueries]) > 0:
			s := report.Series{Name: row.Method, X: row.Curves[curveQueries], Y: row.Curves[curveAccuracy]}
			for i, spread := range row.Curves[curveSpread][:min(len(s.Y), len(row.Curves[curveSpread]))] {
				s.Low, s.High = append(s.Low, s.Y[i]-spread), append(s.High, s.Y[i]+spread)
			}
			curves = append(curves, s)
		}
	}
	if len(fixed.X) > 0 {
		curves = append([]report.Series{fixed}, curves...)
	}
	return report.Chart{
		Title: report.Title(r.ID) + ": accuracy against the number of queries", Note: fmt.Sprintf("Mean of %d seeds; bands are one standard deviation.", r.Seeds),
		X: "queries", Y: label, LogX: true, Series: curves,
	}
}

// QueriesToReach returns the first point of a row's curve, in queries, at which its mean
// accuracy is at least the given one, in percent; false if it never is, or if the row has
// no curve.
func QueriesToReach(row report.Row, accuracy float64) (queries int, reached bool) {
	for i, y := range row.Curves[curveAccuracy] {
		if y >= accuracy && i < len(row.Curves[curveQueries]) {
			return int(row.Curves[curveQueries][i]), true
		}
	}
	return 0, false
}
