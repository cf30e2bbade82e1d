package onnx

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

func small(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "small.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The expected values were printed by ONNX Runtime; see testdata/small.py.
func TestSmall(t *testing.T) {
	model, err := Read(small(t))
	if err != nil {
		t.Fatal(err)
	}
	backend, err := engine.OpenConfig("go")
	if err != nil {
		t.Fatal(err)
	}
	run, err := NewExec(backend, func(codes, numbers *Node) *Node {
		return model.Build(map[string]*Node{"x_cat": codes, "x_cont": numbers})[0]
	})
	if err != nil {
		t.Fatal(err)
	}
	out, err := run.Call(
		tensors.FromValue([][]int32{{0}, {1}, {2}}),
		tensors.FromValue([][]float32{{1}, {-2}, {5}}))
	if err != nil {
		t.Fatal(err)
	}
	got := tensors.MustCopyFlatData[float32](out[0])
	want := []float32{
		0.9840713739395142, 0.9840713739395142, -0.5, -0.5,
		21.038110733032227, 1.5, 3.0, 0.0,
		1.9586384296417236, 1.5, 0.3213481605052948, 0.0,
	}
	for i := range want {
		if math.Abs(float64(got[i]-want[i])) > 1e-5 {
			t.Fatalf("%v, want %v", got, want)
		}
	}
}

func TestReadErrors(t *testing.T) {
	good := small(t)
	replace := func(old, new string) []byte { return bytes.Replace(good, []byte(old), []byte(new), 1) }
	for _, test := range []struct {
		data []byte
		want string
	}{
		{nil, "holds no graph"},
		{good[:len(good)-1], "no whole message"},
		{good[:200], "no whole message"},
		{replace("Relu", "Tanh"), `the operator "Tanh" is not supported`},
		{replace("right", "wrong"), `the value "right" is used by Relu before it is made`},
	} {
		if _, err := Read(test.data); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want %q", err, test.want)
		}
	}
}

// Whatever the file, reading it ends with a model or an error.
func FuzzRead(f *testing.F) {
	data := small(f)
	f.Add(data)
	f.Add(data[:len(data)/2])
	f.Fuzz(func(t *testing.T, data []byte) {
		if model, err := Read(data); (model == nil) == (err == nil) {
			t.Fatalf("the model %v and the error %v", model, err)
		}
	})
}
