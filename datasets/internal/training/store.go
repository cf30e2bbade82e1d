package training

import (
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/datasets/internal/weights"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
)

// scope is that of a model's numbers in a store.
const scope = "model"

// NewStore makes a store with the numbers of a model.
func NewStore(parts []weights.Part) (*model.Store, error) {
	store := model.NewStore()
	for _, p := range parts {
		if _, err := store.RootScope().At(scope).CreateVariable(p.Name, tensors.FromFlatDataAndDimensions(p.Values, p.Dims...)); err != nil {
			return nil, err
		}
	}
	return store, nil
}

// Weight is the part of a name in the graph of other.
func Weight(root *model.Scope, other *Node, name string) *Node {
	return root.At(scope).GetVariable(name).NodeValue(other)
}

// Fetch gives the parts of a model the numbers that the store has.
func Fetch(store *model.Store, parts []weights.Part) error {
	return engine.Try(func() {
		for _, p := range parts {
			copy(p.Values, tensors.MustCopyFlatData[float32](store.RootScope().At(scope).GetVariable(p.Name).MustValue()))
		}
	})
}
