package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/ctnas"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/experiment"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/train"
	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/measure/steps"
)

// seed is that of every measurement; the authors' code gets the same one.
const seed = 1

// size is how much is measured.
type size struct {
	rounds, calls int          // calls of each single operation
	search        ctnas.Config // with the comparator's training
	preset        experiment.Preset
}

// sizeOf returns the authors' settings, or a few steps of them.
func sizeOf(rehearse bool) size {
	s := size{rounds: 3, calls: 101, search: ctnas.Released(), preset: experiment.Paper}
	if rehearse {
		s.rounds, s.calls, s.preset = 1, 3, experiment.Small
		s.search.NAC.Epochs, s.search.Iterations, s.search.PolicySteps = 3, 2, 5
	}
	s.search.Seed, s.search.NAC.Seed = seed, seed
	return s
}

// steps returns the steps of policy gradient of the search.
func (s size) steps() int { return s.search.Iterations * s.search.PolicySteps }

// measureSpeed trains the comparator and searches, in this process, on the backend of $GOMLX_BACKEND. The search takes the
// trained comparator and its compiled graphs over, so both together take as long as the search alone.
func measureSpeed(ctx context.Context, j job) (m measured, err error) {
	backend, err := engine.Open()
	if err != nil {
		return m, err
	}
	table, err := datasets.OpenNASBench101(ctx, "")
	if err != nil {
		return m, err
	}
	s := sizeOf(j.Rehearse)
	c := s.search
	labelled, err := search.Label(ctx, table.Benchmark(), c.Labels, seed)
	if err != nil {
		return m, err
	}
	m.Versions = versions(backend)
	if m.Operations, err = timeOperations(backend, c.NAC, s.calls); err != nil {
		return m, err
	}
	start := time.Now()
	trained, err := comparator.Train(ctx, j.Folder, comparator.Training{
		Backend: backend, Space: table.Benchmark().Space(), Labelled: labelled, Config: c.NAC, Watch: progress().Stage("comparator, epoch"),
	})
	if err != nil {
		return m, err
	}
	trained.NAC.Release()
	m.NAC = time.Since(start).Seconds()
	m.Loss = trained.Metrics[len(trained.Metrics)-1].Values["loss"]
	if _, err := ctnas.Search(ctx, j.Folder, search.Problem{Backend: backend, Benchmark: table.Benchmark(), Watch: progress().Stage("search, iteration")}, c); err != nil {
		return m, err
	}
	m.Search = time.Since(start).Seconds()
	m.Memory = peakMemory()
	return m, nil
}

// versions says what computes: Go, GoMLX, the backend, and its plugin if it has one.
func versions(backend compute.Backend) map[string]string {
	v := engine.Versions(backend)
	v["device"] = engine.Describe(backend)
	if v["device"] != "go" {
		v["plugin"] = steps.Plugin(backend)
	}
	return v
}

// progress returns a watch that writes a line to the standard error every ten seconds.
func progress() train.Watch {
	told := time.Now()
	return func(p train.Progress) {
		if time.Since(told) >= 10*time.Second {
			told = time.Now()
			fmt.Fprintf(os.Stderr, "  %s %d of %d\n", p.Stage, p.Done, p.Total)
		}
	}
}

// peakMemory returns the most memory, in MB, that this process has had; 0 where the system does not say.
func peakMemory() float64 {
	status, _ := os.ReadFile("/proc/self/status")
	found := highWater.FindSubmatch(status)
	if found == nil {
		return 0
	}
	kib, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		return 0
	}
	return kib * 1024 / 1e6
}

var highWater = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`)
