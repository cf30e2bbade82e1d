package controller

import (
	"math/rand/v2"

	"github.com/ctnas/ctnas/ctnaslib/space"
)

// Learned is what steps of policy gradient led to, means over all of them.
type Learned struct {
	Reward float64 // of the sampled architectures
	Step
}

// Improve does steps of policy gradient (Alg. 1, lines 9 and 10): each samples a batch of
// architectures of s, asks for the reward of every one, and learns by [Controller.Reinforce].
// The errors are those of reward and of the policy.
func (c *Controller) Improve(rng *rand.Rand, s space.Space, steps, batch int, reward func([]space.Arch) ([]float64, error)) (Learned, error) {
	var learned Learned
	for range steps {
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
		for _, r := range rewards {
			learned.Reward += r / float64(steps*batch)
		}
		step, err := c.Reinforce(sequences, rewards)
		if err != nil {
			return learned, err
		}
		learned.Loss += step.Loss / float64(steps)
		learned.Entropy += step.Entropy / float64(steps)
	}
	return learned, nil
}

// Decoded are the architectures of sequences that a policy for s sampled.
func Decoded(s space.Space, sequences [][]int) ([]space.Arch, error) {
	archs := make([]space.Arch, len(sequences))
	for i, sequence := range sequences {
		arch, err := s.Decode(sequence)
		if err != nil {
			return nil, err
		}
		archs[i] = arch
	}
	return archs, nil
}
