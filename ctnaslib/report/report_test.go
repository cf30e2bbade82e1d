package report

import (
	"encoding/xml"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestChartSVG(t *testing.T) {
	svg, err := Chart{
		Title: "Loss", X: "epoch", Y: "cross-entropy",
		Series: []Series{
			{Name: "seed 1", X: []float64{1, 2, 3}, Y: []float64{0.9, 0.5, 0.4}},
			{Name: "seed 2", X: []float64{1, 2, 3}, Y: []float64{0.8, 0.6, 0.3}, Points: true},
		},
	}.SVG()
	if err != nil {
		t.Fatal(err)
	}
	for decoder := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := decoder.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("the picture is not well-formed: %v", err)
		}
	}
	for _, text := range []string{">Loss<", ">epoch<", ">cross-entropy<", ">seed 1<", ">seed 2<"} {
		if !strings.Contains(svg, text) {
			t.Errorf("the picture does not show %s", text)
		}
	}
}

func TestChartErrors(t *testing.T) {
	nan := 0.0
	nan /= nan
	for name, c := range map[string]Chart{
		"no series": {},
		"lengths":   {Series: []Series{{Name: "a", X: []float64{1}, Y: nil}}},
		"empty":     {Series: []Series{{Name: "a"}}},
		"nan":       {Series: []Series{{Name: "a", X: []float64{1}, Y: []float64{nan}}}},
	} {
		if _, err := c.SVG(); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line", name, err)
		}
	}
}

func TestInteractive(t *testing.T) {
	c := Chart{Title: "Landscape", X: "parameters", Y: "accuracy", Series: []Series{
		{Name: "cells", X: []float64{1.5, 2.5}, Y: []float64{90, 91}, Points: true},
		{Name: "mean", X: []float64{1, 3}, Y: []float64{90.5, 90.5}},
	}}
	html, err := c.Interactive()
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"<div", "echarts.init", `"Landscape"`, "[1.5,90]", `"type":"scatter"`, `"type":"line"`} {
		if !strings.Contains(html, part) {
			t.Errorf("the chart lacks %s", part)
		}
	}
	if strings.Contains(html, "http://") || strings.Contains(html, "https://") {
		t.Error("the chart loads something from the network")
	}
	if _, err := (Chart{}).Interactive(); err == nil {
		t.Error("an empty chart has no error")
	}
}

// shapes reads a picture: the drawn paths, and the texts on it.
func shapes(t *testing.T, svg string) (paths []map[string]string, texts []string) {
	t.Helper()
	inText := false
	for decoder := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := decoder.Token()
		if err == io.EOF {
			return paths, texts
		}
		if err != nil {
			t.Fatalf("the picture is not well-formed: %v", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			inText = token.Name.Local == "text"
			if token.Name.Local != "path" {
				continue
			}
			path := make(map[string]string)
			for _, a := range token.Attr {
				path[a.Name.Local] = a.Value
			}
			paths = append(paths, path)
		case xml.CharData:
			if inText {
				texts = append(texts, strings.TrimSpace(string(token)))
			}
		case xml.EndElement:
			inText = false
		}
	}
}

// count counts the paths whose style has all the given parts.
func count(paths []map[string]string, parts ...string) int {
	n := 0
	for _, p := range paths {
		has := true
		for _, part := range parts {
			has = has && strings.Contains(p["style"], part)
		}
		if has {
			n++
		}
	}
	return n
}

func svgOf(t *testing.T, c Chart) string {
	t.Helper()
	svg, err := c.SVG()
	if err != nil {
		t.Fatal(err)
	}
	return svg
}

// An error bar is a line and two caps; a reference line is dashed.
func TestErrorBars(t *testing.T) {
	c := Chart{Series: []Series{{Name: "mean", X: []float64{1, 2, 3}, Y: []float64{4, 5, 6}}}}
	plain, _ := shapes(t, svgOf(t, c))
	c.Series[0].Err = []float64{0.5, 0.1, 2}
	barred, _ := shapes(t, svgOf(t, c))
	if got := count(barred, "#0072B2") - count(plain, "#0072B2"); got != 3*3 {
		t.Errorf("three error bars are %d lines, want 9", got)
	}
	if count(plain, "dash") != 0 {
		t.Error("a plain line is dashed")
	}
	c.Series[0].Reference = true
	if dashed, _ := shapes(t, svgOf(t, c)); count(dashed, "#0072B2", "dash") != 1 {
		t.Error("a reference line is not dashed")
	}
}

func TestLogAxis(t *testing.T) {
	labels := []float64{20, 50, 100, 423, 2115, 4230}
	c := Chart{LogX: true, Series: []Series{{Name: "CTNAS", X: labels, Y: labels}}}
	_, texts := shapes(t, svgOf(t, c))
	for _, x := range []string{"20", "50", "100", "423", "2115", "4230"} {
		if !slices.Contains(texts, x) {
			t.Errorf("the axis lacks a tick at %s, it has %q", x, texts)
		}
	}
	for i := range 10 {
		c.Series[0].X, c.Series[0].Y = append(c.Series[0].X, 200+float64(i)), append(c.Series[0].Y, 0)
	}
	_, texts = shapes(t, svgOf(t, c))
	if !slices.Contains(texts, "100") || !slices.Contains(texts, "1000") || slices.Contains(texts, "423") {
		t.Errorf("ticks of many points are %q, want powers of ten", texts)
	}
}

func TestCategories(t *testing.T) {
	c := Chart{Categories: []string{"fixed", "random", "curriculum"}, Series: []Series{
		{Name: "measured", X: []float64{0, 1, 2}, Y: []float64{93.4, 93.5, 93.9}, Err: []float64{.2, .4, .2}, Points: true},
		{Name: "paper", X: []float64{0, 2}, Y: []float64{93.39, 93.92}, Points: true, Reference: true},
	}}
	_, texts := shapes(t, svgOf(t, c))
	for _, name := range append(c.Categories, "measured", "paper") {
		if !slices.Contains(texts, name) {
			t.Errorf("the picture does not say %q", name)
		}
	}
	c.Series[0].Points, c.Series[0].Err = false, nil
	paths, _ := shapes(t, svgOf(t, c))
	bars := 0
	for _, p := range paths {
		if strings.Contains(p["style"], "fill:#0072B2") {
			bars = max(bars, strings.Count(p["d"], "Z"))
		}
	}
	if bars != 3 {
		t.Errorf("%d bars, want 3", bars)
	}
	html, err := c.Interactive()
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"type":"category"`, `"curriculum"`, `"type":"bar"`, "[2,93.9]"} {
		if !strings.Contains(html, part) {
			t.Errorf("the interactive chart lacks %s", part)
		}
	}
}

func TestChartRefusals(t *testing.T) {
	one, inf := []float64{1}, []float64{math.Inf(1)}
	for name, c := range map[string]Chart{
		"error bars":     {Series: []Series{{X: one, Y: one, Err: []float64{1, 2}}}},
		"nan error":      {Series: []Series{{X: one, Y: one, Err: []float64{math.NaN()}}}},
		"nan x":          {Series: []Series{{X: []float64{math.NaN()}, Y: one}}},
		"infinite x":     {Series: []Series{{X: inf, Y: one}}},
		"infinite y":     {Series: []Series{{X: one, Y: inf, Points: true}}},
		"infinite error": {Series: []Series{{X: one, Y: one, Err: inf}}},
		"no points":      {Series: []Series{{X: one, Y: one}, {Name: "empty"}}},
		"log of -1":      {LogX: true, Series: []Series{{X: []float64{1, -1}, Y: []float64{1, 2}}}},
		"log of 0":       {LogX: true, Series: []Series{{X: []float64{0}, Y: one}}},
		"no category":    {Categories: []string{"a"}, Series: []Series{{X: one, Y: one}}},
		"half category":  {Categories: []string{"a"}, Series: []Series{{X: []float64{0.5}, Y: one}}},
		"log categories": {LogX: true, Categories: []string{"a", "b"}, Series: []Series{{X: one, Y: one}}},
	} {
		_, svgErr := c.SVG()
		_, htmlErr := c.Interactive()
		if svgErr == nil || htmlErr == nil {
			t.Errorf("%s: %v and %v, want errors", name, svgErr, htmlErr)
		}
	}
	// ECharts draws axes of these without numbers.
	for _, y := range []float64{1e-300, 1e308} {
		c := Chart{Series: []Series{{X: []float64{1, 2}, Y: []float64{y, y / 2}}}}
		if _, err := c.Interactive(); err == nil {
			t.Errorf("an interactive chart of %g", y)
		}
		svgOf(t, c)
	}
	// A single point has axes without extent.
	for _, c := range []Chart{
		{Series: []Series{{X: one, Y: one}}},
		{LogX: true, Series: []Series{{X: one, Y: one}}},
		{Categories: []string{"a"}, Series: []Series{{X: []float64{0}, Y: []float64{0}}}},
	} {
		svgOf(t, c)
	}
}

// Slanted names that reach beyond the left border make the picture wider by so much.
func TestLongNamesFit(t *testing.T) {
	size := func(categories ...string) (cm float64) {
		t.Helper()
		s := Series{Points: true}
		for i := range categories {
			s.X, s.Y = append(s.X, float64(i)), append(s.Y, float64(i))
		}
		svg, err := Chart{Series: []Series{s}, Categories: categories}.SVG()
		if err != nil {
			t.Fatal(err)
		}
		_, after, _ := strings.Cut(svg, `<svg width="`)
		number, _, _ := strings.Cut(after, "pt")
		points, err := strconv.ParseFloat(number, 64)
		if err != nil {
			t.Fatalf("%v in %.200s", err, svg)
		}
		return points / 72 * 2.54
	}
	long := strings.Repeat("a long name ", 10)
	first, last := size(long, "b"), size("b", long)
	if math.Abs(size("a", "b")-12.5) > 0.01 || first <= last || last < 12.49 {
		t.Errorf("short names: %.2f cm, the long one first: %.2f, last: %.2f", size("a", "b"), first, last)
	}
}
