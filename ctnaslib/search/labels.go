package search

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/train"
	"gonum.org/v1/gonum/stat"
)

// Label draws m architectures at random and queries their validation accuracy
// (Alg. 1, line 1). It is the first thing that CTNAS does, and a function of the seed. The
// errors are the benchmark's, and ctx's; an accuracy that is not a finite number is one, too.
func Label(ctx context.Context, b space.Benchmark, m int, seed uint64) ([]space.Labelled, error) {
	return (&Labels{benchmark: b, asked: make(map[string]float64)}).Random(ctx, m, seed)
}

// Labels buys labels for one search, and counts them. An accuracy that took the benchmark long is
// kept on disk, for every search under the same root, so that none is bought twice. It is not safe for
// concurrent use.
type Labels struct {
	benchmark space.Benchmark
	watch     train.Watch
	kept      *keptLabels        // nil: nothing is kept
	asked     map[string]float64 // by ID: the queries of this search
	bought    int                // of them, by this process
}

var errNoBenchmark = errors.New("search: the problem has no Benchmark to buy labels from")

// OpenLabels returns the labels of a search that keeps them under root. The error says that the problem
// has no benchmark, or that what was kept is damaged.
func OpenLabels(root string, p Problem) (*Labels, error) {
	if p.Benchmark == nil {
		return nil, errNoBenchmark
	}
	kept, err := openKeptLabels(root, p.Benchmark)
	if err != nil {
		return nil, err
	}
	return &Labels{benchmark: p.Benchmark, watch: p.Watch.Stage("labels"), kept: kept, asked: make(map[string]float64)}, nil
}

// label opens the labels of a search, and buys m random ones.
func (p Problem) label(ctx context.Context, root string, m int, seed uint64) (*Labels, []space.Labelled, error) {
	labels, err := OpenLabels(root, p)
	if err != nil {
		return nil, nil, err
	}
	labelled, err := labels.Random(ctx, m, seed)
	return labels, labelled, err
}

// Random buys the labels of m random architectures: of one seed the same for every search.
func (b *Labels) Random(ctx context.Context, m int, seed uint64) ([]space.Labelled, error) {
	archs, err := b.benchmark.Sample(engine.Stream(seed, "search: labels", 0), m)
	if err != nil {
		return nil, err
	}
	return b.Buy(ctx, archs)
}

// Buy buys the labels of architectures, in their order. One that this search has bought before is free.
// The errors are the benchmark's, and ctx's.
func (b *Labels) Buy(ctx context.Context, archs []space.Arch) ([]space.Labelled, error) {
	labelled := make([]space.Labelled, len(archs))
	for i, a := range archs {
		accuracy, err := b.label(ctx, a)
		if err != nil {
			return nil, err
		}
		labelled[i] = space.Labelled{Arch: a, Accuracy: accuracy}
		b.watch.Tell(train.Progress{Done: i + 1, Total: len(archs)})
	}
	return labelled, nil
}

// written returns labels for a checkpoint, from which [Labels.again] has them again.
func written(labelled []space.Labelled) (texts []string, accuracies []float64) {
	for _, l := range labelled {
		texts = append(texts, l.Arch.String())
	}
	return texts, space.Accuracies(labelled)
}

// again buys labels that a checkpoint has, which counts them, and finds out a benchmark that answers otherwise than
// the one of the checkpoint.
func (b *Labels) again(ctx context.Context, texts []string, accuracies []float64) ([]space.Labelled, error) {
	if len(texts) != len(accuracies) {
		return nil, fmt.Errorf("search: the checkpoint has %d architectures and %d accuracies; delete the run directory to start again", len(texts), len(accuracies))
	}
	labelled := make([]space.Labelled, len(texts))
	for i, text := range texts {
		arch, err := Parse(b.benchmark.Space(), text)
		if err != nil {
			return nil, err
		}
		accuracy, err := b.label(ctx, arch)
		if err != nil {
			return nil, err
		}
		if accuracy != accuracies[i] {
			return nil, fmt.Errorf("search: the benchmark gives %s the accuracy %g, but gave it %g when this search was begun; search under another folder", arch, accuracy, accuracies[i])
		}
		labelled[i] = space.Labelled{Arch: arch, Accuracy: accuracy}
	}
	return labelled, nil
}

// grace is how long a query that is under way may take after the end of its context, so that
// it is not lost; everything stops within a second, and the writing of an answer that came.
const grace = 800 * time.Millisecond

// label returns the accuracy of a. If ctx ends it waits a moment for the benchmark, then returns an
// error, and what the benchmark says later is kept all the same.
func (b *Labels) label(ctx context.Context, a space.Arch) (float64, error) {
	id := a.ID()
	if accuracy, ok := b.asked[id]; ok {
		return accuracy, nil
	}
	stopped := func() error {
		return fmt.Errorf("search: stopped after %d labels; run it again to continue: %w", len(b.asked), ctx.Err())
	}
	if ctx.Err() != nil {
		return 0, stopped()
	}
	if b.kept != nil {
		accuracy, ok, err := b.kept.find(id)
		if err != nil {
			return 0, err
		}
		if ok {
			b.asked[id] = accuracy
			return accuracy, nil
		}
	}
	var accuracy float64
	var err error
	answered, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		start := time.Now()
		accuracy, err = b.query(a)
		took := time.Since(start)
		close(answered)
		if err == nil && b.kept != nil {
			err = b.kept.add(id, a, accuracy, took)
		}
	}()
	if !within(ctx, grace, answered) {
		return 0, stopped()
	}
	<-done
	if err != nil {
		return 0, err
	}
	b.asked[id] = accuracy
	b.bought++
	if ctx.Err() != nil {
		return 0, stopped()
	}
	return accuracy, nil
}

// within reports whether done is closed before ctx has been over for some time.
func within(ctx context.Context, grace time.Duration, done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-ctx.Done():
	}
	select {
	case <-done:
	case <-time.After(grace):
	}
	select { // a busy machine may have seen to both only now
	case <-done:
		return true
	default:
		return false
	}
}

// query asks the benchmark.
func (b *Labels) query(a space.Arch) (accuracy float64, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("search: the benchmark panicked when it was asked for %s: %v", a, p)
		}
	}()
	accuracy, err = b.benchmark.Validation(a)
	if err != nil {
		return 0, fmt.Errorf("search: no label for %s: %w", a, err)
	}
	if math.IsNaN(accuracy) || math.IsInf(accuracy, 0) {
		return 0, fmt.Errorf("search: the benchmark's accuracy of %s is %g, which cannot be compared with others; mend the benchmark, or let it give a failed network a low accuracy", a, accuracy)
	}
	return accuracy, nil
}

// status says how the labels were reached.
func (b *Labels) status() rundir.Status {
	switch {
	case b.bought == len(b.asked):
		return rundir.Trained
	case b.bought > 0:
		return rundir.Resumed
	}
	return rundir.Loaded
}

// meanLabel returns the mean of labels.
func meanLabel(labelled []space.Labelled) float64 { return stat.Mean(space.Accuracies(labelled), nil) }
