package search

import (
	"bytes"
	"context"
	"encoding/gob"
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// open opens the run directory of a search under root.
func (p Problem) open(root, step string, config any) (*rundir.Run, error) {
	return rundir.Open(root, step, map[string]any{
		"space": p.Benchmark.Space().Name(), "source": p.Benchmark.Source(), "backend": engine.Describe(p.Backend), "search": config,
	})
}

// finish stores what the search of a run found.
func (p Problem) finish(run *rundir.Run, found *Found) (*Found, error) {
	found.Dir, found.Queries = run.Dir(), p.Benchmark.Queries()
	return found, run.Finish(map[string]any{
		"best": found.Best.String(), "id": found.Best.ID(), "queries": found.Queries,
		"source": p.Benchmark.Source(), "backend": engine.Describe(p.Backend),
	})
}

// statusOf says whether a search that is made anew each time has been finished before.
func statusOf(run *rundir.Run) (rundir.Status, error) {
	if done, err := run.Result(&map[string]any{}); err != nil || !done {
		return rundir.Trained, err
	}
	return rundir.Loaded, nil
}

// algorithm is a search in iterations, each a step of the process.
type algorithm interface {
	rundir.Process
	best() space.Arch // so far
}

// run does the iterations of an algorithm in a run directory of its own under root,
// and notes in found what it led to.
func (p Problem) run(ctx context.Context, root, step string, config any, a algorithm, iterations int, found *Found) (*Found, error) {
	run, err := p.open(root, step, config)
	if err != nil {
		return nil, err
	}
	defer run.Close()
	if found.Status, err = run.Do(ctx, a, iterations, 1, p.Watch); err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	if found.Metrics, err = run.Metrics(); err != nil {
		return nil, err
	}
	found.Best = a.best()
	return p.finish(run, found)
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

// parse reads an architecture of a checkpoint.
func parse(s space.Space, text string) (space.Arch, error) {
	arch, err := s.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("search: the checkpoint is of another space: %w", err)
	}
	return arch, nil
}
