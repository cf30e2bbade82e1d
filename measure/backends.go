package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/internal/install"
	"github.com/ctnas/ctnas/measure/steps"
)

// rounds are the timed calls on each backend.
const rounds = 21

// measureBackends runs the library's heavy steps on the best plugin there is and on pure Go, side by side in this
// process: it compares the numbers, and then the speeds.
func measureBackends(ctx context.Context, out io.Writer) error {
	r, other, err := openPlugin()
	if err != nil {
		return err
	}
	m := begin(out, "backends", "step", "backend", "time", "first call, with compiling", "speed", "difference")
	pureGo, err := engine.OpenConfig("go")
	if err != nil {
		return err
	}
	m.Source, m.Backend = "proxy", engine.Describe(other)
	for _, s := range []steps.Step{
		steps.Training("Quick", comparator.Quick()),
		steps.Training("Paper", comparator.Paper()),
		steps.Scoring(1000),
	} {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		d, err := s.Compare(pureGo, other)
		if err != nil {
			return err
		}
		times, err := medians(d)
		if err != nil {
			return err
		}
		for i, backend := range []string{"go", m.Backend} {
			metrics := map[string]float64{"time_ms": times[i], "first_ms": d.First[i], "speedup": times[0] / times[i]}
			difference := ""
			if i == 1 {
				metrics["difference"], difference = d.Difference, fmt.Sprintf("%.0e", d.Difference)
			}
			m.add(report.Row{Method: s.Name, Backend: backend, Metrics: metrics},
				backend, fmt.Sprintf("%.1f ms", times[i]), fmt.Sprintf("%.0f ms", d.First[i]), fmt.Sprintf("%.1f×", metrics["speedup"]), difference)
		}
	}
	return m.write(r, fmt.Sprintf("Medians of %d calls in turns, in one process, on %%s. "+
		"The difference is the largest between the numbers of the first %d calls. Written by `GOEXPERIMENT=simd go run ./measure backends`.", rounds, steps.Compared),
		map[string]any{"labels": "the number of parameters of each cell, in (0, 1]", "rounds": rounds, "plugin": steps.Plugin(other)})
}

// openPlugin opens the best plugin there is, in a program that was built with SIMD for pure Go.
func openPlugin() (r install.Repo, backend compute.Backend, err error) {
	if !strings.Contains(runtime.Version(), "simd") {
		return "", nil, errors.New("pure Go would be measured without SIMD: set GOEXPERIMENT=simd before go run")
	}
	if r, err = install.FindRepo("."); err != nil {
		return "", nil, err
	}
	i := slices.IndexFunc(install.Accelerators, func(a *install.Accelerator) bool { return a.Proven(r) })
	if i < 0 {
		return "", nil, errors.New("there is no XLA plugin to compare with: go run ./kernel-setup install")
	}
	if err := install.StartWith(install.Accelerators[i].Variables(r)); err != nil {
		return "", nil, err
	}
	backend, err = engine.OpenConfig(install.Accelerators[i].Backend)
	return r, backend, err
}

// medians returns the milliseconds of a call on each backend. The calls are made in turns, so that other work on the
// machine slows both.
func medians(d *steps.Duel) (median [2]float64, err error) {
	var taken [2][]float64
	for range rounds {
		for i, do := range d.Do {
			start := time.Now()
			if _, err := do(); err != nil {
				return median, err
			}
			taken[i] = append(taken[i], steps.Milliseconds(start))
		}
	}
	for i, t := range taken {
		slices.Sort(t)
		median[i] = t[len(t)/2]
	}
	return median, nil
}
