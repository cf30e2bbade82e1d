package report

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"image/png"
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
	html, err := c.Interactive("echarts.js")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"<div", "echarts.init", `"Landscape"`, "[1.5,90]", `"type":"scatter"`, `"type":"line"`, `"echarts.js"`} {
		if !strings.Contains(html, part) {
			t.Errorf("the chart lacks %s", part)
		}
	}
	if strings.Contains(html, "http://") || strings.Contains(html, "https://") {
		t.Error("the chart loads something from the network")
	}
	if _, err := (Chart{}).Interactive(""); err == nil {
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

// Points have a bar each, a line has a band, which is in the picture as a whole; a reference line is dashed.
func TestBarsAndBands(t *testing.T) {
	c := Chart{Series: []Series{{Name: "median", X: []float64{1, 2, 3}, Y: []float64{4, 5, 6}, Points: true}}}
	plain, _ := shapes(t, svgOf(t, c))
	c.Series[0].Low, c.Series[0].High = []float64{3.5, 4.9, 4}, []float64{4.5, 5.1, 8}
	barred, _ := shapes(t, svgOf(t, c))
	if got := count(barred, "stroke:#0072B2") - count(plain, "stroke:#0072B2"); got != 3 {
		t.Errorf("three points have %d bars", got)
	}
	if count(plain, "dash") != 0 {
		t.Error("something is dashed")
	}
	c.Series[0].Points = false
	banded, _ := shapes(t, svgOf(t, c))
	if count(banded, "fill-opacity") != 1 {
		t.Error("a line has no band")
	}
	for _, path := range append(barred, banded...) {
		for _, pair := range strings.FieldsFunc(path["d"], func(r rune) bool { return strings.ContainsRune("MLZ", r) }) {
			x, y, _ := strings.Cut(pair, ",")
			h, errX := strconv.ParseFloat(x, 64)
			v, errY := strconv.ParseFloat(y, 64)
			if errX == nil && errY == nil && (h < 0 || h > float64(width) || v < 0 || v > float64(height)) {
				t.Errorf("the path %s leaves the picture", path["d"])
			}
		}
	}
	c.Series[0].Reference = true
	if dashed, _ := shapes(t, svgOf(t, c)); count(dashed, "#0072B2", "dash") != 1 {
		t.Error("a reference line is not dashed")
	}
}

func TestLogAxis(t *testing.T) {
	labels := []float64{20, 50, 100, 423, 2115, 4230}
	_, texts := shapes(t, svgOf(t, Chart{LogX: true, Series: []Series{{Name: "CTNAS", X: labels, Y: labels}}}))
	for _, x := range []string{"20", "50", "100", "200", "500", "1,000", "2,000"} {
		if !slices.Contains(texts, x) {
			t.Errorf("the axis lacks a tick at %s, it has %q", x, texts)
		}
	}
}

// Texts are as wide as they were laid out, whatever font shows them.
func TestTextsFit(t *testing.T) {
	svg := svgOf(t, Chart{Title: "A & B", X: "time (s)", Series: []Series{{X: []float64{1, 2}, Y: []float64{1, 2}}}})
	if texts, sized := strings.Count(svg, "<text"), strings.Count(svg, `textLength="`); texts == 0 || texts != sized {
		t.Errorf("%d of %d texts have a width", sized, texts)
	}
	if want := fmt.Sprintf(`<text textLength="%.1f"`, titleStyle.Width("A & B").Points()); !strings.Contains(svg, want) {
		t.Errorf("the title is not %s", want)
	}
}

// summarised returns a series of one summary.
func summarised(values ...float64) Series {
	s := Series{Name: "summary"}
	s.Summarise(1, values)
	return s
}

func TestSummarise(t *testing.T) {
	s := summarised(9, 1, 3, 2, 8, 4, 7, 5, 6, 10)
	if s.X[0] != 1 || s.Y[0] != 5 || s.Low[0] != 3 || s.High[0] != 8 {
		t.Errorf("the summary of 1 to 10 is %+v", s)
	}
	if s := summarised(); len(s.X) != 0 {
		t.Errorf("the summary of nothing is %+v", s)
	}
}

func TestCategories(t *testing.T) {
	c := Chart{Categories: []string{"fixed", "random", "curriculum"}, Series: []Series{
		{Name: "measured", X: []float64{0, 1, 2}, Y: []float64{93.4, 93.5, 93.9}, Low: []float64{93.2, 93.1, 93.7}, High: []float64{93.6, 93.9, 94.1}, Points: true},
		{Name: "paper", X: []float64{0, 2}, Y: []float64{93.39, 93.92}, Points: true, Reference: true},
	}}
	_, texts := shapes(t, svgOf(t, c))
	for _, name := range append(c.Categories, "measured", "paper") {
		if !slices.Contains(texts, name) {
			t.Errorf("the picture does not say %q", name)
		}
	}
	c.Series[0].Points, c.Series[0].Low, c.Series[0].High = false, nil, nil
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
	html, err := c.Interactive("echarts.js")
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
		"error bars":     {Series: []Series{{X: one, Y: one, Low: []float64{1, 2}, High: []float64{1, 2}}}},
		"nan error":      {Series: []Series{{X: one, Y: one, Low: []float64{math.NaN()}, High: one}}},
		"nan x":          {Series: []Series{{X: []float64{math.NaN()}, Y: one}}},
		"infinite x":     {Series: []Series{{X: inf, Y: one}}},
		"infinite y":     {Series: []Series{{X: one, Y: inf, Points: true}}},
		"infinite error": {Series: []Series{{X: one, Y: one, Low: one, High: inf}}},
		"half a bar":     {Series: []Series{{X: one, Y: one, Low: one}}},
		"labels":         {Series: []Series{{X: one, Y: one, Labels: []string{"a", "b"}}}},
		"of a NaN":       {Series: []Series{summarised(1, math.NaN())}},
		"no points":      {Series: []Series{{X: one, Y: one}, {Name: "empty"}}},
		"log of -1":      {LogX: true, Series: []Series{{X: []float64{1, -1}, Y: []float64{1, 2}}}},
		"log of 0":       {LogX: true, Series: []Series{{X: []float64{0}, Y: one}}},
		"no category":    {Categories: []string{"a"}, Series: []Series{{X: one, Y: one}}},
		"half category":  {Categories: []string{"a"}, Series: []Series{{X: []float64{0.5}, Y: one}}},
		"log categories": {LogX: true, Categories: []string{"a", "b"}, Series: []Series{{X: one, Y: one}}},
	} {
		_, svgErr := c.SVG()
		_, htmlErr := c.Interactive("echarts.js")
		if svgErr == nil || htmlErr == nil {
			t.Errorf("%s: %v and %v, want errors", name, svgErr, htmlErr)
		}
	}
	// ECharts draws axes of these without numbers.
	for _, y := range []float64{1e-300, 1e308} {
		c := Chart{Series: []Series{{X: []float64{1, 2}, Y: []float64{y, y / 2}}}}
		if _, err := c.Interactive("echarts.js"); err == nil {
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

// Categories whose names have no room side by side are rows, with their names in full, and the picture is as high as
// these need.
func TestLongNamesFit(t *testing.T) {
	size := func(categories ...string) (high float64) {
		t.Helper()
		s := Series{Points: true}
		for i := range categories {
			s.X, s.Y = append(s.X, float64(i)), append(s.Y, float64(i))
		}
		svg := svgOf(t, Chart{Series: []Series{s}, Categories: categories})
		_, after, _ := strings.Cut(svg, `<svg width="600pt" height="`)
		number, _, _ := strings.Cut(after, "pt")
		points, err := strconv.ParseFloat(number, 64)
		if err != nil {
			t.Fatalf("%v in %.200s", err, svg)
		}
		_, texts := shapes(t, svg)
		for _, name := range categories {
			if !slices.Contains(texts, name) {
				t.Errorf("the picture does not say %q but %q", name, texts)
			}
		}
		return points
	}
	if few, many := size("a", "b"), size(slices.Repeat([]string{"a longer name"}, 20)...); few != 300 || many < 20*20 {
		t.Errorf("few rows are %g points high, many %g", few, many)
	}
}

// A method has its colour in every chart, beside whatever others.
func TestColoursOfMethods(t *testing.T) {
	xs := []float64{0, 1}
	for _, c := range []Chart{
		{Series: []Series{{Name: "CTNAS", X: xs, Y: xs}}},
		{Series: []Series{{Name: "loss", X: xs, Y: xs}, {Name: "Random search", X: xs, Y: xs}, {Name: "CTNAS", X: xs, Y: xs}}},
	} {
		if paths, _ := shapes(t, svgOf(t, c)); count(paths, "stroke:#0072B2") == 0 {
			t.Errorf("CTNAS is not blue in %+v", c)
		}
		html, err := c.Interactive("")
		if err != nil || !strings.Contains(html, `"color":"#0072B2"`) {
			t.Errorf("CTNAS is not blue in the interactive chart (%v)", err)
		}
	}
}

// A cloud of cells with their names is at most 200 KB, the script of ECharts apart, and no wheel zooms into it.
func TestInteractiveIsSmall(t *testing.T) {
	s := Series{Name: "cells", Points: true}
	for i := range 4000 {
		s.X, s.Y = append(s.X, float64(i)*1.2345678e-2), append(s.Y, 85+10*math.Sin(float64(i)))
		s.Labels = append(s.Labels, "110000100110101:ABMA")
	}
	html, err := Chart{Title: "cells", X: "parameters (millions)", Y: "test accuracy (%)", Series: []Series{s}}.Interactive("echarts.js")
	if err != nil {
		t.Fatal(err)
	}
	if len(html) > 200_000 {
		t.Errorf("the chart has %d bytes", len(html))
	}
	if strings.Contains(html, `"inside"`) || !strings.Contains(html, `"unit":" millions"`) || !strings.Contains(html, `"unit":" %"`) {
		t.Error("a wheel zooms, or the units are not there")
	}
}

// A picture of charts side by side is as wide as one chart; charts with rows are below one another.
func TestPNG(t *testing.T) {
	size := func(charts ...Chart) (int, int) {
		t.Helper()
		picture, err := PNG(charts...)
		if err != nil {
			t.Fatal(err)
		}
		config, err := png.DecodeConfig(bytes.NewReader(picture))
		if err != nil {
			t.Fatal(err)
		}
		return config.Width, config.Height
	}
	one := Chart{Title: "one", X: "x", Y: "y", Series: []Series{{X: []float64{1, 2}, Y: []float64{1, 2}}}}
	rows := Chart{Rows: true, Categories: []string{"a", "b"}, Series: []Series{{X: []float64{0, 1}, Y: []float64{1, 2}, Points: true}}}
	for _, test := range []struct {
		charts        []Chart
		width, height int
	}{
		{[]Chart{one}, 1600, 800},
		{[]Chart{one, one}, 1600, 586},
		{[]Chart{one, one, one}, 1600, 506},
		{[]Chart{one, one, one, one, one}, 1600, 3 * 1760 / 3},
		{[]Chart{one, rows}, 1600, 1600},
	} {
		if w, h := size(test.charts...); w != test.width || max(h-test.height, test.height-h) > 2 {
			t.Errorf("%d charts are %d × %d pixels, want %d × %d", len(test.charts), w, h, test.width, test.height)
		}
	}
	if _, err := PNG(); err == nil {
		t.Error("no chart is a picture")
	}
	if _, err := PNG(one, Chart{}); err == nil {
		t.Error("an empty chart is a picture")
	}
}
