package search

import (
	"context"
	"fmt"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// Committee is several NACs that were each trained without one part of the labelled
// architectures. Their average ranks better than one of them, and of every labelled
// architecture there is a member that has not seen its label. It is not safe for
// concurrent use.
type Committee struct {
	Status rundir.Status // how all members were reached

	members []*comparator.NAC
	mean    []float64 // of each member's utilities of all labelled architectures
	std     []float64
}

// TrainCommittee trains the given number of NACs as [comparator.Train] does, each in a run
// directory of its own. Member k does not see the labelled architectures k,
// k + members, k + 2·members, …; its seed is Config.Seed plus k·2³². Watch, if set,
// is told of the epochs of each member as a stage.
func TrainCommittee(ctx context.Context, root string, t comparator.Training, members int) (*Committee, error) {
	return trainCommittee(ctx, root, t, members, nil)
}

// trainCommittee is [TrainCommittee] with the states that the members start from, nil for random weights.
func trainCommittee(ctx context.Context, root string, t comparator.Training, members int, start [][]byte) (*Committee, error) {
	if members < 2 || members > len(t.Labelled)/2 {
		return nil, fmt.Errorf("search: a committee of NACs needs from 2 members to half the number of labels (%d), not %d", len(t.Labelled), members)
	}
	config, ok := t.Config.(comparator.Config)
	if !ok {
		return nil, fmt.Errorf("search: a committee is made of NACs, with a comparator.Config, not a %T", t.Config)
	}
	seed := config.Seed
	c := &Committee{}
	statuses := make(map[rundir.Status]int)
	archs := space.Archs(t.Labelled)
	for k := range members {
		own := t
		own.Labelled = nil
		for i, l := range t.Labelled {
			if i%members != k {
				own.Labelled = append(own.Labelled, l)
			}
		}
		config.Seed = seed + uint64(k)<<32
		own.Config = config
		if start != nil {
			own.Start = start[k]
		}
		own.Watch = t.Watch.Stage(fmt.Sprintf("comparator %d of %d, epoch", k+1, members))
		trained, err := comparator.Train(ctx, root, own)
		if err != nil {
			return nil, err
		}
		statuses[trained.Status]++
		utilities, err := byTurns(trained.NAC, archs)
		if err != nil {
			return nil, err
		}
		mean, std := stat.MeanStdDev(utilities, nil)
		if std == 0 {
			return nil, fmt.Errorf("search: member %d of the committee finds all labelled architectures equally good; train it longer", k)
		}
		c.members, c.mean, c.std = append(c.members, trained.NAC), append(c.mean, mean), append(c.std, std)
	}
	c.Status = rundir.Resumed
	for _, status := range []rundir.Status{rundir.Loaded, rundir.Trained} {
		if statuses[status] == members {
			c.Status = status
		}
	}
	return c, nil
}

// Utilities returns the members' average, of utilities in standard deviations from the
// mean of the labelled architectures: a NAC's own have no fixed zero and scale.
func (c *Committee) Utilities(archs []space.Arch) ([]float64, error) {
	average := make([]float64, len(archs))
	for k := range c.members {
		utilities, err := c.of(k, archs)
		if err != nil {
			return nil, err
		}
		floats.AddScaled(average, 1/float64(len(c.members)), utilities)
	}
	return average, nil
}

// Unseen returns the utilities of the labelled architectures that the committee was
// trained with, in their order, each from the member that did not see its label.
func (c *Committee) Unseen(labelled []space.Labelled) ([]float64, error) {
	unseen := make([]float64, len(labelled))
	for k := range c.members {
		utilities, err := c.of(k, space.Archs(labelled))
		if err != nil {
			return nil, err
		}
		for i := k; i < len(labelled); i += len(c.members) {
			unseen[i] = utilities[i]
		}
	}
	return unseen, nil
}

// of returns the utilities of member k, standardised.
func (c *Committee) of(k int, archs []space.Arch) ([]float64, error) {
	utilities, err := byTurns(c.members[k], archs)
	floats.AddConst(-c.mean[k], utilities)
	floats.Scale(1/c.std[k], utilities)
	return utilities, err
}

// byTurns returns a member's utilities, and lets the next member have its compiled graphs.
func byTurns(n *comparator.NAC, archs []space.Arch) ([]float64, error) {
	utilities, err := n.Utilities(archs)
	if err != nil {
		return nil, err
	}
	return utilities, n.Rest()
}

// states returns each member's state.
func (c *Committee) states() ([][]byte, error) {
	states := make([][]byte, len(c.members))
	for k, n := range c.members {
		var err error
		if states[k], err = n.Encode(); err != nil {
			return nil, err
		}
		if err := n.Rest(); err != nil {
			return nil, err
		}
	}
	return states, nil
}

// Release is [comparator.NAC.Release] of every member.
func (c *Committee) Release() {
	for _, n := range c.members {
		n.Release()
	}
	c.members = nil
}
