package search

import (
	"bytes"
	"context"
	"encoding/gob"
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// rival is the part of a search that follows the training of its predictor: its
// state between two iterations.
type rival interface {
	start() error                              // makes the state before the first iteration
	iterate(t int) (map[string]float64, error) // does iteration t, from 0, and measures it
	answer() individual                        // the best so far
	encode() ([]byte, error)
	decode(state []byte) error
}

// runRival runs r in the run directory of a step under root: it loads, continues or
// starts, as [CTNAS] does.
func runRival(ctx context.Context, root, step string, p Problem, config any, iterations int, labelled []comparator.Labelled, ranker space.Ranker, r rival) (*Found, error) {
	run, err := rundir.Open(root, step, map[string]any{
		"space": p.Benchmark.Space().Name(), "source": p.Benchmark.Source(), "backend": engine.Describe(p.Backend), "search": config,
	})
	if err != nil {
		return nil, err
	}
	defer run.Close()
	found := &Found{Labelled: labelled, Queries: p.Benchmark.Queries(), Ranker: ranker, Status: rundir.Trained, Dir: run.Dir()}
	done, state, err := run.Checkpoint()
	if err != nil {
		return nil, err
	}
	if done == 0 {
		err = r.start()
	} else {
		found.Status = rundir.Resumed
		err = r.decode(state)
	}
	if err != nil {
		return nil, err
	}
	if done >= iterations {
		found.Status = rundir.Loaded
	}
	for t := done; t < iterations; t++ {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("search: stopped after iteration %d of %d; run it again to continue: %w", t, iterations, err)
		}
		values, err := r.iterate(t)
		if err != nil {
			return nil, err
		}
		if p.Watch != nil {
			p.Watch(t+1, iterations, values)
		}
		if err := run.Log(t, values); err != nil {
			return nil, err
		}
		state, err := r.encode()
		if err != nil {
			return nil, err
		}
		if err := run.Save(t+1, state); err != nil {
			return nil, err
		}
	}
	if found.Metrics, err = run.Metrics(); err != nil {
		return nil, err
	}
	best := r.answer()
	found.Best = best.arch
	return found, run.Finish(map[string]any{
		"best": best.arch.String(), "id": best.arch.ID(), "predicted": best.utility, "queries": found.Queries,
		"source": p.Benchmark.Source(), "backend": engine.Describe(p.Backend),
	})
}

func toGob(state any) ([]byte, error) {
	var out bytes.Buffer
	if err := gob.NewEncoder(&out).Encode(state); err != nil {
		return nil, fmt.Errorf("search: cannot write the checkpoint: %w", err)
	}
	return out.Bytes(), nil
}

func fromGob(data []byte, state any) error {
	if err := gob.NewDecoder(bytes.NewReader(data)).Decode(state); err != nil {
		return fmt.Errorf("search: cannot read the checkpoint: %w", err)
	}
	return nil
}

// parseIndividual reads an architecture of a checkpoint.
func parseIndividual(s space.Space, text string, utility float64) (individual, error) {
	arch, err := s.Parse(text)
	if err != nil {
		return individual{}, fmt.Errorf("search: the checkpoint is of another space: %w", err)
	}
	return individual{arch, utility}, nil
}
