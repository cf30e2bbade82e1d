package engine

import (
	"fmt"
	"sync"

	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train/optimizer"
)

// Pool keeps compiled programs that nobody needs any more for the next model of the
// same key: XLA compiles the graphs of a search for longer than it then computes for
// them, so many searches in one process had better share. It is safe for concurrent
// use; its zero value is empty.
type Pool[K comparable, P any] struct {
	mu    sync.Mutex
	spare map[K][]P
}

// Take returns spare programs of the key, which nobody else has then.
func (p *Pool[K, P]) Take(key K) (programs P, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	spare := p.spare[key]
	if len(spare) == 0 {
		return programs, false
	}
	last := len(spare) - 1
	p.spare[key] = spare[:last]
	return spare[last], true
}

// Put hands programs over.
func (p *Pool[K, P]) Put(key K, programs P) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.spare == nil {
		p.spare = make(map[K][]P)
	}
	p.spare[key] = append(p.spare[key], programs)
}

// Overwrite gives the variables of a store, which compiled programs refer to, the
// values that they have in another: the weights, and the optimiser's state if there
// is any, which else begins anew. The error says that the stores are not of the same
// model.
func Overwrite(store, with *model.Store) error {
	if err := SameVariables(store, with); err != nil {
		return err
	}
	for v := range store.IterVariables() {
		var value *tensors.Tensor
		var err error
		switch w := with.GetVariable(v.Path()); {
		case w != nil:
			if value, err = w.Value(); err == nil {
				value, err = value.Clone()
			}
		case v.Name() == optimizer.ParamLearningRate:
			continue // a constant of the optimiser
		default:
			value = tensors.FromShape(v.Shape())
		}
		if err == nil {
			err = v.SetValue(value)
		}
		if err != nil {
			return fmt.Errorf("engine: cannot set the variable %s: %w", v.Path(), err)
		}
	}
	return nil
}
