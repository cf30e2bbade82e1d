package search

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/gaussian"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/train"
)

// ThompsonConfig is the configuration of [Thompson]. [DefaultThompson] has the one setting that is meant for all
// spaces; only Labels and Seed are one's own.
type ThompsonConfig struct {
	Labels int // architectures whose accuracy is queried
	First  int // of them, at random
	Batch  int // labels of a round: as many functions are sampled, and each chooses one

	Elite       int // best labels that a round starts from
	Random      int // random architectures that it starts from, too
	Generations int // of mutants, by which the functions are climbed
	Parents     int // of each function in a generation: the highest of it
	Children    int // mutants of these, for each function in a generation

	// Linear says that the comparator has no smooth function of all features beside the linear one: for comparison.
	Linear bool `json:",omitempty"`

	Seed uint64
}

// DefaultThompson returns the setting for all spaces, with the given number of labels. It was chosen by validation
// accuracies in the spaces of DARTS and MobileNetV3, with seeds from 1001 on, which no stored result has:
// smaller batches than 5 and more generations brought nothing, samples drawn towards their mean found more with
// 100 labels and less with 423; drawn towards it more and more in the course of the search, or wider at its start, with
// twelve seeds in DARTS's space, no more either. Nor did more features bring anything: the pairs of operations along
// edges, with twenty seeds; in DARTS's space also the edges, paths of three operations and a second round of Weisfeiler
// and Lehman, with eight.
func DefaultThompson(labels int) ThompsonConfig {
	return ThompsonConfig{Labels: labels, First: min(20, labels), Batch: 5, Elite: 20, Random: 200, Generations: 10, Parents: 5, Children: 10}
}

// Versions returns the versions of the algorithms behind a search of this configuration.
func (c ThompsonConfig) Versions() rundir.Versions {
	return rundir.Versions{"thompson": 1, "gaussian": gaussian.Version}
}

func (c ThompsonConfig) check() error {
	if c.First < 2 || c.First > c.Labels || c.Batch < 1 || c.Elite < 1 || c.Random < 0 || c.Generations < 0 || c.Parents < 1 || c.Children < 1 {
		return fmt.Errorf("search: Thompson needs a First from 2 to Labels (%d), at least 1 for Batch, Elite, Parents and Children, and no negative Random and Generations, not First %d, Batch %d, Elite %d, Parents %d, Children %d, Random %d and Generations %d",
			c.Labels, c.First, c.Batch, c.Elite, c.Parents, c.Children, c.Random, c.Generations)
	}
	return nil
}

// Thompson is this project's answer to "which search do I use on my own space?". It is contrastive, as CTNAS is: it
// learns from the order of labels alone, and what it believes is a comparator ([gaussian.Comparator]). But it buys its
// labels where it searches, and it does so by Thompson sampling: a round draws functions from what the
// labels leave open, climbs each by mutation, from the best labels and random architectures, and buys what is
// highest in each. So it looks both where the comparator is sure and where it knows little, and needs no policy.
//
// The answer is the labelled architecture of the highest expected utility, not that of the highest label, which may be
// the luck of one training run: the comparator weighs a label against those of architectures that are alike,
// the less the noisier it finds all of them.
//
// Where the benchmark has no accuracy of an architecture ([space.ErrNotQueryable]), the next one is taken; such a
// query does not count. It trains nothing on a backend. It works in a run directory under root, resumes and is loaded
// as CTNAS is, a round being an iteration; the metric of each round is "bought", the mean of its labels.
func Thompson(ctx context.Context, root string, p Problem, config ThompsonConfig) (*Found, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	p.Backend = nil // the result is the same with any
	labels, first, err := p.label(ctx, root, config.First, config.Seed)
	if err != nil {
		return nil, err
	}
	s := p.Benchmark.Space()
	rng := engine.Stream(config.Seed, "search: thompson, reference", 0)
	reference := make([]space.Arch, 300)
	for i := range reference {
		reference[i] = s.Sample(rng)
	}
	features, err := gaussian.NewFeatures(s, reference)
	if err != nil {
		return nil, err
	}
	t := &thompson{rounds: newRounds(ctx, p.Benchmark, labels, first), config: config, features: features}
	if config.Linear {
		t.hyper = gaussian.Linear(features)
	}
	steps := numberOfRounds(config.Labels, config.First, config.Batch)
	return t.search(ctx, root, p, "thompson", config, steps, t, func(found *Found) error {
		model, err := gaussian.Fit(t.features, t.labelled, t.hyper)
		if err != nil {
			return err
		}
		archs := space.Archs(t.labelled)
		utilities, err := model.Utilities(archs)
		if err != nil {
			return err
		}
		found.Best, found.Ranker = archs[space.Order(utilities)[0]], model
		return nil
	})
}

// thompson is the search as a [train.Process]. A step is a round.
type thompson struct {
	*rounds
	config   ThompsonConfig
	features *gaussian.Features
	hyper    *gaussian.Hyper // of the kernel; before the first fit where it starts, nil for usual numbers
	fitted   int             // labels of the last fit of the kernel
}

// fit learns from the labels so far. The kernel is fitted again when there are a fifth more of them.
func (t *thompson) fit() (*gaussian.Comparator, error) {
	if t.fitted > 0 && len(t.labelled) < t.fitted+t.fitted/5 {
		return gaussian.With(t.features, t.labelled, *t.hyper)
	}
	model, err := gaussian.Fit(t.features, t.labelled, t.hyper)
	if err != nil {
		return nil, err
	}
	t.hyper, t.fitted = &model.Hyper, len(t.labelled)
	return model, nil
}

func (t *thompson) Step(ctx context.Context, round int) (map[string]float64, error) {
	model, err := t.fit()
	if err != nil {
		return nil, err
	}
	rng := engine.Stream(t.config.Seed, "search: thompson, round", round)
	count := min(t.config.Batch, t.config.Labels-len(t.labelled))
	samples, err := model.Sample(rng, count)
	if err != nil {
		return nil, err
	}
	pool, err := t.climb(ctx, rng, samples, count)
	if err != nil {
		return nil, err
	}
	return t.buy(ctx, rng, pool, count)
}

// climb returns what the sampled functions were asked for, while each was climbed.
func (t *thompson) climb(ctx context.Context, rng *rand.Rand, samples *gaussian.Samples, functions int) ([]candidate, error) {
	var pool []candidate
	met := make(map[string]bool)
	add := func(archs []space.Arch) {
		fresh := archs[:0]
		for _, a := range archs {
			if id := a.ID(); !met[id] {
				met[id] = true
				fresh = append(fresh, a)
			}
		}
		pool = append(pool, evaluate(samples, fresh)...)
	}
	start, err := t.random(rng)
	if err != nil {
		return nil, err
	}
	add(append(start, t.best(t.config.Elite)...))
	s := t.benchmark.Space()
	for range t.config.Generations {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var children []space.Arch
		for i := range functions {
			parents := highest(pool, i, t.config.Parents)
			for range t.config.Children {
				child, err := s.Mutate(rng, parents[rng.IntN(len(parents))].arch)
				if err != nil {
					return nil, err
				}
				children = append(children, child)
			}
		}
		add(children)
	}
	return pool, nil
}

// random returns random architectures that can be queried: all of them where the benchmark has fewer than asked for.
func (t *thompson) random(rng *rand.Rand) ([]space.Arch, error) {
	archs, err := t.benchmark.Sample(rng, t.config.Random)
	if err == nil {
		return archs, nil
	}
	// The largest number that it has is found by halving: enough are there, above are too few.
	for enough, above := 0, t.config.Random; above-enough > 1; {
		n := (enough + above) / 2
		if some, err := t.benchmark.Sample(rng, n); err == nil {
			archs, enough = some, n
		} else {
			above = n
		}
	}
	if len(archs) == 0 {
		return nil, err
	}
	return archs, nil
}

// evaluate asks the sampled functions for architectures, on all cores.
func evaluate(samples *gaussian.Samples, archs []space.Arch) []candidate {
	candidates := make([]candidate, len(archs))
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(archs)) {
		group.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(archs) {
					return
				}
				candidates[i] = candidate{archs[i], samples.Values(archs[i])}
			}
		})
	}
	group.Wait()
	return candidates
}

// savedThompson is the search in a checkpoint: what it bought in its rounds, and the kernel.
type savedThompson struct {
	Archs      []string
	Accuracies []float64
	Hyper      *gaussian.Hyper
	Fitted     int
}

func (t *thompson) Encode() ([]byte, error) {
	archs, accuracies := t.bought()
	return train.EncodeState(savedThompson{archs, accuracies, t.hyper, t.fitted})
}

func (t *thompson) Restore(state []byte) error {
	var s savedThompson
	if err := train.DecodeState(state, &s); err != nil {
		return err
	}
	t.hyper, t.fitted = s.Hyper, s.Fitted
	return t.restore(s.Archs, s.Accuracies)
}
