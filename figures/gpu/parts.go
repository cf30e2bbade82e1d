package main

import (
	"context"
	"time"

	"github.com/gomlx/compute/dtypes"

	"github.com/ctnas/ctnas/ctnaslib/ctnas"
	"github.com/ctnas/ctnas/ctnaslib/nn"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/datasets/images"
)

// plan is a part to do.
type plan struct {
	name        string
	limit       time.Duration
	rest        float64 // of a training, the share of the time that is left, in place of the limit
	rateOf      string  // of a training, the network whose rate it is told
	exact       bool    // float32 is not rounded to TF32
	plainMemory bool    // memory is taken and given back at once, so that it can be measured
	do          func(context.Context, *worker) error
}

// What stands behind a network's name.
const (
	precisionTF32    = ", TF32"
	precisionFloat32 = ", float32"
)

// parts returns all parts, the most important first.
func parts(rehearse bool) []plan {
	const second = time.Second
	peakOf := func(name string, exact bool, dtype dtypes.DType) plan {
		return plan{name: "peak: " + name, limit: 40 * second, exact: exact, do: func(_ context.Context, w *worker) error { return peak(w, name, dtype) }}
	}
	paced := func(n network, precision string, limit time.Duration) plan {
		return plan{name: "training" + precision + ": " + n.name, limit: limit, exact: precision == precisionFloat32,
			do: func(ctx context.Context, w *worker) error { return w.pace(ctx, n, precision) }}
	}
	all := []plan{
		{name: "proof", limit: 100 * second, exact: true, do: proof},
		peakOf("float32", true, dtypes.Float32),
		peakOf("TF32", false, dtypes.Float32),
		peakOf("bfloat16", false, dtypes.BFloat16),
		{name: "images: reading", limit: 20 * second, do: reading},
		{name: "comparator", limit: 60 * second, exact: true, do: comparatorSteps},
		{name: "search: one", limit: 120 * second, exact: true, do: func(ctx context.Context, w *worker) error { return w.searches(ctx, 1) }},
	}
	trained := networks(sizeOf(rehearse))
	const real = 2 // of them, the first, are trained for real, too, and get more time
	for i, n := range trained {
		limit := 60 * second
		if i < real {
			limit = 150 * second
		}
		all = append(all, paced(n, precisionTF32, limit))
	}
	all = append(all, plan{name: "search: side by side", limit: 120 * second, exact: true, do: func(ctx context.Context, w *worker) error { return w.searches(ctx, w.side) }})
	for i, n := range trained {
		limit := 40 * second
		if i < real {
			limit = 150 * second
		}
		if i == 0 || !rehearse { // the others would rehearse the same again
			all = append(all, paced(n, precisionFloat32, limit))
		}
	}
	all = append(all, memoryParts(sizeOf(rehearse))...)
	return append(all,
		plan{name: "real training: " + rowAlone, rest: 0.5, limit: 20 * time.Minute, rateOf: rowAlone, do: trainAlone},
		plan{name: "real training: SPOS", rest: 0.95, limit: 20 * time.Minute, rateOf: "SPOS", do: trainShared},
	)
}

// size is how large everything is.
type size struct {
	small  bool
	side   int // searches side by side
	matrix int // rows and columns
	calls  int // that are timed
	steps  int // of training that are timed
	cells  int // to score
	search ctnas.Config
}

func sizeOf(rehearse bool) size {
	if !rehearse {
		return size{side: 10, matrix: 8192, calls: 21, steps: 15, cells: nasbench101.NumCells, search: ctnas.Released()}
	}
	s := ctnas.Quick()
	s.Labels, s.Iterations, s.NAC.Epochs, s.PolicySteps, s.PolicyBatch, s.Samples = 20, 2, 2, 2, 4, 20
	return size{small: true, side: 2, matrix: 128, calls: 3, steps: 2, cells: 500, search: s}
}

// data opens the photographs, or the drawn shapes where there are none, and holds some out.
func (w *worker) data(ctx context.Context, validation int) (*nn.Data, error) {
	set, err := images.Open(ctx, "")
	if err != nil {
		return nil, err
	}
	if w.small {
		some := *set
		for _, part := range []*images.Images{&some.Train, &some.Test} {
			if _, *part, err = part.HoldOut(320, 0); err != nil {
				return nil, err
			}
		}
		set, validation = &some, 64
	}
	return nn.NewData(set, validation)
}
