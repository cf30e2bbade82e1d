// Package torch reads the weights that PyTorch wrote: a state dict saved by
// torch.save, in its zip format or in the one before version 1.6, without Python.
//
//	weights, err := torch.Open("acc_predictor.pth")
//	first, err := weights.Float32("0.weight", 400, 128) // row by row
//
// Such a file is a pickle, that is, a program, and in Python reading one runs whatever
// is in it. Here nothing of it is run: a file that names anything but tensors and
// dicts is refused, and no file can ask for more memory than its own length
// warrants.
package torch

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"slices"

	"github.com/nlpodyssey/gopickle/types"
)

// StateDict is what a file holds: tensors by name.
type StateDict struct {
	names   []string
	tensors map[string]*tensor
}

// Open reads the file at path into memory. See [Read].
func Open(path string) (*StateDict, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("torch: %w", err)
	}
	d, err := read(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, fmt.Errorf("torch: %s: %w", path, err)
	}
	return d, nil
}

// Read reads a state dict, or a dict that has one under "state_dict", from the first
// size bytes of r. Entries that are no tensors are left out. Numbers are read when
// they are asked for, so r must stay as it is. The error says what is wrong with the
// file: it is no checkpoint, it is damaged, or it holds more than tensors.
func Read(r io.ReaderAt, size int64) (*StateDict, error) {
	d, err := read(r, size)
	if err != nil {
		return nil, fmt.Errorf("torch: %w", err)
	}
	return d, nil
}

func read(r io.ReaderAt, size int64) (*StateDict, error) {
	format := readLegacy
	start := make([]byte, len(zipMagic))
	if _, err := r.ReadAt(start, 0); err == nil && string(start) == zipMagic {
		format = readZip
	}
	object, err := format(r, size)
	if err != nil {
		return nil, err
	}
	items := entries(object)
	if inner, ok := items["state_dict"]; ok && entries(inner.value) != nil {
		items = entries(inner.value)
	}
	d := &StateDict{tensors: make(map[string]*tensor)}
	for name, item := range items {
		if t, ok := item.value.(*tensor); ok {
			d.tensors[name] = t
			d.names = append(d.names, name)
		}
	}
	if len(d.names) == 0 {
		return nil, fmt.Errorf("it holds no state dict: no dict of named tensors, nor one under \"state_dict\"")
	}
	slices.SortFunc(d.names, func(a, b string) int { return items[a].place - items[b].place })
	return d, nil
}

// item is an entry of a dict, and the place at which it stands there.
type item struct {
	place int
	value any
}

// entries are those of a dict whose keys are strings, or nil if it is not a dict.
func entries(object any) map[string]item {
	items := make(map[string]item)
	add := func(key, value any) {
		if name, ok := key.(string); ok {
			place := len(items)
			if old, ok := items[name]; ok {
				place = old.place
			}
			items[name] = item{place, value}
		}
	}
	switch dict := object.(type) {
	case *types.Dict:
		for _, e := range *dict {
			add(e.Key, e.Value)
		}
	case *types.OrderedDict:
		for e := dict.List.Front(); e != nil; e = e.Next() {
			add(e.Value.(*types.OrderedDictEntry).Key, e.Value.(*types.OrderedDictEntry).Value)
		}
	default:
		return nil
	}
	return items
}

// Names are the names of the tensors, in the order of the file.
func (d *StateDict) Names() []string { return slices.Clone(d.names) }

// Float32 is the tensor of a name, row by row (the last dimension varies fastest),
// rounded to float32 from whichever of float16, float32, float64 and int64 the file
// holds. The error says that there is no such tensor, that its shape is not dims, that
// it holds other numbers, or that the file is damaged.
func (d *StateDict) Float32(name string, dims ...int) ([]float32, error) {
	t, ok := d.tensors[name]
	if !ok {
		return nil, fmt.Errorf("torch: there is no tensor %q among the %d of the file, the first of which is %q", name, len(d.names), d.names[0])
	}
	if !slices.Equal(t.dims, dims) {
		return nil, fmt.Errorf("torch: tensor %q has the shape %v, not %v", name, t.dims, dims)
	}
	values, err := t.float32()
	if err != nil {
		return nil, fmt.Errorf("torch: tensor %q: %w", name, err)
	}
	return values, nil
}

// tensor is a view of a storage.
type tensor struct {
	storage       *storage
	offset        int // of the first element, in elements
	dims, strides []int
	len           int // number of elements
}

// storage is a sequence of numbers in the file.
type storage struct {
	element *element
	count   int                    // of elements
	load    func() ([]byte, error) // all of them
}

// maxDims is PyTorch's own limit.
const maxDims = 64

// newTensor checks that a tensor lies within its storage.
func newTensor(s *storage, offset int, dims, strides []int) (*tensor, error) {
	t := &tensor{storage: s, offset: offset, dims: dims, strides: strides}
	if len(dims) != len(strides) || len(dims) > maxDims || offset < 0 {
		return nil, fmt.Errorf("a tensor has the shape %v, the strides %v and the offset %d", dims, strides, offset)
	}
	if slices.Contains(dims, 0) {
		return t, nil
	}
	t.len = 1
	last := offset
	for i, d := range dims {
		if d < 0 || t.len > math.MaxInt32/d {
			return nil, fmt.Errorf("a tensor has the impossible shape %v", dims)
		}
		t.len *= d
		if strides[i] < 0 || d > 1 && strides[i] > s.count/(d-1) {
			last = s.count
			break
		}
		last += (d - 1) * strides[i]
	}
	if last >= s.count {
		return nil, fmt.Errorf("a tensor of shape %v and strides %v at %d is not within its storage of %d numbers", dims, strides, offset, s.count)
	}
	return t, nil
}

func (t *tensor) float32() ([]float32, error) {
	element := t.storage.element
	if element.float32 == nil {
		return nil, fmt.Errorf("its numbers are of the kind %s, which is not read", element.name)
	}
	if t.len == 0 {
		return nil, nil
	}
	data, err := t.storage.load()
	if err != nil {
		return nil, err
	}
	values := make([]float32, 0, t.len)
	var walk func(dim, at int)
	walk = func(dim, at int) {
		if dim == len(t.dims) {
			values = append(values, element.float32(data[at*element.size:]))
			return
		}
		for range t.dims[dim] {
			walk(dim+1, at)
			at += t.strides[dim]
		}
	}
	walk(0, t.offset)
	return values, nil
}
