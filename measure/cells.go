package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/internal/install"
	"github.com/ctnas/ctnas/internal/notebook"
)

// timedDeclarations is the first cell, as notebooks begin. GoNB keeps what it
// declares, so every later cell is compiled with all of it.
const timedDeclarations = `%noautoget
import (
	"fmt"
	"math/rand/v2"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/ctnas"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/nb"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/datasets"
)

func sample(seed uint64) nasbench101.Cell {
	return nasbench101.Space{}.Sample(rand.New(rand.NewPCG(seed, 0))).(nasbench101.Cell)
}

func table() *datasets.NASBench101 { return nb.Must(datasets.OpenNASBench101(nb.Context(), "")) }

func find() (*search.Found, error) {
	problem := search.Problem{Backend: nb.Must(engine.Open()), Benchmark: table().Benchmark()}
	return ctnas.Search(nb.Context(), nb.Runs(), problem, ctnas.Quick())
}
`

// timedCells are the cells to time. %d makes each one new, so that it is compiled.
var timedCells = []struct{ name, source string }{
	{"prints a line", "%%%%\nfmt.Println(%d)"},
	{"draws a cell", "%%%%\nnb.Pictures(nb.Picture{SVG: sample(%d).SVG()})"},
	{"draws a chart, and one to zoom into", "%%%%\nchart := report.Chart{Title: \"t\", Series: []report.Series{{X: []float64{0, 1}, Y: []float64{0, %d}}}}\nnb.Charts(chart)\nnb.InteractiveChart(chart)"},
	{"opens the table", "%%%%\nfmt.Println(%d, table().Report().Len())"},
	{"makes a comparator and asks it", "%%%%\nnac := nb.Must(comparator.New(nb.Must(engine.Open()), nasbench101.Space{}, comparator.Quick()))\nfmt.Println(nac.Compare(sample(%d), sample(0)))"},
}

const (
	timedKernels = 3 // fresh kernels
	timedEdits   = 3 // cells of each kind in each kernel
)

// measureCells measures the time from sending a cell to the end of its output.
func measureCells(ctx context.Context, out io.Writer) error {
	env, err := install.Install(ctx, out, install.Extent{})
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "ctnas-cells-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "cells.ipynb")
	m := begin(out, "celltimes", "cell", "median", "slowest", "cells")
	firsts, edits := []float64{}, make([][]float64, len(timedCells))
	for kernel := range timedKernels {
		if err := os.WriteFile(path, timedNotebook(kernel), 0o644); err != nil {
			return err
		}
		seconds, err := notebook.Execute(ctx, env, io.Discard, path, filepath.Join(folder, "executed.ipynb"), time.Minute)
		if err != nil {
			return err
		}
		firsts = append(firsts, seconds[0])
		for i, s := range seconds[1:] {
			kind := i % len(timedCells)
			edits[kind] = append(edits[kind], s)
		}
		fmt.Fprintf(out, "  kernel %d of %d: first cell %.1f s\n", kernel+1, timedKernels, seconds[0])
	}
	add := func(name string, seconds []float64) {
		slices.Sort(seconds)
		median, slowest := seconds[len(seconds)/2], seconds[len(seconds)-1]
		m.add(report.Row{Method: name, Metrics: map[string]float64{"time_ms": 1000 * median, "slowest_ms": 1000 * slowest, "cells": float64(len(seconds))}},
			fmt.Sprintf("%.2f s", median), fmt.Sprintf("%.2f s", slowest), fmt.Sprint(len(seconds)))
	}
	add("first cell of a fresh kernel: imports and declarations", firsts)
	for i, c := range timedCells {
		add(c.name, edits[i])
	}
	add("all of these but the first", slices.Concat(edits...))
	return m.write(env.Repo, "Time from sending a cell to the end of its output, on %s. Each cell is new, so it is compiled. Written by `go run ./measure cells`.",
		map[string]any{"kernels": timedKernels})
}

// timedNotebook has every kind of cell in turns, with numbers that no other kernel had.
func timedNotebook(kernel int) []byte {
	type cell map[string]any
	code := func(source string) cell {
		return cell{"cell_type": "code", "metadata": cell{}, "outputs": []any{}, "execution_count": nil, "source": source}
	}
	cells := []cell{code(timedDeclarations)}
	for edit := range timedEdits {
		for _, c := range timedCells {
			cells = append(cells, code(fmt.Sprintf(c.source, 1+kernel*timedEdits+edit)))
		}
	}
	content, err := json.Marshal(cell{"cells": cells, "metadata": cell{}, "nbformat": 4, "nbformat_minor": 4})
	if err != nil {
		panic(err) // It holds nothing that JSON cannot.
	}
	return content
}
