package experiment

import "github.com/ctnas/ctnas/ctnaslib/comparator"

// AblatePairs compares all pairs of a batch with the authors' one partner for each
// architecture, for the same number of epochs and for five times as many.
func AblatePairs(p Preset) Experiment {
	return p.checked(Experiment{
		ID: "ablation-pairs", Seeds: p.seeds(),
		Methods: []Method{
			explained(p.ranking("all pairs", func(*comparator.Config) {}), "The comparator learns from every ordered pair of the cells in a batch."),
			explained(p.ranking("shuffled", func(c *comparator.Config) { c.Pairing = comparator.Shuffled }), "Each cell of a batch is paired with one other, as in the authors' code."),
			p.ranking("shuffled, 5 × the epochs", func(c *comparator.Config) { c.Pairing = comparator.Shuffled; c.Epochs *= 5 }),
		},
		Compare: [][2]string{{"all pairs", "shuffled"}, {"all pairs", "shuffled, 5 × the epochs"}},
	})
}
