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
	"slices"
	"strings"
	"unicode"

	"gonum.org/v1/gonum/stat"
)

// Series is a named line of points in a plot.
type Series struct {
	Name      string
	X, Y      []float64
	Low, High []float64 // ends of a bar at each point, such as quantiles: see [Series.Summarise]; nil for none
	Points    bool      // draw the points alone, without a line
	Reference bool      // something to compare with, such as the paper's numbers: a dashed line, hollow points
	Labels    []string  // what each point is, such as a cell, to read off in an interactive chart; nil for none

	form form
}

// form is what points of a chart of a [Result] look like.
type form int

const (
	plain form = iota
	seeds      // hollow, spread across their row
	mean       // a stroke across the row
	paper      // a hollow diamond
)

// Summarise adds a point at x: the median of the values, with a bar from their lower to their upper quartile. Unlike a mean
// with a standard deviation, these are values that there are. Without values it adds nothing; one that is not finite
// is an error when the chart is drawn.
func (s *Series) Summarise(x float64, values []float64) {
	if len(values) == 0 {
		return
	}
	if i := slices.IndexFunc(values, func(v float64) bool { return !finite(v) }); i >= 0 {
		s.X, s.Y, s.Low, s.High = append(s.X, x), append(s.Y, values[i]), append(s.Low, values[i]), append(s.High, values[i])
		return
	}
	sorted := slices.Sorted(slices.Values(values))
	quantile := func(share float64) float64 { return stat.Quantile(share, stat.Empirical, sorted, nil) }
	s.X, s.Y = append(s.X, x), append(s.Y, quantile(0.5))
	s.Low, s.High = append(s.Low, quantile(0.25)), append(s.High, quantile(0.75))
}

// Chart is a plot of series over common axes. A series whose name is that of a method has the method's colour, as package
// style has it. Labels of axes end with the unit in brackets, if there is one.
type Chart struct {
	Title, X, Y string // the title and the labels of the axes
	Note        string // a line under the title, such as what the bars are; may be empty
	Series      []Series
	LogX        bool // the x axis is logarithmic

	// Categories, if there are any, take the place of numbers on the x axis: the X of the series are positions in
	// Categories. Series stand side by side there, as bars or, with Points, as points.
	Categories []string

	// Rows turns a chart of categories: they are below one another, with their names in full. Categories whose names
	// have no room side by side are always turned.
	Rows bool

	from float64 // values below it have no room: their numbers are at the edge; 0 for none
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
		if s.Low != nil && len(s.Low) != len(s.Y) || len(s.High) != len(s.Low) {
			return fmt.Errorf("report: the series %q has %d y values, and bars with %d lower and %d upper ends", s.Name, len(s.Y), len(s.Low), len(s.High))
		}
		if s.Labels != nil && len(s.Labels) != len(s.Y) {
			return fmt.Errorf("report: the series %q has %d y values and %d labels", s.Name, len(s.Y), len(s.Labels))
		}
		for i, x := range s.X {
			switch {
			case !finite(x) || !finite(s.Y[i]):
				return fmt.Errorf("report: point %d of the series %q is (%g, %g), which cannot be drawn; leave it out", i, s.Name, x, s.Y[i])
			case s.Low != nil && (!finite(s.Low[i]) || !finite(s.High[i])):
				return fmt.Errorf("report: point %d of the series %q has a bar from %g to %g, which cannot be drawn; leave it out", i, s.Name, s.Low[i], s.High[i])
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
