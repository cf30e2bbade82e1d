package comparator

import (
	"fmt"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/encoder"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// Pairing says which pairs of a batch of labelled architectures NAC learns from.
type Pairing string

const (
	// AllPairs takes every ordered pair (i, j), i ≠ j, of the batch: each of the
	// m(m−1)/2 pairs of Alg. 1, line 2, in both orders. The label is 1{R_i ≥ R_j}.
	AllPairs Pairing = "all pairs"

	// Shuffled pairs the batch with a random permutation of itself, so m pairs, as
	// the authors' code does. There the label is 1{R_i > R_j}, which also makes it 0
	// for an architecture that meets itself.
	Shuffled Pairing = "shuffled"
)

// Config describes a NAC and its training. It is stored with every run, so all of
// it is exported and plain.
//
// # Where the two presets differ
//
// [Paper] is what Sec. 4.1 says, [Released] what the authors' published code does:
//
//	                 Paper                 Released
//	GCN layers       2 (Eq. 7)             4
//	layer            φ(Â X W)              relu(Â X W + X + b)
//	last layer       linear                relu
//	pairs of a batch all m(m−1)            m, with a shuffle of itself
//
// The rest is common: learned embeddings of the operations, width 128, Â = Aᵀ + I (so
// a vertex hears from its predecessors and itself), the mean over all 7 nodes
// including padding, one linear layer on the two features, sigmoid. The residual
// connections and the depth are what counts: they let the mean see each operation
// and longer paths, and raise Kendall's tau on NAS-Bench-101 (the README's table of
// results has the measured numbers).
type Config struct {
	encoder.GCN

	// Encoder, if set, encodes architectures in place of the GCN: an [encoder.MLP], or an
	// encoder of one's own.
	Encoder encoder.Encoder `json:",omitempty"`

	// Antisymmetric ties the two halves of the head, v = −u and b = 0, so that
	// NAC(α, β) = 1 − NAC(β, α) by construction. In the paper it has to be learned.
	Antisymmetric bool

	Pairing      Pairing
	Epochs       int     // passes over the labelled architectures
	BatchSize    int     // labelled architectures in a batch
	LearningRate float64 // of Adam
	Beta1, Beta2 float64 // of Adam
	WeightDecay  float64 // L2 penalty: WeightDecay/2 · ‖ϖ‖² joins the loss

	Seed uint64 // of the initial weights, the batches and the pairs
}

// Paper returns the comparator of Sec. 4.1: a two-layer GCN as in Eq. 7, a fully
// connected layer, trained on all pairs. The paper does not give the width, the
// optimiser or the number of epochs: those are the released code's.
func Paper() Config {
	c := Released()
	c.Layers = 2
	c.Residual, c.Bias, c.FinalReLU = false, false, false
	c.Pairing = AllPairs
	return c
}

// Released returns the comparator of the authors' published code, with its defaults.
func Released() Config {
	return Config{
		GCN:     encoder.GCN{Layers: 4, Width: 128, Residual: true, Bias: true, FinalReLU: true, Direction: encoder.Forward},
		Pairing: Shuffled, Epochs: 1000, BatchSize: 256,
		LearningRate: 2e-4, Beta1: 0.5, Beta2: 0.999, WeightDecay: 5e-4,
	}
}

// Quick is Released's network, trained on all pairs: with the separable head they
// cost no more than one shuffle, and say so much more that a fifth of the epochs at
// a higher learning rate is enough. It takes seconds where Released takes minutes.
func Quick() Config {
	c := Released()
	c.Pairing, c.Epochs, c.LearningRate = AllPairs, 200, 1e-3
	return c
}

// TwoWay is Quick with two changes that the paper does not make: messages in both
// directions, so that an operation also knows what follows it, and a head that is
// antisymmetric by construction.
func TwoWay() Config {
	c := Quick()
	c.Direction, c.Antisymmetric = encoder.Both, true
	return c
}

// encoder returns the network that encodes architectures.
func (c Config) encoder() encoder.Encoder {
	if c.Encoder != nil {
		return c.Encoder
	}
	return c.GCN
}

// FirstEpochs is Epochs: Config as a [Design].
func (c Config) FirstEpochs() int { return c.Epochs }

// WithSeed returns the configuration with another seed: Config as a [Design].
func (c Config) WithSeed(seed uint64) Design {
	c.Seed = seed
	return c
}

// New makes a NAC with random weights: Config as a [Design].
func (c Config) New(backend compute.Backend, s space.Space) (Comparator, error) {
	return New(backend, s, c)
}

// Versions returns the versions of the algorithms behind a training of this configuration, for the
// keys of stored results.
func (c Config) Versions() rundir.Versions {
	return encoder.Versions().With(rundir.Versions{"comparator": 2})
}

func (c Config) adam() engine.Adam {
	return engine.Adam{LearningRate: c.LearningRate, Beta1: c.Beta1, Beta2: c.Beta2, WeightDecay: c.WeightDecay}
}

// Check reports what is wrong in the configuration.
func (c Config) Check() error {
	if err := c.encoder().Check(); err != nil {
		return fmt.Errorf("comparator: %w", err)
	}
	switch {
	case c.Pairing != AllPairs && c.Pairing != Shuffled:
		return fmt.Errorf("comparator: unknown pairing %q; use comparator.AllPairs or comparator.Shuffled", c.Pairing)
	case c.Epochs < 0 || c.BatchSize < 2:
		return fmt.Errorf("comparator: training needs batches of at least 2 and no negative number of epochs, not %d and %d", c.BatchSize, c.Epochs)
	}
	if err := c.adam().Check(); err != nil {
		return fmt.Errorf("comparator: %w", err)
	}
	return nil
}
