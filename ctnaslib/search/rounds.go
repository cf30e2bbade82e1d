package search

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/train"
)

// rounds buys labels in rounds, by Thompson sampling: each where one of some functions that were drawn at random is
// highest. It is what [Thompson] and [Bananas] have in common.
type rounds struct {
	ctx       context.Context
	benchmark space.Benchmark
	labels    *Labels
	first     int              // labels at random
	labelled  []space.Labelled // so far
	known     map[string]bool  // their IDs, and those refused
	refused   []string         // the IDs of architectures that the benchmark has no accuracy of, as far as it was asked
}

// newRounds returns a search that begins with some labels.
func newRounds(ctx context.Context, b space.Benchmark, labels *Labels, first []space.Labelled) *rounds {
	r := &rounds{ctx: ctx, benchmark: b, labels: labels, first: len(first), known: make(map[string]bool)}
	r.add(first)
	return r
}

// numberOfRounds returns how many rounds buy the labels that are not bought at random.
func numberOfRounds(labels, first, batch int) int { return (labels - first + batch - 1) / batch }

// search runs a search, whose steps buy in rounds, in the run directory of its name, and lets answer complete what was
// found by an architecture.
func (r *rounds) search(ctx context.Context, root string, p Problem, name string, config Config, steps int, s train.Process, answer func(*Found) error) (*Found, error) {
	run, err := p.open(root, name, config, r.labelled)
	if err != nil {
		return nil, err
	}
	defer run.Close()
	found := &Found{}
	if found.Outcome, err = train.Do(ctx, run, s, train.Plan{Steps: steps, Watch: p.Watch}); err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	if steps == 0 {
		found.Status = r.labels.status()
	}
	found.Labelled = r.labelled
	if err := answer(found); err != nil {
		return nil, err
	}
	return finish(run, p, r.labels, found)
}

func (r *rounds) add(labelled []space.Labelled) {
	r.labelled = append(r.labelled, labelled...)
	for _, l := range labelled {
		r.known[l.Arch.ID()] = true
	}
}

// best returns the architectures of the n highest labels.
func (r *rounds) best(n int) []space.Arch {
	var archs []space.Arch
	for _, i := range space.Order(space.Accuracies(r.labelled))[:min(n, len(r.labelled))] {
		archs = append(archs, r.labelled[i].Arch)
	}
	return archs
}

// candidate is an architecture with the values of the functions.
type candidate struct {
	arch   space.Arch
	values []float64
}

// highest returns the n highest of a function, the highest first.
func highest(pool []candidate, function, n int) []candidate {
	order := slices.Clone(pool)
	slices.SortStableFunc(order, func(a, b candidate) int { return cmp.Compare(b.values[function], a.values[function]) })
	return order[:min(n, len(order))]
}

// buy buys a label for each function, and returns the metrics of the round: "bought", their mean.
func (r *rounds) buy(ctx context.Context, rng *rand.Rand, pool []candidate, functions int) (map[string]float64, error) {
	before := len(r.labelled)
	for i := range functions {
		if err := r.buyHighest(ctx, rng, pool, i); err != nil {
			return nil, err
		}
	}
	return map[string]float64{"bought": meanLabel(r.labelled[before:])}, nil
}

// buyHighest buys the label of what is highest in a function and has none; of a random architecture, if all of the pool
// are known.
func (r *rounds) buyHighest(ctx context.Context, rng *rand.Rand, pool []candidate, function int) error {
	try := func(a space.Arch) (bought bool, err error) {
		id := a.ID()
		if r.known[id] {
			return false, nil
		}
		accuracy, err := r.labels.label(ctx, a)
		if errors.Is(err, space.ErrNotQueryable) {
			r.refuse(id)
			return false, nil
		}
		if err == nil {
			r.add([]space.Labelled{{Arch: a, Accuracy: accuracy}})
		}
		return err == nil, err
	}
	for _, c := range highest(pool, function, len(pool)) {
		if bought, err := try(c.arch); bought || err != nil {
			return err
		}
	}
	for range patience {
		archs, err := r.benchmark.Sample(rng, 1)
		if err != nil {
			return err
		}
		if bought, err := try(archs[0]); bought || err != nil {
			return err
		}
	}
	return fmt.Errorf("search: after %d labels no other architecture was met that has an accuracy; ask for fewer Labels", len(r.labelled))
}

// refuse takes note of architectures that the benchmark has no accuracy of.
func (r *rounds) refuse(ids ...string) {
	r.refused = append(r.refused, ids...)
	for _, id := range ids {
		r.known[id] = true
	}
}

// bought returns for a checkpoint what was bought in rounds, from which restore has it again.
func (r *rounds) bought() (archs []string, accuracies []float64) {
	return written(r.labelled[r.first:])
}

// restore asks the benchmark for the labels again, which counts them, and finds out a benchmark that answers otherwise
// than the one of the checkpoint.
func (r *rounds) restore(archs []string, accuracies []float64) error {
	labelled, err := r.labels.again(r.ctx, archs, accuracies)
	if err == nil {
		r.add(labelled)
	}
	return err
}
