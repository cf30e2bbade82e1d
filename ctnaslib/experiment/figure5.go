package experiment

import (
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/ctnas"
	"github.com/ctnas/ctnas/ctnaslib/report"
)

// Figure5 returns the paper's Figure 5: the number of labelled architectures. The search is
// that of the authors' code.
func Figure5(p Preset) Experiment {
	if p == Small {
		return figure5On(p, []int{20, 50, 100})
	}
	return figure5On(p, []int{20, 50, 100, 423, 2115, 4230})
}

// figure5On returns Figure 5 with numbers of labels.
func figure5On(p Preset, labels []int) Experiment {
	e := Experiment{ID: "figure5", Seeds: p.seeds()}
	for i, m := range labels {
		c := ctnas.Released()
		c = p.sized(c)
		c.Labels = m
		method := CTNAS(fmt.Sprintf("%d labels", m), c, nil)
		if m == 423 {
			method.Paper = accuracy(93.92, 0.18)
		}
		e.Methods = append(e.Methods, method)
		if i > 0 {
			e.Compare = append(e.Compare, [2]string{method.Name, e.Methods[i-1].Name})
		}
	}
	return p.checked(e)
}

var figure5 = Entry{
	compare: Figure5,
	numbers: figure5On,
	data:    onNASBench101,
	Columns: withOrder([]report.Column{report.Accuracy, report.Best, report.KTau, report.Authors}),
	Figures: func(r report.Result) []report.Figure {
		return []report.Figure{
			{Name: "accuracy", Chart: overLabels(r, "Figure 5: accuracy of the cell found", "accuracy", "test accuracy (%)")},
			{Name: "ktau", Chart: overLabels(r, "Figure 5: how well held-out cells are ranked", "ktau", "Kendall's tau")},
		}
	},
}

// medianNote says what the lines and bands of [report.Series.Summarise] are.
func medianNote(r report.Result) string {
	return fmt.Sprintf("Median of %d seeds; the band holds the middle half of them.", r.Seeds)
}

// overLabels draws a metric of Figure 5's rows over the number of labels.
func overLabels(r report.Result, title, metric, label string) report.Chart {
	s := report.Series{Name: nameReleased}
	for _, row := range r.Rows {
		s.Summarise(row.Metrics["queries"], row.PerSeed[metric])
	}
	return report.Chart{Title: title, Note: medianNote(r), X: "labelled architectures", Y: label, LogX: true, Series: []report.Series{s}}
}
