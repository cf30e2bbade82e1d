package experiment

import (
	"context"
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/ctnas"
	"github.com/ctnas/ctnas/ctnaslib/encoder"
	"github.com/ctnas/ctnas/ctnaslib/search"
)

// Preset is the size of an experiment.
type Preset string

const (
	// Small takes minutes on 2 cores: for a lesson, and to see that all works. Its
	// numbers are those of searches cut short.
	Small Preset = "small"

	// Paper has the paper's settings: 10 seeds, 423 queries, 10,000 steps of policy
	// gradient.
	Paper Preset = "paper"
)

// Check says what is wrong with a preset that is none.
func (p Preset) Check() error {
	if p == Small || p == Paper {
		return nil
	}
	return fmt.Errorf("experiment: there is no preset %q; take %q or %q", string(p), Small, Paper)
}

// checked returns an experiment at the size of the preset. One at no preset's size, and its searches, only say so.
func (p Preset) checked(e Experiment) Experiment {
	if e.wrong = p.Check(); e.wrong == nil {
		return e
	}
	for i, m := range e.Methods {
		if m.runs() {
			e.Methods[i].Search = func(context.Context, string, search.Problem, uint64) (*search.Found, error) { return nil, e.wrong }
		}
	}
	return e
}

func (p Preset) seeds() int {
	if p == Small {
		return 3
	}
	return 10
}

// sized returns a search at the size of the preset.
func (p Preset) sized(c ctnas.Config) ctnas.Config {
	if p == Paper {
		return c
	}
	c.Labels, c.Iterations, c.PolicySteps, c.PolicyBatch = min(c.Labels, 100), 20, 5, 16
	c.Samples, c.TopK = 50, 50
	c.BaselineSamples = min(c.BaselineSamples, c.Samples)
	c.NAC.Width, c.NAC.Epochs, c.NAC.LearningRate = 64, 100, 1e-3
	c.Controller.LearningRate = 5e-3
	return c
}

func (p Preset) sizedRegression(c search.RegressionConfig) search.RegressionConfig {
	if p == Paper {
		return c
	}
	like := p.sized(ctnas.Paper())
	c.Labels, c.Iterations, c.PolicySteps, c.PolicyBatch = like.Labels, like.Iterations, like.PolicySteps, like.PolicyBatch
	c.Predictor.Width, c.Predictor.Epochs, c.Predictor.LearningRate = like.NAC.Width, like.NAC.Epochs, like.NAC.LearningRate
	c.Controller = like.Controller
	return c
}

// quickCTNAS returns [ctnas.Quick] with so many labels, also at the small size.
func (p Preset) quickCTNAS(labels int) ctnas.Config {
	c := p.sized(ctnas.Quick())
	c.Labels = labels
	return c
}

// quickRegression returns [search.QuickRegression] likewise.
func (p Preset) quickRegression(labels int) search.RegressionConfig {
	c := p.sizedRegression(search.QuickRegression())
	c.Labels = labels
	return c
}

// onVectors returns RegressionNAS with the network and the training of [Preset.mobileNAC].
func (p Preset) onVectors(c search.RegressionConfig) search.RegressionConfig {
	like := p.mobileNAC()
	c.Predictor.GCN, c.Predictor.Encoder = like.GCN, like.Encoder
	c.Predictor.Epochs, c.Predictor.LearningRate = like.Epochs, like.LearningRate
	return c
}

func (p Preset) sizedReNAS(c search.ReNASConfig) search.ReNASConfig {
	if p == Paper {
		return c
	}
	quick := search.QuickReNAS()
	quick.Labels = p.sized(ctnas.Paper()).Labels
	return quick
}

// sizedSearch returns a shorter search, but leaves K and N alone.
func (p Preset) sizedSearch(c ctnas.Config) ctnas.Config {
	if p == Small {
		c.Labels, c.Iterations = 100, 10
		c.NAC.Width, c.NAC.Epochs = 64, 60
	}
	return c
}

// mobileNAC returns the comparator of the authors' code for this space, an MLP of three layers
// on the one-hot vector, with the training of [comparator.Quick].
func (p Preset) mobileNAC() comparator.Config {
	c := comparator.Quick()
	mlp := encoder.MLP{Layers: 3, Width: 512}
	if p == Small {
		mlp.Width, c.Epochs = 64, 60
	}
	c.GCN, c.Encoder = encoder.GCN{}, mlp
	return c
}

// queriesOf returns a number of queries at the size of a preset.
func (p Preset) queriesOf(n int) int {
	if p == Small {
		return max(20, n/10)
	}
	return n
}

// The ablations that the paper leaves out. Where a comparator is concerned, its first
// choice of all cells is the answer, so that no policy hides what it knows.

// ranking returns [search.Ranking] as a method. Its comparator is [comparator.Quick], which
// is the authors' network trained on all pairs, changed by change.
func (p Preset) ranking(name string, change func(*comparator.Config)) Method {
	c := search.RankingConfig{Labels: 423, NAC: comparator.Quick()}
	if p == Small {
		c.Labels, c.Pool = 100, 5000
		c.NAC.Width, c.NAC.Epochs = 64, 60
	}
	change(&c.NAC)
	return method(name, c, search.Ranking, func(c *search.RankingConfig) *uint64 { return &c.Seed })
}
