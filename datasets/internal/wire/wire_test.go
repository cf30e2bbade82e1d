package wire

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

func message() []byte {
	m := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 300)
	m = protowire.AppendFixed32(protowire.AppendTag(m, 2, protowire.Fixed32Type), 0x3fc00000)
	m = protowire.AppendFixed64(protowire.AppendTag(m, 3, protowire.Fixed64Type), 0xc004000000000000)
	return protowire.AppendBytes(protowire.AppendTag(m, 4, protowire.BytesType), []byte{5, 0xac, 2})
}

func TestFields(t *testing.T) {
	var numbers []protowire.Number
	var ints []int64
	err := Fields(message(), func(f Field) (err error) {
		numbers = append(numbers, f.Number)
		switch f.Number {
		case 1, 4:
			ints, err = f.AppendInts(ints)
		case 3:
			if f.Float64() != -2.5 {
				t.Errorf("the double is %v", f.Float64())
			}
		}
		return err
	})
	if err != nil || !slices.Equal(numbers, []protowire.Number{1, 2, 3, 4}) || !slices.Equal(ints, []int64{300, 5, 300}) {
		t.Errorf("fields %v, integers %v, %v", numbers, ints, err)
	}
	whole := message()
	ends := []int{0, 3, 8, 17, len(whole)}
	for n := range whole {
		if err := Fields(whole[:n], func(Field) error { return nil }); (err == nil) != slices.Contains(ends, n) {
			t.Errorf("%d of %d bytes gave the error %v", n, len(whole), err)
		}
	}
}

func FuzzFields(f *testing.F) {
	f.Add(message())
	f.Fuzz(func(t *testing.T, data []byte) {
		Fields(data, func(f Field) error {
			_, err := f.AppendInts(nil)
			return err
		})
	})
}
