package experiment

import (
	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/encoder"
)

// AblateMessages varies the direction of the messages between nodes.
func AblateMessages(p Preset) Experiment {
	e := Experiment{ID: "ablation-messages", Seeds: p.seeds(), Compare: [][2]string{{"both", "forward"}, {"backward", "forward"}}}
	for _, m := range []encoder.Direction{encoder.Forward, encoder.Backward, encoder.Both} {
		e.Methods = append(e.Methods, p.ranking(string(m), func(c *comparator.Config) { c.Direction = m }))
	}
	return p.checked(e)
}
