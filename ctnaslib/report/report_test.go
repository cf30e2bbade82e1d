package report

import (
	"encoding/xml"
	"io"
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
