package report

import (
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/ctnas/ctnas/ctnaslib/style"
)

//go:embed interactive.js
var interactiveScript string

// options are what ECharts draws, by the names of its documentation.
type options map[string]any

// Interactive returns the chart as HTML and JavaScript for Apache ECharts, to zoom into with the buttons above it and to read values off: a
// tooltip says what a point is, if the series has Labels, and its values, rounded and with their units. The page loads the script of
// ECharts once for all charts, from the given address, which on a page of Jupyter is relative to Jupyter's own; package nb knows
// it. Not every viewer runs scripts, so show the picture, too.
//
// The error names the series that cannot be drawn, or values that are too small or too large for the numbers on
// ECharts' axes, which have 20 decimal places.
func (c Chart) Interactive(script string) (string, error) {
	if err := c.check(); err != nil {
		return "", err
	}
	turned := c.turned(width)
	f := c.frame(turned)
	if err := c.checkInteractive(f); err != nil {
		return "", err
	}
	labels := make([][]string, len(c.Series))
	for i, s := range c.Series {
		labels[i] = s.labels()
	}
	var arguments []string
	id := "chart-" + rand.Text()
	axes := map[string]any{"x": c.read(c.X, f.x, c.Categories), "y": c.read(c.Y, f.y, nil), "turned": turned}
	for _, argument := range []any{id, c.options(f), labels, axes, script} {
		text, err := json.Marshal(argument)
		if err != nil {
			return "", fmt.Errorf("report: cannot write the interactive chart %q: %w", c.Title, err)
		}
		arguments = append(arguments, string(text))
	}
	return fmt.Sprintf(`<div id="%s" style="width:100%%;max-width:800px;height:400px"></div>
<script>(%s)(%s);</script>
`, id, strings.TrimSpace(interactiveScript), strings.Join(arguments, ", ")), nil
}

// labels returns what the tooltips of the points say beside the values, nil for nothing.
func (s Series) labels() []string {
	if s.Low == nil {
		return printables(s.Labels)
	}
	labels := make([]string, len(s.X))
	for i := range labels {
		if s.Labels != nil {
			labels[i] = printable(s.Labels[i]) + ", "
		}
		low, high := s.span(i)
		labels[i] += fmt.Sprintf("bar from %.4g to %.4g", low, high)
	}
	return labels
}

// options returns the chart as ECharts draws it.
func (c Chart) options(f frame) options {
	letters := options{"fontFamily": "Liberation Sans, Arimo, Arial, Helvetica, sans-serif", "fontSize": 15, "color": style.Ink}
	x, y := c.axisOptions(c.X, f.x), c.axisOptions(c.Y, f.y)
	if len(c.Categories) > 0 {
		x["type"], x["data"], x["splitLine"] = "category", printables(c.Categories), options{"show": false}
	}
	if slices.ContainsFunc(c.Series, c.bars) {
		y["scale"] = false // from zero on
	}
	if f.rows {
		x["inverse"] = true
		x, y = y, x
	}
	x["nameLocation"], x["nameGap"] = "middle", 32
	y["nameTextStyle"] = options{"align": "left"} // above the axis
	var names []string
	for _, s := range c.Series {
		names = append(names, s.Name)
	}
	top, series := 64, []options(nil)
	colours := style.Colours(names)
	for i, s := range c.Series {
		series = append(series, c.interactive(i, s, f, colours[i]))
	}
	legend := options{"show": len(c.Series) > 1, "type": "scroll", "left": 0, "top": 30, "itemGap": 16, "textStyle": letters}
	if len(c.Series) > 1 {
		top = 96
	}
	bold := options{"fontSize": 16, "fontWeight": "bold", "fontFamily": letters["fontFamily"], "color": style.Ink}
	return options{
		"animation": false, "backgroundColor": style.Paper, "textStyle": letters,
		"title":   options{"text": printable(c.Title), "left": 0, "top": 4, "textStyle": bold},
		"legend":  legend,
		"grid":    options{"left": 12, "right": 32, "top": top, "bottom": 36, "containLabel": true},
		"tooltip": options{"trigger": "item", "renderMode": "richText", "confine": true, "textStyle": options{"fontSize": 14}},
		// Zooming by a rectangle: a wheel that zooms would keep the page from scrolling.
		"toolbox": options{"right": 8, "top": 0, "feature": options{
			"dataZoom": options{"title": options{"zoom": "zoom into a rectangle", "back": "one step back"}}, "restore": options{"title": "all"},
		}},
		"xAxis": x, "yAxis": y, "series": series,
	}
}

// axisOptions returns an axis of numbers.
func (c Chart) axisOptions(label string, a axis) options {
	o := options{
		"type": "value", "scale": true, "name": printable(label), "axisLabel": options{"fontSize": 14},
		"axisLine": options{"onZero": false, "lineStyle": options{"color": style.Faint}}, "splitLine": options{"lineStyle": options{"color": style.Grid}},
	}
	if a.log {
		o["type"] = "log"
	}
	return o
}

// interactive returns series i as ECharts draws it.
func (c Chart) interactive(i int, s Series, f frame, colour string) options {
	points := make([][2]json.Number, len(s.X))
	for k := range points {
		points[k] = [2]json.Number{f.x.rounded(s.X[k]), f.y.rounded(s.Y[k])}
		if len(c.Categories) > 0 {
			points[k][0] = json.Number(strconv.FormatFloat(s.X[k], 'f', -1, 64))
		}
		if f.rows {
			points[k][0], points[k][1] = points[k][1], points[k][0]
		}
	}
	o := options{
		"type": "line", "name": printable(s.Name), "data": points, "itemStyle": options{"color": colour, "opacity": 1}, "z": 3,
		"symbol": []string{"circle", "diamond", "triangle", "rect"}[i%4], "symbolSize": 8, "lineStyle": options{"width": 2},
	}
	switch {
	case s.form != plain:
		o["type"] = "scatter"
		o["symbol"] = map[form]string{seeds: "emptyCircle", mean: "rect", paper: "emptyDiamond"}[s.form]
		o["symbolSize"] = map[form][2]int{seeds: {7, 7}, mean: {4, 18}, paper: {11, 11}}[s.form]
		o["itemStyle"] = options{"color": style.Ink, "opacity": 1}
		if s.form != paper {
			o["data"] = c.ofMethods(s, points)
		}
	case s.Points:
		o["type"], o["symbolSize"] = "scatter", 10
		if s.cloud() {
			o["symbol"], o["symbolSize"], o["z"] = "emptyCircle", 6, 2
		}
	case c.bars(s):
		o["type"] = "bar"
	case s.Reference:
		o["lineStyle"], o["symbol"] = options{"type": "dashed", "width": 2}, "none"
	case len(s.X) > few:
		o["symbolSize"] = 4
	}
	return o
}

// ofMethods returns points in the colours of the methods whose rows they are in.
func (c Chart) ofMethods(s Series, points [][2]json.Number) []options {
	coloured := make([]options, len(points))
	for k, point := range points {
		coloured[k] = options{"value": point, "itemStyle": options{"color": c.rowColour(s.X[k])}}
	}
	return coloured
}

// rounded returns a number as exactly as a chart shows it, to keep the chart small.
func (a axis) rounded(x float64) json.Number {
	digits := -1
	if d, ok := a.digits(); ok && d < 15 {
		digits = d + 1
	}
	text := strconv.FormatFloat(x, 'f', digits, 64)
	if digits < 0 {
		text = strconv.FormatFloat(x, 'g', 6, 64)
		if again, err := strconv.ParseFloat(text, 64); err != nil || math.Abs(again-x) > (a.max-a.min)/1e4 {
			text = strconv.FormatFloat(x, 'g', -1, 64)
		}
	}
	if strings.Contains(text, ".") && !strings.Contains(text, "e") {
		text = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
	}
	return json.Number(text)
}

// digits returns how many digits after the decimal point tell points of a chart apart; false where a number with so many significant ones is
// better.
func (a axis) digits() (int, bool) {
	extent := a.max - a.min
	if a.log || math.IsInf(extent, 0) {
		return 0, false
	}
	digits := max(0, int(math.Ceil(2-math.Log10(extent))))
	return digits, digits < 15
}

// reading is how a tooltip writes the values of an axis.
type reading struct {
	Name   string   `json:"name"`
	Unit   string   `json:"unit"`
	Digits *int     `json:"digits"` // after the decimal point; nil: 3 significant ones
	Names  []string `json:"names"`  // in place of numbers
}

// read returns how to read an axis, whose label ends with its unit in brackets, if it has one.
func (c Chart) read(label string, a axis, names []string) reading {
	r := reading{Name: printable(label)}
	if names != nil {
		r.Names = printables(names)
	}
	if name, unit, ok := strings.Cut(strings.TrimSuffix(r.Name, ")"), " ("); ok && strings.HasSuffix(r.Name, ")") {
		r.Name, r.Unit = name, " "+unit
	}
	if digits, ok := a.digits(); ok {
		r.Digits = &digits
	}
	return r
}

// checkInteractive says which values ECharts draws without numbers beside them.
func (c Chart) checkInteractive(f frame) error {
	for _, a := range []axis{f.x, f.y} {
		const finest, largest = 1e-18, 1e300
		if a.max-a.min < finest || max(math.Abs(a.min), math.Abs(a.max)) > largest || a.log && a.min < finest {
			return fmt.Errorf("report: the interactive chart %q cannot number an axis from %g to %g; draw it as a picture", c.Title, a.min, a.max)
		}
	}
	return nil
}
