package images

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/datasets"
)

// An image folder is the same set on disk and in an archive.
func TestImageFolder(t *testing.T) {
	files := animals(t)
	renamed := folder{}
	for name, content := range files {
		renamed[strings.Replace(name, "test/", "val/", 1)] = content
	}
	for name, path := range map[string]string{
		"folder":  files.with("train/.ipynb_checkpoints/1.jpg", "of a tool").write(t),
		"val":     renamed.write(t),
		"ILSVRC":  renamed.with("test/1.jpg", "without a label").write(t),
		"no test": renamed.with("test/", "").write(t),
		"archive": files.with("train/cat/", "").with("train/cat/.2.jpg", "of another system").writeTarGz(t),
	} {
		set := mustOpen(t, path)
		if !slices.Equal(set.Classes, []string{"ant", "cat"}) || !slices.Equal(set.Train.Labels, []int32{0, 1, 1}) || !slices.Equal(set.Test.Labels, []int32{0, 1}) {
			t.Fatalf("%s: classes %v, labels %v and %v", name, set.Classes, set.Train.Labels, set.Test.Labels)
		}
		var widths []int
		for _, part := range []Images{set.Train, set.Test} {
			for i := range part.Len() {
				m, err := part.Read(i)
				if err != nil {
					t.Fatal(err)
				}
				widths = append(widths, m.Bounds().Dx())
			}
		}
		if want := []int{10, 11, 12, 20, 21}; !slices.Equal(widths, want) {
			t.Errorf("%s: widths %v, want %v", name, widths, want)
		}
		want := "an image folder, 3 training and 2 test images in 2 classes, from " + filepath.Base(path)
		if s := set.Source; s.Kind != datasets.Proxy || s.Description != want || s.Path != path {
			t.Errorf("%s: source %+v, want %q", name, s, want)
		}
	}
}

func TestIsImageNet(t *testing.T) {
	set := &Set{Classes: make([]string, 1000), Train: Images{Labels: make([]int32, 1_281_167)}, Test: Images{Labels: make([]int32, 50_000)}}
	if !set.isImageNet() {
		t.Error("ImageNet is not seen as such")
	}
	if set.Test.Labels = set.Test.Labels[1:]; set.isImageNet() {
		t.Error("ImageNet without an image is seen as ImageNet")
	}
}

func TestImageFolderErrors(t *testing.T) {
	good := animals(t)
	for want, files := range map[string]folder{
		"the class folder train/bee has no images":                                          good.with("train/bee/", "").with("test/bee/1.png", "x"),
		"the class folder test/bee has no images":                                           good.with("train/bee/1.png", "x").with("test/bee/", ""),
		"the class bee of train is missing in test":                                         good.with("train/bee/1.png", "x"),
		"the class bee of test is missing in train":                                         good.with("test/bee/1.png", "x"),
		"train/1.jpg is misplaced":                                                          good.with("train/1.jpg", "x"),
		"train/cat/black":                                                                   good.with("train/cat/black/1.jpg", "x"),
		"there are no images to train and test on":                                          {"README.md": "nothing", "1.jpg": "x"},
		"should be in train/<class> and test/<class>":                                       {"train/cat/1.jpg": "x"},
		"(or val/<class>, valid/<class>) as .jpg, .jpeg or":                                 {"test/cat/1.jpg": "x"},
		"files; there is test":                                                              {"test/cat/1.jpg": "x"},
		".png files; there is cat, dog":                                                     {"cat/1.jpg": "x", "dog/1.jpg": "x"},
		"the class Cat of train is missing in test, which has cat: give both the same name": {"train/Cat/1.jpg": "x", "test/cat/1.jpg": "x"},
		"there are several image sets, in a and b: pass the folder of one":                  {"a/train/cat/1.jpg": "x", "a/test/cat/1.jpg": "x", "b/train/cat/1.jpg": "x", "b/val/cat/1.jpg": "x"},
		"such as train/cat/1.jpg":                                                           {"train/1.png": "x"},
		"there are no images to train and test on, which s":                                 {},
		"files; there is nothing":                                                           {},
	} {
		for _, path := range []string{files.write(t), files.writeTarGz(t)} {
			_, err := Open(context.Background(), path)
			wantError(t, err, "images: "+path, want)
		}
	}
	_, err := Open(context.Background(), filepath.Join(t.TempDir(), "none"))
	wantError(t, err, "images: ", "none", "no such file")
}

func TestDamagedImage(t *testing.T) {
	whole := jpegFile(t, gradient(12, 8))
	size := strings.Index(whole, "\xff\xc0") + 5 // after the marker of the frame
	huge := whole[:size] + "\xff\xff\xff\xff" + whole[size+4:]
	for why, content := range map[string]string{
		"cannot be decoded, get it again: unexpected EOF":                       whole[:len(whole)/2],
		"cannot be decoded, get it again: image: unknown format":                "<html>",
		"cannot be decoded, get it again: image: unknown":                       "",
		"cannot be decoded, get it again: it claims to have 65535×65535 pixels": huge,
	} {
		files := animals(t).with("train/cat/1.jpg", content)
		for _, path := range []string{files.write(t), files.writeTarGz(t)} {
			set := mustOpen(t, path)
			if _, err := set.Train.Read(0); err != nil {
				t.Error(err)
			}
			_, err := set.Train.Read(1)
			wantError(t, err, path, "the image ", "train/cat/1.jpg "+why)
		}
	}
	path := animals(t).write(t)
	set := mustOpen(t, path)
	if err := os.Remove(filepath.Join(path, "train/cat/1.jpg")); err != nil {
		t.Fatal(err)
	}
	_, err := set.Train.Read(1)
	wantError(t, err, filepath.Join(path, "train/cat/1.jpg"))
}

func TestDamagedArchive(t *testing.T) {
	good := animals(t).tarGz(t)
	flipped := bytes.Clone(good)
	flipped[len(flipped)-6] ^= 1 // in the checksum of gzip
	for want, data := range map[string][]byte{
		"this is not a .tar.gz or .tar":        []byte("train, test"),
		"it is empty, get it again":            nil,
		"nor the folder of an image set: arch": zipped(t, strings.Repeat("not a tar", 200)),
		"cut off or damaged, get it again":     good[:len(good)/2],
		"get it again: gzip: invalid checksum": flipped,
		"get it again: unexpected EOF":         good[:len(good)-3],
		"there are no images":                  zipped(t, ""),
	} {
		path := writeFile(t, "set.tar.gz", data)
		_, err := Open(context.Background(), path)
		wantError(t, err, "images: "+path, want)
	}
	var large bytes.Buffer
	header := &tar.Header{Name: "train/cat/1.jpg", Size: archiveLimit + 1, Mode: 0o644}
	if err := tar.NewWriter(&large).WriteHeader(header); err != nil {
		t.Fatal(err)
	}
	_, err := readArchive(context.Background(), bytes.NewReader(zipped(t, large.String())))
	wantError(t, err, "more than 1 GiB")

	for cut := range good {
		if _, err := readArchive(context.Background(), bytes.NewReader(good[:cut])); err == nil {
			t.Fatalf("an archive cut at byte %d was not seen", cut)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	path := writeFile(t, "set.tar.gz", good)
	_, err = Open(ctx, path)
	if wantError(t, err, "stopped reading "+path); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
}

func TestRecords(t *testing.T) {
	files := binaryCIFAR10(20)
	first := []byte(files[trainBatches[1]])
	for i := range 3 * planeSize {
		first[1+i] = byte(i / 7)
	}
	files[trainBatches[1]] = string(first)
	set, err := readRecords(files.reader())
	if err != nil {
		t.Fatal(err)
	}
	if set.Train.Len() != 100 || set.Test.Len() != 20 || set.Train.Labels[23] != 3 || !slices.Equal(set.Classes, cifar10Classes) {
		t.Fatalf("%s, labels %v", set.contents(), set.Train.Labels)
	}
	m, err := set.Train.Read(20)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []image.Point{{0, 0}, {31, 0}, {0, 31}, {17, 5}} {
		at := 32*p.Y + p.X
		r, g, b, _ := m.At(p.X, p.Y).RGBA()
		if got, want := [3]byte{byte(r), byte(g), byte(b)}, [3]byte{byte(at / 7), byte((1024 + at) / 7), byte((2048 + at) / 7)}; got != want {
			t.Errorf("pixel %v is %v, want %v", p, got, want)
		}
	}
}

func TestRecordErrors(t *testing.T) {
	good := binaryCIFAR10(10)
	badLabel := []byte(good[testBatch])
	badLabel[4*recordSize] = 10
	for want, files := range map[string]folder{
		"data_batch_2.bin has 30,731 by": good.with("data_batch_2.bin", good["data_batch_2.bin"]+"x"),
		"data_batch_5.bin has 0 bytes":   good.with("data_batch_5.bin", ""),
		"test_batch.bin: record 4 has label 10, but batches.meta.txt names 10 classes": good.with(testBatch, string(badLabel)),
		"record 3 has label 3, but batches.meta.txt names 3":                           good.with(cifarMeta, "a\nb\nc\n"),
		"there are 50 training and 10 test images in 10 classes, but CIFAR-10 has":     good,
	} {
		for _, path := range []string{files.write(t), files.writeTarGz(t)} {
			_, err := Open(context.Background(), path)
			wantError(t, err, "images: "+path, want, "get it again")
		}
	}
	for _, name := range []string{"data_batch_1.bin", testBatch, cifarMeta} {
		files := good.with(name, "-")
		_, err := Open(context.Background(), files.write(t))
		wantError(t, err, name, "no such file")
		_, err = Open(context.Background(), files.writeTarGz(t))
		wantError(t, err, name+" is missing")
	}
}

// What Open finds when no path is given, in its order.
func TestResolution(t *testing.T) {
	data, cache := t.TempDir(), t.TempDir()
	t.Setenv(envData, data)
	t.Setenv("CTNAS_CACHE", cache)
	t.Setenv("CTNAS_DOWNLOAD", "")
	put := func(folder, name string, content []byte) string {
		t.Helper()
		path := filepath.Join(folder, cifarFolder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	check := func(kind datasets.Kind, path string, words ...string) {
		t.Helper()
		source := mustOpen(t, "").Source
		if source.Kind != kind || source.Path != path {
			t.Errorf("source %+v, want %s at %s", source, kind, path)
		}
		for _, w := range words {
			if s := fmt.Sprint(source, source.Notes); !strings.Contains(s, w) {
				t.Errorf("source %q, want %q in it", s, w)
			}
		}
	}
	check(datasets.Proxy, "", "shapes drawn by this library, 10,000 training", "stand in for CIFAR-10", data, datasets.CIFAR10)

	cached := put(cache, datasets.CIFAR10, []byte("half a download"))
	_, err := Open(context.Background(), "")
	wantError(t, err, cached, "15 bytes")

	jpegs, one := folder{}, jpegFile(t, gradient(2, 2))
	for part, n := range map[string]int{trainPart: 5000, testPart: 1000} {
		for _, class := range cifar10Classes {
			for i := range n {
				jpegs[fmt.Sprintf("%s/%s/%04d.jpg", part, class, i)] = one
			}
		}
	}
	jpegs["train/cat/more.webp"] = "x"
	path := put(data, jpegArchive, jpegs.tarGz(t))
	check(datasets.Proxy, path, "a copy of CIFAR-10", "not its exact pixels", "50,000 training and 10,000 test images in 10 classes, from images.tar.gz [left out a file", "(1 .webp)")

	path = put(data, datasets.CIFAR10, binaryCIFAR10(10_000).tarGz(t))
	check(datasets.Real, path, "real CIFAR-10, 50,000 training and 10,000 test images in 10 classes, from cifar-10-binary.tar.gz []")

	path = put(data, datasets.CIFAR10, animals(t).tarGz(t))
	_, err = Open(context.Background(), "")
	wantError(t, err, path, "is not CIFAR-10", "2 classes")

	t.Setenv(envData, filepath.Join(data, "none"))
	_, err = Open(context.Background(), "")
	wantError(t, err, envData+" is set to", "none", "correct it")
}

func TestHoldOut(t *testing.T) {
	set := Shapes()
	rest, held, err := set.Train.HoldOut(1000, 1)
	if err != nil || rest.Len() != 9000 || held.Len() != 1000 {
		t.Fatalf("%d and %d images, %v", rest.Len(), held.Len(), err)
	}
	counts := make([]int, 10)
	for _, label := range held.Labels {
		counts[label]++
	}
	for class, n := range counts {
		if n != 100 {
			t.Errorf("%d images of class %d are held out, want 100", n, class)
		}
	}
	// Together they are all images, each once and in order.
	numbers := Images{make([]int32, 50), func(i int) (image.Image, error) { return image.Rect(0, 0, i, 1), nil }}
	rest, held, err = numbers.HoldOut(20, 3)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, part := range []Images{rest, held} {
		last := -1
		for i := range part.Len() {
			m, _ := part.Read(i)
			if n := m.Bounds().Dx(); n <= last || seen[n] {
				t.Fatalf("image %d comes after %d, or again", n, last)
			} else {
				seen[n], last = true, n
			}
		}
	}
	if len(seen) != 50 {
		t.Errorf("%d images are left of 50", len(seen))
	}
	for _, n := range []int{0, 7, set.Test.Len()} {
		rest, held, err := set.Test.HoldOut(n, 1)
		if err != nil || held.Len() != n || rest.Len() != set.Test.Len()-n {
			t.Errorf("%d and %d images, %v; want %d held out", rest.Len(), held.Len(), err, n)
		}
	}
	_, _, err = set.Test.HoldOut(2001, 1)
	wantError(t, err, "cannot hold out 2001 of 2000 images")
}
