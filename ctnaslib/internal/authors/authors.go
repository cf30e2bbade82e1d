// Package authors has what the authors' published code (github.com/chenyaofo/CTNAS) computed, for tests of the code here
// against it: testdata/golden.py ran its modules with PyTorch, testdata/schedule.py its train.py.
package authors

import (
	"embed"
	"encoding/json"
	"hash/fnv"
	"math"
	"strings"
	"testing"
)

//go:embed testdata
var files embed.FS

// Read reads a JSON file of testdata into a value.
func Read(t testing.TB, name string, value any) {
	t.Helper()
	if err := json.Unmarshal([]byte(Text(t, name)), value); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// Text returns a file of testdata.
func Text(t testing.TB, name string) string {
	t.Helper()
	text, err := files.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Uniform returns u(name, i) of testdata/golden.py, in [0, 1).
func Uniform(name string, i int) float64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	x := h.Sum64() + uint64(i) + 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return float64((x^x>>31)>>11) / (1 << 53)
}

// Weights returns a weight of that shape as testdata/golden.py makes it, by its name in the authors' state dict, row by
// row.
func Weights(name string, dims ...int) []float32 {
	size := 1
	for _, d := range dims {
		size *= d
	}
	scale := 1.0
	switch {
	case strings.Contains(name, "bias_hh"):
		scale = 0
	case len(dims) == 2 && !strings.Contains(name, "embedding"):
		scale = math.Sqrt(3 / float64(dims[1]))
	}
	values := make([]float32, size)
	for i := range values {
		values[i] = float32(scale * (2*Uniform(name, i) - 1))
	}
	return values
}

// Flat returns nested lists of numbers, as JSON has tensors, row by row.
func Flat(t testing.TB, value any) []float64 {
	t.Helper()
	switch value := value.(type) {
	case float64:
		return []float64{value}
	case []any:
		var flat []float64
		for _, part := range value {
			flat = append(flat, Flat(t, part)...)
		}
		return flat
	}
	t.Fatalf("%T is neither a number nor a list", value)
	return nil
}

// Transposed returns a matrix of so many columns, row by row, with rows and columns exchanged: PyTorch's linear layers
// have outputs as rows.
func Transposed[T any](matrix []T, columns int) []T {
	rows := len(matrix) / columns
	turned := make([]T, len(matrix))
	for i, v := range matrix {
		turned[i%columns*rows+i/columns] = v
	}
	return turned
}
