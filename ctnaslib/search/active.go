package search

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
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

func (c ActiveConfig) check() error {
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
// Each committee is trained in run directories under root, so an interrupted search
// continues. The metric of each round is "bought", the mean of its labels.
func Active(ctx context.Context, root string, p Problem, config ActiveConfig) (*Found, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	config.NAC.Seed = config.Seed
	run, err := p.open(root, "active", config)
	if err != nil {
		return nil, err
	}
	defer run.Close()
	found := &Found{}
	if found.Status, err = statusOf(run); err != nil {
		return nil, err
	}
	train := func() (*comparator.Committee, error) {
		return comparator.TrainCommittee(ctx, root, comparator.Training{
			Backend: p.Backend, Space: p.Benchmark.Space(), Labelled: found.Labelled, Config: config.NAC,
		}, config.Members)
	}
	if found.Labelled, err = Label(p.Benchmark, config.First, config.Seed); err != nil {
		return nil, err
	}
	for round := range config.Rounds {
		committee, err := train()
		if err != nil {
			return nil, err
		}
		bought, err := config.buy(p, committee, found.Labelled, round)
		if err != nil {
			return nil, err
		}
		committee.Release()
		found.Labelled = append(found.Labelled, bought...)
		values := map[string]float64{"bought": meanLabel(bought)}
		found.Metrics = append(found.Metrics, rundir.Metrics{Step: round, Values: values})
		if p.Watch != nil {
			p.Watch(round+1, config.Rounds+1, values)
		}
	}
	committee, err := train()
	if err != nil {
		return nil, err
	}
	if found.Best, err = choose(committee, found.Labelled); err != nil {
		return nil, err
	}
	if p.Watch != nil {
		p.Watch(config.Rounds+1, config.Rounds+1, nil)
	}
	found.Ranker = committee
	return p.finish(run, found)
}

// buy queries a round's labels: for the architectures of a pool that the ranker ranks
// highest and that have none yet.
func (c ActiveConfig) buy(p Problem, ranker space.Ranker, labelled []comparator.Labelled, round int) ([]comparator.Labelled, error) {
	known := make(map[string]bool, len(labelled))
	for _, l := range labelled {
		known[l.Arch.ID()] = true
	}
	pool, err := c.pool(p, ranker, rand.New(rand.NewPCG(c.Seed, seedPool+uint64(round))))
	if err != nil {
		return nil, err
	}
	order, err := space.Rank(ranker, pool)
	if err != nil {
		return nil, err
	}
	count := (c.Labels - len(labelled)) / (c.Rounds - round)
	var bought []comparator.Labelled
	for _, i := range order {
		if len(bought) == count {
			break
		}
		if known[pool[i].ID()] {
			continue
		}
		known[pool[i].ID()] = true
		accuracy, err := p.Benchmark.Validation(pool[i])
		if err != nil {
			return nil, err
		}
		bought = append(bought, comparator.Labelled{Arch: pool[i], Accuracy: accuracy})
	}
	return bought, nil
}

// pool is what the ranker ranks in a round. The architectures that an evolution meets
// are not all different.
func (c ActiveConfig) pool(p Problem, ranker space.Ranker, rng *rand.Rand) ([]space.Arch, error) {
	if !c.Evolved {
		return p.Benchmark.Sample(rng, c.Pool)
	}
	e, err := newEvolution(rng, p.Benchmark.Space(), ranker, EvolutionConfig{Population: min(100, c.Pool), Tournament: min(25, c.Pool)})
	if err != nil {
		return nil, err
	}
	var pool []space.Arch
	for _, i := range e.population {
		pool = append(pool, i.arch)
	}
	for len(pool) < c.Pool {
		if err := e.cycle(rng); err != nil {
			return nil, err
		}
		pool = append(pool, e.population[len(e.population)-1].arch)
	}
	return pool, nil
}

// choose is the labelled architecture of the highest mean of its label and of what the
// committee expects of it without knowing that label.
func choose(committee *comparator.Committee, labelled []comparator.Labelled) (space.Arch, error) {
	unseen, err := committee.Unseen(labelled)
	if err != nil {
		return nil, err
	}
	order := make([]int, len(labelled))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(labelled[j].Accuracy, labelled[i].Accuracy) })
	better := order[:len(order)/2]
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

func meanLabel(labelled []comparator.Labelled) float64 {
	mean := 0.0
	for _, l := range labelled {
		mean += l.Accuracy / float64(len(labelled))
	}
	return mean
}
