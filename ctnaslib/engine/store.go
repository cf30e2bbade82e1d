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
	"github.com/gomlx/gomlx/ml/train/optimizer"
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

// decodeStore makes a store with the variables that [EncodeStore] wrote. The error says that the
// bytes are not a store.
func decodeStore(data []byte) (*model.Store, error) {
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

// tensor returns the value of the variable. The error says that its parts do not fit together.
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

// RestoreStore gives a store, which compiled programs may refer to, the variables that [EncodeStore]
// wrote. The error says that the bytes are not a store, or of another model.
func RestoreStore(store *model.Store, data []byte) error {
	with, err := decodeStore(data)
	if err != nil {
		return err
	}
	return Overwrite(store, with)
}

// share gives a store a variable with the value of another's.
func share(store *model.Store, v *model.Variable) error {
	value, err := v.Value()
	if err == nil {
		var w *model.Variable
		if w, err = store.CreateVariable(v.Path(), value); err == nil {
			w.SetTrainable(v.Trainable)
		}
	}
	if err != nil {
		return fmt.Errorf("engine: cannot add the variable %s: %w", v.Path(), err)
	}
	return nil
}

// Overwrite gives the variables of a store, which compiled programs may refer to, the values that
// they have in another: the weights, and the optimiser's state if there is any, which else starts from
// zero. What the store lacks of such state it gets. As they are not copied, the other must not be used any
// more. The error says that the stores are not of the same model.
func Overwrite(store, with *model.Store) error {
	if err := sameWeights(store, with); err != nil {
		return err
	}
	for w := range with.IterVariables() {
		if store.GetVariable(w.Path()) != nil {
			continue
		}
		if err := share(store, w); err != nil {
			return err
		}
	}
	for v := range store.IterVariables() {
		w := with.GetVariable(v.Path())
		if w == nil && v.Name() == optimizer.ParamLearningRate {
			continue // a constant of the optimiser
		}
		value, err := tensors.FromShape(v.Shape()), error(nil)
		if w != nil {
			value, err = w.Value()
		}
		if err == nil {
			err = v.SetValuePreservingOld(value) // which another store may have
		}
		if err != nil {
			return fmt.Errorf("engine: cannot set the variable %s: %w", v.Path(), err)
		}
	}
	return nil
}

// sameWeights reports the first variable of another shape, or weight, that one of two stores lacks.
func sameWeights(a, b *model.Store) error {
	for _, pair := range [][2]*model.Store{{a, b}, {b, a}} {
		for v := range pair[0].IterVariables() {
			switch w := pair[1].GetVariable(v.Path()); {
			case w == nil && v.Trainable:
				return fmt.Errorf("engine: only one of the models has weights %s", v.Path())
			case w != nil && !w.Shape().Equal(v.Shape()):
				return fmt.Errorf("engine: the variable %s has the shape %s in one model and %s in the other", v.Path(), v.Shape(), w.Shape())
			}
		}
	}
	return nil
}
