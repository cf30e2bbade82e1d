// Measure measures what the README says of speed and memory, and writes it into figures: result.json and table.md.
//
//	GOEXPERIMENT=simd go run ./measure backends   XLA against pure Go: figures/backends
//	GOEXPERIMENT=simd go run ./measure seeds      seeds of a table side by side: figures/seeds
//	go run ./measure cells                        how long a cell takes: figures/celltimes
//	go run ./measure class                        the memory of many kernels at once: figures/class
//
// Each takes minutes, and wants a machine that does nothing else; the load before it is part of the result. "backends"
// compares the numbers first; it and "seeds" need a plugin that "go run ./kernel-setup install" has installed.
// The other two install what is missing, as kernel-setup does; "class" runs on Linux only. No notebook and no test
// needs any of this.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/internal/install"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // A second Ctrl-C ends the program at once.
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("name one thing to measure: backends, seeds, cells or class")
	}
	switch args[0] {
	case "backends":
		return measureBackends(ctx, out)
	case "seeds":
		return measureSeeds(ctx, out)
	case "cells":
		return measureCells(ctx, out)
	case "class":
		return measureClass(ctx, out)
	}
	return fmt.Errorf("%q cannot be measured, only backends, seeds, cells or class", args[0])
}

// measurement is what one of the programs has measured so far.
type measurement struct {
	report.Result // not checked: experiments have other metrics
	table         report.Table
	out           io.Writer
	start         time.Time
	load          string
}

// begin begins a measurement for figures/<id>, with the header of its table.
func begin(out io.Writer, id string, header ...string) *measurement {
	text, _ := os.ReadFile("/proc/loadavg")
	load, _, _ := strings.Cut(string(text), " ") // of the last minute; "" where the system does not say
	return &measurement{
		Result: report.Result{ID: id, Benchmark: "nasbench101", Seeds: 1},
		table:  report.Table{Header: header}, out: out, start: time.Now(), load: load,
	}
}

// add adds a row, and the cells by which the table shows it, the first of which is not repeated here.
func (m *measurement) add(row report.Row, cells ...string) {
	m.Rows = append(m.Rows, row)
	m.table.Rows = append(m.table.Rows, append([]string{row.Method}, cells...))
	fmt.Fprintf(m.out, "  %s: %s\n", row.Method, strings.Join(cells, ", "))
}

// write writes the files. The caption is Markdown, and its first %s the machine.
func (m *measurement) write(r install.Repo, caption string, config map[string]any) error {
	m.Elapsed = time.Since(m.start).Seconds()
	config["go"], config["cpus"], config["load_average"] = runtime.Version(), runtime.NumCPU(), m.load
	m.Config = config
	text := fmt.Sprintf(caption, fmt.Sprintf("%d CPUs (load average before it: %s)", runtime.NumCPU(), m.load))
	return report.WriteMeasured(r.Path("figures", m.ID), m.Result, text+"\n\n"+m.table.Markdown())
}
