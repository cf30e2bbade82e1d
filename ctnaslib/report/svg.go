package report

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"unicode/utf8"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// The colours of series, distinguishable without colour vision (Okabe and Ito).
var palette = []color.Color{
	color.RGBA{0x00, 0x72, 0xb2, 0xff}, // blue
	color.RGBA{0xd5, 0x5e, 0x00, 0xff}, // vermilion
	color.RGBA{0x00, 0x9e, 0x73, 0xff}, // green
	color.RGBA{0xcc, 0x79, 0xa7, 0xff}, // purple
	color.RGBA{0x56, 0xb4, 0xe9, 0xff}, // light blue
	color.RGBA{0xe6, 0x9f, 0x00, 0xff}, // orange
}

// The size of a chart.
const width, height = 12.5 * vg.Centimeter, 7.5 * vg.Centimeter

// SVG draws the chart, 12.5 × 7.5 cm, and wider if long names under it reach out on the left. The error names the
// series that cannot be drawn, because it has no points or one that is not finite.
func (c Chart) SVG() (string, error) {
	if err := c.check(); err != nil {
		return "", err
	}
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = printable(c.Title), printable(c.X), printable(c.Y)
	p.Legend.Top = true
	grid := plotter.NewGrid()
	if len(c.Categories) > 0 {
		grid.Vertical.Color = nil
	}
	p.Add(grid)
	f := c.frame()
	for i, s := range c.Series {
		c.add(p, f, i, s)
	}
	under := c.setAxes(p, f)
	left := overhang(p, under)
	picture := vgsvg.New(left+width, height)
	p.Draw(draw.Crop(draw.New(picture), left, 0, 0, 0))
	var out bytes.Buffer
	if _, err := picture.WriteTo(&out); err != nil {
		return "", fmt.Errorf("report: cannot draw %q: %w", c.Title, err)
	}
	return out.String(), nil
}

// frame are the axes of a chart. Categories need no x axis of numbers: theirs are positions already.
type frame struct {
	x, y axis
}

// frame makes room for all the points with their error bars, for bars from zero on, and for the legend.
func (c Chart) frame() frame {
	var xs, ys []float64
	for _, s := range c.Series {
		xs = append(xs, s.X...)
		for i := range s.Y {
			low, high := s.span(i)
			ys = append(ys, s.Y[i], low, high)
		}
		if c.bars(s) {
			ys = append(ys, 0)
		}
	}
	f := frame{x: newAxis(xs, c.LogX), y: newAxis(ys, false)}
	if len(c.Series) > 1 {
		const row = 0.1 // of a legend, as a share of the height of the data
		f.y = f.y.extend(row * float64(len(c.Series)))
	}
	return f
}

// span returns the ends of the error bar of a point, as far as there are numbers.
func (s Series) span(i int) (low, high float64) {
	if s.Err == nil {
		return s.Y[i], s.Y[i]
	}
	half := math.Abs(s.Err[i])
	return max(s.Y[i]-half, -math.MaxFloat64), min(s.Y[i]+half, math.MaxFloat64)
}

// bars says whether a series is drawn as bars.
func (c Chart) bars(s Series) bool { return len(c.Categories) > 0 && !s.Points }

// overhang returns the length by which slanted tick labels under the plot reach beyond its left border. Gonum's plot
// has no room for that.
func overhang(p *plot.Plot, under []plot.Tick) vg.Length {
	data := p.DataCanvas(draw.New(vgsvg.New(width, height)))
	var most vg.Length
	for _, tick := range under {
		most = max(most, -data.X(p.X.Norm(tick.Value))-p.X.Tick.Label.Rectangle(tick.Label).Min.X)
	}
	return most
}

// thumbnailed is what a plot and its legend can show.
type thumbnailed interface {
	plot.Plotter
	plot.Thumbnailer
}

// add adds series i to the plot and its legend.
func (c Chart) add(p *plot.Plot, f frame, i int, s Series) {
	points := make(plotter.XYs, len(s.X))
	for k := range points {
		points[k].X, points[k].Y = f.x.at(s.X[k]), f.y.at(s.Y[k])
		if len(c.Categories) > 0 {
			points[k].X = s.X[k] + c.shift(i)
		}
	}
	colour := palette[i%len(palette)]
	var drawn thumbnailed
	ink := colour // of the error bars
	switch {
	case s.Points:
		drawn = scatter(points, colour, s, len(c.Categories) > 0)
	case c.bars(s):
		drawn, ink = bars(points, f.y.at(0), colour, s, 0.45*c.slot()), color.Black
	default:
		drawn = line(points, colour, s)
	}
	p.Add(drawn)
	if len(c.Series) > 1 {
		p.Legend.Add(printable(s.Name), drawn)
	}
	if s.Err == nil {
		return
	}
	ends := make(plotter.YErrors, len(s.Err))
	for k := range ends {
		low, high := s.span(k)
		ends[k].Low, ends[k].High = points[k].Y-f.y.at(low), f.y.at(high)-points[k].Y
	}
	errors := &plotter.YErrorBars{XYs: points, YErrors: ends, LineStyle: plotter.DefaultLineStyle, CapWidth: plotter.DefaultCapWidth}
	errors.LineStyle.Color = ink
	p.Add(errors)
}

func line(points plotter.XYs, colour color.Color, s Series) *plotter.Line {
	style := draw.LineStyle{Color: colour, Width: vg.Points(1.6)}
	if s.Reference {
		style.Width, style.Dashes = vg.Points(1), []vg.Length{vg.Points(4), vg.Points(3)}
	}
	return &plotter.Line{XYs: points, LineStyle: style}
}

func scatter(points plotter.XYs, colour color.Color, s Series, large bool) *plotter.Scatter {
	style := draw.GlyphStyle{Color: colour, Radius: vg.Points(1.6), Shape: draw.CircleGlyph{}}
	if large {
		style.Radius = vg.Points(3)
	}
	if s.Reference {
		style.Shape = draw.RingGlyph{}
	}
	return &plotter.Scatter{XYs: points, GlyphStyle: style}
}

func bars(points plotter.XYs, zero float64, colour color.Color, s Series, half float64) *plotter.Polygon {
	rings := make([]plotter.XYs, len(points))
	for k, at := range points {
		rings[k] = plotter.XYs{{X: at.X - half, Y: zero}, {X: at.X - half, Y: at.Y}, {X: at.X + half, Y: at.Y}, {X: at.X + half, Y: zero}}
	}
	if s.Reference {
		return &plotter.Polygon{XYs: rings, Color: color.White, LineStyle: draw.LineStyle{Color: colour, Width: vg.Points(1.2)}}
	}
	return &plotter.Polygon{XYs: rings, Color: colour}
}

// slot returns the width that each series has in a category, of which there is one for each unit of the x axis.
func (c Chart) slot() float64 { return 0.7 / float64(len(c.Series)) }

// shift returns the distance of series i from the middle of a category.
func (c Chart) shift(i int) float64 {
	return c.slot() * (float64(i) - float64(len(c.Series)-1)/2)
}

// setAxes puts the ticks on the axes and returns those under the plot. Labels that do not fit side by side are
// slanted.
func (c Chart) setAxes(p *plot.Plot, f frame) (under []plot.Tick) {
	p.Y.Min, p.Y.Max = 0, 1
	p.Y.Tick.Marker = plot.ConstantTicks(f.y.ticks(false))
	p.X.Min, p.X.Max = 0, 1
	switch {
	case len(c.Categories) > 0:
		for i, name := range printables(c.Categories) {
			under = append(under, plot.Tick{Value: float64(i), Label: name})
		}
		p.X.Min, p.X.Max = -0.5, float64(len(c.Categories))-0.5
		p.X.Tick.Length = 0
	case c.LogX:
		var xs []float64
		for _, s := range c.Series {
			xs = append(xs, s.X...)
		}
		if under = f.x.marked(xs); under == nil {
			under = f.x.ticks(true)
		}
	default:
		under = f.x.ticks(true)
	}
	p.X.Tick.Marker = plot.ConstantTicks(under)
	most := 0
	for _, tick := range under {
		most = max(most, utf8.RuneCountInString(tick.Label))
	}
	if most*len(under) > letters {
		label := &p.X.Tick.Label
		label.Rotation, label.XAlign, label.YAlign = math.Pi/7, draw.XRight, draw.YCenter
	}
	return under
}
