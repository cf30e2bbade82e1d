package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"syscall"
	"time"

	"github.com/gomlx/compute"
	"golang.org/x/sync/errgroup"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/measure/steps"
)

// seedSteps are the training steps of each seed, the first of which compiles them.
const seedSteps = 100

// measureSeeds trains comparators of several seeds in one process, as a table does: one after another, and as many at
// once as there are cores.
func measureSeeds(ctx context.Context, out io.Writer) error {
	r, other, err := openPlugin()
	if err != nil {
		return err
	}
	pureGo, err := engine.OpenConfig("go")
	if err != nil {
		return err
	}
	m := begin(out, "seeds", "seeds", "time", "CPU time", "cores in use")
	m.Source, m.Backend = "proxy", engine.Describe(other)
	cores := runtime.GOMAXPROCS(0)
	m.Seeds = 2 * cores
	for _, backend := range []compute.Backend{pureGo, other} {
		for _, at := range []int{1, cores} {
			wall, cpu, err := trainSeeds(ctx, backend, m.Seeds, at)
			if err != nil {
				return err
			}
			name := fmt.Sprintf("%s, %d at a time", engine.Describe(backend), at)
			m.add(report.Row{Method: name, Backend: engine.Describe(backend), Metrics: map[string]float64{"time_ms": 1000 * wall, "cpu_ms": 1000 * cpu}},
				fmt.Sprintf("%.1f s", wall), fmt.Sprintf("%.1f s", cpu), fmt.Sprintf("%.2f", cpu/wall))
		}
	}
	return m.write(r, fmt.Sprintf("%d comparators of the preset Quick in one process, %d steps of training each, on %%s. "+
		"Side by side they can take no less than the CPU time of one after another, divided by the cores. Written by `GOEXPERIMENT=simd go run ./measure seeds`.", m.Seeds, seedSteps),
		map[string]any{"steps": seedSteps, "plugin": steps.Plugin(other)})
}

// trainSeeds trains so many comparators, at most so many of them at once, and returns the seconds and the seconds of
// all processors.
func trainSeeds(ctx context.Context, backend compute.Backend, seeds, at int) (wall, cpu float64, err error) {
	start, before := time.Now(), processorSeconds()
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(at)
	for seed := range seeds {
		all.Go(func() error {
			config := comparator.Quick()
			config.Seed = uint64(seed)
			do, err := steps.Training("Quick", config).On(backend)
			for n := 0; err == nil && n < seedSteps; n++ {
				if _, err = do(); err == nil {
					err = ctx.Err()
				}
			}
			return err
		})
	}
	err = all.Wait()
	return time.Since(start).Seconds(), processorSeconds() - before, err
}

// processorSeconds returns what this process has used of all processors so far.
func processorSeconds() float64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds()
}
