package report

import (
	"fmt"

	"github.com/go-echarts/go-echarts/v2/charts"
	"github.com/go-echarts/go-echarts/v2/opts"
)

// Interactive is the chart as HTML and JavaScript for Apache ECharts, to zoom and to
// read values off; where a point has an error bar, its tooltip says ± how much. The
// page that shows it must have loaded the ECharts script; package nb brings its own.
// Not every viewer runs scripts, so show [Chart.SVG] too.
func (c Chart) Interactive() (string, error) {
	if err := c.check(); err != nil {
		return "", err
	}
	x := opts.XAxis{Name: c.X, Type: "value", Scale: opts.Bool(true), NameLocation: "middle", NameGap: 28}
	switch {
	case len(c.Categories) > 0:
		x.Type = "category"
	case c.LogX:
		x.Type = "log"
	}
	lines, points, bars := charts.NewLine(), charts.NewScatter(), charts.NewBar()
	lines.SetGlobalOptions(
		charts.WithInitializationOpts(opts.Initialization{Width: "640px", Height: "380px"}),
		charts.WithTitleOpts(opts.Title{Title: c.Title}),
		charts.WithXAxisOpts(x),
		charts.WithYAxisOpts(opts.YAxis{Name: c.Y, Type: "value", Scale: opts.Bool(true)}),
		charts.WithTooltipOpts(opts.Tooltip{Show: opts.Bool(true), Trigger: "item"}),
		charts.WithDataZoomOpts(opts.DataZoom{Type: "inside"}, opts.DataZoom{Type: "inside", Orient: "vertical"}),
		charts.WithLegendOpts(opts.Legend{Show: opts.Bool(len(c.Series) > 1), Top: "24"}),
	)
	if len(c.Categories) > 0 {
		lines.SetXAxis(c.Categories)
	}
	for _, s := range c.Series {
		switch {
		case s.Points:
			data := make([]opts.ScatterData, len(s.X))
			for i := range data {
				data[i] = opts.ScatterData{Name: s.label(i), Value: []float64{s.X[i], s.Y[i]}, SymbolSize: 4}
				if len(c.Categories) > 0 {
					data[i].SymbolSize = 9
				}
			}
			points.AddSeries(s.Name, data)
		case len(c.Categories) > 0:
			data := make([]opts.BarData, len(s.X))
			for i := range data {
				data[i] = opts.BarData{Name: s.label(i), Value: []float64{s.X[i], s.Y[i]}}
			}
			bars.AddSeries(s.Name, data)
		default:
			data := make([]opts.LineData, len(s.X))
			for i := range data {
				data[i] = opts.LineData{Name: s.label(i), Value: []float64{s.X[i], s.Y[i]}}
			}
			style := opts.LineStyle{Type: "solid"}
			if s.Reference {
				style.Type = "dashed"
			}
			lines.AddSeries(s.Name, data, charts.WithLineStyleOpts(style))
		}
	}
	lines.Overlap(points, bars)
	snippet := lines.RenderSnippet()
	return snippet.Element + snippet.Script, nil
}

// label is what the tooltip of a point says beside its values.
func (s Series) label(i int) string {
	if s.Err == nil {
		return ""
	}
	return fmt.Sprintf("%.4g ± %.2g", s.Y[i], s.Err[i])
}
