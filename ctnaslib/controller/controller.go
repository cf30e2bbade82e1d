// Package controller is the policy π(α; θ) that writes architectures down (paper,
// Sec. 3.2; the LSTM of ENAS, Pham et al., 2018, as in the authors' code).
//
//	policy, err := controller.New(space.Decisions(), controller.Default())
//	sequences, err := policy.Sample(rng, 100)
//	loss, err := policy.Reinforce(sequences, rewards)
//
// It knows nothing of a search space but the [space.Decisions]: at each step the
// automaton's state says which kind of decision comes and which choices are open.
//
// The network computes in plain numbers, forward and back (network.go), on no backend: it is small, and
// learns from one architecture at a time, each decision after the other. A step is so a tenth of what it takes
// as a graph of some thousand tiny operations, which XLA compiles for seconds besides.
package controller

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"gonum.org/v1/gonum/floats"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/train"
)

// Config describes a policy and how it learns.
type Config struct {
	Hidden       int     // size of the LSTM's state and of the embeddings
	InitRange    float64 // weights start uniform in ±InitRange
	EntropyBonus float64 // weight of the policy's entropy in the objective
	LearningRate float64 // of Adam
	Beta1, Beta2 float64 // of Adam
	WeightDecay  float64 // L2 penalty: WeightDecay/2 · ‖θ‖² joins the loss
	Seed         uint64  // of the initial weights

	// RewardDecay, if not 0, is that of a moving average of the rewards, which [Controller.Improve] takes off each: what
	// was better than usual becomes more likely, what was worse less. As in ENAS's code the average begins at 0 and has a
	// reward in it already when it is taken off that one. 0 takes nothing off, as the code of the paper's authors.
	RewardDecay float64 `json:",omitempty"`
}

// Default returns the controller of the authors' published code.
func Default() Config {
	return Config{
		Hidden: 64, InitRange: 0.1, EntropyBonus: 5e-4,
		LearningRate: 2e-4, Beta1: 0.5, Beta2: 0.999, WeightDecay: 5e-4,
	}
}

// Versions returns the versions of the algorithms behind a policy, for the keys of stored results.
func Versions() rundir.Versions { return rundir.Versions{"controller": 2} }

// Check reports the first setting with which a policy cannot learn: one that is no number,
// or far from any use.
func (c Config) Check() error {
	const maxHidden = 4096
	if c.Hidden < 1 || c.Hidden > maxHidden {
		return fmt.Errorf("controller: Hidden is %d; set it from 1 to %d hidden units, as in controller.Default (%d)", c.Hidden, maxHidden, Default().Hidden)
	}
	d := Default()
	for _, x := range []struct {
		name               string
		value, least, most float64
		usual              float64
	}{
		{"InitRange", c.InitRange, 1e-12, 100, d.InitRange},
		{"EntropyBonus", c.EntropyBonus, 0, 1000, d.EntropyBonus},
		{"LearningRate", c.LearningRate, 1e-12, 1, d.LearningRate}, // Adam changes a weight by about as much
		{"Beta1", c.Beta1, 0, 0.999999, d.Beta1},
		{"Beta2", c.Beta2, 0, 0.999999, d.Beta2},
		{"WeightDecay", c.WeightDecay, 0, 1, d.WeightDecay},
		{"RewardDecay", c.RewardDecay, 0, 0.999999, d.RewardDecay},
	} {
		if !(x.value >= x.least && x.value <= x.most) { // NaN is neither
			return fmt.Errorf("controller: %s is %g; set it from %g to %g, as in controller.Default (%g)", x.name, x.value, x.least, x.most, x.usual)
		}
	}
	return nil
}

// Controller is a policy. It is not safe for concurrent use.
type Controller struct {
	config    Config
	decisions *space.Decisions
	network   *network
	stale     bool     // whether the network's products are of older weights
	groups    []*group // made when they are needed

	steps            int         // of Adam
	moment1, moment2 *parameters // of Adam
	average          float64     // the moving average of rewards
	unusable         error       // why the policy can do nothing any more: it diverged
}

// New makes a policy with random weights for the given decisions. The error says what is wrong in the
// configuration.
func New(d *space.Decisions, config Config) (*Controller, error) {
	if err := config.Check(); err != nil {
		return nil, err
	}
	c := &Controller{
		config: config, decisions: d, stale: true,
		network: newNetwork(d, config.Hidden), moment1: newParameters(d, config.Hidden), moment2: newParameters(d, config.Hidden),
	}
	rng := engine.Stream(config.Seed, "controller: weights", 0)
	for _, w := range c.network.θ.all {
		for i := range w.values {
			w.values[i] = config.InitRange * (2*rng.Float64() - 1)
		}
	}
	return c, nil
}

// Config returns what the policy was made with.
func (c *Controller) Config() Config { return c.config }

// group is what some sequences of a batch are computed in, one after the other.
type group struct {
	pass     *pass
	gradient *gradient // nil before it is needed
}

// maxGroups bounds how many groups of a batch are computed side by side. It does not depend on the number of
// processors, so that sums over a batch are the same everywhere.
const maxGroups = 8

// each computes n sequences, in groups side by side, and returns the groups and the first sequence's error.
func (c *Controller) each(n int, compute func(g *group, i int) error) ([]*group, error) {
	if c.stale {
		c.network.products.multiply(c.decisions, c.network.θ)
		c.network.count++
		c.stale = false
	}
	count := min(n, maxGroups)
	for len(c.groups) < count {
		c.groups = append(c.groups, &group{pass: c.network.newPass()})
	}
	errs := make([]error, count)
	sideBySide(count, func(k int) {
		for i := k * n / count; i < (k+1)*n/count && errs[k] == nil; i++ {
			errs[k] = compute(c.groups[k], i)
		}
	})
	return c.groups[:count], cmp.Or(errs...)
}

// sideBySide calls f for all numbers below n.
func sideBySide(n int, f func(k int)) {
	if n == 1 {
		f(0)
		return
	}
	var wait sync.WaitGroup
	for k := range n {
		wait.Go(func() { f(k) })
	}
	wait.Wait()
}

// Sample draws n sequences of decisions from the policy. The error says that n is less than
// 1, or that the policy diverged.
func (c *Controller) Sample(rng *rand.Rand, n int) ([][]int, error) {
	if c.unusable != nil {
		return nil, c.unusable
	}
	if n < 1 {
		return nil, fmt.Errorf("controller: cannot sample %d sequences; ask for at least 1", n)
	}
	steps, choices := c.decisions.Steps, c.decisions.MaxChoices()
	noise := make([]float64, n*steps*choices)
	for i := range noise {
		noise[i] = gumbel(rng.ExpFloat64())
	}
	sequences := make([][]int, n)
	_, err := c.each(n, func(g *group, i int) error {
		ok := g.pass.forward(func(t int, d *decision) int {
			choice := largest(d, nth(noise, i*steps+t, choices))
			sequences[i] = append(sequences[i], choice)
			return choice
		})
		if !ok {
			return fmt.Errorf("the scores of decision %d of a sample are not all numbers", g.pass.length)
		}
		return nil
	})
	if err != nil {
		return nil, c.diverged(err.Error())
	}
	return sequences, nil
}

// gumbel returns the Gumbel noise that an exponential variate gives. That may be 0, once in
// billions of draws.
func gumbel(exponential float64) float64 { return -math.Log(max(exponential, 1e-30)) }

// largest returns the open choice whose log-probability plus Gumbel noise is largest, which is a sample of their
// distribution.
func largest(d *decision, noise []float64) int {
	best := -1
	for choice, open := range d.open {
		if open && (best < 0 || d.logProbs[choice]+noise[choice] > d.logProbs[best]+noise[best]) {
			best = choice
		}
	}
	return best
}

// diverged makes the policy unusable, and says so.
func (c *Controller) diverged(how string) error {
	c.unusable = fmt.Errorf("controller: the policy diverged by step %d of its training: %s; start again with a lower LearningRate (it was %g) or smaller rewards", c.steps, how, c.config.LearningRate)
	return c.unusable
}

// evaluate goes through sequences, and does something more with each pass. It returns their log-probabilities
// and entropies.
func (c *Controller) evaluate(sequences [][]int, more func(g *group, i int)) (groups []*group, logProb, entropy []float64, err error) {
	for i, sequence := range sequences {
		if err := c.decisions.Check(sequence); err != nil {
			return nil, nil, nil, fmt.Errorf("controller: sequence %d: %w", i, err)
		}
	}
	logProb, entropy = make([]float64, len(sequences)), make([]float64, len(sequences))
	groups, err = c.each(len(sequences), func(g *group, i int) error {
		ok := g.pass.isOf(sequences[i]) || g.pass.forward(func(t int, _ *decision) int { return sequences[i][t] })
		logProb[i], entropy[i] = g.pass.logProb()
		if !ok || !finite(logProb[i]) {
			return fmt.Errorf("the scores of the decisions of sequence %d are not all numbers", i)
		}
		more(g, i)
		return nil
	})
	if err != nil {
		return nil, nil, nil, c.diverged(err.Error())
	}
	return groups, logProb, entropy, nil
}

// LogProb returns log π(α; θ) of each sequence and the entropy, in nats, of the
// decisions along it. The error names the first decision that is not allowed, or says that
// the policy diverged.
func (c *Controller) LogProb(sequences [][]int) (logProb, entropy []float64, err error) {
	if c.unusable != nil {
		return nil, nil, c.unusable
	}
	_, logProb, entropy, err = c.evaluate(sequences, func(*group, int) {})
	return logProb, entropy, err
}

// Step is what [Controller.Reinforce] measured before it changed the policy.
type Step struct {
	Loss    float64 // −mean(R·log π + EntropyBonus·H)
	Entropy float64 // mean H of the sequences, in nats
}

// maxReward is the largest size of a reward: with larger ones, all else is lost in rounding.
const maxReward = 1e12

// badReward returns the position of the first reward from which nothing can be learned, or −1.
func badReward(rewards []float64) int {
	return slices.IndexFunc(rewards, func(r float64) bool { return !(math.Abs(r) <= maxReward) }) // NaN neither
}

// Reinforce takes one step of policy gradient on sampled sequences and their
// rewards (Alg. 1, line 10, with the entropy bonus). The error names a reward that is no
// number or is larger than 10¹² in size, the first decision that is not allowed, or the step
// in which the policy diverged; after that, all it does has that error.
func (c *Controller) Reinforce(sequences [][]int, rewards []float64) (Step, error) {
	if c.unusable != nil {
		return Step{}, c.unusable
	}
	if len(rewards) != len(sequences) || len(rewards) == 0 {
		return Step{}, fmt.Errorf("controller: a step needs a reward for each sequence, got %d for %d", len(rewards), len(sequences))
	}
	if bad := badReward(rewards); bad >= 0 {
		return Step{}, fmt.Errorf("controller: the reward of sequence %d, %v, is %g; give a number of at most %g in size", bad, sequences[bad], rewards[bad], maxReward)
	}
	gradient, step, err := c.differentiate(sequences, rewards)
	if err != nil {
		return Step{}, err
	}
	c.steps++
	if norm := c.descend(gradient); !finite(step.Loss) || !finite(norm) {
		return Step{}, c.diverged(fmt.Sprintf("the loss is %g, and the weights have a squared norm of %g", step.Loss, norm))
	}
	return step, nil
}

// differentiate returns the loss −mean(R(α)·log π(α; θ) + EntropyBonus·H) and its gradient with respect to θ: the
// negative policy gradient of Alg. 1, line 10.
func (c *Controller) differentiate(sequences [][]int, rewards []float64) (*parameters, Step, error) {
	n := float64(len(sequences))
	for _, g := range c.groups {
		if g.gradient != nil {
			g.gradient.clear()
		}
	}
	groups, logProb, entropy, err := c.evaluate(sequences, func(g *group, i int) {
		if g.gradient == nil {
			g.gradient = c.network.newGradient()
		}
		g.gradient.backward(g.pass, rewards[i]/n, c.config.EntropyBonus/n)
	})
	if err != nil {
		return nil, Step{}, err
	}
	var step Step
	for i := range sequences {
		step.Loss -= (rewards[i]*logProb[i] + c.config.EntropyBonus*entropy[i]) / n
		step.Entropy += entropy[i] / n
	}
	sum := groups[0].gradient
	for _, g := range groups[1:] {
		sum.add(g.gradient)
	}
	sum.products.backward(c.decisions, c.network.θ, sum.weights)
	return sum.weights, step, nil
}

// descend takes a step of PyTorch's Adam, in which the weight decay is a penalty on the loss, and returns ‖θ‖²
// after it.
func (c *Controller) descend(gradient *parameters) (norm float64) {
	size := c.config.LearningRate / (1 - math.Pow(c.config.Beta1, float64(c.steps)))
	scale := 1 / math.Sqrt(1-math.Pow(c.config.Beta2, float64(c.steps)))
	norms := make([]float64, len(gradient.all))
	sideBySide(len(norms), func(k int) {
		w, m1, m2 := c.network.θ.all[k].values, c.moment1.all[k].values, c.moment2.all[k].values
		config, norm := c.config, 0.0
		for i, g := range gradient.all[k].values {
			g += config.WeightDecay * w[i]
			m1[i] += (1 - config.Beta1) * (g - m1[i])
			m2[i] += (1 - config.Beta2) * (g*g - m2[i])
			w[i] -= size * m1[i] / (math.Sqrt(m2[i])*scale + 1e-8)
			norm += w[i] * w[i]
		}
		norms[k] = norm
	})
	c.stale = true
	return floats.Sum(norms)
}

// saved is the state of a policy in a checkpoint.
type saved struct {
	Steps                     int
	Weights, Moment1, Moment2 [][]float64
	Average                   float64
}

// Encode writes the weights and the optimiser's state to bytes. The error says that the
// policy diverged.
func (c *Controller) Encode() ([]byte, error) {
	if c.unusable != nil {
		return nil, c.unusable
	}
	s := saved{Steps: c.steps, Average: c.average}
	for k, w := range c.network.θ.all {
		s.Weights = append(s.Weights, w.values)
		s.Moment1, s.Moment2 = append(s.Moment1, c.moment1.all[k].values), append(s.Moment2, c.moment2.all[k].values)
	}
	return train.EncodeState(s)
}

// Restore takes on what [Controller.Encode] of a policy of the same configuration and decisions
// wrote. The error says that the weights do not fit, or are no numbers.
func (c *Controller) Restore(state []byte) error {
	if c.unusable != nil {
		return c.unusable
	}
	var s saved
	if err := train.DecodeState(state, &s); err != nil {
		return fmt.Errorf("controller: %w", err)
	}
	for _, part := range []struct {
		what string
		from [][]float64
		to   *parameters
	}{{"weights", s.Weights, c.network.θ}, {"first moments", s.Moment1, c.moment1}, {"second moments", s.Moment2, c.moment2}} {
		if err := fits(part.from, part.to); err != nil {
			return fmt.Errorf("controller: the checkpoint is of another controller: its %s %w", part.what, err)
		}
		for k, w := range part.to.all {
			if slices.ContainsFunc(part.from[k], func(x float64) bool { return !finite(x) }) {
				return fmt.Errorf("controller: the %s %s of the checkpoint are not all numbers, so its training diverged; train again with a lower LearningRate (it was %g)", part.what, w.name, c.config.LearningRate)
			}
		}
	}
	if !finite(s.Average) {
		return fmt.Errorf("controller: the average of rewards in the checkpoint is %g, so its training diverged; train again with smaller rewards", s.Average)
	}
	c.steps, c.average, c.stale = s.Steps, s.Average, true
	for k := range c.network.θ.all {
		copy(c.network.θ.all[k].values, s.Weights[k])
		copy(c.moment1.all[k].values, s.Moment1[k])
		copy(c.moment2.all[k].values, s.Moment2[k])
	}
	return nil
}

// fits reports whether there are as many numbers as parameters.
func fits(values [][]float64, p *parameters) error {
	if len(values) != len(p.all) {
		return fmt.Errorf("have %d parts, not %d", len(values), len(p.all))
	}
	for k, w := range p.all {
		if len(values[k]) != len(w.values) {
			return fmt.Errorf("%s are %d numbers, not %d", w.name, len(values[k]), len(w.values))
		}
	}
	return nil
}
