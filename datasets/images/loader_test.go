package images

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// numbered are n images of one pixel whose red is the index.
func numbered(n int) Images {
	labels := make([]int32, n)
	for i := range labels {
		labels[i] = int32(i % 7)
	}
	return Images{labels, func(i int) (image.Image, error) {
		m := image.NewRGBA(image.Rect(0, 0, 1, 1))
		m.Pix = []byte{byte(i), byte(i >> 8), 0, 255}
		return m, nil
	}}
}

// bytesOf makes the values of a batch bytes again.
var bytesOf = Normalization{Std: [3]float64{1. / 255, 1. / 255, 1. / 255}}

// collect is a copy of all batches.
func collect(t testing.TB, l Loader, epoch, first int) []Batch {
	t.Helper()
	var batches []Batch
	for b, err := range l.Batches(context.Background(), epoch, first) {
		if err != nil {
			t.Fatal(err)
		}
		batches = append(batches, Batch{slices.Clone(b.Pixels), slices.Clone(b.Labels)})
	}
	return batches
}

func same(a, b []Batch) bool {
	return slices.EqualFunc(a, b, func(a, b Batch) bool {
		return slices.Equal(a.Pixels, b.Pixels) && slices.Equal(a.Labels, b.Labels)
	})
}

// indices are those of the numbered images in the batches.
func indices(t testing.TB, batches []Batch) []int {
	t.Helper()
	var all []int
	for _, b := range batches {
		for i, label := range b.Labels {
			n := int(math.Round(float64(b.Pixels[3*i]) + 256*float64(b.Pixels[3*i+1])))
			if int32(n%7) != label {
				t.Fatalf("image %d has label %d", n, label)
			}
			all = append(all, n)
		}
	}
	return all
}

func TestOrder(t *testing.T) {
	l := Loader{Images: numbered(100), BatchSize: 16, Size: 1, Normalization: bytesOf, Seed: 5}
	inOrder := indices(t, collect(t, l, 3, 0))
	if len(inOrder) != 100 || !slices.IsSorted(inOrder) || l.Len() != 7 {
		t.Errorf("without shuffling, %d batches of images %v", l.Len(), inOrder)
	}
	l.Shuffle = true
	first, second := indices(t, collect(t, l, 0, 0)), indices(t, collect(t, l, 1, 0))
	if l.Len() != 6 || len(first) != 96 || slices.Equal(first, second) {
		t.Errorf("%d batches of images %v, then %v", l.Len(), first, second)
	}
	slices.Sort(first)
	if len(slices.Compact(first)) != 96 {
		t.Error("an image is there twice")
	}
	if rest := indices(t, collect(t, l, 1, 4)); !slices.Equal(rest, second[64:]) {
		t.Errorf("from batch 4 on, images %v, want %v", rest, second[64:])
	}
	if rest := collect(t, l, 1, 6); rest != nil {
		t.Errorf("%d batches after the last", len(rest))
	}
}

// Batches do not depend on how many workers there are, nor on who is first.
func TestBatchesAreAFunction(t *testing.T) {
	set := Shapes()
	read := set.Train.Read
	set.Train.Read = func(i int) (image.Image, error) {
		time.Sleep(time.Duration(i%3) * 100 * time.Microsecond)
		return read(i)
	}
	for name, augment := range map[string]Augment{"pad": PadCropFlip(4), "resize": RandomResizedCrop(), "none": nil} {
		l := Loader{Images: set.Train.choose(indicesTo(200)), BatchSize: 30, Size: 32, Normalization: set.Normalization, Augment: augment, Shuffle: true, Seed: 2, Workers: 1}
		want := collect(t, l, 1, 0)
		for _, workers := range []int{2, 7, 0} {
			l.Workers = workers
			if !same(collect(t, l, 1, 0), want) {
				t.Errorf("%s: %d workers make other batches than one", name, workers)
			}
		}
		if !same(collect(t, l, 1, 4), want[4:]) {
			t.Errorf("%s: from batch 4 on, batches are others", name)
		}
		if same(collect(t, l, 2, 0), want) {
			t.Errorf("%s: epoch 2 is epoch 1", name)
		}
		if l.Seed = 3; same(collect(t, l, 1, 0), want) {
			t.Errorf("%s: the seed is of no consequence", name)
		}
	}
}

func indicesTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func TestLoaderErrors(t *testing.T) {
	good := Loader{Images: numbered(10), BatchSize: 4, Size: 1, Normalization: bytesOf}
	for want, change := range map[string]func(*Loader){
		"no images":                            func(l *Loader) { l.Images = Images{} },
		"batches of 0 images of 1×1":           func(l *Loader) { l.BatchSize = 0 },
		"images of 0×0 pixels":                 func(l *Loader) { l.Size = 0 },
		"10 images do not fill a batch of 11":  func(l *Loader) { l.BatchSize, l.Shuffle = 11, true },
		"a positive Std":                       func(l *Loader) { l.Normalization = Normalization{} },
		"image 0 has no pixels":                func(l *Loader) { l.Images.Read = func(int) (image.Image, error) { return image.Rectangle{}, nil } },
		"shows nothing of image 0":             func(l *Loader) { l.Augment = func(*rand.Rand, image.Rectangle, int) View { return View{} } },
		"no batch 4 of epoch 0, with 3 batche": nil,
	} {
		l, first := good, 0
		if change != nil {
			change(&l)
		} else {
			first = 4
		}
		n := 0
		for _, err := range l.Batches(context.Background(), 0, first) {
			wantError(t, err, "images: ", want)
			n++
		}
		if n != 1 {
			t.Errorf("%d iterations, want one with an error", n)
		}
	}
}

// waitForGoroutines checks that no more goroutines run than before. One that has
// nothing more to do may still be counted for a moment.
func waitForGoroutines(t *testing.T, before int) {
	t.Helper()
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("%d goroutines run, %d before", runtime.NumGoroutine(), before)
}

// An unreadable image ends the loop at its batch, with the error of the first such
// image of the batch.
func TestUnreadableImage(t *testing.T) {
	before := runtime.NumGoroutine()
	bad := numbered(100)
	read := bad.Read
	bad.Read = func(i int) (image.Image, error) {
		if i%20 == 18 || i == 39 {
			time.Sleep(time.Duration(50-i%50) * 100 * time.Microsecond)
			return nil, fmt.Errorf("image %d is bad", i)
		}
		return read(i)
	}
	for range 5 {
		n := 0
		l := Loader{Images: bad, BatchSize: 10, Size: 1, Normalization: bytesOf, Workers: 4}
		for b, err := range l.Batches(context.Background(), 0, 2) {
			if n++; n == 2 {
				wantError(t, err, "image 38 is bad")
			} else if err != nil || len(b.Labels) != 10 {
				t.Errorf("batch %d: %d images, %v", n, len(b.Labels), err)
			}
		}
		if n != 2 {
			t.Errorf("%d iterations, want 2", n)
		}
	}
	waitForGoroutines(t, before)
}

// However a loop ends, no goroutine is left; and little is read ahead.
func TestEarlyEnd(t *testing.T) {
	before := runtime.NumGoroutine()
	var reads atomic.Int64
	many := numbered(100_000)
	read := many.Read
	many.Read = func(i int) (image.Image, error) {
		reads.Add(1)
		return read(i)
	}
	l := Loader{Images: many, BatchSize: 10, Size: 1, Normalization: bytesOf, Workers: 3}

	for range l.Batches(context.Background(), 0, 0) {
		time.Sleep(20 * time.Millisecond)
		break
	}
	waitForGoroutines(t, before)
	if n := reads.Load(); n > 40 {
		t.Errorf("%d images were read for one batch of 10", n)
	}

	func() {
		defer func() { _ = recover() }()
		for range l.Batches(context.Background(), 0, 0) {
			panic("of the consumer")
		}
	}()
	waitForGoroutines(t, before)

	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	for _, err := range l.Batches(ctx, 0, 0) {
		switch n++; {
		case n == 3:
			cancel()
		case n == 4:
			if wantError(t, err, "images: stopped reading"); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want that of the context", err)
			}
		case err != nil || n > 4:
			t.Fatalf("batch %d: %v", n, err)
		}
	}
	if n != 4 {
		t.Errorf("%d iterations, want 3 and one with the error", n)
	}
	waitForGoroutines(t, before)

	// A reader that hangs for a while does not keep the loop from ending after it.
	many.Read = func(int) (image.Image, error) { <-ctx.Done(); return nil, ctx.Err() }
	ctx, cancel = context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	l.Images = many
	for _, err := range l.Batches(ctx, 0, 0) {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want that of the context", err)
		}
	}
	waitForGoroutines(t, before)
}

func benchmark(b *testing.B, part Images, size int, augment Augment) {
	l := Loader{Images: part, BatchSize: 32, Size: size, Normalization: imageNetNormalization, Augment: augment, Shuffle: true}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		for _, err := range l.Batches(context.Background(), 0, 0) {
			if err != nil {
				b.Fatal(err)
			}
			n += l.BatchSize
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "images/s")
}

func BenchmarkShapes(b *testing.B) { benchmark(b, Shapes().Test, 32, PadCropFlip(4)) }

func BenchmarkRecords(b *testing.B) {
	set, err := readRecords(binaryCIFAR10(500).reader())
	if err != nil {
		b.Fatal(err)
	}
	benchmark(b, set.Train, 32, PadCropFlip(4))
}

// Photographs of the usual size of ImageNet's.
func BenchmarkImageNet(b *testing.B) {
	photo := jpegFile(b, gradient(500, 375))
	files := folder{"test/cat/1.jpg": photo}
	for i := range 64 {
		files[fmt.Sprintf("train/cat/%d.jpg", i)] = photo
	}
	set := mustOpen(b, files.write(b))
	for name, augment := range map[string]Augment{"train": RandomResizedCrop(), "test": CenterCrop(0.875)} {
		b.Run(name, func(b *testing.B) { benchmark(b, set.Train, 224, augment) })
	}
}
