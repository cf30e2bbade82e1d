// Package report turns results into pictures and tables, as values and bytes: it
// prints nothing and shows nothing. Package nb shows them in a notebook.
package report

import (
	"bytes"
	"errors"
	"fmt"
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Series is a named line of points in a plot.
type Series struct {
	Name   string
	X, Y   []float64
	Points bool // draw the points alone, without a line
}

// Chart is a plot of series over common axes.
type Chart struct {
	Title, X, Y string // the title and the labels of the axes
	Series      []Series
}

// The colours of series, distinguishable without colour vision (Okabe and Ito).
var palette = []color.Color{
	color.RGBA{0x00, 0x72, 0xb2, 0xff}, // blue
	color.RGBA{0xd5, 0x5e, 0x00, 0xff}, // vermilion
	color.RGBA{0x00, 0x9e, 0x73, 0xff}, // green
	color.RGBA{0xcc, 0x79, 0xa7, 0xff}, // purple
	color.RGBA{0x56, 0xb4, 0xe9, 0xff}, // light blue
	color.RGBA{0xe6, 0x9f, 0x00, 0xff}, // orange
}

// SVG draws the chart, 12.5 × 7.5 cm. The error names the series that cannot be drawn.
func (c Chart) SVG() (string, error) {
	if len(c.Series) == 0 {
		return "", errors.New("report: the chart has no series")
	}
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = c.Title, c.X, c.Y
	p.Add(plotter.NewGrid())
	for i, s := range c.Series {
		if len(s.X) != len(s.Y) || len(s.X) == 0 {
			return "", fmt.Errorf("report: the series %q has %d x and %d y values", s.Name, len(s.X), len(s.Y))
		}
		points := make(plotter.XYs, len(s.X))
		for k := range points {
			points[k].X, points[k].Y = s.X[k], s.Y[k]
		}
		colour := palette[i%len(palette)]
		var drawn interface {
			plot.Plotter
			plot.Thumbnailer
		}
		if s.Points {
			scatter, err := plotter.NewScatter(points)
			if err != nil {
				return "", fmt.Errorf("report: the series %q: %w", s.Name, err)
			}
			scatter.GlyphStyle = draw.GlyphStyle{Color: colour, Radius: vg.Points(1.6), Shape: draw.CircleGlyph{}}
			drawn = scatter
		} else {
			line, err := plotter.NewLine(points)
			if err != nil {
				return "", fmt.Errorf("report: the series %q: %w", s.Name, err)
			}
			line.Color, line.Width = colour, vg.Points(1.6)
			drawn = line
		}
		p.Add(drawn)
		if len(c.Series) > 1 {
			p.Legend.Add(s.Name, drawn)
		}
	}
	picture, err := p.WriterTo(12.5*vg.Centimeter, 7.5*vg.Centimeter, "svg")
	if err != nil {
		return "", fmt.Errorf("report: cannot draw %q: %w", c.Title, err)
	}
	var out bytes.Buffer
	if _, err := picture.WriteTo(&out); err != nil {
		return "", fmt.Errorf("report: cannot draw %q: %w", c.Title, err)
	}
	return out.String(), nil
}
