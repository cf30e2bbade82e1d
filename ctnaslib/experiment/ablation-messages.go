package experiment

import (
	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/encoder"
)

// AblateMessages varies the direction of the messages between nodes.
func AblateMessages(p Preset) Experiment {
	e := Experiment{ID: "ablation-messages", Seeds: p.seeds(), Compare: [][2]string{{"both", "forward"}, {"backward", "forward"}}}
	hears := map[encoder.Direction]string{
		encoder.Forward:  "Each node reads its predecessors, as in the paper.",
		encoder.Backward: "Each node reads its successors.",
		encoder.Both:     "Each node reads both, by two matrices of weights.",
	}
	for _, m := range []encoder.Direction{encoder.Forward, encoder.Backward, encoder.Both} {
		e.Methods = append(e.Methods, explained(p.ranking(string(m), func(c *comparator.Config) { c.Direction = m }), hears[m]))
	}
	return p.checked(e)
}
