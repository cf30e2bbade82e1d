package search

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/train"
)

// ActiveConfig is the configuration of [Active].
type ActiveConfig struct {
	Labels  int // architectures whose accuracy is queried
	First   int // of them, at random before the first round
	Rounds  int // in which the others are bought; 0 if all are random
	Pool    int // architectures that the committee ranks in a round
	Members int // of the committee

	// Evolved says that a pool is what an evolution by the committee meets, not random
	// architectures: for spaces in which a random one is hardly ever among the best.
	Evolved bool `json:",omitempty"`

	// WarmEpochs, if set, is for how many epochs a committee is trained that starts from the weights of the one of the
	// round before; the first starts from random ones. 0 trains each from scratch. With 25 in place of 200 epochs a search
	// trains several times as fast and orders all cells better, but what it buys and answers was no better: on
	// NAS-Bench-101, means of 6 seeds, from 123 to 423 labels in 6 rounds, three members of width 32,
	//
	//	WarmEpochs   tau on 3,000 cells after 1, 3 and 6 rounds   mean label bought   test accuracy of the answer
	//	0            0.683, 0.678, 0.673                          94.19 %             93.85 ± 0.25 %
	//	25           0.685, 0.694, 0.703                          94.17 %             93.75 ± 0.22 %
	//	50           0.685, 0.695, 0.698                          94.19 %             93.78 ± 0.34 %
	//	100          0.686, 0.698, 0.700                          94.18 %             93.73 ± 0.25 %
	WarmEpochs int `json:",omitempty"`

	NAC  comparator.Config
	Seed uint64 // of everything; the seeds of the committee are derived from it
}

// PaperActive spends the paper's 423 queries: 323 at random and 25 in each of four
// rounds, on the best of 30,000, with a committee of five [comparator.TwoWay] of half
// the width.
func PaperActive() ActiveConfig {
	c := ActiveConfig{Labels: 423, First: 323, Rounds: 4, Pool: 30_000, Members: 5, NAC: comparator.TwoWay()}
	c.NAC.Width = 64
	return c
}

// Versions returns the versions of the algorithms behind a search of this configuration.
func (c ActiveConfig) Versions() rundir.Versions {
	return c.NAC.Versions().With(rundir.Versions{"active": 1, "evolution": 1})
}

func (c ActiveConfig) check() error {
	if err := c.NAC.Check(); err != nil {
		return err
	}
	if c.WarmEpochs < 0 {
		return fmt.Errorf("search: WarmEpochs must not be negative, it is %d", c.WarmEpochs)
	}
	if c.Rounds == 0 && c.First == c.Labels && c.First >= 4 {
		return nil
	}
	if c.Rounds < 1 || c.First < 4 || c.First+c.Rounds > c.Labels || c.Pool < 2*c.Labels {
		return fmt.Errorf("search: an active search needs a round, a First of at least 4, a label for each round, and a Pool of twice the labels; not %d rounds, First %d, %d labels and a Pool of %d", c.Rounds, c.First, c.Labels, c.Pool)
	}
	return nil
}

// Active is this project's own search, beside the faithful ones: the paper's
// comparator, but labels where they count, and no policy.
//
// It begins with random labels. In each round a committee of comparators, trained on
// the labels so far, ranks a pool of architectures, and the highest without a label get
// one. The answer is the labelled architecture for which the mean of two
// numbers is highest: its label, and the accuracy that the committee's member that
// did not see this label expects (a straight line from utility to accuracy, fitted to
// the better half of the labels). For a label is one noisy training run: the best of
// many labels is a lucky one more often than not.
//
// It works in a run directory under root, resumes and is loaded as CTNAS is, a round being an
// iteration; each committee is trained in run directories of its own. The metric of each round is
// "bought", the mean of its labels.
func Active(ctx context.Context, root string, p Problem, config ActiveConfig) (*Found, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	config.NAC.Seed = config.Seed
	labels, first, err := p.label(ctx, root, config.First, config.Seed)
	if err != nil {
		return nil, err
	}
	run, err := p.open(root, "active", config, first)
	if err != nil {
		return nil, err
	}
	defer run.Close()
	a := &active{ctx: ctx, root: root, problem: p, config: config, labels: labels, first: first, labelled: slices.Clone(first)}
	found := &Found{}
	if found.Outcome, err = train.Do(ctx, run, a, train.Plan{Steps: config.Rounds, Watch: p.Watch}); err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	committee, err := a.train(ctx)
	if err != nil {
		return nil, err
	}
	if config.Rounds == 0 || found.Status == rundir.Loaded {
		found.Status = committee.Status
	}
	if found.Best, err = choose(committee, a.labelled); err != nil {
		return nil, err
	}
	found.Labelled, found.Ranker = a.labelled, committee
	return finish(run, p, labels, found)
}

// active is an active search as a [train.Process]. A step is a round.
type active struct {
	ctx      context.Context
	root     string
	problem  Problem
	config   ActiveConfig
	labels   *Labels
	first    []space.Labelled // at random
	labelled []space.Labelled // so far
	states   [][]byte         // that the members of the next committee start from; nil for random weights
}

func (a *active) train(ctx context.Context) (*Committee, error) {
	config := a.config.NAC
	if a.states != nil {
		config.Epochs = a.config.WarmEpochs
	}
	return trainCommittee(ctx, a.root, comparator.Training{
		Backend: a.problem.Backend, Space: a.problem.Benchmark.Space(), Labelled: a.labelled, Config: config,
		Growing: a.config.Rounds > 0, Watch: a.problem.Watch,
	}, a.config.Members, a.states)
}

func (a *active) Step(ctx context.Context, round int) (map[string]float64, error) {
	committee, err := a.train(ctx)
	if err != nil {
		return nil, err
	}
	bought, err := a.buy(ctx, committee, round)
	if err != nil {
		return nil, err
	}
	if a.config.WarmEpochs > 0 {
		if a.states, err = committee.states(); err != nil {
			return nil, err
		}
	}
	committee.Release()
	a.labelled = append(a.labelled, bought...)
	return map[string]float64{"bought": meanLabel(bought)}, nil
}

// savedActive is an active search in a checkpoint: what it bought in its rounds, and what its next committee starts
// from if that is no random weights.
type savedActive struct {
	Archs      []string
	Accuracies []float64
	States     [][]byte
}

func (a *active) Encode() ([]byte, error) {
	s := savedActive{States: a.states}
	s.Archs, s.Accuracies = written(a.labelled[len(a.first):])
	return train.EncodeState(s)
}

// Restore asks the benchmark for the labels again, which counts them, and finds out a benchmark
// that answers otherwise than the one of the checkpoint.
func (a *active) Restore(state []byte) error {
	var s savedActive
	if err := train.DecodeState(state, &s); err != nil {
		return err
	}
	labelled, err := a.labels.again(a.ctx, s.Archs, s.Accuracies)
	if err != nil {
		return err
	}
	a.labelled = append(a.labelled, labelled...)
	if a.config.WarmEpochs > 0 {
		if len(s.States) != a.config.Members {
			return fmt.Errorf("search: the checkpoint has the weights of %d comparators, not of %d", len(s.States), a.config.Members)
		}
		a.states = s.States
	}
	return nil
}

// buy queries a round's labels: for the architectures of a pool that the ranker ranks
// highest and that have none yet.
func (a *active) buy(ctx context.Context, ranker space.Ranker, round int) ([]space.Labelled, error) {
	known := make(map[string]bool, len(a.labelled))
	for _, l := range a.labelled {
		known[l.Arch.ID()] = true
	}
	pool, err := a.pool(ctx, ranker, engine.Stream(a.config.Seed, "search: pool", round))
	if err != nil {
		return nil, err
	}
	order, err := rank(ctx, a.problem.Watch.Stage("ranking"), ranker, pool)
	if err != nil {
		return nil, err
	}
	count := (a.config.Labels - len(a.labelled)) / (a.config.Rounds - round)
	var chosen []space.Arch
	for _, i := range order {
		if len(chosen) == count {
			break
		}
		if known[pool[i].ID()] {
			continue
		}
		known[pool[i].ID()] = true
		chosen = append(chosen, pool[i])
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("search: round %d found no architecture without a label; use a larger Pool or fewer Labels", round+1)
	}
	return a.labels.Buy(ctx, chosen)
}

// pool returns what the ranker ranks in a round. The architectures that an evolution meets
// are not all different.
func (a *active) pool(ctx context.Context, ranker space.Ranker, rng *rand.Rand) ([]space.Arch, error) {
	c := a.config
	if !c.Evolved {
		return a.problem.Benchmark.Sample(rng, c.Pool)
	}
	watch := a.problem.Watch.Stage("evolving a pool")
	e, err := newEvolution(rng, a.problem.Benchmark.Space(), ranker, EvolveConfig{Population: min(100, c.Pool), Tournament: min(25, c.Pool)})
	if err != nil {
		return nil, err
	}
	var pool []space.Arch
	for _, i := range e.population {
		pool = append(pool, i.arch)
	}
	for len(pool) < c.Pool {
		if err := e.cycle(ctx, rng); err != nil {
			return nil, err
		}
		pool = append(pool, e.population[len(e.population)-1].arch)
		watch.Tell(train.Progress{Done: len(pool), Total: c.Pool})
	}
	return pool, nil
}

// choose returns the labelled architecture of the highest mean of its label and of what the
// committee expects of it without knowing that label.
func choose(committee *Committee, labelled []space.Labelled) (space.Arch, error) {
	unseen, err := committee.Unseen(labelled)
	if err != nil {
		return nil, err
	}
	better := space.Order(space.Accuracies(labelled))[:len(labelled)/2]
	var x, y []float64
	for _, i := range better {
		x, y = append(x, unseen[i]), append(y, labelled[i].Accuracy)
	}
	offset, slope := stat.LinearRegression(x, y, nil, false)
	best, highest := -1, 0.0
	for _, i := range better {
		if mean := (labelled[i].Accuracy + offset + slope*unseen[i]) / 2; best < 0 || mean > highest {
			best, highest = i, mean
		}
	}
	return labelled[best].Arch, nil
}

// meanLabel returns the mean of labels.
func meanLabel(labelled []space.Labelled) float64 { return stat.Mean(space.Accuracies(labelled), nil) }
