// Package report turns results into pictures and tables, as values and bytes: it prints nothing and shows nothing.
// Package nb shows them in a notebook.
//
//	result, err := report.ReadResult("figures/table4/result.json")
//	table := result.Table(report.Accuracy, report.Best)
//	svg, err := result.Chart(report.Accuracy).SVG()
//
// A [Result] holds what was measured, on what, with how many seeds, and the paper's numbers beside; [Result.Check]
// refuses one that does not say so. A [Chart] is made of named series, and drawn with axes that have room for any
// finite numbers.
//
// Results, tables and charts are values that no method changes, so methods may be called from several goroutines at a
// time.
package report

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode"
)

// Series is a named line of points in a plot.
type Series struct {
	Name      string
	X, Y      []float64
	Err       []float64 // half the length of each point's error bar; nil for none
	Points    bool      // draw the points alone, without a line
	Reference bool      // something to compare with, such as the paper's numbers: a dashed line, hollow points
}

// Chart is a plot of series over common axes.
type Chart struct {
	Title, X, Y string // the title and the labels of the axes
	Series      []Series
	LogX        bool // the x axis is logarithmic

	// Categories, if there are any, take the place of numbers on the x axis: the X of the series are positions in
	// Categories. Series stand side by side there, as bars or, with Points, as points.
	Categories []string
}

// check names what cannot be drawn.
func (c Chart) check() error {
	if len(c.Series) == 0 {
		return errors.New("report: the chart has no series")
	}
	if c.LogX && len(c.Categories) > 0 {
		return errors.New("report: a chart of categories has no logarithmic axis")
	}
	for _, s := range c.Series {
		if len(s.X) != len(s.Y) || len(s.X) == 0 {
			return fmt.Errorf("report: the series %q has %d x and %d y values; give it a point, with both", s.Name, len(s.X), len(s.Y))
		}
		if s.Err != nil && len(s.Err) != len(s.Y) {
			return fmt.Errorf("report: the series %q has %d y values and %d error bars", s.Name, len(s.Y), len(s.Err))
		}
		for i, x := range s.X {
			switch {
			case !finite(x) || !finite(s.Y[i]):
				return fmt.Errorf("report: point %d of the series %q is (%g, %g), which cannot be drawn; leave it out", i, s.Name, x, s.Y[i])
			case s.Err != nil && !finite(s.Err[i]):
				return fmt.Errorf("report: point %d of the series %q has the error bar %g, which cannot be drawn; leave it out", i, s.Name, s.Err[i])
			case c.LogX && x <= 0:
				return fmt.Errorf("report: the series %q has x = %g, which has no place on a logarithmic axis", s.Name, x)
			case len(c.Categories) > 0 && (x != math.Trunc(x) || x < 0 || x >= float64(len(c.Categories))):
				return fmt.Errorf("report: the series %q has x = %g, which is not one of the %d categories", s.Name, x, len(c.Categories))
			}
		}
	}
	return nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// printable returns text as every kind of document can hold it, on one line: a space for each line break or tab, and
// U+FFFD for what is a control character or no character at all.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case strings.ContainsRune("\t\n\v\f\r\u0085\u2028\u2029", r):
			return ' '
		case unicode.IsControl(r) || r == 0xfffe || r == 0xffff:
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

func printables(texts []string) []string {
	all := make([]string, len(texts))
	for i, text := range texts {
		all[i] = printable(text)
	}
	return all
}
