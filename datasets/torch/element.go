package torch

import (
	"encoding/binary"
	"math"
	"strings"

	"github.com/gomlx/compute/dtypes/float16"
)

// element is a kind of number.
type element struct {
	name    string
	size    int                  // bytes
	float32 func([]byte) float32 // the first of the bytes; nil if it is not read
}

var le = binary.LittleEndian

// elements are the kinds of numbers by PyTorch's names.
var elements = map[string]*element{}

func init() {
	for _, e := range []*element{
		{"float16", 2, func(b []byte) float32 { return float16.FromBits(le.Uint16(b)).Float32() }},
		{"bfloat16", 2, func(b []byte) float32 { return math.Float32frombits(uint32(le.Uint16(b)) << 16) }},
		{"float32", 4, func(b []byte) float32 { return math.Float32frombits(le.Uint32(b)) }},
		{"float64", 8, func(b []byte) float32 { return float32(math.Float64frombits(le.Uint64(b))) }},
		{"int8", 1, func(b []byte) float32 { return float32(int8(b[0])) }},
		{"int16", 2, func(b []byte) float32 { return float32(int16(le.Uint16(b))) }},
		{"int32", 4, func(b []byte) float32 { return float32(int32(le.Uint32(b))) }},
		{"int64", 8, func(b []byte) float32 { return float32(int64(le.Uint64(b))) }},
		{"uint8", 1, func(b []byte) float32 { return float32(b[0]) }},
		{"uint16", 2, func(b []byte) float32 { return float32(le.Uint16(b)) }},
		{"uint32", 4, func(b []byte) float32 { return float32(le.Uint32(b)) }},
		{"uint64", 8, func(b []byte) float32 { return float32(le.Uint64(b)) }},
		{"bool", 1, func(b []byte) float32 { return float32(min(b[0], 1)) }},
		{"complex32", 4, nil}, {"complex64", 8, nil}, {"complex128", 16, nil},
		{"qint8", 1, nil}, {"quint8", 1, nil}, {"qint32", 4, nil}, {"quint4x2", 1, nil}, {"quint2x4", 1, nil},
	} {
		elements[e.name] = e
	}
}

// storages are the kinds of numbers in PyTorch's classes of storages, such as torch.FloatStorage.
var storages = map[string]string{
	"Half": "float16", "BFloat16": "bfloat16", "Float": "float32", "Double": "float64",
	"Char": "int8", "Short": "int16", "Int": "int32", "Long": "int64", "Byte": "uint8", "Untyped": "uint8", "Bool": "bool",
	"ComplexFloat": "complex64", "ComplexDouble": "complex128",
	"QInt8": "qint8", "QUInt8": "quint8", "QInt32": "qint32", "QUInt4x2": "quint4x2", "QUInt2x4": "quint2x4",
}

// elementOf returns the kind of number that a name stands for, such as torch.float32 and torch.cuda.FloatStorage, or nil.
func elementOf(full string) *element {
	name, isTorch := strings.CutPrefix(full, "torch.")
	if !isTorch {
		return nil
	}
	name = strings.TrimPrefix(strings.TrimPrefix(name, "cuda."), "storage.")
	if kind, isStorage := strings.CutSuffix(name, "Storage"); isStorage {
		name = storages[kind]
	}
	return elements[name]
}
