package engine

import (
	"bytes"
	"encoding/gob"
	"fmt"

	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
)

// EncodeStore writes all variables of a store, weights and optimiser state alike,
// to bytes.
func EncodeStore(store *model.Store) ([]byte, error) {
	var variables []*model.Variable
	for v := range store.IterVariables() {
		variables = append(variables, v)
	}
	var out bytes.Buffer
	encoder := gob.NewEncoder(&out)
	err := encoder.Encode(len(variables))
	for _, v := range variables {
		var value *tensors.Tensor
		if err == nil {
			err = encoder.Encode(v.Path())
		}
		if err == nil {
			err = encoder.Encode(v.Trainable)
		}
		if err == nil {
			value, err = v.Value()
		}
		if err == nil {
			err = value.GobSerialize(encoder)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("engine: cannot write the variables: %w", err)
	}
	return out.Bytes(), nil
}

// DecodeStore makes a store with the variables that [EncodeStore] wrote.
func DecodeStore(data []byte) (*model.Store, error) {
	store := model.NewStore()
	decoder := gob.NewDecoder(bytes.NewReader(data))
	var count int
	err := decoder.Decode(&count)
	for range count {
		var path string
		var trainable bool
		var value *tensors.Tensor
		var variable *model.Variable
		if err == nil {
			err = decoder.Decode(&path)
		}
		if err == nil {
			err = decoder.Decode(&trainable)
		}
		if err == nil {
			value, err = tensors.GobDeserialize(decoder)
		}
		if err == nil {
			variable, err = store.CreateVariable(path, value)
		}
		if err != nil {
			break
		}
		variable.Trainable = trainable
	}
	if err != nil {
		return nil, fmt.Errorf("engine: cannot read the variables: %w", err)
	}
	return store, nil
}

// SameVariables reports the first variable of want that got lacks or holds in
// another shape. A checkpoint may hold more: the optimiser's state.
func SameVariables(got, want *model.Store) error {
	for w := range want.IterVariables() {
		v := got.GetVariable(w.Path())
		if v == nil {
			return fmt.Errorf("engine: there is no variable %s", w.Path())
		}
		if !v.Shape().Equal(w.Shape()) {
			return fmt.Errorf("engine: the variable %s has the shape %s, not %s", w.Path(), v.Shape(), w.Shape())
		}
	}
	return nil
}
