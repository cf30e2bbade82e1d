package torch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/gomlx/compute/dtypes/float16"
	"github.com/nlpodyssey/gopickle/pickle"
	"github.com/nlpodyssey/gopickle/types"
)

// The limits of a pickle. That of a state dict has some 200 bytes for each tensor,
// and a depth of about 5.
const (
	maxPickle = 4 << 20 // bytes
	maxDepth  = 100     // of nesting
)

// The forms of an opcode's argument that are not a fixed number of bytes.
const (
	counted1 = -1 - iota // a byte with the length of what follows
	counted4             // the same with four bytes
	twoLines
)

// arguments are the forms of the arguments of the opcodes that PyTorch writes, all of
// pickle's protocol 2.
var arguments = map[byte]int{
	'\x80': 1, '.': 0, '(': 0,
	'N': 0, '\x88': 0, '\x89': 0, 'K': 1, 'M': 2, 'J': 4, 'G': 8, '\x8a': counted1,
	'U': counted1, 'T': counted4, 'X': counted4,
	'}': 0, ']': 0, ')': 0, 't': 0, '\x85': 0, '\x86': 0, '\x87': 0,
	's': 0, 'u': 0, 'a': 0, 'e': 0,
	'q': 1, 'r': 4, 'h': 1, 'j': 4,
	'c': twoLines, 'R': 0, 'b': 0, 'Q': 0,
}

// check looks through the first pickle in data before anything is done with it, and
// returns its length. The library that interprets it allocates whatever length an
// opcode claims, keeps a stack for each level of nesting, and knows more classes than
// a state dict needs: so all lengths, the depth and all names are checked here.
func check(data []byte) (length int, err error) {
	depth := 0
	for at := 0; at < len(data); {
		op := data[at]
		at++
		size, ok := arguments[op]
		if !ok {
			return 0, fmt.Errorf("its pickle has the opcode %#02x, which a state dict of PyTorch has not", op)
		}
		rest := data[at:]
		switch size {
		case counted1:
			size = 1
			if len(rest) >= 1 {
				size += int(rest[0])
			}
		case counted4:
			size = 4
			if len(rest) >= 4 {
				size += int(min(le.Uint32(rest), maxPickle)) // more than that is not there either
			}
		case twoLines:
			module, after, _ := bytes.Cut(rest, []byte("\n"))
			name, after, ok := bytes.Cut(after, []byte("\n"))
			if !ok {
				return 0, errEnds
			}
			if full := string(module) + "." + string(name); classes[full] == nil {
				return 0, fmt.Errorf("it asks for %.100q; only tensors are read, and nothing in a file is ever run, so save the state dict alone", full)
			}
			size = len(rest) - len(after)
		}
		if size > len(rest) {
			return 0, errEnds
		}
		at += size
		switch op {
		case '.':
			return at, nil
		case '(':
			depth++
		case 't', 'u', 'e':
			depth--
		}
		if depth > maxDepth {
			return 0, fmt.Errorf("its pickle is nested more than %d deep", maxDepth)
		}
	}
	return 0, errEnds
}

var errEnds = errors.New("it ends within a pickle, or the pickle is longer than 4 MiB: the file is truncated or no checkpoint")

// unpickle interprets a pickle that check let pass. Storages are what storageOf makes
// of a persistent id.
func unpickle(data []byte, storageOf func(id storageID) (*storage, error)) (object any, err error) {
	defer func() {
		// The library indexes what a malformed pickle does not have.
		if p := recover(); p != nil {
			err = fmt.Errorf("its pickle is malformed: %v", p)
		}
	}()
	u := pickle.NewUnpickler(bytes.NewReader(data))
	u.FindClass = func(module, name string) (any, error) { return classes[module+"."+name], nil }
	u.PersistentLoad = func(saved any) (any, error) {
		id, err := parseStorageID(saved)
		if err != nil {
			return nil, err
		}
		return storageOf(id)
	}
	object, err = u.Load()
	if err != nil {
		return nil, fmt.Errorf("its pickle is malformed: %.200v", err) // which may quote all of it
	}
	return object, nil
}

// storageID is what a pickle says of a storage.
type storageID struct {
	element *element
	key     string
	count   int // of elements
}

// parseStorageID reads ("storage", class, key, device, count), to which the older
// format adds what is None unless the storage is a part of another.
func parseStorageID(saved any) (storageID, error) {
	var id storageID
	tuple, ok := saved.(*types.Tuple)
	if !ok || tuple.Len() < 5 || tuple.Len() > 6 || tuple.Get(0) != "storage" {
		return id, errors.New("a storage is not described as PyTorch does")
	}
	var isClass, hasKey, hasCount bool
	id.element, isClass = tuple.Get(1).(*element)
	id.key, hasKey = tuple.Get(2).(string)
	id.count, hasCount = tuple.Get(4).(int)
	if !isClass || !hasKey || !hasCount || id.count < 0 || tuple.Len() == 6 && tuple.Get(5) != nil {
		return id, errors.New("a storage is not described as PyTorch does")
	}
	return id, nil
}

// element is a kind of number.
type element struct {
	name    string
	size    int                  // bytes
	float32 func([]byte) float32 // the first of the bytes; nil if it is not read
}

var le = binary.LittleEndian

// classes are all that a pickle may name.
var classes = map[string]any{
	"collections.OrderedDict":         &types.OrderedDictClass{},
	"torch._utils._rebuild_tensor_v2": function(rebuildTensor),
	"torch._utils._rebuild_parameter": function(rebuildParameter),

	"torch.HalfStorage":   &element{"float16", 2, func(b []byte) float32 { return float16.FromBits(le.Uint16(b)).Float32() }},
	"torch.FloatStorage":  &element{"float32", 4, func(b []byte) float32 { return math.Float32frombits(le.Uint32(b)) }},
	"torch.DoubleStorage": &element{"float64", 8, func(b []byte) float32 { return float32(math.Float64frombits(le.Uint64(b))) }},
	"torch.LongStorage":   &element{"int64", 8, func(b []byte) float32 { return float32(int64(le.Uint64(b))) }},

	"torch.IntStorage":      &element{"int32", 4, nil},
	"torch.ShortStorage":    &element{"int16", 2, nil},
	"torch.CharStorage":     &element{"int8", 1, nil},
	"torch.ByteStorage":     &element{"uint8", 1, nil},
	"torch.BoolStorage":     &element{"bool", 1, nil},
	"torch.BFloat16Storage": &element{"bfloat16", 2, nil},
}

// function is one that a pickle may call.
type function func(args []any) (any, error)

// Call implements [types.Callable].
func (f function) Call(args ...any) (any, error) { return f(args) }

// rebuildTensor takes a storage, an offset, the shape and the strides, and what
// matters for training only.
func rebuildTensor(args []any) (any, error) {
	if len(args) < 4 {
		return nil, errors.New("a tensor is not described as PyTorch does")
	}
	s, isStorage := args[0].(*storage)
	offset, isInt := args[1].(int)
	dims, hasDims := ints(args[2])
	strides, hasStrides := ints(args[3])
	if !isStorage || !isInt || !hasDims || !hasStrides {
		return nil, errors.New("a tensor is not described as PyTorch does")
	}
	return newTensor(s, offset, dims, strides)
}

// rebuildParameter takes a tensor, and what matters for training only.
func rebuildParameter(args []any) (any, error) {
	if len(args) > 0 {
		if t, ok := args[0].(*tensor); ok {
			return t, nil
		}
	}
	return nil, errors.New("a parameter is not described as PyTorch does")
}

// ints are the elements of a tuple of integers.
func ints(object any) ([]int, bool) {
	tuple, ok := object.(*types.Tuple)
	if !ok {
		return nil, false
	}
	values := make([]int, tuple.Len())
	for i := range values {
		if values[i], ok = tuple.Get(i).(int); !ok {
			return nil, false
		}
	}
	return values, true
}
