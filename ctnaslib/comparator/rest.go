package comparator

import (
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/engine"
)

var spare engine.Pool[key, *programs]

// Release hands the NAC's compiled graphs over to the next one of the same
// configuration, whatever its seed: where many are trained in one process and XLA
// compiles, that saves most of the time. The NAC must not be used any more.
func (n *NAC) Release() {
	if n.programs != nil {
		spare.Put(n.key, n.programs)
	}
	n.programs, n.resting = nil, nil
}

// Rest hands the compiled graphs over as [NAC.Release] does, but the NAC keeps its weights, and takes graphs again when
// it is next used: so NACs of one configuration that are used by turns, such as a committee's, share them. The error
// says that a weight cannot be read; the NAC has its graphs then.
func (n *NAC) Rest() error {
	if n.programs == nil {
		return nil
	}
	weights, err := engine.Share(n.store)
	if err != nil {
		return fmt.Errorf("comparator: %w", err)
	}
	spare.Put(n.key, n.programs)
	n.programs, n.resting = nil, weights
	return nil
}

// wake gives a NAC that rests the graphs of one that was released or rests, or else new ones.
func (n *NAC) wake() (err error) {
	if n.programs != nil {
		return nil
	}
	if old, ok := spare.Take(n.key); ok && engine.Overwrite(old.store, n.resting) == nil {
		n.programs, n.resting = old, nil
		return nil
	}
	p := &programs{store: n.resting}
	if p.scores, err = engine.NewProgram(n.key.backend, p.store, n.scoreGraph); err != nil {
		return fmt.Errorf("comparator: %w", err)
	}
	if p.step, err = engine.NewProgram(n.key.backend, p.store, n.stepGraph); err != nil {
		return fmt.Errorf("comparator: %w", err)
	}
	n.programs, n.resting = p, nil
	return nil
}
