// Package weights is the file format of the models that are part of the program: numbers
// under a name and a checksum.
package weights

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"sync"

	"github.com/gomlx/compute/dtypes/float16"
)

// Part is an array of a model's numbers. Values has as many as Dims says, row by row;
// changing them changes the model.
type Part struct {
	Name   string
	Dims   []int
	Values []float32
	Half   bool // whether a file has them as float16
}

// NewPart makes a part with all numbers zero.
func NewPart(name string, dims ...int) Part {
	size := 1
	for _, d := range dims {
		size *= d
	}
	return Part{Name: name, Dims: dims, Values: make([]float32, size)}
}

// Count returns the number of numbers in all parts.
func Count(parts []Part) int {
	count := 0
	for _, p := range parts {
		count += len(p.Values)
	}
	return count
}

// Check reports a number that is not finite.
func Check(parts []Part) error {
	for _, p := range parts {
		for _, v := range p.Values {
			if v := float64(v); math.IsNaN(v) || math.IsInf(v, 0) {
				return fmt.Errorf("a number of %s is %v", p.Name, v)
			}
		}
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// title returns the first line of a file of the model with this name.
func title(name string) []byte { return fmt.Appendf(nil, "ctnas %s\n", name) }

// Encode writes the parts of the model with this name to bytes: a line with the name, the
// numbers of all parts, one after the other, and the CRC-32C of all this, little-endian.
func Encode(name string, parts []Part) []byte {
	data := title(name)
	for _, p := range parts {
		for _, v := range p.Values {
			if p.Half {
				data = binary.LittleEndian.AppendUint16(data, float16.FromFloat32(v).Bits())
			} else {
				data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
			}
		}
	}
	return binary.LittleEndian.AppendUint32(data, crc32.Checksum(data, castagnoli))
}

// Decode reads what [Encode] wrote into the values of the parts, and into rest the float32
// numbers after these; rest is nil if there must be none. The error says that the bytes
// are damaged or of another model.
func Decode(name string, data []byte, parts []Part, rest *[]float32) error {
	size := crc32.Size
	for _, p := range parts {
		size += len(p.Values) * p.bytes()
	}
	body, ok := bytes.CutPrefix(data, title(name))
	if !ok || len(body) < size || (len(body)-size)%4 != 0 || rest == nil && len(body) > size {
		return fmt.Errorf("the weights are not those of %q: they have %d bytes", name, len(data))
	}
	sealed, sum := data[:len(data)-crc32.Size], data[len(data)-crc32.Size:]
	if crc32.Checksum(sealed, castagnoli) != binary.LittleEndian.Uint32(sum) {
		return fmt.Errorf("the weights of %q are damaged", name)
	}
	if rest != nil {
		*rest = make([]float32, (len(body)-size)/4)
		parts = append(slices.Clip(parts), Part{Values: *rest})
	}
	for _, p := range parts {
		for i := range p.Values {
			if p.Half {
				p.Values[i] = float16.FromBits(binary.LittleEndian.Uint16(body)).Float32()
			} else {
				p.Values[i] = math.Float32frombits(binary.LittleEndian.Uint32(body))
			}
			body = body[p.bytes():]
		}
	}
	return nil
}

// bytes returns the size of a number in a file.
func (p Part) bytes() int {
	if p.Half {
		return 2
	}
	return 4
}

// Once decodes a model that is part of the program when it is first needed. It panics if
// the program was built with damaged weights, which a test of each model excludes.
func Once[Model any](file []byte, decode func([]byte) (Model, error)) func() Model {
	return sync.OnceValue(func() Model {
		m, err := decode(file)
		if err != nil {
			panic(err)
		}
		return m
	})
}

// Version names the weights in bytes that [Encode] wrote. It changes when they do.
func Version(data []byte) string { return fmt.Sprintf("%x", data[max(0, len(data)-crc32.Size):]) }
