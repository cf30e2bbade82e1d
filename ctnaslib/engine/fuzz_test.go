package engine

import (
	"testing"

	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
)

// Bytes that are no store are an error.
func FuzzRestoreStore(f *testing.F) {
	store := model.NewStore()
	if _, err := store.CreateVariable("/a/weights", tensors.FromValue([][]float32{{1, 2, 3}, {4, 5, 6.5}})); err != nil {
		f.Fatal(err)
	}
	if _, err := store.CreateVariable("/step", tensors.FromScalar(int64(7))); err != nil {
		f.Fatal(err)
	}
	data, err := EncodeStore(store)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)/2])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		store, err := decodeStore(data)
		if err != nil {
			return
		}
		if _, err := EncodeStore(store); err != nil {
			t.Errorf("a store that was read cannot be written: %v", err)
		}
	})
}
