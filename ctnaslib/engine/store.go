package engine

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
)

// savedVariable is a variable in a checkpoint.
type savedVariable struct {
	Path      string
	Trainable bool
	DType     string // a name of dtypesOf
	Dims      []int
	Data      []byte // the numbers, row-major and little-endian
}

// dtypesOf are the kinds of numbers that variables have.
var dtypesOf = map[string]dtypes.DType{
	dtypes.Float32.String(): dtypes.Float32, dtypes.Float64.String(): dtypes.Float64,
	dtypes.Int32.String(): dtypes.Int32, dtypes.Int64.String(): dtypes.Int64,
}

// EncodeStore writes all variables of a store, weights and optimiser state alike,
// to bytes.
func EncodeStore(store *model.Store) ([]byte, error) {
	var all []savedVariable
	for v := range store.IterVariables() {
		value, err := v.Value()
		if err != nil {
			return nil, fmt.Errorf("engine: cannot write the variable %s: %w", v.Path(), err)
		}
		saved := savedVariable{Path: v.Path(), Trainable: v.Trainable, DType: value.DType().String(), Dims: value.Shape().Dimensions}
		if _, ok := dtypesOf[saved.DType]; !ok {
			return nil, fmt.Errorf("engine: cannot write the variable %s: its numbers are of the kind %s", v.Path(), saved.DType)
		}
		if err := value.ConstBytes(func(data []byte) { saved.Data = bytes.Clone(data) }); err != nil {
			return nil, fmt.Errorf("engine: cannot write the variable %s: %w", v.Path(), err)
		}
		all = append(all, saved)
	}
	var out bytes.Buffer
	if err := gob.NewEncoder(&out).Encode(all); err != nil {
		return nil, fmt.Errorf("engine: cannot write the variables: %w", err)
	}
	return out.Bytes(), nil
}

// DecodeStore makes a store with the variables that [EncodeStore] wrote. The error says that the
// bytes are not a store.
func DecodeStore(data []byte) (*model.Store, error) {
	var all []savedVariable
	if err := gob.NewDecoder(bytes.NewReader(data)).Decode(&all); err != nil {
		return nil, fmt.Errorf("engine: cannot read the variables: %w", err)
	}
	store := model.NewStore()
	for _, saved := range all {
		value, err := saved.tensor()
		if err != nil {
			return nil, fmt.Errorf("engine: cannot read the variable %q: %w", saved.Path, err)
		}
		var variable *model.Variable
		if caught := Try(func() { variable, err = store.CreateVariable(saved.Path, value) }); caught != nil {
			err = caught
		}
		if err != nil {
			return nil, fmt.Errorf("engine: cannot read the variable %q: %w", saved.Path, err)
		}
		variable.Trainable = saved.Trainable
	}
	return store, nil
}

// tensor is the value of the variable. The error says that its parts do not fit together.
func (s savedVariable) tensor() (*tensors.Tensor, error) {
	dtype, ok := dtypesOf[s.DType]
	if !ok {
		return nil, fmt.Errorf("unknown kind of numbers %q", s.DType)
	}
	size := dtype.Size()
	for _, d := range s.Dims {
		if d < 1 || size > math.MaxInt32/d {
			return nil, fmt.Errorf("impossible shape %v", s.Dims)
		}
		size *= d
	}
	if size != len(s.Data) {
		return nil, fmt.Errorf("%d bytes for the shape %v of %s", len(s.Data), s.Dims, s.DType)
	}
	value := tensors.FromShape(shapes.Make(dtype, s.Dims...))
	return value, value.MutableBytes(func(data []byte) { copy(data, s.Data) })
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
