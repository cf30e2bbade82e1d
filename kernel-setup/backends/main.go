// Backends runs the library's heavy steps on XLA and on the pure Go backend, side
// by side in one process: it compares the numbers, and then the speeds. Kernel-setup
// starts it as a program of its own, because a bad plugin can end the process that
// loads it.
//
//	go run ./kernel-setup check -bench   measures, and writes figures/backends
package main

import (
	"flag"
	"fmt"
	"math"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/internal/steps"
	"github.com/ctnas/ctnas/kernel-setup/internal/figure"
)

// anyFolder matches the folder of a plugin, which is not the same on another machine.
var anyFolder = regexp.MustCompile(`[^\s("]*/`)

const (
	tolerance = 1e-4 // between the numbers of two backends
	compared  = 5    // calls whose numbers are compared
	rounds    = 21   // timed calls on each backend
)

func main() {
	config := flag.String("backend", "xla", "the backend to compare with pure Go, as in $GOMLX_BACKEND")
	out := flag.String("o", "", "folder for result.json and table.md; without it, only the numbers are compared, on the first step")
	flag.Parse()
	if err := run(*config, *out); err != nil {
		fmt.Fprintln(os.Stderr, "backends:", err)
		os.Exit(1)
	}
}

func run(config, out string) error {
	start := time.Now()
	goBackend, err := engine.OpenConfig("go")
	if err != nil {
		return err
	}
	other, err := engine.OpenConfig(config)
	if err != nil {
		return err
	}
	if out == "" {
		d, err := newDuel(compares[0], goBackend, other)
		if err == nil {
			fmt.Printf("%s and go differ by %.1e in a loss\n", engine.Describe(other), d.difference)
		}
		return err
	}
	result := result{
		ID: "backends", Benchmark: nasbench101.Space{}.Name(), Source: "proxy", Backend: engine.Describe(other), Seeds: 1,
		Config: map[string]any{
			"labels": "the number of parameters of each cell, in (0, 1]", "rounds": rounds, "plugin": anyFolder.ReplaceAllString(other.Description(), ""), "go": runtime.Version(),
			"cpus": runtime.NumCPU(), "load_average": figure.Load(),
		},
	}
	for _, s := range compares {
		d, err := newDuel(s, goBackend, other)
		if err != nil {
			return err
		}
		if err := d.measure(); err != nil {
			return err
		}
		fmt.Printf("%-56s go %7.1f ms   %s %7.1f ms   %.1f times as fast, numbers differ by %.1e\n",
			s.Name, d.times[0], engine.Describe(other), d.times[1], d.times[0]/d.times[1], d.difference)
		result.Rows = append(result.Rows,
			row{s.Name, "go", map[string]float64{"time_ms": d.times[0], "first_ms": d.first[0], "speedup": 1}},
			row{s.Name, engine.Describe(other), map[string]float64{"time_ms": d.times[1], "first_ms": d.first[1],
				"speedup": d.times[0] / d.times[1], "difference": d.difference}})
	}
	result.Elapsed = time.Since(start).Seconds()
	return result.write(out)
}

// compares are the steps, the first of which is the proof.
var compares = []steps.Step{
	steps.Training("Quick", comparator.Quick()),
	steps.Training("Paper", comparator.Paper()),
	steps.Scoring(1000),
	steps.Policy(search.Quick().PolicyBatch),
}

// duel is a step on two backends: first pure Go, then the other.
type duel struct {
	do         [2]func() ([]float64, error)
	first      [2]float64 // milliseconds of the first call, with compiling
	times      [2]float64 // median milliseconds of a call
	difference float64    // the largest between their numbers
}

// newDuel compares the numbers of the first calls.
func newDuel(s steps.Step, backends ...compute.Backend) (*duel, error) {
	d := &duel{}
	for i, b := range backends {
		var err error
		if d.do[i], err = s.On(b); err != nil {
			return nil, err
		}
	}
	for call := range compared {
		var numbers [2][]float64
		for i, do := range d.do {
			start := time.Now()
			var err error
			if numbers[i], err = do(); err != nil {
				return nil, err
			}
			if call == 0 {
				d.first[i] = milliseconds(start)
			}
		}
		for k, want := range numbers[0] {
			got := numbers[1][k]
			difference := math.Abs(got - want)
			if !(difference <= tolerance) { // also not a number
				return nil, fmt.Errorf("%s gives %g where pure Go gives %g (%s, call %d)", engine.Describe(backends[1]), got, want, s.Name, call+1)
			}
			d.difference = max(d.difference, difference)
		}
	}
	return d, nil
}

// measure takes the times in turns, so that other work on the machine slows both.
func (d *duel) measure() error {
	var taken [2][]float64
	for range rounds {
		for i, do := range d.do {
			start := time.Now()
			if _, err := do(); err != nil {
				return err
			}
			taken[i] = append(taken[i], milliseconds(start))
		}
	}
	for i, t := range taken {
		slices.Sort(t)
		d.times[i] = t[len(t)/2]
	}
	return nil
}

func milliseconds(start time.Time) float64 { return float64(time.Since(start).Microseconds()) / 1000 }

// result is figures/backends/result.json.
type result struct {
	ID        string         `json:"id"`
	Benchmark string         `json:"benchmark"`
	Source    string         `json:"source"`
	Backend   string         `json:"backend"`
	Seeds     int            `json:"seeds"`
	Elapsed   float64        `json:"elapsed_s"`
	Config    map[string]any `json:"config"`
	Rows      []row          `json:"rows"`
}

type row struct {
	Method  string             `json:"method"`
	Backend string             `json:"backend"`
	Metrics map[string]float64 `json:"metrics"`
}

// write writes result.json and table.md into dir.
func (r result) write(dir string) error {
	var table strings.Builder
	fmt.Fprintf(&table, "Medians of %d calls in turns, in one process, on %v CPUs (load average before it: %v). "+
		"The difference is the largest between the numbers of the first %d calls. Written by `go run ./kernel-setup check -bench`.\n\n",
		rounds, r.Config["cpus"], r.Config["load_average"], compared)
	table.WriteString("| step | backend | time | first call, with compiling | speed | difference |\n| --- | --- | ---: | ---: | ---: | ---: |\n")
	for _, row := range r.Rows {
		m := row.Metrics
		difference := ""
		if d, ok := m["difference"]; ok {
			difference = fmt.Sprintf("%.0e", d)
		}
		fmt.Fprintf(&table, "| %s | %s | %.1f ms | %.0f ms | %.1f× | %s |\n", row.Method, row.Backend, m["time_ms"], m["first_ms"], m["speedup"], difference)
	}
	return figure.Write(dir, table.String(), r)
}
