package images

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// gradient is an image whose every pixel is different.
func gradient(width, height int) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			m.SetRGBA(x, y, color.RGBA{uint8(x), uint8(y), uint8(x + y), 255})
		}
	}
	return m
}

func pngFile(t testing.TB, m image.Image) string {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func jpegFile(t testing.TB, m image.Image) string {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// folder is the content of a folder by path; a path that ends in / is a folder.
type folder map[string]string

// with is the folder with other content at a path; without it if that is "-".
func (f folder) with(path, content string) folder {
	f = maps.Clone(f)
	if f[path] = content; content == "-" {
		delete(f, path)
	}
	return f
}

// animals is a small image folder. Each image has a width of its own.
func animals(t testing.TB) folder {
	return folder{
		"train/cat/2.JPEG": jpegFile(t, gradient(12, 8)),
		"train/cat/1.jpg":  jpegFile(t, gradient(11, 8)),
		"train/ant/7.png":  pngFile(t, gradient(10, 8)),
		"train/ant/note":   "not an image",
		"test/ant/1.png":   pngFile(t, gradient(20, 8)),
		"test/cat/1.png":   pngFile(t, gradient(21, 8)),
		"README.md":        "animals",
	}
}

// write writes the folder to disk.
func (f folder) write(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range f {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// tarGz packs the folder, under another one as many archives have it.
func (f folder) tarGz(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	zipped, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewWriter(zipped)
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(f))) {
		header := &tar.Header{Name: "./set-1.0/" + name, Size: int64(len(f[name])), Mode: 0o644}
		if strings.HasSuffix(name, "/") {
			header.Typeflag = tar.TypeDir
		}
		if err := archive.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(f[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// writeTarGz packs the folder into a file.
func (f folder) writeTarGz(t testing.TB) string {
	t.Helper()
	return writeFile(t, "set.tar.gz", f.tarGz(t))
}

func writeFile(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustOpen(t testing.TB, path string) *Set {
	t.Helper()
	set, err := Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// wantError checks that the error is one line and says all of what.
func wantError(t *testing.T, err error, what ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one about %q", what)
		return
	}
	for _, w := range what {
		if !strings.Contains(err.Error(), w) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %q, want one line with %q", err, w)
		}
	}
}

// records are records of the binary version of CIFAR-10 with labels 0 … 9 in turn.
func records(n int) []byte {
	data := make([]byte, n*recordSize)
	for i := range n {
		data[i*recordSize] = byte(i % 10)
	}
	return data
}

// binaryCIFAR10 are the files of the binary version, with this many records in each.
func binaryCIFAR10(n int) folder {
	f := folder{cifarMeta: strings.Join(cifar10Classes, "\n") + "\n\n"}
	for _, name := range append(trainBatches, testBatch) {
		f[name] = string(records(n))
	}
	return f
}

// reader reads the files of the folder.
func (f folder) reader() func(name string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		if content, ok := f[name]; ok {
			return []byte(content), nil
		}
		return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
	}
}

// zipped is the text in the format of gzip.
func zipped(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
