package report

import (
	"fmt"
	"image/color"
	"math"
	"slices"
	"strings"

	stdfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/ctnas/ctnas/ctnaslib/style"
)

// The texts of a chart, in points of a page: 15 and 16 pixels.
var (
	textStyle  = letters(11, style.Ink, stdfont.WeightNormal)
	faintStyle = letters(11, style.Faint, stdfont.WeightNormal)
	titleStyle = letters(12, style.Ink, stdfont.WeightBold)
)

const backColour = style.Paper

// letters returns a style of text in the sans-serif font that gonum/plot brings.
func letters(size vg.Length, colour string, weight stdfont.Weight) text.Style {
	return text.Style{
		Color: colourOf(colour), Font: font.From(font.Font{Typeface: "Liberation", Variant: "Sans", Weight: weight}, size),
		XAlign: draw.XLeft, YAlign: draw.YBottom, Handler: plot.DefaultTextHandler,
	}
}

// colourOf returns a colour of package style.
func colourOf(css string) color.NRGBA {
	c := color.NRGBA{A: 0xff}
	if _, err := fmt.Sscanf(css, "#%02x%02x%02x", &c.R, &c.G, &c.B); err != nil {
		return color.NRGBA{A: 0xff}
	}
	return c
}

// thin returns a colour that lets others through.
func thin(c color.NRGBA, alpha uint8) color.NRGBA {
	c.A = alpha
	return c
}

// frame are the axes of a chart. Categories need no x axis of numbers: theirs are positions already.
type frame struct {
	x, y       axis
	categories int
	rows       bool
}

// frame makes room for all the points with their bars, and for bars from zero on.
func (c Chart) frame(turned bool) frame {
	var xs, ys []float64
	for _, s := range c.Series {
		xs = append(xs, s.X...)
		for i, y := range s.Y {
			if y >= c.from || c.from == 0 {
				low, high := s.span(i)
				ys = append(ys, y, low, high)
			}
		}
		if c.bars(s) {
			ys = append(ys, 0)
		}
	}
	return frame{x: newAxis(xs, c.LogX), y: newAxis(ys, false), categories: len(c.Categories), rows: turned}
}

// at returns where a point is drawn.
func (f frame) at(x, y float64) plotter.XY {
	switch {
	case f.rows:
		return plotter.XY{X: f.y.at(y), Y: float64(f.categories-1) - x}
	case f.categories > 0:
		return plotter.XY{X: x, Y: f.y.at(y)}
	}
	return plotter.XY{X: f.x.at(x), Y: f.y.at(y)}
}

// span returns the ends of the bar of a point.
func (s Series) span(i int) (low, high float64) {
	if s.Low == nil {
		return s.Y[i], s.Y[i]
	}
	return min(s.Low[i], s.High[i]), max(s.Low[i], s.High[i])
}

// bars says whether a series is drawn as bars.
func (c Chart) bars(s Series) bool { return len(c.Categories) > 0 && !s.Points }

// spread says whether points of a series stand beside those of the others, in a chart of categories.
func (s Series) spread() bool { return s.form == plain }

// room returns how many letters have room side by side under a chart of a width.
func room(width vg.Length) int { return int(width / 8) }

// turned says whether the categories are rows.
func (c Chart) turned(width vg.Length) bool {
	return len(c.Categories) > 0 && (c.Rows || longest(c.Categories)*len(c.Categories) > room(width))
}

// plot returns the axes with all the series, and the entries of the legend.
func (c Chart) plot(width vg.Length) (*plot.Plot, []entry) {
	p := plot.New()
	turned := c.turned(width)
	f := c.frame(turned)
	c.setAxes(p, f, width)
	grid := plotter.NewGrid()
	for _, lines := range []*draw.LineStyle{&grid.Vertical, &grid.Horizontal} {
		*lines = draw.LineStyle{Color: colourOf(style.Grid), Width: 0.75}
	}
	if len(c.Categories) > 0 && !turned {
		grid.Vertical.Color = nil
	}
	p.Add(grid)
	var names []string
	for _, s := range c.Series {
		names = append(names, s.Name)
	}
	colours := style.Colours(names)
	entries := make([]entry, len(c.Series))
	for _, i := range c.order() {
		entries[i] = newEntry(printable(c.Series[i].Name), c.add(p, f, i, colourOf(colours[i]))...)
	}
	c.addOutside(p, f)
	return p, entries
}

// More points than many are a cloud of hollow points, behind all else, and a line through more than few has no mark at each
// of them.
const many, few = 30, 15

func (s Series) cloud() bool { return s.Points && len(s.X) > many }

// order returns the series in the order in which they are drawn: clouds first, so that they hide nothing.
func (c Chart) order() []int {
	var clouds, others []int
	for i, s := range c.Series {
		if s.cloud() && s.form == plain {
			clouds = append(clouds, i)
		} else {
			others = append(others, i)
		}
	}
	return append(clouds, others...)
}

// add adds series i to the plot, and returns what its entry in the legend shows.
func (c Chart) add(p *plot.Plot, f frame, i int, colour color.NRGBA) []plot.Thumbnailer {
	s := c.Series[i]
	shift := 0.0
	if len(c.Categories) > 0 && s.spread() {
		shift = c.slot() * (float64(i) - float64(len(c.Series)-1)/2)
	}
	points := make(plotter.XYs, len(s.X))
	bar := segments{style: draw.LineStyle{Color: colour, Width: 1.2}}
	for k, x := range s.X {
		points[k] = f.at(x+shift, s.Y[k])
		if s.Low != nil {
			low, high := s.span(k)
			bar.from, bar.to = append(bar.from, f.at(x+shift, low)), append(bar.to, f.at(x+shift, high))
		}
	}
	switch {
	case s.Points:
		if len(bar.from) > 0 {
			p.Add(bar)
		}
		return c.addPoints(p, f, i, points, colour)
	case c.bars(s):
		drawn := bars(f, s, shift, 0.45*c.slot(), colour)
		p.Add(drawn)
		if len(bar.from) > 0 {
			bar.style.Color = colourOf(style.Ink)
			p.Add(bar)
		}
		return []plot.Thumbnailer{drawn}
	}
	if len(bar.from) > 1 {
		slices.Reverse(bar.to)
		p.Add(&plotter.Polygon{XYs: []plotter.XYs{append(bar.from, bar.to...)}, Color: thin(colour, 0x26), LineStyle: draw.LineStyle{}})
	} else if len(bar.from) == 1 {
		p.Add(bar)
	}
	line := &plotter.Line{XYs: points, LineStyle: draw.LineStyle{Color: colour, Width: 1.75}}
	p.Add(line)
	if s.Reference {
		line.Width, line.Dashes = 1.25, []vg.Length{5, 3}
		return []plot.Thumbnailer{line}
	}
	if len(points) > few {
		return []plot.Thumbnailer{line}
	}
	marks := &plotter.Scatter{XYs: points, GlyphStyle: draw.GlyphStyle{Color: colour, Radius: 2.75, Shape: markOf(i)}}
	p.Add(marks)
	return []plot.Thumbnailer{line, marks}
}

// addPoints adds the points of series i.
func (c Chart) addPoints(p *plot.Plot, f frame, i int, points plotter.XYs, colour color.NRGBA) []plot.Thumbnailer {
	s := c.Series[i]
	look := draw.GlyphStyle{Color: colour, Radius: 3.25, Shape: markOf(i)}
	switch {
	case s.form == seeds:
		look.Radius, look.Shape = 2.5, mark{hollow: true}
		c.spreadOut(s, f, points)
	case s.form == mean:
		look.Radius, look.Shape = 7, stroke{upright: f.rows}
	case s.form == paper:
		look.Color, look.Radius, look.Shape = colourOf(style.Ink), 4, mark{corners: 4, hollow: true, filled: true}
	case s.Reference:
		look.Radius, look.Shape = 4, mark{corners: 4, hollow: true, filled: true}
	case s.cloud():
		look.Color, look.Radius, look.Shape = thin(colour, 0xb0), 2.25, mark{corners: markOf(i).corners, hollow: true}
	case slices.ContainsFunc(c.Series, Series.cloud):
		look.Radius = 4.25 // above a cloud
	}
	drawn := &plotter.Scatter{XYs: points, GlyphStyle: look}
	shown := *drawn // in the legend
	if s.form != plain {
		shown.Color = colourOf(style.Ink)
	}
	if c.from != 0 {
		var inside plotter.XYs
		var at []float64
		for k, point := range points {
			if s.Y[k] >= c.from {
				inside, at = append(inside, point), append(at, s.X[k])
			}
		}
		drawn.XYs, s.X = inside, at
	}
	if len(c.Categories) > 0 && (s.form == seeds || s.form == mean) {
		drawn.GlyphStyleFunc = func(k int) draw.GlyphStyle {
			own := look
			own.Color = colourOf(c.rowColour(s.X[k]))
			return own
		}
	}
	p.Add(drawn)
	return []plot.Thumbnailer{&shown}
}

// rowColour returns the colour of a category: its own, if it is a method.
func (c Chart) rowColour(x float64) string {
	if colour, ok := style.Of(c.Categories[int(x)]); ok {
		return colour
	}
	return style.Blue
}

// spreadOut moves the points of a category apart, across its row.
func (c Chart) spreadOut(s Series, f frame, points plotter.XYs) {
	of, seen := make([]int, len(c.Categories)), make([]int, len(c.Categories))
	for _, x := range s.X {
		of[int(x)]++
	}
	for k, x := range s.X {
		at := int(x)
		share := (float64(seen[at]) - float64(of[at]-1)/2) / float64(of[at])
		seen[at]++
		points[k] = f.at(x+min(0.5, 0.1+0.06*float64(len(c.Categories)))*share, s.Y[k])
	}
}

// addOutside writes the values that have no room at the edge of the plot.
func (c Chart) addOutside(p *plot.Plot, f frame) {
	if c.from == 0 {
		return
	}
	outside := make([][]string, len(c.Categories))
	for _, s := range c.Series {
		for k, y := range s.Y {
			if y >= c.from || s.form == mean && len(c.Series) > 1 && c.seedsOutside(int(s.X[k])) {
				continue
			}
			note := fixed(y, 1)
			if s.form == paper {
				note += " (paper)"
			}
			outside[int(s.X[k])] = append(outside[int(s.X[k])], note)
		}
	}
	var at plotter.XYs
	var notes []string
	var styles []text.Style
	for i, values := range outside {
		if len(values) > 0 {
			look := faintStyle
			look.YAlign = draw.YCenter
			at, notes, styles = append(at, plotter.XY{X: p.X.Min, Y: f.at(float64(i), 0).Y}), append(notes, "◄ "+strings.Join(values, ", ")), append(styles, look)
		}
	}
	if labels, err := plotter.NewLabels(plotter.XYLabels{XYs: at, Labels: notes}); err == nil && len(at) > 0 {
		labels.TextStyle = styles
		p.Add(labels)
	}
}

// seedsOutside says whether a seed of a category is outside, which says enough of the mean.
func (c Chart) seedsOutside(category int) bool {
	for _, s := range c.Series {
		for k, y := range s.Y {
			if s.form == seeds && y < c.from && int(s.X[k]) == category {
				return true
			}
		}
	}
	return false
}

// bars returns the bars of a series, from zero on.
func bars(f frame, s Series, shift, half float64, colour color.NRGBA) *plotter.Polygon {
	rings := make([]plotter.XYs, len(s.X))
	for k, x := range s.X {
		from, to := x+shift-half, x+shift+half
		rings[k] = plotter.XYs{f.at(from, 0), f.at(from, s.Y[k]), f.at(to, s.Y[k]), f.at(to, 0)}
	}
	if s.Reference {
		return &plotter.Polygon{XYs: rings, Color: colourOf(style.Paper), LineStyle: draw.LineStyle{Color: colour, Width: 1.25}}
	}
	return &plotter.Polygon{XYs: rings, Color: colour}
}

// slot returns the width that each series has in a category, of which there is one for each unit of the x axis.
func (c Chart) slot() float64 { return 0.7 / float64(len(c.Series)) }

// setAxes puts labels and ticks on the axes, with room around the points.
func (c Chart) setAxes(p *plot.Plot, f frame, width vg.Length) {
	const around = 0.04 // of the extent of the points
	p.BackgroundColor = nil
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Min, a.Max, a.Padding = -around, 1+around, 0
		a.LineStyle = draw.LineStyle{Color: colourOf(style.Faint), Width: 0.75}
		a.Tick.LineStyle, a.Tick.Length = a.LineStyle, 3
		look := textStyle
		look.XAlign, look.YAlign = a.Tick.Label.XAlign, a.Tick.Label.YAlign
		a.Tick.Label = look
		look.XAlign, look.YAlign = draw.XCenter, draw.YBottom
		a.Label.TextStyle, a.Label.Padding = look, 4
	}
	p.Y.LineStyle.Width, p.Y.Tick.LineStyle.Width = 0, 0 // the grid says enough
	x, y := &p.X, &p.Y
	if f.rows {
		x, y = y, x
	}
	x.Label.Text, y.Label.Text = printable(c.X), printable(c.Y)
	y.Tick.Marker = plot.ConstantTicks(f.y.ticks(0))
	if f.rows {
		y.Tick.Marker = plot.ConstantTicks(f.y.ticks(room(width * 0.6)))
	}
	if c.from != 0 {
		y.Min = -0.2 // for the numbers of what is outside
	}
	if slices.ContainsFunc(c.Series, c.bars) {
		if f.y.min == 0 {
			y.Min = 0
		}
		if f.y.max == 0 {
			y.Max = 1
		}
	}
	if f.categories == 0 {
		x.Tick.Marker = plot.ConstantTicks(f.x.ticks(room(width)))
		return
	}
	x.Min, x.Max = -0.5, float64(f.categories)-0.5
	var names []plot.Tick
	for i, name := range printables(c.Categories) {
		names = append(names, plot.Tick{Value: math.Abs(float64(i) - rowsFrom(f)), Label: name})
		if f.rows {
			names[i].Label = wrapped(textStyle, name, width*0.4)
		}
	}
	x.Tick.Marker = plot.ConstantTicks(names)
}

// rowsFrom returns the position of the first category.
func rowsFrom(f frame) float64 {
	if f.rows {
		return float64(f.categories - 1)
	}
	return 0
}
