// Package wire takes protobuf messages apart whose definition is not compiled in.
package wire

import (
	"errors"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field is the value of a field of a message: bytes, or a number of any type.
type Field struct {
	Number protowire.Number
	Kind   protowire.Type
	Bytes  []byte
	bits   uint64
}

// Int returns the field's integer.
func (f Field) Int() int64 { return int64(f.bits) }

// Float64 returns the field's double.
func (f Field) Float64() float64 { return math.Float64frombits(f.bits) }

// AppendInts appends the field's integer, or its packed integers.
func (f Field) AppendInts(ints []int64) ([]int64, error) {
	if f.Kind != protowire.BytesType {
		return append(ints, f.Int()), nil
	}
	for rest := f.Bytes; len(rest) > 0; {
		v, n := protowire.ConsumeVarint(rest)
		if n < 0 {
			return nil, errDamaged
		}
		ints, rest = append(ints, int64(v)), rest[n:]
	}
	return ints, nil
}

var errDamaged = errors.New("it is no whole message of the format")

// Fields calls visit for each field of a message, up to its first error. Groups are
// passed over.
func Fields(message []byte, visit func(Field) error) error {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return errDamaged
		}
		message = message[n:]
		f := Field{Number: number, Kind: kind}
		switch kind {
		case protowire.VarintType:
			f.bits, n = protowire.ConsumeVarint(message)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(message)
			f.bits = uint64(v)
		case protowire.Fixed64Type:
			f.bits, n = protowire.ConsumeFixed64(message)
		case protowire.BytesType:
			f.Bytes, n = protowire.ConsumeBytes(message)
		default:
			n = protowire.ConsumeFieldValue(number, kind, message)
		}
		if n < 0 {
			return errDamaged
		}
		message = message[n:]
		if err := visit(f); err != nil {
			return err
		}
	}
	return nil
}
