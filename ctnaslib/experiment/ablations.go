package experiment

import (
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/encoder"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/datasets"
)

// The ablations that the paper leaves out. Where a comparator is concerned, its first
// choice of all cells is the answer, so that no policy hides what it knows.

// ranking is [search.Ranking] as a method. Its comparator is [comparator.Quick], which
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

// AblateDepth varies the number of graph convolutions, with residual connections and
// without.
func AblateDepth(p Preset) Experiment {
	e := Experiment{ID: "ablation-depth", Seeds: p.seeds()}
	name := func(layers int, residual bool) string {
		text := fmt.Sprintf("%d layers", layers)
		if layers == 1 {
			text = "1 layer"
		}
		if residual {
			text += ", residual"
		}
		return text
	}
	for _, residual := range []bool{false, true} {
		for _, layers := range []int{1, 2, 4, 6} {
			e.Methods = append(e.Methods, p.ranking(name(layers, residual), func(c *comparator.Config) { c.Layers, c.Residual = layers, residual }))
		}
	}
	e.Compare = [][2]string{{name(2, true), name(2, false)}, {name(4, true), name(4, false)}, {name(4, true), name(2, true)}}
	return e
}

// AblateMessages varies the direction of the messages between nodes.
func AblateMessages(p Preset) Experiment {
	e := Experiment{ID: "ablation-messages", Seeds: p.seeds(), Compare: [][2]string{{"both", "forward"}, {"backward", "forward"}}}
	for _, m := range []encoder.Messages{encoder.Forward, encoder.Backward, encoder.Both} {
		e.Methods = append(e.Methods, p.ranking(string(m), func(c *comparator.Config) { c.Messages = m }))
	}
	return e
}

// AblatePairs compares all pairs of a batch with the authors' one partner for each
// architecture, for the same number of epochs and for five times as many.
func AblatePairs(p Preset) Experiment {
	return Experiment{
		ID: "ablation-pairs", Seeds: p.seeds(),
		Methods: []Method{
			p.ranking("all pairs", func(*comparator.Config) {}),
			p.ranking("shuffled", func(c *comparator.Config) { c.Pairing = comparator.Shuffled }),
			p.ranking("shuffled, 5 × the epochs", func(c *comparator.Config) { c.Pairing = comparator.Shuffled; c.Epochs *= 5 }),
		},
		Compare: [][2]string{{"all pairs", "shuffled"}, {"all pairs", "shuffled, 5 × the epochs"}},
	}
}

// AblateHead compares the paper's head, which has to learn that NAC(α, β) =
// 1 − NAC(β, α), with one that has it by construction.
func AblateHead(p Preset) Experiment {
	return Experiment{
		ID: "ablation-head", Seeds: p.seeds(),
		Methods: []Method{
			p.ranking("free", func(*comparator.Config) {}),
			p.ranking("antisymmetric", func(c *comparator.Config) { c.Antisymmetric = true }),
		},
		Compare: [][2]string{{"antisymmetric", "free"}},
	}
}

// AblateLabels varies how long the networks behind the labels were trained. It needs
// a table that has the shorter budgets.
func AblateLabels(p Preset) Experiment {
	e := Experiment{ID: "ablation-labels", Seeds: p.seeds()}
	for _, epochs := range datasets.Epochs {
		m := p.ranking(fmt.Sprintf("%d epochs", epochs), func(*comparator.Config) {})
		m.Epochs = epochs
		e.Methods = append(e.Methods, m)
	}
	e.Compare = [][2]string{{"108 epochs", "36 epochs"}, {"108 epochs", "12 epochs"}, {"108 epochs", "4 epochs"}}
	return e
}

// AblateExploration varies K, the pseudo-labelled pairs of an iteration, and N, the
// architectures sampled for the policy's gradient, in the search [search.Quick].
func AblateExploration(p Preset) Experiment {
	e := Experiment{ID: "ablation-exploration", Seeds: p.seeds()}
	for _, k := range []int{25, 100, 400} {
		c := search.Quick()
		c.TopK = k
		e.Methods = append(e.Methods, CTNAS(fmt.Sprintf("K = %d", k), p.sizedSearch(c), nil))
	}
	for _, n := range []int{40, 640} {
		c := search.Quick()
		c.PolicyBatch = n / c.PolicySteps
		e.Methods = append(e.Methods, CTNAS(fmt.Sprintf("N = %d", n), p.sizedSearch(c), nil))
	}
	e.Compare = [][2]string{{"K = 400", "K = 25"}, {"N = 640", "N = 40"}}
	return e
}

// sizedSearch makes a search shorter, but leaves K and N alone.
func (p Preset) sizedSearch(c search.Config) search.Config {
	if p == Small {
		c.Labels, c.Iterations = 100, 10
		c.NAC.Width, c.NAC.Epochs = 64, 60
	}
	return c
}

// AblateSearch compares the controller's search with the ranking of all cells by the
// same comparator.
func AblateSearch(p Preset) Experiment {
	const ranking, policy, both = "ranking all cells", "the controller's search", "the same, no exploration"
	unexplored := search.Quick()
	unexplored.PseudoRatio, unexplored.NACEpochs = 0, 0
	return Experiment{
		ID: "ablation-search", Seeds: p.seeds(),
		Methods: []Method{
			p.ranking(ranking, func(*comparator.Config) {}),
			CTNAS(policy, p.sizedSearch(search.Quick()), nil),
			CTNAS(both, p.sizedSearch(unexplored), nil),
		},
		Compare: [][2]string{{policy, ranking}, {policy, both}},
	}
}

// AblateAnswer compares two answers to random labels, the architecture of the highest
// label and the one that [search.Active] chooses, for the paper's number of labels and for
// seventy times as many: how far labels lead that are one training run each.
func AblateAnswer(p Preset) Experiment {
	e := Experiment{ID: "ablation-answer", Seeds: p.seeds()}
	few := p.sizedActive(search.PaperActive())
	few.Rounds, few.First = 0, few.Labels
	many := few
	many.Labels *= 70
	if p == Small {
		many.Labels = 3 * few.Labels
	}
	many.First, many.NAC.Epochs = many.Labels, few.NAC.Epochs/10 // each epoch has so many more steps
	for _, c := range []search.ActiveConfig{few, many} {
		labels := fmt.Sprintf("%d labels", c.Labels)
		highest := randomSearch(labels+", the highest", c.Labels)
		weighed := activeSearch(labels+", weighed", c)
		highest.Once, weighed.Once = c.Labels == many.Labels, c.Labels == many.Labels // seeds see nearly the same labels
		e.Methods = append(e.Methods, highest, weighed)
	}
	e.Compare = [][2]string{{e.Methods[1].Name, e.Methods[0].Name}}
	return e
}
