package supernet

import (
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/controller"
	"github.com/ctnas/ctnas/ctnaslib/nn"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
)

// Method is a way to train shared weights and to find a cell with them.
type Method string

// The methods of the paper's Table 1.
const (
	// SPOS trains one uniformly random cell in each step (Guo et al., Single Path One-Shot, ECCV 2020).
	SPOS Method = "SPOS"
	// FairNAS gives all operations of a vertex equally many updates: each step adds up the gradients of three cells
	// that differ in all of their operations (Chu et al., FairNAS, ICCV 2021, strict fairness).
	FairNAS Method = "FairNAS"
	// ENAS trains cells that a policy samples, and rewards the policy with their accuracy on validation images, less the
	// moving average of it (Pham et al., ICML 2018, and its code).
	ENAS Method = "ENAS"
	// DARTS trains a continuous relaxation of all cells, and its architecture weights by gradient descent on validation
	// images (Liu et al., ICLR 2019).
	DARTS Method = "DARTS"
	// FBNet is DARTS with relaxations drawn at random, by Gumbel-softmax of a temperature that falls (Wu et al., CVPR
	// 2019); its latency term has no counterpart here.
	FBNet Method = "FBNet"
)

// Config describes a supernet and its training. It is stored with every run, so all of it is exported and plain.
type Config struct {
	Skeleton
	Method Method

	Steps              int // of training
	BatchSize          int // images in a step
	CheckpointInterval int // steps from one checkpoint to the next, a round

	// Stochastic gradient descent, with a cosine learning rate that ends at 0.
	LearningRate, Momentum, WeightDecay float64
	GradientClip                        float64 // the largest norm of the gradient; 0 is no limit

	// How the cell is chosen by SPOS, FairNAS and ENAS: of this many candidates, random ones or the policy's, the one
	// of highest validation accuracy.
	Candidates int

	// Of ENAS: after each round the policy learns by steps of policy gradient. Its RewardDecay is not 0.
	Policy      controller.Config
	PolicySteps int
	PolicyBatch int // cells of a step

	// Of DARTS and FBNet: Adam for the architecture weights, a step before each of the network's weights.
	ArchitectureLearningRate, ArchitectureWeightDecay float64

	SecondOrder                   bool    // of DARTS: look one step of the weights ahead
	Temperature, FinalTemperature float64 // of FBNet: the temperature at first, and at the end

	Devices int `json:",omitempty"` // of the backend, such as GPUs, that share every batch; 0 is one

	Seed uint64 // of the initial weights, the batches, the cells and the noise
}

// newConfig returns the configuration of a method for a skeleton, with the settings of the methods' published code but
// for the learning rate, which is DARTS's for all of them: with 0.1 the loss of SPOS rose at first. What the sizes
// should be depends on the machine.
func newConfig(method Method, skeleton Skeleton, steps, batchSize int) Config {
	c := Config{
		Skeleton: skeleton, Method: method, Steps: steps, BatchSize: batchSize, CheckpointInterval: 50,
		LearningRate: 0.025, Momentum: 0.9, WeightDecay: 4e-5, GradientClip: 5, Candidates: 200,
	}
	switch method {
	case ENAS:
		c.Policy, c.PolicySteps, c.PolicyBatch = controller.Default(), 5, 10
		c.Policy.RewardDecay = 0.99
	case DARTS:
		c.WeightDecay = 3e-4
		c.ArchitectureLearningRate, c.ArchitectureWeightDecay = 3e-4, 1e-3
	case FBNet:
		c.WeightDecay = 1e-4
		c.ArchitectureLearningRate, c.ArchitectureWeightDecay, c.Temperature, c.FinalTemperature = 0.01, 5e-4, 5, 0.1
	}
	return c
}

// Small returns a configuration for a lesson, a test and CI: seconds on the pure Go backend, with images of 4 pixels.
// It learns next to nothing.
func Small(method Method, classes int) Config {
	c := newConfig(method, Skeleton{Channels: 5, Stacks: 2, Modules: 1, Side: 4, Classes: classes}, 40, 16)
	c.CheckpointInterval, c.Candidates, c.PolicySteps = 10, 10, 2
	return c
}

// Proxy returns a configuration for CIFAR-10 images of half their size, with an eighth of the benchmark's channels and
// one module in a stack: three to fifteen minutes on two processor cores with XLA for a method and a seed.
func Proxy(method Method) Config {
	skeleton := Skeleton{Channels: 16, Stacks: 3, Modules: 1, Side: 16, Classes: 10}
	switch method {
	case FairNAS: // three cells in a step
		return newConfig(method, skeleton, 1600, 128)
	case DARTS, FBNet: // all cells at once, and a step for the architecture weights
		return newConfig(method, skeleton, 800, 128)
	}
	return newConfig(method, skeleton, 4800, 128)
}

// Paper returns the benchmark's own skeleton on CIFAR-10, for a GPU: 200 epochs of 40,000 images. It has not been trained
// to its end: SPOS classified 12 % of the training images after 4.5 epochs on an H200 (figures/gpu), where one cell alone
// classified 72 % after 4.
func Paper(method Method) Config {
	c := newConfig(method, BenchmarkSkeleton(), 200*40_000/256, 256)
	c.CheckpointInterval, c.Candidates = 1000, 1000
	return c
}

// Versions returns the versions of the algorithms behind a training of this configuration, for the keys of stored
// results.
func (c Config) Versions() rundir.Versions {
	if c.Method == ENAS {
		return Versions().With(rundir.Versions{"enas": 2})
	}
	return Versions()
}

// isRelaxed says whether the method trains a continuous relaxation of all cells.
func (c Config) isRelaxed() bool { return c.Method == DARTS || c.Method == FBNet }

// paths returns the number of cells in a step.
func (c Config) paths() int {
	if c.Method == FairNAS {
		return ops
	}
	return 1
}

func (c Config) input() nn.Input {
	return nn.Input{Side: c.Side, Classes: c.Classes, BatchSize: c.BatchSize, Devices: c.Devices, Seed: c.Seed}
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
	case c.Steps < 1 || c.CheckpointInterval < 1 || c.Candidates < 1:
		return fmt.Errorf("supernet: training needs steps, a checkpoint interval and candidates, not %d, %d and %d", c.Steps, c.CheckpointInterval, c.Candidates)
	case !nn.IsRate(c.LearningRate) || !nn.IsFraction(c.Momentum) || !nn.IsDecay(c.WeightDecay) || !nn.IsDecay(c.GradientClip):
		return fmt.Errorf("supernet: the learning rate must be positive, the momentum in [0, 1), the weight decay and the limit of the gradient not negative; not %g, %g, %g and %g", c.LearningRate, c.Momentum, c.WeightDecay, c.GradientClip)
	case c.Method == ENAS && (c.PolicySteps < 1 || c.PolicyBatch < 1):
		return fmt.Errorf("supernet: ENAS needs PolicySteps and PolicyBatch, not %d and %d", c.PolicySteps, c.PolicyBatch)
	case c.Method == ENAS && !(c.Policy.RewardDecay > 0):
		return fmt.Errorf("supernet: ENAS needs a Policy with a RewardDecay between 0 and 1, such as 0.99, not %g", c.Policy.RewardDecay)
	case c.isRelaxed() && !nn.IsRate(c.ArchitectureLearningRate):
		return fmt.Errorf("supernet: %s needs a positive ArchitectureLearningRate, not %g", c.Method, c.ArchitectureLearningRate)
	case c.Method == FBNet && (!nn.IsRate(c.Temperature) || !nn.IsRate(c.FinalTemperature)):
		return fmt.Errorf("supernet: FBNet needs positive temperatures, not %g and %g", c.Temperature, c.FinalTemperature)
	case c.SecondOrder && c.Method != DARTS:
		return fmt.Errorf("supernet: SecondOrder is an option of DARTS, not of %s", c.Method)
	}
	return nil
}
