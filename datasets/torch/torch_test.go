package torch

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

var fixtures = []string{"testdata/zip.pth", "testdata/legacy.pth"}

// The tensors are those of testdata/make.py, which PyTorch wrote.
func TestOpen(t *testing.T) {
	for _, file := range fixtures {
		d, err := Open(file)
		if err != nil {
			t.Fatal(err)
		}
		names := strings.Fields("matrix transposed row half double count empty parameter bytes broadcast")
		if !slices.Equal(d.Names(), names) {
			t.Errorf("%s has the names %q, want %q", file, d.Names(), names)
		}
		for _, test := range []struct {
			name string
			dims []int
			want []float32
		}{
			{"matrix", []int{2, 3}, []float32{0, 0.125, 0.25, 0.375, 0.5, 0.625}},
			{"transposed", []int{3, 2}, []float32{0, 0.375, 0.125, 0.5, 0.25, 0.625}},
			{"row", []int{3}, []float32{0.375, 0.5, 0.625}},
			{"half", []int{4}, []float32{1.5, -0.0999755859375, 65504, 0x1p-24}},
			{"double", []int{2, 1}, []float32{0.1, -1e30}},
			{"count", nil, []float32{12345}},
			{"empty", []int{0, 4}, nil},
			{"parameter", []int{1}, []float32{2}},
			{"bytes", []int{1}, []float32{1}},
			{"broadcast", []int{1000}, slices.Repeat([]float32{7}, 1000)},
		} {
			got, err := d.Float32(test.name, test.dims...)
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("%s: %s is %v, %v; want %v", file, test.name, got, err, test.want)
			}
		}
		for _, test := range []struct {
			name string
			dims []int
			want string
		}{
			{"weight", []int{2, 3}, `there is no tensor "weight" among the 10`},
			{"matrix", []int{3, 2}, `"matrix" has the shape [2 3], not [3 2]`},
			{"matrix", nil, `"matrix" has the shape [2 3], not []`},
			{"bytes", []int{2}, `"bytes" has the shape [1], not [2]`},
		} {
			if _, err := d.Float32(test.name, test.dims...); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %s %v gave the error %v, want %q", file, test.name, test.dims, err, test.want)
			}
		}
	}
}

// Whatever is cut off or changed in a file is noticed, or changes no more than a number.
func TestDamaged(t *testing.T) {
	for _, file := range fixtures {
		whole, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for length := range whole {
			if d, err := Read(bytes.NewReader(whole), int64(length)); err == nil {
				t.Errorf("%s, cut off after %d of %d bytes, was read with %q", file, length, len(whole), d.Names())
			}
		}
		for at := range whole {
			damaged := slices.Clone(whole)
			damaged[at] ^= 0xff
			readAll(t, damaged)
		}
	}
	whole, err := os.ReadFile("testdata/zip.pth")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(whole, floats(0, 0.125)) {
		t.Fatal("the matrix is not in the file")
	}
	changed := bytes.Replace(whole, floats(0, 0.125), floats(0, 0.126), 1)
	d, err := Read(bytes.NewReader(changed), int64(len(changed)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Float32("matrix", 2, 3); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("a changed number in a zip file gave the error %v", err)
	}
}

func floats(values ...float32) []byte {
	data, _ := binary.Append(nil, le, values)
	return data
}

// readAll reads whatever tensors of moderate size a file has.
func readAll(t *testing.T, data []byte) {
	d, err := Read(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return
	}
	for _, name := range d.Names() {
		tensor := d.tensors[name]
		if tensor.len > 1<<20 || tensor.element.float32 == nil {
			continue
		}
		values, err := d.Float32(name, tensor.dims...)
		if err == nil && len(values) != tensor.len {
			t.Errorf("tensor %q of shape %v has %d elements", name, tensor.dims, len(values))
		}
	}
}

// zipOf is a checkpoint with the given pickle.
func zipOf(t testing.TB, pickle string, storages ...string) []byte {
	var file bytes.Buffer
	w := zip.NewWriter(&file)
	add := func(name, content string) {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err == nil {
			_, err = f.Write([]byte(content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	add("x/data.pkl", pickle)
	for i, s := range storages {
		add(fmt.Sprintf("x/data/%d", i), s)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// legacyOf is one in the older format, without storages.
func legacyOf(pickle string) []byte {
	return []byte("\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + "\x80\x02M\xe9\x03." +
		"\x80\x02}X\x0d\x00\x00\x00little_endian\x88s." + pickle + "\x80\x02].")
}

// tensorOf is a pickle of {"w": a tensor}, given its storage's class, the number of its
// elements, and, as pickles, the offset, the shape and the strides.
func tensorOf(class, count, offset, shape, strides string) string {
	return "\x80\x02}X\x01\x00\x00\x00w" + "ctorch._utils\n_rebuild_tensor_v2\n(" +
		"(X\x07\x00\x00\x00storagectorch\n" + class + "\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu" + count + "tQ" +
		offset + shape + strides + "\x89)tRs."
}

func TestMalicious(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "executed")
	command := "touch " + marker
	text := func(s string) string { return "X" + string(le.AppendUint32(nil, uint32(len(s)))) + s }
	good := tensorOf("FloatStorage", "K\x01", "K\x00", "K\x01\x85", "K\x01\x85")
	if d, err := readPickle(t, good, string(floats(5))); err != nil {
		t.Fatalf("the pickle that the others vary is not read: %v", err)
	} else if w, err := d.Float32("w", 1); err != nil || w[0] != 5 {
		t.Fatalf("its tensor is %v, %v", w, err)
	}
	for _, test := range []struct{ name, pickle, want string }{
		{"os.system", "\x80\x02cposix\nsystem\n" + text(command) + "\x85R.", `it holds what "posix.system" makes, and nothing that a file names is ever run`},
		{"os.system by its other name", "\x80\x02cos\nsystem\n(" + text(command) + "tR.", `it holds what "os.system" makes`},
		{"eval in a dict", "\x80\x02}" + text("w") + "cbuiltins\neval\n" + text("1") + "\x85Rs.", `"w", what "builtins.eval" makes`},
		{"a harmless class", "\x80\x02cbuiltins\nlist\n.", "it holds a list"},
		{"INST", "\x80\x02(" + text(command) + "iposix\nsystem\n.", `it holds what "posix.system" makes`},
		{"STACK_GLOBAL", "\x80\x04\x8c\x05posix\x8c\x06system\x93.", `it holds what "posix.system" makes`},
		{"an extension", "\x80\x02\x82\x01.", "opcode 0x82"},
		{"a text of 4 GB", "\x80\x02X\xff\xff\xff\xffw.", "ends within a pickle"},
		{"a frame of 2^62 bytes", "\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x40.", "ends within a pickle"},
		{"an empty long, on which the library panics", "\x80\x02\x8a\x00.", "it holds no dict"},
		{"a frame within a frame", "\x80\x04\x95\x0a\x00\x00\x00\x00\x00\x00\x00\x95\x00\x00\x00\x00\x00\x00\x00\x00}.", "cannot be read"},
		{"bytes of 2^62", "\x80\x04\x8e\x00\x00\x00\x00\x00\x00\x00\x40.", "ends within a pickle"},
		{"a long of 1 MB", "\x80\x04\x8b\x00\x00\x10\x00" + strings.Repeat("\xff", 1<<20) + ".", "opcode 0x8b"},
		{"a decimal of 1 MB", "\x80\x02L" + strings.Repeat("9", 1<<20) + "L\n.", "does not end"},
		{"an array, copied many times", "\x80\x02carray\n_array_reconstructor\n.", "_array_reconstructor"},
		{"many dicts", "\x80\x02" + strings.Repeat("}", 2<<20) + ".", "more than 1048576 opcodes"},
		{"a dict of odd length, likewise", "\x80\x02}(" + text("w") + "u.", "malformed"},
		{"a dict as a function", "\x80\x02})R.", "no state dict"},
		{"a function as a dict", "\x80\x02ctorch._utils\n_rebuild_tensor_v2\n.", "no state dict"},
		{"a tensor of nothing", "\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.", "not described as PyTorch does"},
		{"a parameter of nothing", "\x80\x02ctorch._utils\n_rebuild_parameter\n)R.", "not described as PyTorch does"},
		{"a storage of nothing", "\x80\x02)Q.", "not described as PyTorch does"},
		{"depth", "\x80\x02" + strings.Repeat("(", 1_000_000) + ".", "nested more than 100 deep"},
		{"a dict in itself", "\x80\x02}q\x00" + text("state_dict") + "h\x00s.", "no state dict"},
		{"no dict", "\x80\x02K\x01.", "no state dict"},
		{"an empty dict", "\x80\x02}.", "no state dict"},
		{"no end", "\x80\x02}", "ends within a pickle"},
		{"more storage than file", tensorOf("FloatStorage", "J\xff\xff\xff\x7f", "K\x00", "K\x01\x85", "K\x01\x85"), "where 2147483647 numbers of 4 bytes are expected"},
		{"negative storage", tensorOf("FloatStorage", "J\xff\xff\xff\xff", "K\x00", "K\x01\x85", "K\x01\x85"), "not described as PyTorch does"},
		{"offset beyond the storage", tensorOf("FloatStorage", "K\x01", "K\x01", "K\x01\x85", "K\x01\x85"), "not within its storage"},
		{"negative offset", tensorOf("FloatStorage", "K\x01", "J\xff\xff\xff\xff", "K\x01\x85", "K\x01\x85"), "offset -1"},
		{"shape beyond the storage", tensorOf("FloatStorage", "K\x01", "K\x00", "K\x02\x85", "K\x01\x85"), "not within its storage"},
		{"a product that overflows", tensorOf("FloatStorage", "K\x01", "K\x00", "("+strings.Repeat("J\x00\x00\x00\x10", 6)+"t", "("+strings.Repeat("K\x00", 6)+"t"), "impossible shape"},
		{"strides that overflow", tensorOf("FloatStorage", "K\x01", "K\x00", "K\x03\x85", "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85"), "not within its storage"},
		{"negative shape", tensorOf("FloatStorage", "K\x01", "K\x00", "J\xff\xff\xff\xff\x85", "K\x01\x85"), "impossible shape"},
		{"strides for other dimensions", tensorOf("FloatStorage", "K\x01", "K\x00", "K\x01\x85", ")"), "the strides []"},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := readPickle(t, test.pickle, "\x00\x00\x00\x00")
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s gave the error %v, want %q", test.name, err, test.want)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 {
			t.Errorf("%s made it allocate %d MB", test.name, used>>20)
		}
		legacy := legacyOf(test.pickle)
		if _, err := Read(bytes.NewReader(legacy), int64(len(legacy))); err == nil {
			t.Errorf("%s is read in the older format", test.name)
		}
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("a command in a file was executed")
	}
}

func readPickle(t *testing.T, pickle string, storages ...string) (*StateDict, error) {
	file := zipOf(t, pickle, storages...)
	return Read(bytes.NewReader(file), int64(len(file)))
}

func TestNotACheckpoint(t *testing.T) {
	compressed := func(size int) string {
		var file bytes.Buffer
		w := zip.NewWriter(&file)
		f, _ := w.Create("x/data.pkl")
		f.Write(make([]byte, size))
		w.Close()
		return file.String()
	}
	otherZip := strings.ReplaceAll(string(zipOf(t, "")), "data.pkl", "date.pkl")
	big := bytes.Replace(legacyOf("\x80\x02}."), []byte("\x88s"), []byte("\x89s"), 1)
	for _, test := range []struct{ content, want string }{
		{"", "no checkpoint of PyTorch"},
		{"hello", "no checkpoint of PyTorch"},
		{"\x80\x02K\x01.", "no checkpoint of PyTorch"},
		{strings.Replace(string(legacyOf("\x80\x02}.")), "M\xe9\x03", "]q\x00h\x00a", 1), "version that is not known"}, // a list in itself
		{zipMagic, "zip file is truncated or damaged"},
		{otherZip, "no data.pkl"},
		{compressed(1 << 20), "opcode 0x00"},
		{compressed(5 << 20), "its pickle is longer than 4 MiB; save the state dict alone"},
		{string(legacyOf("\x80\x02}" + strings.Repeat("X\xff\xff\x00\x00"+strings.Repeat("w", 1<<16-1)+"0", 70) + ".")), "its pickle is longer than 4 MiB"},
		{strings.ReplaceAll(compressed(1), "\x08\x00\x08\x00", "\x08\x00\x0c\x00"), "unsupported compression"},
		{string(big), "not little-endian"},
	} {
		file := filepath.Join(t.TempDir(), "weights.pth")
		if err := os.WriteFile(file, []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(file)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), file) {
			t.Errorf("a file that begins with %.10q gave the error %v, want %q and the file's name", test.content, err, test.want)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none.pth")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there gave the error %v", err)
	}
}

func FuzzRead(f *testing.F) {
	for _, file := range fixtures {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	files, err := filepath.Glob(form("*"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add(legacyOf("\x80\x02})R."))
	f.Add(zipOf(f, tensorOf("HalfStorage", "K\x02", "K\x00", "K\x02\x85", "K\x01\x85"), "abcd"))
	f.Fuzz(func(t *testing.T, data []byte) { readAll(t, data) })
}
