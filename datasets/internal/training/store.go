package training

import (
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/datasets/internal/weights"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
)

// scope is that of a model's parts in a store.
const scope = "model"

// Weight returns the part of a name in the graph of other.
func Weight(root *model.Scope, other *Node, name string) *Node {
	return root.At(scope).GetVariable(name).NodeValue(other)
}

// begin makes a store with the parts of a model, or with what the run directory, which may
// be nil, has of an earlier training, and says which epoch comes next.
func begin(parts []weights.Part, run *rundir.Run) (store *model.Store, epoch int, err error) {
	var state []byte
	if run != nil {
		if epoch, state, err = run.Checkpoint(); err != nil {
			return nil, 0, err
		}
	}
	store = model.NewStore()
	for _, p := range parts {
		if _, err := store.RootScope().At(scope).CreateVariable(p.Name, tensors.FromFlatDataAndDimensions(p.Values, p.Dims...)); err != nil {
			return nil, 0, err
		}
	}
	if epoch > 0 {
		err = engine.RestoreStore(store, state)
	}
	return store, epoch, err
}

// save saves the state after an epoch, and what was measured in it.
func save(run *rundir.Run, store *model.Store, epoch int, measured map[string]float64) error {
	state, err := engine.EncodeStore(store)
	if err != nil {
		return err
	}
	if err := run.Log(epoch, measured); err != nil {
		return err
	}
	return run.Save(epoch+1, state)
}

// fetch gives the parts of a model the numbers that the store has.
func fetch(store *model.Store, parts []weights.Part) error {
	return engine.Try(func() {
		for _, p := range parts {
			copy(p.Values, tensors.MustCopyFlatData[float32](store.RootScope().At(scope).GetVariable(p.Name).MustValue()))
		}
	})
}
