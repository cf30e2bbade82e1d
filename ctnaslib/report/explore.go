package report

import (
	"errors"
	"fmt"

	"github.com/go-echarts/go-echarts/v2/charts"
	"github.com/go-echarts/go-echarts/v2/opts"
)

// Interactive is the chart as HTML and JavaScript for Apache ECharts, to zoom and to
// read values off. The page that shows it must have loaded the ECharts script;
// package nb brings its own. Not every viewer runs scripts, so show [Chart.SVG] too.
func (c Chart) Interactive() (string, error) {
	if len(c.Series) == 0 {
		return "", errors.New("report: the chart has no series")
	}
	frame := []charts.GlobalOpts{
		charts.WithInitializationOpts(opts.Initialization{Width: "640px", Height: "380px"}),
		charts.WithTitleOpts(opts.Title{Title: c.Title}),
		charts.WithXAxisOpts(opts.XAxis{Name: c.X, Type: "value", Scale: opts.Bool(true), NameLocation: "middle", NameGap: 28}),
		charts.WithYAxisOpts(opts.YAxis{Name: c.Y, Type: "value", Scale: opts.Bool(true)}),
		charts.WithTooltipOpts(opts.Tooltip{Show: opts.Bool(true), Trigger: "item"}),
		charts.WithDataZoomOpts(opts.DataZoom{Type: "inside"}, opts.DataZoom{Type: "inside", Orient: "vertical"}),
		charts.WithLegendOpts(opts.Legend{Show: opts.Bool(len(c.Series) > 1), Top: "24"}),
	}
	lines, points := charts.NewLine(), charts.NewScatter()
	lines.SetGlobalOptions(frame...)
	for _, s := range c.Series {
		if len(s.X) != len(s.Y) {
			return "", fmt.Errorf("report: the series %q has %d x and %d y values", s.Name, len(s.X), len(s.Y))
		}
		if s.Points {
			data := make([]opts.ScatterData, len(s.X))
			for i := range data {
				data[i] = opts.ScatterData{Value: []float64{s.X[i], s.Y[i]}, SymbolSize: 4}
			}
			points.AddSeries(s.Name, data)
			continue
		}
		data := make([]opts.LineData, len(s.X))
		for i := range data {
			data[i] = opts.LineData{Value: []float64{s.X[i], s.Y[i]}}
		}
		lines.AddSeries(s.Name, data)
	}
	lines.Overlap(points)
	snippet := lines.RenderSnippet()
	return snippet.Element + snippet.Script, nil
}
