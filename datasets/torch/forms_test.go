package torch

import (
	"archive/zip"
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func form(name string) string { return filepath.Join("testdata", "forms", name+".pth") }

// The same three tensors in every form that torch.save, or who packs its file again, gives them; see testdata/forms.py.
func TestForms(t *testing.T) {
	files, err := filepath.Glob(form("*_protocol?"))
	if err != nil || len(files) != 18 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range strings.Fields("zip_deflated zip_zip64 zip_deep_folder zip_no_folder zip_after_other_bytes python2 parameters") {
		files = append(files, form(name))
	}
	for _, file := range files {
		d, err := Open(file)
		if err != nil {
			t.Error(err)
			continue
		}
		checkForm(t, file, d)
	}
}

func checkForm(t *testing.T, file string, d *StateDict) {
	t.Helper()
	if !slices.Equal(d.Names(), []string{"w", "b", "n"}) {
		t.Errorf("%s has the names %q", file, d.Names())
	}
	for name, want := range map[string]struct {
		dims   []int
		values []float32
	}{
		"w": {[]int{2, 3}, []float32{1, 2, 3, 4, 5, 6}},
		"b": {[]int{2}, []float32{0.5, -0.5}},
		"n": {nil, []float32{7}},
	} {
		if got, err := d.Float32(name, want.dims...); err != nil || !slices.Equal(got, want.values) {
			t.Errorf("%s: %s is %v, %v; want %v", file, name, got, err, want.values)
		}
	}
}

func TestKinds(t *testing.T) {
	signed := []float32{1, -2, 3}
	want := map[string][]float32{
		"half": signed, "float": signed, "double": signed, "bfloat16": signed, "char": signed, "short": signed, "int": signed, "long": signed, "cuda": signed,
		"byte": {1, 254, 3}, "bool": {1, 0, 1}, "uint16": {1, 65534, 3}, "uint32": {1, 1 << 31, 3}, "uint64": {1, 1 << 63, 3},
		"float8": nil, "complex": nil, "quantised": nil, "sparse": nil,
	}
	unread := map[string]string{"float8": "torch.float8_e4m3fn", "complex": "complex64", "quantised": "qint8", "sparse": "_rebuild_sparse_tensor"}
	for file, all := range map[string]int{"kinds": len(want), "kinds_legacy": 7} {
		d, err := Open(form(file))
		if err != nil {
			t.Fatal(err)
		}
		if len(d.Names()) != all {
			t.Errorf("%s has the names %q", file, d.Names())
		}
		for _, name := range d.Names() {
			got, err := d.Float32(name, 3)
			if kind := unread[name]; kind != "" {
				if err == nil || !strings.Contains(err.Error(), "its numbers are of the kind "+kind+", which is not read") {
					t.Errorf("%s: %s gave %v", file, name, err)
				}
			} else if err != nil || !slices.Equal(got, want[name]) {
				t.Errorf("%s: %s is %v, %v; want %v", file, name, got, err, want[name])
			}
		}
	}
}

func TestViews(t *testing.T) {
	d, err := Open(form("views"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct {
		dims   []int
		values []float32
	}{
		"whole": {[]int{2, 3}, []float32{1, 2, 3, 4, 5, 6}}, "transposed": {[]int{3, 2}, []float32{1, 4, 2, 5, 3, 6}}, "row": {[]int{3}, []float32{4, 5, 6}},
		"step": {[]int{2}, []float32{2, 6}}, "scalar": {nil, []float32{6}}, "empty": {[]int{0, 3}, nil}, "expanded": {[]int{2, 2}, []float32{3, 4, 3, 4}},
	} {
		if got, err := d.Float32(name, want.dims...); err != nil || !slices.Equal(got, want.values) {
			t.Errorf("%s is %v, %v; want %v", name, got, err, want.values)
		}
	}
}

func TestNoStateDict(t *testing.T) {
	for file, want := range map[string]string{
		"module":            `a module as a whole, "torch.nn.Net", whose code is not in the file: in Python, save its state_dict()`,
		"module_in_dict":    `a dict of 2 entries: "epoch"; "model", a module as a whole, "torch.nn.Net"`,
		"script":            "this is a TorchScript program",
		"big_endian":        "its numbers are big-endian, not little-endian",
		"big_endian_legacy": "its numbers are big-endian, not little-endian",
	} {
		if _, err := Open(form(file)); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), form(file)) {
			t.Errorf("%s gave the error %v, want %q", file, err, want)
		}
	}
}

// A pickle's text, short strings, and a tensor of one number in storage 0.
func shortText(s string) string { return "\x8c" + string(rune(len(s))) + s }

func oneTensor(name string) string {
	return shortText(name) + strings.TrimSuffix(strings.TrimPrefix(tensorOf("FloatStorage", "K\x01", "K\x00", "K\x01\x85", "K\x01\x85"), "\x80\x02}X\x01\x00\x00\x00w"), "s.")
}

// dictOf is the pickle of a dict, of keys and pickles in turn.
func dictOf(entries ...string) string {
	p := "}("
	for i := 0; i < len(entries); i += 2 {
		p += shortText(entries[i]) + entries[i+1]
	}
	return p + "u"
}

func TestWrappers(t *testing.T) {
	weights := "}(" + oneTensor("weight") + "u"
	parallel := "}(" + oneTensor("module.weight") + "u"
	optimizer := dictOf("state", "}K\x00"+weights+"s", "param_groups", "]")
	for _, test := range []struct {
		pickle string
		keys   []string
		want   string // a name, or a part of the error
	}{
		{weights, nil, "weight"},
		{parallel, nil, "module.weight"},
		{dictOf("model", weights, "epoch", "K\x03"), nil, "weight"},
		{dictOf("state_dict", weights), nil, "weight"},
		{dictOf("net", weights, "acc", "K\x03"), nil, "weight"},
		{dictOf("ema", weights), nil, "weight"},
		{dictOf("model_state_dict", weights, "optimizer_state_dict", optimizer), nil, "weight"},
		{dictOf("checkpoint", dictOf("model", weights)), nil, "weight"},
		{dictOf("anything", weights, "optimizer", optimizer), nil, "weight"},
		{dictOf("model", weights, "stats", parallel), nil, "weight"},
		{"}(" + oneTensor("rng_state") + shortText("model") + weights + "u", nil, "weight"},
		{"}(" + oneTensor("weight") + shortText("block._extra_state") + parallel + "u", nil, "weight"},
		{dictOf("model", weights+"q\x01", "ema", "h\x01"), nil, "weight"}, // the same one
		{dictOf("model", weights, "ema", parallel), nil, `it holds 2 state dicts, under the keys ["model"], ["ema"]; choose one by its keys, as in Open(path, "model")`},
		{dictOf("model", weights, "ema", parallel), []string{"ema"}, "module.weight"},
		{dictOf("a", dictOf("model", weights), "b", dictOf("x", weights, "y", parallel)), nil, `it holds 3 state dicts, under the keys ["a", "model"], ["b", "x"], ["b", "y"]; choose one by its keys, as in Open(path, "a", "model")`},
		{dictOf("a", dictOf("model", weights), "b", dictOf("x", weights, "y", parallel)), []string{"b", "y"}, "module.weight"},
		{dictOf("model", weights), []string{"ema"}, `it holds nothing under "ema", it holds a dict of 1 entries: "model"`},
		{dictOf("model", weights), []string{"model", "weight", "x"}, `it holds nothing under "x", it holds a tensor`},
		{optimizer, nil, `it holds no state dict, that is no dict of named tensors; it holds a dict of 2 entries: "state"; "param_groups"`},
		{dictOf("w", "}"), nil, "it holds no state dict"},
		{"]", nil, "it holds a list"},
	} {
		file := zipOf(t, "\x80\x04"+test.pickle+".", "\x00\x00\x80\x3f")
		d, err := Read(bytes.NewReader(file), int64(len(file)), test.keys...)
		if err != nil {
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("%q with the keys %q gave the error %v, want %q", test.pickle, test.keys, err, test.want)
			}
			continue
		}
		if !slices.Equal(d.Names(), []string{test.want}) {
			t.Errorf("%q with the keys %q has the names %q, want %q", test.pickle, test.keys, d.Names(), test.want)
		} else if v, err := d.Float32(test.want, 1); err != nil || v[0] != 1 {
			t.Errorf("%q: %v, %v", test.pickle, v, err)
		}
	}
	file := zipOf(t, "\x80\x04"+parallel+".", "\x00\x00\x80\x3f")
	d, err := Read(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Float32("weight", 1); err == nil || !strings.Contains(err.Error(), `one of which is "module.weight"`) {
		t.Errorf("error %v", err)
	}
}

// A dict that is in itself many times over is looked through once.
func TestManyWays(t *testing.T) {
	pickle := "\x80\x04}\x94("
	for i := range 200 {
		pickle += shortText(strings.Repeat("x", 1+i%100)+string(rune('a'+i/100))) + "h\x00"
	}
	if _, err := readPickle(t, pickle+"u."); err == nil || !strings.Contains(err.Error(), "no state dict") {
		t.Errorf("error %v", err)
	}
}

func TestOtherFormats(t *testing.T) {
	zipWith := func(names ...string) string {
		var file bytes.Buffer
		w := zip.NewWriter(&file)
		for _, name := range names {
			if _, err := w.Create(name); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return file.String()
	}
	for want, content := range map[string]string{
		"it is a file of safetensors":                   "\x10\x00\x00\x00\x00\x00\x00\x00" + `{"w":{"dtype":1}}`,
		"it is a graph of ONNX":                         "\x08\x08\x12\x04main:\x08",
		"it is a file of HDF5":                          "\x89HDF\r\n\x1a\n\x00\x00",
		"NumPy's format .npz":                           zipWith("w.npy"),
		"it is an array of NumPy":                       "\x93NUMPY\x01\x00",
		"it is compressed with gzip":                    "\x1f\x8b\x08\x00",
		"it is a tar archive":                           strings.Repeat("\x00", 257) + "ustar",
		"it is a web page":                              "<!DOCTYPE html>",
		"it is a pointer of Git LFS":                    "version https://git-lfs.github.com/spec/v1\n",
		"a zip file, but no checkpoint":                 zipWith("config.json"),
		"it is a pickle that torch.save did not write":  "\x80\x04}.",
		"it is empty":                                   "",
		"neither a zip file nor a pickle with its magi": "hello",
	} {
		if _, err := Read(strings.NewReader(content), int64(len(content))); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "no checkpoint of PyTorch") {
			t.Errorf("%.20q gave the error %v, want %q", content, err, want)
		}
	}
}
