package comparator

import (
	"fmt"

	"github.com/gomlx/gomlx/ml/model"

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
	n.programs = nil
}

// open returns the graphs of a NAC that was released, with the weights of the store, or else new ones.
func (n *NAC) open(store *model.Store) (*programs, error) {
	if old, ok := spare.Take(n.key); ok && engine.Overwrite(old.store, store) == nil {
		return old, nil
	}
	p := &programs{store: store}
	var err error
	if p.scores, err = engine.NewProgram(n.key.backend, p.store, n.scoreGraph); err != nil {
		return nil, fmt.Errorf("comparator: %w", err)
	}
	if p.step, err = engine.NewProgram(n.key.backend, p.store, n.stepGraph); err != nil {
		return nil, fmt.Errorf("comparator: %w", err)
	}
	return p, nil
}
