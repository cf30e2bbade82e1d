package onceforall

import (
	"fmt"
	"slices"

	"github.com/ctnas/ctnas/ctnaslib/nn"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
)

// Config describes a once-for-all supernet and its training by progressive shrinking. It is stored with every run, so
// all of it is exported and plain.
type Config struct {
	mobilenetv3.Skeleton
	Stages             []Stage // one after another
	BatchSize          int     // images in a step
	CheckpointInterval int     // steps from one checkpoint to the next, a round

	// Stochastic gradient descent with Nesterov momentum; no weight decay for scales, shifts and biases.
	Momentum, WeightDecay float64
	LabelSmoothing        float64 // the share of a label that all classes divide among them

	Calibration int // training images by which batch norm is recalibrated for a sub-network

	// Crops says that training images are random crops, and others the middle, as is standard for ImageNet; else
	// training images are moved by up to an eighth of the side.
	Crops bool `json:",omitempty"`

	Devices int `json:",omitempty"` // of the backend, such as GPUs, that share every batch; 0 is one

	Seed uint64 // of the initial weights, the batches and the sub-networks
}

// Stage is a part of progressive shrinking: steps of training on random sub-networks with these kernels, expansions and
// depths, each drawn uniformly. The first stage trains the weights from scratch; what it leads to, with the largest
// choices, is the teacher of all later ones.
type Stage struct {
	Name                        string
	Kernels, Expansions, Depths []int
	Networks                    int // in a step: their gradients are added up

	Steps        int
	Warmup       int     // of them, at the start, while the learning rate rises from 0
	LearningRate float64 // then falls to 0 along a cosine

	// Only, if not empty, is the text of the one sub-network that the stage trains, in place of random ones: a training
	// of its own, to compare with.
	Only string `json:",omitempty"`
}

// shrinking returns the stages of OFA (its code's train_ofa_net.py), after that of the largest network: elastic
// kernels, then depths and then widths too, each in two phases, with 1, 2 and 4 sub-networks in a step. An epoch of
// OFA's becomes so many steps, and its learning rates are taken times a factor.
func shrinking(largestEpochs, epoch int, rate, factor float64) []Stage {
	largest := Stage{
		Name: "largest", Kernels: []int{7}, Expansions: []int{6}, Depths: []int{4}, Networks: 1,
		Steps: largestEpochs * epoch, Warmup: 5 * epoch, LearningRate: rate,
	}
	after := func(before Stage, name string, epochs, warmup, networks int, rate float64, change func(*Stage)) Stage {
		before.Name, before.Networks = name, networks
		before.Steps, before.Warmup, before.LearningRate = (epochs+warmup)*epoch, warmup*epoch, rate*factor
		change(&before)
		return before
	}
	kernel := after(largest, "elastic kernel", 120, 5, 1, 3e-2, func(s *Stage) { s.Kernels = []int{3, 5, 7} })
	depth1 := after(kernel, "elastic depth, 1", 25, 0, 2, 2.5e-3, func(s *Stage) { s.Depths = []int{3, 4} })
	depth2 := after(depth1, "elastic depth, 2", 120, 5, 2, 7.5e-3, func(s *Stage) { s.Depths = []int{2, 3, 4} })
	width1 := after(depth2, "elastic width, 1", 25, 0, 4, 2.5e-3, func(s *Stage) { s.Expansions = []int{4, 6} })
	width2 := after(width1, "elastic width, 2", 120, 5, 4, 7.5e-3, func(s *Stage) { s.Expansions = []int{3, 4, 6} })
	return []Stage{largest, kernel, depth1, depth2, width1, width2}
}

func newConfig(s mobilenetv3.Skeleton, batchSize int, stages []Stage) Config {
	return Config{
		Skeleton: s, Stages: stages, BatchSize: batchSize, CheckpointInterval: 50,
		Momentum: 0.9, WeightDecay: 3e-5, LabelSmoothing: 0.1, Calibration: 2000,
	}
}

// quick returns the stages with so many steps each, and one learning rate for the largest network and another for what
// it shrinks to.
func quick(largest, each int, first, rest float64) []Stage {
	stages := shrinking(1, 1, first, 1)
	for i := range stages {
		s := &stages[i]
		s.Steps, s.Warmup, s.LearningRate = each, 0, rest
		s.Networks = min(s.Networks, 2)
	}
	stages[0].Steps, stages[0].Warmup, stages[0].LearningRate = largest, largest/20, first
	return stages
}

// Small returns a supernet for a lesson, a test and CI: a minute on the pure Go backend, with images of 8 pixels and an
// eighth of the channels, or the 8 that a layer has at least.
func Small(classes int) Config {
	s := mobilenetv3.Skeleton{Width: 0.125, Resolution: 8, Classes: classes, Strides: [...]int{1, 2, 1, 2, 1, 1}}
	c := newConfig(s, 16, quick(60, 10, 0.1, 0.02))
	c.CheckpointInterval, c.Calibration = 10, 64
	return c
}

// Proxy returns a supernet for CIFAR-10 images of half their size, with half of the channels: about half an hour on two
// processor cores with XLA.
func Proxy() Config {
	s := mobilenetv3.Skeleton{Width: 0.5, Resolution: 16, Classes: 10, Strides: [...]int{1, 2, 2, 1, 1, 1}}
	c := newConfig(s, 64, quick(1000, 100, 0.1, 0.03))
	c.Calibration = 512
	return c
}

// Paper returns OFA's supernet for ImageNet, for GPUs: 180 epochs of the largest network, then OFA's stages, with
// batches of 2,048 (its 32 GPUs of 64 images), whose learning rates its code multiplies by the number of GPUs. OFA also
// draws the resolution of each batch from 128 to 224, distorts colours, and drops a tenth of the classifier's inputs;
// here the resolution is the skeleton's, and there is neither.
func Paper() Config {
	const batch, gpus, images = 2048, 32, 1_281_167 - 10_000
	c := newConfig(mobilenetv3.OFA(), batch, shrinking(180, images/batch, 2.6, gpus))
	c.CheckpointInterval, c.Crops = images/batch, true
	return c
}

func (c Config) input() nn.Input {
	return nn.Input{Side: c.Resolution, Classes: c.Classes, BatchSize: c.BatchSize, Devices: c.Devices, Seed: c.Seed, Crops: c.Crops}
}

func (c Config) check() error {
	if err := c.Skeleton.Check(); err != nil {
		return err
	}
	switch {
	case len(c.Stages) == 0 || c.CheckpointInterval < 1 || c.Calibration < 1:
		return fmt.Errorf("onceforall: training needs stages, a checkpoint interval, and images to calibrate on, not %d, %d and %d", len(c.Stages), c.CheckpointInterval, c.Calibration)
	case !nn.IsFraction(c.Momentum) || !nn.IsDecay(c.WeightDecay) || !nn.IsFraction(c.LabelSmoothing):
		return fmt.Errorf("onceforall: momentum and smoothing must be in [0, 1) and the weight decay not negative; not %g, %g and %g", c.Momentum, c.LabelSmoothing, c.WeightDecay)
	}
	largest := slices.Max(mobilenetv3.Expansions[:])
	for i, s := range c.Stages {
		if err := s.check(); err != nil {
			return fmt.Errorf("onceforall: stage %q: %w", s.Name, err)
		}
		if i > 0 && c.Stages[i-1].narrowedBy(s) && (c.Stages[i-1].Only != "" || !slices.Contains(c.Stages[i-1].Expansions, largest)) {
			return fmt.Errorf("onceforall: stage %q narrows blocks to %v, whose channels have to be trained before: let %q have the expansion %d", s.Name, s.Expansions, c.Stages[i-1].Name, largest)
		}
	}
	return nil
}

// narrowedBy says whether the stage after this one has more expansions, so that channels are sorted before it.
func (s Stage) narrowedBy(next Stage) bool {
	return next.Only == "" && len(next.Expansions) > len(s.Expansions)
}

func (s Stage) check() error {
	if s.Networks < 1 || s.Steps < 1 || s.Warmup < 0 || s.Warmup >= s.Steps || !nn.IsRate(s.LearningRate) {
		return fmt.Errorf("it needs sub-networks, more steps than the warm-up has, and a positive learning rate, not %d, %d of %d and %g", s.Networks, s.Steps, s.Warmup, s.LearningRate)
	}
	if s.Only != "" {
		_, err := mobilenetv3.Parse(s.Only)
		return err
	}
	for _, c := range []struct {
		name    string
		values  []int
		allowed []int
	}{{"kernels", s.Kernels, mobilenetv3.Kernels[:]}, {"expansions", s.Expansions, mobilenetv3.Expansions[:]}, {"depths", s.Depths, []int{2, 3, 4}}} {
		if len(c.values) == 0 || slices.ContainsFunc(c.values, func(v int) bool { return !slices.Contains(c.allowed, v) }) {
			return fmt.Errorf("its %s are %v; take some of %v", c.name, c.values, c.allowed)
		}
	}
	return nil
}
