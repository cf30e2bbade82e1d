package supernet

import (
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/controller"
)

// Method is a way to train shared weights and to find a cell with them.
type Method string

// The methods of the paper's Table 1.
const (
	// SPOS trains one uniformly random cell in each step (Guo et al., Single Path
	// One-Shot, ECCV 2020).
	SPOS Method = "SPOS"
	// FairNAS gives all operations of a vertex equally many updates: each step adds up
	// the gradients of three cells that differ in all of their operations (Chu et al.,
	// FairNAS, ICCV 2021, strict fairness).
	FairNAS Method = "FairNAS"
	// ENAS trains cells that a policy samples, and rewards the policy with their
	// accuracy on validation images (Pham et al., ICML 2018).
	ENAS Method = "ENAS"
	// DARTS trains a mixture of all cells, and the mixture's weights by gradient descent
	// on validation images (Liu et al., ICLR 2019).
	DARTS Method = "DARTS"
	// FBNet is DARTS with mixtures drawn at random, by Gumbel-softmax of a temperature
	// that falls (Wu et al., CVPR 2019); its latency term has no counterpart here.
	FBNet Method = "FBNet"
)

// Config describes a shared network and its training. It is stored with every run, so
// all of it is exported and plain.
type Config struct {
	Skeleton
	Method Method

	Steps     int // of training
	BatchSize int
	Round     int // steps between two checkpoints

	// Stochastic gradient descent, with a cosine learning rate that ends at 0.
	LearningRate, Momentum, WeightDecay float64
	Clip                                float64 // largest norm of the gradient; 0 is no limit

	// How the cell is chosen by SPOS, FairNAS and ENAS: of this many candidates, random
	// ones or the policy's, the one of highest validation accuracy.
	Candidates int

	// Of ENAS: after each round the policy learns by steps of policy gradient.
	Policy      controller.Config
	PolicySteps int
	PolicyBatch int // cells of a step

	// Of DARTS and FBNet: Adam for the mixture's weights, a step after each of the
	// network's.
	MixtureRate, MixtureDecay float64
	SecondOrder               bool    // of DARTS: look one step of the weights ahead
	Temperature, Cooling      float64 // of FBNet: at first, and at the end

	// Devices of the backend, such as GPUs, that share every batch; 0 is one.
	Devices int `json:",omitempty"`

	Seed uint64 // of the initial weights, the batches, the cells and the noise
}

// New is the configuration of a method for a skeleton, with the settings of the methods'
// published code but for the learning rate, which is DARTS's for all of them: with 0.1
// the loss of SPOS rose at first. What the sizes should be depends on the machine.
func New(method Method, skeleton Skeleton, steps, batchSize int) Config {
	c := Config{
		Skeleton: skeleton, Method: method, Steps: steps, BatchSize: batchSize, Round: 50,
		LearningRate: 0.025, Momentum: 0.9, WeightDecay: 4e-5, Clip: 5, Candidates: 200,
	}
	switch method {
	case ENAS:
		c.Policy, c.PolicySteps, c.PolicyBatch = controller.Default(), 5, 10
	case DARTS:
		c.WeightDecay = 3e-4
		c.MixtureRate, c.MixtureDecay = 3e-4, 1e-3
	case FBNet:
		c.WeightDecay = 1e-4
		c.MixtureRate, c.MixtureDecay, c.Temperature, c.Cooling = 0.01, 5e-4, 5, 0.1
	}
	return c
}

// Small is a configuration for a lesson, a test and CI: seconds on the pure Go backend,
// with images of 4 pixels. It learns next to nothing.
func Small(method Method, classes int) Config {
	c := New(method, Skeleton{Channels: 5, Stacks: 2, Modules: 1, Side: 4, Classes: classes}, 40, 16)
	c.Round, c.Candidates, c.PolicySteps = 10, 10, 2
	return c
}

// Proxy is for CIFAR-10 images of half their size, with an eighth of the benchmark's
// channels and one module in a stack: three to fifteen minutes on two processor cores
// with XLA for a method and a seed.
func Proxy(method Method) Config {
	skeleton := Skeleton{Channels: 16, Stacks: 3, Modules: 1, Side: 16, Classes: 10}
	switch method {
	case FairNAS: // three cells in a step
		return New(method, skeleton, 1600, 128)
	case DARTS, FBNet: // all cells at once, and a step for the mixture
		return New(method, skeleton, 800, 128)
	}
	return New(method, skeleton, 4800, 128)
}

// Paper is the benchmark's own skeleton on CIFAR-10, for a GPU: 200 epochs of 40,000
// images.
func Paper(method Method) Config {
	c := New(method, Benchmark(), 200*40_000/256, 256)
	c.Round, c.Candidates = 1000, 1000
	return c
}

// relaxed says whether the method trains a mixture of all cells.
func (c Config) relaxed() bool { return c.Method == DARTS || c.Method == FBNet }

// paths is the number of cells in a step.
func (c Config) paths() int {
	if c.Method == FairNAS {
		return ops
	}
	return 1
}

func (c Config) check() error {
	if err := c.Skeleton.check(); err != nil {
		return err
	}
	switch c.Method {
	case SPOS, FairNAS, ENAS, DARTS, FBNet:
	default:
		return fmt.Errorf("supernet: unknown method %q; use SPOS, FairNAS, ENAS, DARTS or FBNet", c.Method)
	}
	switch {
	case c.Steps < 1 || c.BatchSize < 2 || c.Round < 1 || c.Candidates < 1:
		return fmt.Errorf("supernet: training needs steps, batches of at least 2 images, rounds and candidates, not %d, %d, %d and %d", c.Steps, c.BatchSize, c.Round, c.Candidates)
	case !positive(c.LearningRate) || !share(c.Momentum) || !decay(c.WeightDecay) || !decay(c.Clip):
		return fmt.Errorf("supernet: the learning rate must be positive, the momentum in [0, 1), the weight decay and the limit of the gradient not negative; not %g, %g, %g and %g", c.LearningRate, c.Momentum, c.WeightDecay, c.Clip)
	case c.Method == ENAS && (c.PolicySteps < 1 || c.PolicyBatch < 1):
		return fmt.Errorf("supernet: ENAS needs PolicySteps and PolicyBatch, not %d and %d", c.PolicySteps, c.PolicyBatch)
	case c.relaxed() && !positive(c.MixtureRate):
		return fmt.Errorf("supernet: %s needs a positive MixtureRate, not %g", c.Method, c.MixtureRate)
	case c.Method == FBNet && (!positive(c.Temperature) || !positive(c.Cooling)):
		return fmt.Errorf("supernet: FBNet needs positive temperatures, not %g and %g", c.Temperature, c.Cooling)
	case c.Devices < 0 || c.Devices > 1 && c.BatchSize%c.Devices != 0:
		return fmt.Errorf("supernet: a batch of %d images cannot be shared by %d devices", c.BatchSize, c.Devices)
	case c.SecondOrder && c.Method != DARTS:
		return fmt.Errorf("supernet: SecondOrder is an option of DARTS, not of %s", c.Method)
	}
	return nil
}

// positive reports a rate that training can use; decay and share report one that may be 0. None
// is NaN or beyond what trains a network.
func positive(v float64) bool { return v > 0 && v <= 1000 }
func decay(v float64) bool    { return v >= 0 && v <= 1000 }
func share(v float64) bool    { return v >= 0 && v < 1 }
