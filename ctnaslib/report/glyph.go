package report

import (
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/ctnas/ctnas/ctnaslib/style"
)

// mark is what a point looks like: a circle, or a polygon with corners, the first of which is at the top.
type mark struct {
	corners int  // 0: a circle
	hollow  bool // only its edge
	filled  bool // of a hollow one: with white
}

// markOf returns the mark of series i: with colours alone, some could not be told apart in print.
func markOf(i int) mark { return []mark{{}, {corners: 4}, {corners: 3}, {corners: 5}}[i%4] }

// DrawGlyph draws the mark; full ones have a thin white edge, so that they can be told apart where they overlap.
func (m mark) DrawGlyph(c *draw.Canvas, look draw.GlyphStyle, at vg.Point) {
	var path vg.Path
	if m.corners == 0 {
		path.Move(vg.Point{X: at.X + look.Radius, Y: at.Y})
		path.Arc(at, look.Radius, 0, 2*math.Pi)
	} else {
		for i := range m.corners {
			angle := math.Pi/2 + 2*math.Pi*float64(i)/float64(m.corners)
			corner := vg.Point{X: at.X + 1.2*look.Radius*vg.Length(math.Cos(angle)), Y: at.Y + 1.2*look.Radius*vg.Length(math.Sin(angle))}
			if i == 0 {
				path.Move(corner)
			} else {
				path.Line(corner)
			}
		}
	}
	path.Close()
	edge, width := look.Color, vg.Length(1)
	switch {
	case !m.hollow:
		c.SetColor(look.Color)
		c.Fill(path)
		edge, width = colourOf(style.Paper), 0.5
	case m.filled:
		c.SetColor(colourOf(style.Paper))
		c.Fill(path)
	}
	c.SetLineStyle(draw.LineStyle{Color: edge, Width: width})
	c.Stroke(path)
}

// stroke is a short thick line: across a row, or where categories stand side by side, level.
type stroke struct{ upright bool }

// DrawGlyph draws the stroke.
func (s stroke) DrawGlyph(c *draw.Canvas, look draw.GlyphStyle, at vg.Point) {
	x, y := look.Radius, vg.Length(0)
	if s.upright {
		x, y = y, x
	}
	c.SetLineStyle(draw.LineStyle{Color: look.Color, Width: 2.5})
	var path vg.Path
	path.Move(vg.Point{X: at.X - x, Y: at.Y - y})
	path.Line(vg.Point{X: at.X + x, Y: at.Y + y})
	c.Stroke(path)
}

// segments are lines from points to points, such as the bars of points.
type segments struct {
	from, to plotter.XYs
	style    draw.LineStyle
}

// Plot draws the segments.
func (s segments) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for i := range s.from {
		c.StrokeLine2(s.style, x(s.from[i].X), y(s.from[i].Y), x(s.to[i].X), y(s.to[i].Y))
	}
}
