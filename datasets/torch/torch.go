// Package torch reads the weights that PyTorch wrote: a state dict saved by
// torch.save, in its zip format or in the one before version 1.6, with any of pickle's protocols, without Python.
//
//	weights, err := torch.Open("acc_predictor.pth")
//	first, err := weights.Float32("0.weight", 400, 128) // row by row
//
// Such a file is a pickle, that is, a program, and in Python reading one runs whatever
// is in it. Here nothing of it is run: what is neither a tensor nor a dict is left out,
// and no file can ask for more memory than what is in it warrants. The library that
// interprets pickles has a package for PyTorch's files, too, which is not used: it takes
// the sizes that a file claims, ignores the order of bytes, and does not read compressed
// storages, parameters, protocol 0 or kinds of numbers that are newer.
package torch

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/nlpodyssey/gopickle/types"
)

// StateDict is what a file holds: tensors by name.
type StateDict struct {
	names   []string
	tensors map[string]*tensor
}

// Open reads the file at path into memory. See [Read].
func Open(path string, keys ...string) (*StateDict, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("torch: %w", err)
	}
	d, err := read(bytes.NewReader(data), int64(len(data)), keys)
	if err != nil {
		return nil, fmt.Errorf("torch: %s: %w", path, err)
	}
	return d, nil
}

// Read reads a state dict from the first size bytes of r. It may stand in other dicts, as in {"model": …, "epoch": 3}.
// If there are several, those count whose keys say that they are of a model: state_dict, model, net, network, module,
// ema, params or weights, or names with one of these words, such as model_state_dict. If there are still several, say
// which it is by the keys that lead to it; else the error lists them. Optimizers, tensors beside a dict of tensors, and
// entries that are no tensors are left out.
//
// Numbers are read when they are asked for, so r must stay as it is. The error says what is wrong with the
// file: it is no checkpoint, it is damaged, or it holds no state dict.
func Read(r io.ReaderAt, size int64, keys ...string) (*StateDict, error) {
	d, err := read(r, size, keys)
	if err != nil {
		return nil, fmt.Errorf("torch: %w", err)
	}
	return d, nil
}

func read(r io.ReaderAt, size int64, keys []string) (*StateDict, error) {
	object, err := load(r, size)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		_, items := entries(object)
		value, ok := items[key]
		if !ok {
			return nil, fmt.Errorf("it holds nothing under %q, it holds %s", key, describe(object))
		}
		object = value
	}
	found := search(object, keys, make(map[any]bool))
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("it holds no state dict, that is no dict of named tensors; it holds %s", describe(object))
	case 1:
	default:
		var places []string
		for _, f := range found {
			places = append(places, strings.ReplaceAll(fmt.Sprintf("%q", f.keys), `" "`, `", "`))
		}
		place := strings.Trim(places[0], "[]")
		return nil, fmt.Errorf("it holds %d state dicts, under the keys %s; choose one by its keys, as in Open(path, %s)", len(found), strings.Join(places, ", "), place)
	}
	d := &StateDict{tensors: make(map[string]*tensor)}
	for _, name := range found[0].names {
		if t, ok := found[0].items[name].(*tensor); ok {
			d.tensors[name] = t
			d.names = append(d.names, name)
		}
	}
	return d, nil
}

// load reads the object that a file holds, in whichever format.
func load(r io.ReaderAt, size int64) (any, error) {
	head := make([]byte, min(max(size, 0), maxPickle))
	if n, err := r.ReadAt(head, 0); n < len(head) && err != nil {
		return nil, err
	}
	archive, err := zip.NewReader(r, size)
	if err == nil {
		return readZip(archive)
	}
	if bytes.HasPrefix(head, []byte(zipMagic)) {
		return nil, fmt.Errorf("the zip file is truncated or damaged: %w", err)
	}
	l := legacy{r: r, head: head, size: size, storages: make(map[string]described)}
	return l.read()
}

// place is a dict of tensors, and the keys that lead to it.
type place struct {
	keys, names []string
	items       map[string]any
}

// ofModel matches keys of the state dict of a model.
var ofModel = regexp.MustCompile(`(?i)(?:^|[_.])(?:state_dict|model|net|network|module|ema|params|weights)(?:[_.]|$)`)

// maxKeys is the number of keys that may lead to a state dict.
const maxKeys = 8

// search finds the innermost dicts of tensors in an object that was not seen before.
func search(object any, keys []string, seen map[any]bool) []place {
	names, items := entries(object)
	if _, isOptimizer := items["param_groups"]; items == nil || isOptimizer || seen[object] || len(keys) > maxKeys {
		return nil
	}
	seen[object] = true
	var ofModels, others []place
	hasTensors := false
	for _, name := range names {
		value := items[name]
		if _, ok := value.(*tensor); ok {
			hasTensors = true
		} else if !strings.HasSuffix(name, "_extra_state") { // which belongs to the tensors beside it
			found := search(value, append(slices.Clip(keys), name), seen)
			if ofModel.MatchString(name) {
				ofModels = append(ofModels, found...)
			} else {
				others = append(others, found...)
			}
		}
	}
	switch {
	case len(ofModels) > 0:
		return ofModels
	case len(others) > 0:
		return others
	case hasTensors:
		return []place{{keys, names, items}}
	}
	return nil
}

// describe says what an object is that is no state dict.
func describe(value any) string {
	if o, ok := value.(*object); ok && len(o.entries) == 0 {
		if o.isModule {
			return fmt.Sprintf("a module as a whole, %.60q, whose code is not in the file: in Python, save its state_dict()", o.class)
		}
		return fmt.Sprintf("what %.60q makes, and nothing that a file names is ever run: in Python, save the state_dict() alone", o.class)
	}
	switch value.(type) {
	case *tensor:
		return "a tensor"
	case *types.List, *types.Tuple:
		return "a list"
	}
	names, items := entries(value)
	if items == nil {
		return "no dict"
	}
	var kinds []string
	for _, name := range names {
		kind := fmt.Sprintf("%.60q", name)
		// What has entries of its own may hold itself.
		if o, ok := items[name].(*object); ok && len(o.entries) == 0 {
			kind += ", " + describe(o)
		} else if ok {
			kind += fmt.Sprintf(", an object of %.60q", o.class)
		}
		if kinds = append(kinds, kind); len(kinds) == 10 {
			kinds = append(kinds, "…")
			break
		}
	}
	return fmt.Sprintf("a dict of %d entries: %s", len(items), strings.Join(kinds, "; "))
}

// entries returns those of a dict whose keys are strings, and their names in the order of the
// file; items is nil if it is not a dict.
func entries(value any) (names []string, items map[string]any) {
	items = make(map[string]any)
	add := func(key, value any) {
		if name, ok := key.(string); ok {
			if _, known := items[name]; !known {
				names = append(names, name)
			}
			items[name] = value
		}
	}
	switch dict := value.(type) {
	case *types.Dict:
		for _, e := range *dict {
			add(e.Key, e.Value)
		}
	case *object:
		return entries(&dict.entries)
	case *types.OrderedDict:
		for e := dict.List.Front(); e != nil; e = e.Next() {
			add(e.Value.(*types.OrderedDictEntry).Key, e.Value.(*types.OrderedDictEntry).Value)
		}
	default:
		return nil, nil
	}
	return names, items
}

// Names returns the names of the tensors as the file has them, in its order. Those that a DataParallel saved begin with
// "module.".
func (d *StateDict) Names() []string { return slices.Clone(d.names) }

// Float32 returns the tensor of a name, row by row (the last dimension varies fastest). Numbers are rounded to the nearest
// float32: those of float64, and integers beyond ±2²⁴, may change. A bool is 0 or 1. The error says that there is no
// such tensor, that its shape is not dims, that its numbers are complex, quantised or of another kind that is not read,
// or that the file is damaged.
func (d *StateDict) Float32(name string, dims ...int) ([]float32, error) {
	t, ok := d.tensors[name]
	if !ok {
		like := d.names[0]
		if _, parallel := d.tensors["module."+name]; parallel {
			like = "module." + name
		}
		return nil, fmt.Errorf("torch: there is no tensor %q among the %d of the file, one of which is %q", name, len(d.names), like)
	}
	if t.element.float32 == nil {
		return nil, fmt.Errorf("torch: tensor %q: its numbers are of the kind %s, which is not read", name, t.element.name)
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
	element       *element
	offset        int // of the first element, in elements
	dims, strides []int
	len           int // number of elements
}

// storage is a sequence of numbers in the file.
type storage struct {
	size int                    // bytes
	load func() ([]byte, error) // all of them
}

// maxDims is PyTorch's own limit.
const maxDims = 64

// PySetState implements [types.PyStateSettable]: attributes of a tensor are left out.
func (*tensor) PySetState(any) error { return nil }

// newTensor checks that a tensor lies within its storage.
func newTensor(s typedStorage, offset int, dims, strides []int) (*tensor, error) {
	t := &tensor{storage: s.storage, element: s.element, offset: offset, dims: dims, strides: strides}
	count := s.size / s.element.size
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
		if strides[i] < 0 || d > 1 && strides[i] > count/(d-1) {
			last = count
			break
		}
		last += (d - 1) * strides[i]
	}
	if last >= count {
		return nil, fmt.Errorf("a tensor of shape %v and strides %v at %d is not within its storage of %d numbers", dims, strides, offset, count)
	}
	return t, nil
}

func (t *tensor) float32() ([]float32, error) {
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
			values = append(values, t.element.float32(data[at*t.element.size:]))
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
