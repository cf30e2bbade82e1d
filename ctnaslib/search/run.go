package search

import (
	"bytes"
	"context"
	"encoding/gob"
	"fmt"
	"slices"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// configuration is what a search is a function of, beside the problem.
type configuration interface {
	Versions() rundir.Versions
}

// open opens the run directory of a search under root. The labels that it begins with are part
// of the key, and the backend, if there is one.
func (p Problem) open(root, step string, config configuration, labelled []comparator.Labelled) (*rundir.Run, error) {
	key := rundir.Key{
		Step: step, Algorithms: config.Versions(), Config: config,
		Data: map[string]string{"benchmark": space.Identity(p.Benchmark), "labels": comparator.Digest(labelled)},
	}
	if p.Backend != nil {
		key.Backend = engine.Fingerprint(p.Backend)
	}
	return rundir.Open(root, key)
}

// finish stores what the search of a run found.
func (p Problem) finish(run *rundir.Run, found *Found, b *buyer) (*Found, error) {
	found.Dir, found.Queries = run.Dir(), len(b.asked)
	return found, run.Finish(map[string]any{
		"best": found.Best.String(), "id": found.Best.ID(), "queries": found.Queries, "source": p.Benchmark.Source(),
	})
}

// algorithm is a search in iterations, each a step of the process.
type algorithm interface {
	rundir.Process
	best() space.Arch // so far
}

// run does the iterations of an algorithm in a run directory of its own under root,
// and notes in found what it led to.
func (p Problem) run(ctx context.Context, root, step string, config configuration, a algorithm, iterations int, found *Found, b *buyer) (*Found, error) {
	run, err := p.open(root, step, config, found.Labelled)
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
	return p.finish(run, found, b)
}

// rank returns the positions of archs from the best to the worst, of equal ones in their
// order. It tells watch how far it is, and stops when ctx is done.
func rank(ctx context.Context, watch rundir.Watch, ranker space.Ranker, archs []space.Arch) ([]int, error) {
	const part = 4096 // a multiple of what an encoder computes at once
	utilities := make([]float64, 0, len(archs))
	for some := range slices.Chunk(archs, part) {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("search: stopped after ranking %d of %d architectures; run it again to continue: %w", len(utilities), len(archs), err)
		}
		u, err := ranker.Utilities(some)
		if err != nil {
			return nil, err
		}
		utilities = append(utilities, u...)
		watch.Tell(rundir.Progress{Done: len(utilities), Total: len(archs)})
	}
	return space.Order(utilities), nil
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
