package torch

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/nlpodyssey/gopickle/pickle"
	"github.com/nlpodyssey/gopickle/types"
)

// The limits of a pickle. That of a state dict has some 200 bytes and 50 opcodes for each tensor, and a depth of about 5.
const (
	maxPickle  = 4 << 20 // bytes
	maxOpcodes = 1 << 20
	maxDepth   = 100     // of nesting
	maxLine    = 1 << 16 // bytes of an argument that ends with its line
)

// The forms of an opcode's argument that are not a fixed number of bytes.
const (
	unknown  = -1 - iota
	line     // ends with its line
	twoLines // a module, and a name in it
	counted1 // a length in so many bytes, and what has this length
	counted4
	counted8
)

// forms are those of the arguments of all protocols' opcodes. Extensions, buffers that are elsewhere and integers of
// more than 255 bytes are unknown: PyTorch writes none.
var forms = func() (forms [256]int) {
	for op := range forms {
		forms[op] = unknown
	}
	for form, ops := range map[int]string{
		0:        "().012NQR]abdelostu}\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94",
		1:        "Khq\x80",
		2:        "M",
		4:        "Jjr",
		8:        "G\x95",
		line:     "FILPSVgp",
		twoLines: "ci",
		counted1: "CU\x8a\x8c",
		counted4: "BTX",
		counted8: "\x8d\x8e\x96",
	} {
		for _, op := range []byte(ops) {
			forms[op] = form
		}
	}
	return forms
}()

// argument returns the size of an opcode's argument, of which rest is the beginning.
func argument(op byte, rest []byte) (size int, err error) {
	counted := func(bytes int) (int, error) {
		var n [8]byte
		copy(n[:bytes], rest)
		return bytes + int(min(le.Uint64(n[:]), maxPickle)), nil // more than that is not there either
	}
	switch form := forms[op]; form {
	case unknown:
		return 0, fmt.Errorf("its pickle has the opcode %#02x, which torch.save does not write", op)
	case counted1:
		return counted(1)
	case counted4:
		return counted(4)
	case counted8:
		return counted(8)
	case line, twoLines:
		for lines := 1 + line - form; lines > 0; lines-- {
			n := 1 + bytes.IndexByte(rest[size:min(len(rest), maxLine)], '\n')
			if n == 0 {
				return 0, fmt.Errorf("a line of its pickle does not end, within the file or %d bytes: the file is truncated or damaged", maxLine)
			}
			size += n
		}
		return size, nil
	default:
		return form, nil
	}
}

// check looks through the first pickle in data before anything is done with it, and returns its length. The library
// that interprets it allocates whatever length an opcode claims, and a stack for each level of nesting: so lengths,
// number and depth of the opcodes are checked here. What Python 2 wrote and the library cannot read is changed in place.
func check(data []byte) (length int, err error) {
	depth := 0
	for at, count := 0, 0; at < len(data); count++ {
		op, rest := data[at], data[at+1:]
		size, err := argument(op, rest)
		if err != nil {
			return 0, err
		}
		if size > len(rest) {
			return 0, errEnds
		}
		at += 1 + size
		switch op {
		case '.':
			// The library knows this function, and has it copy its argument however often it is called.
			if name := "_array_reconstructor"; bytes.Contains(data[:at], []byte(name)) {
				return 0, fmt.Errorf("its pickle holds an array by %q, which is not read: save the state dict alone", name)
			}
			return at, nil
		case '(':
			depth++
		case '1', 'd', 'e', 'i', 'l', 'o', 't', 'u', '\x90', '\x91':
			depth--
		case 'c':
			// The library's own OrderedDict takes no arguments, as that of Python 2 has: by another name it is ours.
			if bytes.HasPrefix(rest, []byte("collections\nOrderedDict\n")) {
				rest[0] = 'C'
			}
		case '\x8a':
			if rest[0] == 0 { // 0L, on which the library panics
				data[at-2] = 'K'
			}
		case '\x95': // a frame, which the library allocates
			if le.Uint64(rest) > uint64(len(data)-at) {
				return 0, errEnds
			}
		}
		if depth > maxDepth {
			return 0, fmt.Errorf("its pickle is nested more than %d deep", maxDepth)
		}
		if count > maxOpcodes {
			return 0, fmt.Errorf("its pickle has more than %d opcodes; save the state dict alone", maxOpcodes)
		}
	}
	return 0, errEnds
}

var errEnds = errors.New("it ends within a pickle: the file is truncated or damaged")

// unpickle interprets a pickle that check let pass. Storages are what storageOf makes of a persistent id.
func unpickle(data []byte, storageOf func(id storageID) (*storage, error)) (object any, err error) {
	defer func() {
		// The library indexes what a malformed pickle does not have.
		if p := recover(); p != nil {
			err = fmt.Errorf("its pickle is malformed: %v", p)
		}
	}()
	u := pickle.NewUnpickler(bytes.NewReader(data))
	u.FindClass = findClass
	u.PersistentLoad = func(saved any) (any, error) {
		if tuple, ok := saved.(*types.Tuple); ok && tuple.Len() > 1 && tuple.Get(0) == "module" {
			return tuple.Get(1), nil // a class, with its source
		}
		id, err := parseStorageID(saved)
		if err != nil {
			return nil, err
		}
		s, err := storageOf(id)
		return typedStorage{s, id.element}, err
	}
	object, err = u.Load()
	if err != nil {
		return nil, fmt.Errorf("its pickle cannot be read: %.200v", err) // which may quote all of it
	}
	return object, nil
}

// storageID is what a pickle says of a storage.
type storageID struct {
	element *element
	key     string
	count   int // of elements
}

// typedStorage is a storage as the numbers that it holds, unless a tensor says otherwise.
type typedStorage struct {
	*storage
	element *element
}

var (
	errStorage = errors.New("a storage is not described as PyTorch does")
	errView    = errors.New("it has a storage that is a part of another, as PyTorch before 0.4 wrote it; load and save it with a newer one")
)

// textID is the text of a storage's id, which is all that protocol 0 keeps of it.
var textID = regexp.MustCompile(`^\('storage', <class '([\w.]+)'>, '(\w+)', '[^']*', (\d+)(?:, None)?\)$`)

// parseStorageID reads ("storage", class, key, device, count), to which the older format adds what is None unless the
// storage is a part of another.
func parseStorageID(saved any) (id storageID, err error) {
	tuple, ok := saved.(*types.Tuple)
	if text, isText := saved.(string); isText {
		if m := textID.FindStringSubmatch(text); m != nil {
			count, _ := strconv.Atoi(m[3]) // 0 if it is too large, which is too few
			tuple, ok = types.NewTupleFromSlice([]any{"storage", elementOf(m[1]), m[2], "", count}), true
		}
	}
	if !ok || tuple.Len() < 5 || tuple.Len() > 6 || tuple.Get(0) != "storage" {
		return id, errStorage
	}
	var isClass, hasKey, hasCount bool
	id.element, isClass = tuple.Get(1).(*element)
	id.key, hasKey = tuple.Get(2).(string)
	id.count, hasCount = tuple.Get(4).(int)
	if !isClass || id.element == nil || !hasKey || !hasCount || id.count < 0 {
		return id, errStorage
	}
	if tuple.Len() == 6 && tuple.Get(5) != nil {
		return id, errView
	}
	return id, nil
}

// findClass gives what a pickle names: what is needed for tensors, else what makes objects of which nothing is known.
// None of it is ever run.
func findClass(module, name string) (any, error) {
	full := module + "." + name
	if f, ok := functions[full]; ok {
		return f, nil
	}
	if full == "Collections.OrderedDict" {
		return function(orderedDict), nil
	}
	if strings.HasPrefix(full, "torch._utils._rebuild_") {
		return function(func([]any) (any, error) { return &tensor{element: &element{name: name}}, nil }), nil
	}
	if e := elementOf(full); e != nil {
		return e, nil
	}
	return &object{class: full}, nil
}

// functions are those that a pickle may call.
var functions = map[string]function{
	"torch._utils._rebuild_tensor":               rebuildTensor,
	"torch._utils._rebuild_tensor_v2":            rebuildTensor,
	"torch._utils._rebuild_tensor_v3":            rebuildTensor,
	"torch._utils._rebuild_qtensor":              rebuildTensor,
	"torch._utils._rebuild_parameter":            rebuildParameter,
	"torch._utils._rebuild_parameter_with_state": rebuildParameter,
	"torch._tensor._rebuild_from_type":           rebuildFromType,
	"torch._tensor._rebuild_from_type_v2":        rebuildFromType,
}

// function is one that a pickle may call.
type function func(args []any) (any, error)

// Call implements [types.Callable].
func (f function) Call(args ...any) (any, error) { return f(args) }

// object is a class, a function or an object of which nothing is known: calling it makes another one, and what is
// put into it is kept.
type object struct {
	class    string
	entries  types.Dict
	isModule bool
}

// Call implements [types.Callable].
func (o *object) Call(...any) (any, error) { return &object{class: o.class}, nil }

// PyNew implements [types.PyNewable].
func (o *object) PyNew(...any) (any, error) { return &object{class: o.class}, nil }

// PySetState implements [types.PyStateSettable].
func (o *object) PySetState(state any) error {
	_, items := entries(state)
	_, o.isModule = items["_modules"]
	return nil
}

// Set implements [types.DictSetter].
func (o *object) Set(key, value any) { o.entries.Set(key, value) }

// Append implements [types.ListAppender].
func (o *object) Append(any) {}

// Add implements [types.SetAdder].
func (o *object) Add(any) {}

// orderedDict takes nothing, or a list of pairs.
func orderedDict(args []any) (any, error) {
	dict := types.NewOrderedDict()
	if len(args) == 0 {
		return dict, nil
	}
	pairs, ok := args[0].(*types.List)
	if !ok {
		return nil, errors.New("an OrderedDict is made of something else than a list")
	}
	for _, item := range *pairs {
		switch pair := item.(type) {
		case *types.List:
			dict.Set((*pair)[0], (*pair)[1])
		case *types.Tuple:
			dict.Set((*pair)[0], (*pair)[1])
		}
	}
	return dict, nil
}

var errTensor = errors.New("a tensor is not described as PyTorch does")

// rebuildTensor takes a storage, an offset, the shape and the strides, then what matters for training or quantising
// only; and, as its seventh argument, the kind of its numbers if it is not that of the storage.
func rebuildTensor(args []any) (any, error) {
	if len(args) < 4 {
		return nil, errTensor
	}
	s, isStorage := args[0].(typedStorage)
	offset, isInt := args[1].(int)
	dims, hasDims := ints(args[2])
	strides, hasStrides := ints(args[3])
	if !isStorage || !isInt || !hasDims || !hasStrides {
		return nil, errTensor
	}
	if len(args) > 6 {
		switch kind := args[6].(type) {
		case *element:
			s.element = kind
		case *object:
			s.element = &element{name: kind.class, size: 1}
		}
	}
	return newTensor(s, offset, dims, strides)
}

// rebuildParameter takes a tensor, and what matters for training only.
func rebuildParameter(args []any) (any, error) {
	if len(args) == 0 {
		return nil, errors.New("a parameter is not described as PyTorch does")
	}
	return args[0], nil
}

// rebuildFromType takes a function that makes a tensor, a class that it is to have, and the function's arguments.
func rebuildFromType(args []any) (any, error) {
	if len(args) > 2 {
		f, isCallable := args[0].(types.Callable)
		if tuple, isTuple := args[2].(*types.Tuple); isCallable && isTuple {
			return f.Call(*tuple...)
		}
	}
	return nil, errTensor
}

// ints returns the elements of a tuple of integers.
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
