package report

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/go-echarts/go-echarts/v2/charts"
	"github.com/go-echarts/go-echarts/v2/opts"
	"github.com/go-echarts/go-echarts/v2/types"
)

// Interactive returns the chart as HTML and JavaScript for Apache ECharts, to zoom and to read values off; where a
// point has an error bar, its tooltip says ± how much. The page that shows it must have loaded the ECharts script;
// package nb brings its own. Not every viewer runs scripts, so show [Chart.SVG] too.
//
// The error names the series that cannot be drawn, or values that are too small or too large for the numbers on
// ECharts' axes, which have 20 decimal places.
func (c Chart) Interactive() (string, error) {
	if err := c.check(); err != nil {
		return "", err
	}
	if err := c.checkInteractive(); err != nil {
		return "", err
	}
	x := opts.XAxis{Name: printable(c.X), Type: "value", Scale: opts.Bool(true), NameLocation: "middle", NameGap: 28}
	switch {
	case len(c.Categories) > 0:
		x.Type = "category"
	case c.LogX:
		x.Type = "log"
	}
	chart := charts.NewLine()
	chart.SetGlobalOptions(
		charts.WithInitializationOpts(opts.Initialization{Width: "640px", Height: "380px"}),
		charts.WithTitleOpts(opts.Title{Title: printable(c.Title)}),
		charts.WithXAxisOpts(x),
		charts.WithYAxisOpts(opts.YAxis{Name: printable(c.Y), Type: "value", Scale: opts.Bool(true)}),
		charts.WithTooltipOpts(opts.Tooltip{Show: opts.Bool(true), Trigger: "item"}),
		charts.WithDataZoomOpts(opts.DataZoom{Type: "inside"}, opts.DataZoom{Type: "inside", Orient: "vertical"}),
		charts.WithLegendOpts(opts.Legend{Show: opts.Bool(len(c.Series) > 1), Top: "24"}),
	)
	if len(c.Categories) > 0 {
		chart.SetXAxis(printables(c.Categories))
	}
	for _, s := range c.Series {
		chart.MultiSeries = append(chart.MultiSeries, c.interactive(s))
	}
	chart.Validate()
	// The library's own script ends where a text has "</script>" and runs what stands between two "__f__".
	options, err := json.Marshal(chart.JSON())
	if err != nil {
		return "", fmt.Errorf("report: cannot write the interactive chart %q: %w", c.Title, err)
	}
	return fmt.Sprintf(`<div id="%[1]s" style="width:%[2]s;height:%[3]s"></div>
<script>echarts.init(document.getElementById("%[1]s")).setOption(%[4]s);</script>
`, chart.ChartID, chart.Initialization.Width, chart.Initialization.Height, options), nil
}

// interactive returns a series as ECharts draws it.
func (c Chart) interactive(s Series) charts.SingleSeries {
	type point struct {
		Name       string     `json:"name,omitempty"` // what the tooltip says beside the values
		Value      [2]float64 `json:"value"`
		SymbolSize int        `json:"symbolSize,omitempty"`
	}
	points := make([]point, len(s.X))
	for i := range points {
		points[i].Value = [2]float64{s.X[i], s.Y[i]}
		if s.Err != nil {
			points[i].Name = fmt.Sprintf("%.4g ± %.2g", s.Y[i], s.Err[i])
		}
	}
	drawn := charts.SingleSeries{Name: printable(s.Name), Type: types.ChartLine, Data: points}
	switch {
	case s.Points:
		drawn.Type = types.ChartScatter
		size := 4
		if len(c.Categories) > 0 {
			size = 9
		}
		for i := range points {
			points[i].SymbolSize = size
		}
	case c.bars(s):
		drawn.Type = types.ChartBar
	case s.Reference:
		drawn.LineStyle = &opts.LineStyle{Type: "dashed"}
	}
	return drawn
}

// checkInteractive says which values ECharts draws without numbers beside them.
func (c Chart) checkInteractive() error {
	f := c.frame()
	for _, a := range []axis{f.x, f.y} {
		const finest, largest = 1e-18, 1e300
		if a.max-a.min < finest || max(math.Abs(a.min), math.Abs(a.max)) > largest || a.log && a.min < finest {
			return fmt.Errorf("report: the interactive chart %q cannot number an axis from %g to %g; draw it as SVG", c.Title, a.min, a.max)
		}
	}
	return nil
}
