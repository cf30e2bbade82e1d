package weights

import (
	"bytes"
	"math"
	"slices"
	"testing"
)

func twoParts() []Part {
	parts := []Part{NewPart("first", 2, 2), NewPart("second")}
	parts[0].Half = true
	return parts
}

func TestEncode(t *testing.T) {
	parts := twoParts()
	copy(parts[0].Values, []float32{1, -2.5, 0, 0})
	parts[1].Values[0] = math.MaxFloat32
	more := append(parts, Part{Values: []float32{3}})
	data := Encode("a model 1", more)
	want := "ctnas a model 1\n\x00\x3c\x00\xc1\x00\x00\x00\x00\xff\xff\x7f\x7f\x00\x00\x40\x40"
	if string(data[:len(data)-4]) != want {
		t.Errorf("encoded as %q, want %q and a checksum", data, want)
	}
	read := twoParts()
	var rest []float32
	err := Decode("a model 1", data, read, &rest)
	if err != nil || !slices.Equal(rest, []float32{3}) || !slices.Equal(read[0].Values, parts[0].Values) || !slices.Equal(read[1].Values, parts[1].Values) {
		t.Fatalf("decoded as %v and %v, %v", read, rest, err)
	}
	if Decode("a model 2", data, read, &rest) == nil {
		t.Error("the weights of another model were read")
	}
	if Decode("a model 1", data, append(more, more...), &rest) == nil {
		t.Error("fewer weights than the model has were read")
	}
	if Decode("a model 1", data, read, nil) == nil {
		t.Error("more weights than the model has were read")
	}
	for i := range data {
		damaged := bytes.Clone(data)
		damaged[i] ^= 1
		if Decode("a model 1", damaged, nil, &rest) == nil {
			t.Errorf("a change of byte %d goes unnoticed", i)
		}
		if Decode("a model 1", data[:i], nil, &rest) == nil {
			t.Errorf("%d of %d bytes are taken for all", i, len(data))
		}
	}
	if v := Version(data); len(v) != 8 || v == Version(Encode("a model 1", parts)) {
		t.Errorf("the version is %q", v)
	}
}

func TestCheck(t *testing.T) {
	for v, finite := range map[float64]bool{0: true, -1e30: true, math.NaN(): false, math.Inf(1): false, math.Inf(-1): false} {
		parts := twoParts()
		parts[0].Values[3] = float32(v)
		if err := Check(parts); (err == nil) != finite {
			t.Errorf("%v gave the error %v", v, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(Encode("m", twoParts()))
	f.Add([]byte("ctnas m\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var rest []float32
		if err := Decode("m", data, nil, &rest); err == nil && !bytes.Equal(Encode("m", []Part{{Values: rest}}), data) {
			t.Errorf("%q was read, and written differently", data)
		}
	})
}
