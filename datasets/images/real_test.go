package images

import (
	"context"
	"os"
	"runtime"
	"testing"
	"time"
)

// The real images, where they are: what they are, and how fast they are read.
func TestRealCIFAR10(t *testing.T) {
	if os.Getenv(envData) == "" {
		t.Skip(envData + " is not set")
	}
	before := memory()
	start := time.Now()
	set, err := Open(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("opened in %v, %d MB: %v", time.Since(start), memory()-before, set.Source)
	if !set.isCIFAR10() {
		t.Skipf("%s holds %s", envData, set.contents())
	}
	for name, l := range map[string]Loader{
		"training": {Images: set.Train, BatchSize: 128, Size: 32, Normalization: set.Normalization, Augment: PadCropFlip(4), Shuffle: true, Seed: 1},
		"test":     {Images: set.Test, BatchSize: 256, Size: 32, Normalization: set.Normalization},
	} {
		start, n := time.Now(), 0
		var sum, squares float64
		for b, err := range l.Batches(context.Background(), 0, 0) {
			if err != nil {
				t.Fatal(err)
			}
			n += len(b.Labels)
			for _, v := range b.Pixels {
				sum += float64(v)
				squares += float64(v) * float64(v)
			}
		}
		took := time.Since(start)
		t.Logf("%s: %d images in %v, %.0f a second with %d processors, %d MB", name, n, took, float64(n)/took.Seconds(),
			runtime.GOMAXPROCS(0), memory()-before)
		if want := set.Train.Len() / 128 * 128; name == "training" && n != want || name == "test" && n != cifar10Test {
			t.Errorf("%s: %d images", name, n)
		}
		count := float64(n * 32 * 32 * 3)
		if mean, power := sum/count, squares/count; name == "test" && (mean < -0.2 || mean > 0.2 || power < 0.8 || power > 1.2) {
			t.Errorf("%s: the normalised values have mean %.3f and mean square %.3f, want about 0 and 1", name, mean, power)
		}
	}
	runtime.KeepAlive(set)
}

// memory is what is in use, in MB.
func memory() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc >> 20)
}
