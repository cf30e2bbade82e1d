package experiment

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/predictor"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/datasets"
)

// Table3Config says what [Table3] measures.
type Table3Config struct {
	Cells   int // ranked at once
	Repeats int // of which the median counts
}

// rows of Table 3, and the paper's times in milliseconds.
const (
	nameReNAS       = "ReNAS"
	paperNACTime    = 4.1
	paperReNASTime  = 85.6
	paperENASTime   = 2_700
	paperTrainHours = 5_430
	msPerHour       = 3_600_000
)

// Table3 is the paper's Table 3: the time to rank 100 architectures, from their graphs
// to their order. The models take turns, warm, on one backend; time_ms is the median,
// and speedup how many times as fast as ReNAS. What they have learned does not matter
// for their speed, so they are not trained. Watch, if set, is told of each turn.
func Table3(ctx context.Context, table *datasets.NASBench101, backend compute.Backend, c Table3Config, watch rundir.Watch) (report.Result, error) {
	s := table.Benchmark().Space()
	cells, err := table.Benchmark().Sample(rand.New(rand.NewPCG(1, seedHeldOut)), c.Cells)
	if err != nil {
		return report.Result{}, err
	}
	labelled, err := search.Label(table.Benchmark(), 2, 1) // ReNAS scales its features by those of labelled cells
	if err != nil {
		return report.Result{}, err
	}
	renas, err := predictor.NewReNAS(backend, s, labelled, predictor.ReleasedReNAS())
	if err != nil {
		return report.Result{}, err
	}
	paper, err := comparator.New(backend, s, comparator.Paper())
	if err != nil {
		return report.Result{}, err
	}
	released, err := comparator.New(backend, s, comparator.Released())
	if err != nil {
		return report.Result{}, err
	}
	contestants := []struct {
		name   string
		ranker space.Ranker
		paper  float64
	}{{nameReNAS, renas, paperReNASTime}, {namePaper, paper, paperNACTime}, {nameReleased, released, paperNACTime}}

	start := time.Now()
	times := make([][]float64, len(contestants))
	const warmUp = 3
	for turn := range warmUp + c.Repeats {
		if err := ctx.Err(); err != nil {
			return report.Result{}, fmt.Errorf("experiment: table3 was stopped; run it again: %w", err)
		}
		for i, contestant := range contestants {
			begin := time.Now()
			if _, err := space.Rank(contestant.ranker, cells); err != nil {
				return report.Result{}, err
			}
			if turn >= warmUp {
				times[i] = append(times[i], 1000*time.Since(begin).Seconds())
			}
		}
		if watch != nil {
			watch(turn+1, warmUp+c.Repeats, nil)
		}
	}
	result := report.Result{
		ID: "table3", Benchmark: s.Name(), Source: string(table.Source().Kind), Backend: engine.Describe(backend),
		Seeds: 1, Elapsed: time.Since(start).Seconds(), Config: c,
	}
	median := func(values []float64) float64 {
		slices.Sort(values)
		return values[len(values)/2]
	}
	baseline := median(times[0])
	for i, contestant := range contestants {
		m := median(times[i])
		result.Rows = append(result.Rows, report.Row{
			Method: contestant.name, Paper: map[string]float64{"time_ms": contestant.paper},
			Metrics: map[string]float64{"time_ms": m, "speedup": baseline / m},
		})
	}
	result.Rows = append(result.Rows,
		report.Row{Method: "ENAS", Paper: map[string]float64{"time_ms": paperENASTime}},
		report.Row{Method: "training from scratch", Paper: map[string]float64{"time_ms": paperTrainHours * msPerHour}})
	return result, result.Check()
}
