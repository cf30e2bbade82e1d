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

	"github.com/ctnas/ctnas/datasets/internal/wire"
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
	err := wire.Fields(data, func(f wire.Field) error {
		if f.Number != 7 { // ModelProto.graph
			return nil
		}
		found = true
		return g.read(f.Bytes)
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
	return wire.Fields(data, func(f wire.Field) error {
		switch f.Number {
		case 1:
			n, err := readNode(f.Bytes)
			g.nodes = append(g.nodes, n)
			return err
		case 5:
			name, c, err := readTensor(f.Bytes)
			g.constants[name] = c
			return err
		case 11, 12:
			return wire.Fields(f.Bytes, func(inner wire.Field) error {
				switch {
				case inner.Number != 1: // ValueInfoProto.name
				case f.Number == 11:
					g.Inputs = append(g.Inputs, string(inner.Bytes))
				default:
					g.Outputs = append(g.Outputs, string(inner.Bytes))
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
	err := wire.Fields(data, func(f wire.Field) error {
		switch f.Number {
		case 1:
			n.inputs = append(n.inputs, string(f.Bytes))
		case 2:
			n.outputs = append(n.outputs, string(f.Bytes))
		case 4:
			n.op = string(f.Bytes)
		case 5:
			return n.readAttribute(f.Bytes)
		}
		return nil
	})
	return n, err
}

// readAttribute reads an AttributeProto: a float, integers, or a tensor.
func (n *node) readAttribute(data []byte) error {
	var name string
	var ints []int64
	return wire.Fields(data, func(f wire.Field) (err error) {
		switch f.Number {
		case 1:
			name = string(f.Bytes)
		case 2:
			n.floats[name] = f.Float32()
		case 3, 8:
			ints, err = f.AppendInts(ints)
			n.ints[name] = ints
		case 5:
			var c constant
			_, c, err = readTensor(f.Bytes)
			n.value = &c
		}
		return err
	})
}

// readTensor reads a TensorProto with raw data.
func readTensor(data []byte) (name string, c constant, err error) {
	var dims []int64
	var raw []byte
	kind := int64(0)
	err = wire.Fields(data, func(f wire.Field) (err error) {
		switch f.Number {
		case 1:
			dims, err = f.AppendInts(dims)
		case 2:
			kind = f.Int()
		case 8:
			name = string(f.Bytes)
		case 9:
			raw = f.Bytes
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
