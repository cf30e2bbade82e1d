// Package search has the searches that CTNAS (package ctnas) is measured against, and what all
// searches share: a [Problem], labels that are bought and counted ([Labels]), iterations that can be
// stopped and continued ([Run]), and what was [Found].
//
//	found, err := search.Random(ctx, "runs", search.Problem{Benchmark: table.Benchmark()}, search.RandomConfig{Labels: 423})
//	found.Best // an architecture; found.Queries labels were bought for it
//
// Each search is a file with its predictor, if it has one: random search ([Random]), regularised
// evolution ([Evolution]), OFA's genetic search ([Genetic]), [RegressionNAS], [ReNAS], local search ([Local]), the
// comparator alone ([Ranking]), and this project's own ([Thompson]). A search knows a search space only through
// package space, and accuracies only through [space.Benchmark]. One's own search is a function that
// buys labels from [OpenLabels] and ends in [Finish], or an [Algorithm] for [Run].
package search

import (
	"context"
	"fmt"
	"slices"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/train"
)

// Problem is what a search works on.
type Problem struct {
	Backend   compute.Backend // not needed by searches that train nothing, such as [Random]
	Benchmark space.Benchmark
	Watch     train.Watch // told of each label, of each epoch of a predictor, and of each iteration, if set
	Probe     Probe       // of ctnas.Search, if it measures something
}

// Probe measures something of what a policy samples, such as how good it is, for learning curves. What it says is logged
// beside the metrics of an iteration and nothing else: the search does not see it, and ends in the same with and
// without it. The zero Probe measures nothing. A search that was done without this probe is done again.
type Probe struct {
	Key     string // says what is measured: logged values are taken for those of a probe of the same key
	Every   int    // iterations; it measures before the first one too, by names that begin with [ProbedAtStart]
	Samples int    // architectures, sampled anew from the policy each time
	Measure func(samples []space.Arch) (map[string]float64, error)
}

// ProbedAtStart is the beginning of the names of what a [Probe] measured before the first iteration.
const ProbedAtStart = "start_"

// text identifies the probe, "" none.
func (p Probe) text() (string, error) {
	switch {
	case p.Measure == nil:
		return "", nil
	case p.Key == "" || p.Every < 1 || p.Samples < 1:
		return "", fmt.Errorf("search: a probe needs a Key, and at least 1 for Every and Samples, not %q, %d and %d", p.Key, p.Every, p.Samples)
	}
	return fmt.Sprintf("%s, of %d samples every %d", p.Key, p.Samples, p.Every), nil
}

// Config is the configuration of a search: a plain value, stored with every run. Beside the problem it
// is all that the search is a function of, the seed included.
type Config interface {
	// Versions returns the versions of the algorithms behind the search, by name: raised when the numbers
	// change that come out, so that no stored result of before is taken.
	Versions() rundir.Versions
}

// Versions returns the version of how labels are drawn.
func Versions() rundir.Versions { return rundir.Versions{"labels": 1} }

// Found is the outcome of a search.
type Found struct {
	Best     space.Arch       // the answer
	Labelled []space.Labelled // what was bought, for a predictor or as candidates
	Queries  int              // architectures whose validation accuracy this search asked for
	Ranker   space.Ranker     // what the search believes: a comparator or a predictor; nil for random search
	train.Outcome

	// Of searches with a NAC.
	NAC *comparator.NAC

	// Of CTNAS: the best of Alg. 2 at the start, then after each iteration; as in the authors' code, the best so far.
	Baselines []space.Arch
}

// Algorithm is a search in iterations: a step of the process is an iteration.
type Algorithm interface {
	train.Process
	Best() space.Arch // so far
}

// Run does the iterations of an algorithm in the run directory of a search under root: of its name, its
// configuration and the labels that it begins with. It returns found with what it led to. The errors
// are those of the run directory and of the algorithm, and ctx's.
func Run(ctx context.Context, root string, p Problem, name string, config Config, iterations int, a Algorithm, labels *Labels, found *Found) (*Found, error) {
	probe, err := p.Probe.text()
	if err != nil {
		return nil, err
	}
	run, err := p.open(root, name, config, found.Labelled)
	if err != nil {
		return nil, err
	}
	defer run.Close()
	if err := run.Observe(probe, iterations); err != nil {
		return nil, err
	}
	found.Outcome, err = train.Do(ctx, run, a, train.Plan{Steps: iterations, Watch: p.Watch})
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	found.Best = a.Best()
	return finish(run, p, labels, found)
}

// Finish stores what a search without iterations found, in the run directory of its name, its
// configuration and its labels under root.
func Finish(root string, p Problem, name string, config Config, labels *Labels, found *Found) (*Found, error) {
	run, err := p.open(root, name, config, found.Labelled)
	if err != nil {
		return nil, err
	}
	defer run.Close()
	found.Status, found.Dir = labels.status(), run.Dir()
	return finish(run, p, labels, found)
}

// open opens the run directory of a search under root. The labels that it begins with are part
// of the key, and the backend, if there is one.
func (p Problem) open(root, name string, config Config, labelled []space.Labelled) (*rundir.Run, error) {
	key := rundir.Key{
		Step: name, Algorithms: config.Versions().With(Versions()), Config: config,
		Data: map[string]string{"benchmark": space.Identity(p.Benchmark), "labels": train.Digest(labelled)},
	}
	if p.Backend != nil {
		key.Backend = engine.Fingerprint(p.Backend)
	}
	return rundir.Open(root, key)
}

// finish stores what the search of a run found.
func finish(run *rundir.Run, p Problem, labels *Labels, found *Found) (*Found, error) {
	found.Queries = len(labels.asked)
	return found, run.Finish(map[string]any{
		"best": found.Best.String(), "id": found.Best.ID(), "queries": found.Queries, "source": p.Benchmark.Source(),
	})
}

// rank returns the positions of archs from the best to the worst, of equal ones in their
// order. It tells watch how far it is, and stops when ctx is done.
func rank(ctx context.Context, watch train.Watch, ranker space.Ranker, archs []space.Arch) ([]int, error) {
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
		watch.Tell(train.Progress{Done: len(utilities), Total: len(archs)})
	}
	return space.Order(utilities), nil
}

// Parse reads an architecture of a checkpoint.
func Parse(s space.Space, text string) (space.Arch, error) {
	arch, err := s.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("search: the checkpoint is of another space: %w", err)
	}
	return arch, nil
}
