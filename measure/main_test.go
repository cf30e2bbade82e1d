package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/internal/install"
	"github.com/ctnas/ctnas/internal/install/installtest"
)

func TestArguments(t *testing.T) {
	for args, want := range map[string]string{"": "name one thing", "cells class": "name one thing", "speed": `"speed" cannot be measured`} {
		installtest.WantError(t, run(t.Context(), strings.Fields(args), new(bytes.Buffer)), want)
	}
}

// What is measured is a row of result.json, and a line of the table and of the terminal.
func TestMeasurement(t *testing.T) {
	r := install.Repo(installtest.Repo(t))
	var out bytes.Buffer
	m := begin(&out, "celltimes", "cell", "median")
	m.add(report.Row{Method: "prints a line", Metrics: map[string]float64{"time_ms": 1200}}, "1.20 s")
	if err := m.write(r, "Times, on %s. Written by `go run ./measure cells`.", map[string]any{"kernels": 3}); err != nil {
		t.Fatal(err)
	}
	if want := "  prints a line: 1.20 s\n"; out.String() != want {
		t.Errorf("the terminal shows %q, want %q", &out, want)
	}
	table, err := os.ReadFile(r.Path("figures", "celltimes", "table.md"))
	if err != nil || !strings.HasPrefix(string(table), "Times, on ") ||
		!strings.HasSuffix(string(table), "Written by `go run ./measure cells`.\n\n| cell | median |\n| --- | ---: |\n| prints a line | 1.20 s |\n") {
		t.Errorf("the table (error %v) is %q", err, table)
	}
	text, err := os.ReadFile(r.Path("figures", "celltimes", "result.json"))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		ID     string
		Config struct{ Kernels int }
		Rows   []struct{ Metrics map[string]float64 }
	}
	if err := json.Unmarshal(text, &got); err != nil || got.ID != "celltimes" || got.Config.Kernels != 3 || got.Rows[0].Metrics["time_ms"] != 1200 {
		t.Errorf("the result (error %v) is %s", err, text)
	}
}

// Every kernel gets cells of its own, so that each is compiled.
func TestTimedNotebook(t *testing.T) {
	seen := map[string]bool{}
	for kernel := range timedKernels {
		var nb struct{ Cells []struct{ Source string } }
		if err := json.Unmarshal(timedNotebook(kernel), &nb); err != nil || len(nb.Cells) != 1+timedEdits*len(timedCells) {
			t.Fatalf("%d cells (error %v)", len(nb.Cells), err)
		}
		for _, c := range nb.Cells[1:] {
			if seen[c.Source] {
				t.Errorf("%q comes twice", c.Source)
			}
			seen[c.Source] = true
		}
	}
}
