package images

import (
	"bytes"
	"compress/gzip"
	"context"
	"image"
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

// A tar archive of any content, well zipped.
func FuzzArchive(f *testing.F) {
	for _, files := range []folder{animals(f), animals(f).with("train/bee/", ""), {"train/cat/1.jpg": "x", "test/cat/1.png": ""}, binaryCIFAR10(1)} {
		zipped, err := gzip.NewReader(bytes.NewReader(files.tarGz(f)))
		if err != nil {
			f.Fatal(err)
		}
		var plain bytes.Buffer
		if _, err := plain.ReadFrom(zipped); err != nil {
			f.Fatal(err)
		}
		f.Add(plain.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := readArchive(context.Background(), bytes.NewReader(stored(t, data)))
		if err != nil {
			return
		}
		if set, err := setOf(entries, "set.tar.gz"); err == nil {
			checkSet(t, set)
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
