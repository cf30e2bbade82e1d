// Package onnx reads ONNX graphs and builds them in GoMLX: the operators that the
// published surrogates of NAS-Bench-301 consist of, and no more. (GoMLX's own
// importer, onnx-gomlx, has no release for the GoMLX that this module uses;
// compute-onnx is a backend that runs GoMLX's graphs on ONNX Runtime, not an importer.)
package onnx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Model is a graph that was read.
type Model struct {
	Inputs, Outputs []string

	nodes     []node
	constants map[string]constant
}

// node is an operation on named values.
type node struct {
	op              string
	inputs, outputs []string
	ints            map[string][]int64
	floats          map[string]float32
	value           *constant // of a Constant
}

// constant is a tensor of float32 or int64.
type constant struct {
	dims   []int
	floats []float32 // if it is of float32
	ints   []int64   // if it is of int64
}

// The numbers of data types in the format.
const (
	typeFloat32 = 1
	typeInt64   = 7
)

// Read reads a file of the ONNX format. The error says that it is damaged, or names
// what of the format is not supported.
func Read(data []byte) (*Model, error) {
	g := &Model{constants: make(map[string]constant)}
	found := false
	err := fields(data, func(number protowire.Number, f field) error {
		if number != 7 { // ModelProto.graph
			return nil
		}
		found = true
		return g.read(f.bytes)
	})
	if err == nil && !found {
		err = errors.New("it holds no graph")
	}
	if err == nil {
		err = g.check()
	}
	if err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	return g, nil
}

// check says whether every value is made before it is used, by a known operator.
func (g *Model) check() error {
	known := make(map[string]bool)
	for name := range g.constants {
		known[name] = true
	}
	for _, name := range g.Inputs {
		known[name] = true
	}
	for _, n := range g.nodes {
		if _, ok := operators[n.op]; !ok {
			return fmt.Errorf("the operator %q is not supported", n.op)
		}
		for _, name := range n.inputs {
			if !known[name] {
				return fmt.Errorf("the value %q is used by %s before it is made", name, n.op)
			}
		}
		if len(n.outputs) != 1 {
			return fmt.Errorf("%s has %d outputs, not 1", n.op, len(n.outputs))
		}
		known[n.outputs[0]] = true
	}
	for _, name := range g.Outputs {
		if !known[name] {
			return fmt.Errorf("the output %q is never made", name)
		}
	}
	return nil
}

// The numbers of the fields below are those of the format's definition (onnx/onnx,
// onnx/onnx.proto).

// read reads a GraphProto.
func (g *Model) read(data []byte) error {
	return fields(data, func(number protowire.Number, f field) error {
		switch number {
		case 1:
			n, err := readNode(f.bytes)
			g.nodes = append(g.nodes, n)
			return err
		case 5:
			name, c, err := readTensor(f.bytes)
			g.constants[name] = c
			return err
		case 11, 12:
			return fields(f.bytes, func(inner protowire.Number, f field) error {
				switch {
				case inner != 1: // ValueInfoProto.name
				case number == 11:
					g.Inputs = append(g.Inputs, string(f.bytes))
				default:
					g.Outputs = append(g.Outputs, string(f.bytes))
				}
				return nil
			})
		}
		return nil
	})
}

// readNode reads a NodeProto.
func readNode(data []byte) (node, error) {
	n := node{ints: make(map[string][]int64), floats: make(map[string]float32)}
	err := fields(data, func(number protowire.Number, f field) error {
		switch number {
		case 1:
			n.inputs = append(n.inputs, string(f.bytes))
		case 2:
			n.outputs = append(n.outputs, string(f.bytes))
		case 4:
			n.op = string(f.bytes)
		case 5:
			return n.readAttribute(f.bytes)
		}
		return nil
	})
	return n, err
}

// readAttribute reads an AttributeProto: a float, integers, or a tensor.
func (n *node) readAttribute(data []byte) error {
	var name string
	var ints []int64
	return fields(data, func(number protowire.Number, f field) (err error) {
		switch number {
		case 1:
			name = string(f.bytes)
		case 2:
			n.floats[name] = math.Float32frombits(uint32(f.number))
		case 3, 8:
			ints, err = f.appendInts(ints)
			n.ints[name] = ints
		case 5:
			var c constant
			_, c, err = readTensor(f.bytes)
			n.value = &c
		}
		return err
	})
}

// readTensor reads a TensorProto with raw data.
func readTensor(data []byte) (name string, c constant, err error) {
	var dims []int64
	var raw []byte
	kind := uint64(0)
	err = fields(data, func(number protowire.Number, f field) (err error) {
		switch number {
		case 1:
			dims, err = f.appendInts(dims)
		case 2:
			kind = f.number
		case 8:
			name = string(f.bytes)
		case 9:
			raw = f.bytes
		}
		return err
	})
	if err != nil {
		return name, c, err
	}
	size := 4
	if kind == typeInt64 {
		size = 8
	}
	count := len(raw) / size
	expected := 1
	c.dims = make([]int, len(dims))
	for i, d := range dims {
		if d < 1 || d > int64(count) || expected > count {
			return name, c, fmt.Errorf("the tensor %q of the dimensions %v has %d bytes", name, dims, len(raw))
		}
		c.dims[i] = int(d)
		expected *= int(d)
	}
	if kind != typeFloat32 && kind != typeInt64 {
		return name, c, fmt.Errorf("the tensor %q is of data type %d; only float32 and int64 are supported", name, kind)
	}
	if len(raw) != expected*size {
		return name, c, fmt.Errorf("the tensor %q of the dimensions %v has %d bytes", name, dims, len(raw))
	}
	for ; len(raw) > 0; raw = raw[size:] {
		if kind == typeInt64 {
			c.ints = append(c.ints, int64(binary.LittleEndian.Uint64(raw)))
		} else {
			c.floats = append(c.floats, math.Float32frombits(binary.LittleEndian.Uint32(raw)))
		}
	}
	return name, c, nil
}

// field is the value of a field of a message: bytes, or a number.
type field struct {
	bytes  []byte
	number uint64
	kind   protowire.Type
}

// appendInts appends the field's integer, or its packed integers.
func (f field) appendInts(ints []int64) ([]int64, error) {
	if f.kind != protowire.BytesType {
		return append(ints, int64(f.number)), nil
	}
	for rest := f.bytes; len(rest) > 0; {
		v, n := protowire.ConsumeVarint(rest)
		if n < 0 {
			return nil, errDamaged
		}
		ints, rest = append(ints, int64(v)), rest[n:]
	}
	return ints, nil
}

var errDamaged = errors.New("it is no whole message of the format")

// fields calls visit for each field of a message.
func fields(data []byte, visit func(protowire.Number, field) error) error {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return errDamaged
		}
		data = data[n:]
		f := field{kind: kind}
		switch kind {
		case protowire.VarintType:
			f.number, n = protowire.ConsumeVarint(data)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(data)
			f.number = uint64(v)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(data)
		default:
			n = protowire.ConsumeFieldValue(number, kind, data)
		}
		if n < 0 {
			return errDamaged
		}
		data = data[n:]
		if err := visit(number, f); err != nil {
			return err
		}
	}
	return nil
}
