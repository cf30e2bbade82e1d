package images

import (
	"bytes"
	"compress/gzip"
	"context"
	"image"
	"io"
	"math/rand/v2"
	"testing"
)

// checkSet reads all images of a set that was let through.
func checkSet(t *testing.T, set *Set) {
	t.Helper()
	for _, part := range []Images{set.Train, set.Test} {
		if part.Len() == 0 {
			t.Fatal("there are no images")
		}
		for i, label := range part.Labels {
			if label < 0 || int(label) >= len(set.Classes) {
				t.Fatalf("image %d has label %d of %d classes", i, label, len(set.Classes))
			}
			m, err := part.Read(i)
			if err == nil && m.Bounds().Empty() {
				t.Fatalf("image %d is empty", i)
			}
		}
	}
}

// Five batches and a test batch of any content.
func FuzzRecords(f *testing.F) {
	f.Add([]byte("a\nb\n"), records(2), records(1))
	f.Add([]byte(nil), records(1), []byte{0})
	f.Fuzz(func(t *testing.T, meta, train, test []byte) {
		files := folder{cifarMeta: string(meta), testBatch: string(test)}
		for _, name := range trainBatches {
			files[name] = string(train)
		}
		set, err := readRecords(files.reader())
		if err != nil {
			return
		}
		checkSet(t, set)
		if set.Train.Len() != 5*len(train)/recordSize {
			t.Fatalf("%d images of %d bytes", set.Train.Len(), len(train))
		}
		m, _ := set.Test.Read(set.Test.Len() - 1)
		if p := m.(*image.RGBA).RGBAAt(31, 31); p.B != test[len(test)-1] {
			t.Fatalf("the last pixel is %v", p)
		}
	})
}

// A tar archive of any content, plain and well zipped, is the same set.
func FuzzArchive(f *testing.F) {
	for _, files := range []folder{animals(f), animals(f).with("train/bee/", ""), {"train/cat/1.jpg": "x", "test/cat/1.png": ""}, binaryCIFAR10(1)} {
		zipped, err := gzip.NewReader(bytes.NewReader(files.tarGz(f)))
		if err != nil {
			f.Fatal(err)
		}
		plain, err := io.ReadAll(zipped)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(plain)
	}
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 0))
		if data := randomTree(f, rng).tar(f, randomPacking(rng)); len(data) < 1<<15 { // fuzzing needs small ones
			f.Add(data)
		}
	}
	for _, members := range oddMembers(f) {
		f.Add(tarOf(f, members...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		open := func(data []byte) (*Set, error) {
			a, err := readArchive(context.Background(), bytes.NewReader(data))
			if err != nil {
				return nil, err
			}
			return openVolume(context.Background(), a, "set")
		}
		set, err := open(stored(t, data))
		if err != nil {
			return
		}
		checkSet(t, set)
		if bytes.HasPrefix(data, gzipMagic) {
			return
		}
		// What is not zipped has to end well.
		plain, err := open(append(data, make([]byte, 2*tarBlock)...))
		if err != nil && len(data)%tarBlock == 0 {
			t.Fatalf("zipped it is a set, plain: %v", err)
		}
		if err == nil && digest(t, plain) != digest(t, set) {
			t.Fatal("zipped it is another set")
		}
	})
}

// Any image is opaque once read, and takes no more memory than its size warrants.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(pngFile(f, gradient(3, 2))))
	f.Add([]byte(jpegFile(f, gradient(9, 8))))
	for _, c := range converted {
		f.Add(fromBase64(c.base64))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decodeNamed("1.png", data)
		if err != nil {
			return
		}
		b := m.Bounds()
		if b.Empty() || b.Dx()*b.Dy()/pixelsInByte > len(data) {
			t.Fatalf("%v of %d bytes", b, len(data))
		}
		for i := range min(64, b.Dx()*b.Dy()) {
			if _, _, _, alpha := m.At(b.Min.X+i%b.Dx(), b.Min.Y+i/b.Dx()).RGBA(); alpha != 0xffff {
				t.Fatalf("%T, pixel %d has alpha %d", m, i, alpha)
			}
		}
	})
}

// stored is the data in the format of gzip, not compressed.
func stored(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.NoCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
