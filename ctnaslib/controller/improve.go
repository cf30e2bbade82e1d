package controller

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/ctnas/ctnas/ctnaslib/space"
)

// Learned is what steps of policy gradient led to, means over all of them.
type Learned struct {
	Reward float64 // of the sampled architectures
	Step
}

// Improve does steps of policy gradient (Alg. 1, lines 9 and 10): each samples a batch of
// architectures of s, asks for the reward of every one, and learns by [Controller.Reinforce] from the rewards or, with
// [Config.RewardDecay], from how far each is above the moving average.
// It stops between two steps when ctx is done. The errors are ctx's, those of reward and of
// the policy, and one that names an architecture whose reward is no number.
func (c *Controller) Improve(ctx context.Context, rng *rand.Rand, s space.Space, steps, batch int, reward func([]space.Arch) ([]float64, error)) (Learned, error) {
	if steps < 1 || batch < 1 {
		return Learned{}, fmt.Errorf("controller: a policy improves in at least 1 step on at least 1 architecture, not in %d on %d", steps, batch)
	}
	var learned Learned
	for k := range steps {
		if err := ctx.Err(); err != nil {
			return learned, fmt.Errorf("controller: stopped after %d of %d steps of policy gradient: %w", k, steps, err)
		}
		sequences, err := c.Sample(rng, batch)
		if err != nil {
			return learned, err
		}
		archs, err := Decoded(s, sequences)
		if err != nil {
			return learned, err
		}
		rewards, err := reward(archs)
		if err != nil {
			return learned, err
		}
		if len(rewards) != batch {
			return learned, fmt.Errorf("controller: there are %d rewards for %d architectures; give one for each", len(rewards), batch)
		}
		if bad := badReward(rewards); bad >= 0 {
			return learned, fmt.Errorf("controller: the reward of %s is %g; give a number of at most %g in size", archs[bad], rewards[bad], maxReward)
		}
		for _, r := range rewards {
			learned.Reward += r / float64(steps*batch)
		}
		step, err := c.Reinforce(sequences, c.advantages(rewards))
		if err != nil {
			return learned, err
		}
		learned.Loss += step.Loss / float64(steps)
		learned.Entropy += step.Entropy / float64(steps)
	}
	return learned, nil
}

// advantages moves the average by each reward, and returns by how much that reward is above it then; without
// RewardDecay, it returns the rewards.
func (c *Controller) advantages(rewards []float64) []float64 {
	if c.config.RewardDecay == 0 {
		return rewards
	}
	above := make([]float64, len(rewards))
	for i, r := range rewards {
		c.average += (1 - c.config.RewardDecay) * (r - c.average)
		above[i] = r - c.average
	}
	return above
}

// Decoded returns the architectures of sequences that a policy for s sampled.
func Decoded(s space.Space, sequences [][]int) ([]space.Arch, error) {
	archs := make([]space.Arch, len(sequences))
	for i, sequence := range sequences {
		arch, err := s.Decode(sequence)
		if err != nil {
			return nil, fmt.Errorf("controller: sequence %d is no architecture of %s: %w", i, s.Name(), err)
		}
		archs[i] = arch
	}
	return archs, nil
}
