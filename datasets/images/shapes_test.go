package images

import (
	"crypto/sha256"
	"encoding/hex"
	"image"
	"math"
	"slices"
	"testing"
)

// The shapes are the same on every machine and in every version.
func TestShapesDigest(t *testing.T) {
	set := Shapes()
	digest := sha256.New()
	for _, part := range []Images{set.Train.choose(indicesTo(1000)), set.Test.choose(indicesTo(1000))} {
		for i := range part.Len() {
			m, err := part.Read(i)
			if err != nil {
				t.Fatal(err)
			}
			digest.Write(m.(*image.RGBA).Pix)
		}
	}
	const want = "ead6ba635ecacaf3aaa0f3f6d50a1f17111e624bfe96177021d7c7361e6857cd"
	if got := hex.EncodeToString(digest.Sum(nil)); got != want {
		t.Errorf("the SHA-256 of the first 1,000 shapes of each part is %s, want %s", got, want)
	}
}

func TestShapes(t *testing.T) {
	set := Shapes()
	if set.Train.Len() != 10_000 || set.Test.Len() != 2000 || len(set.Classes) != 10 || !slices.IsSorted(set.Classes) {
		t.Errorf("%s: %v", set.contents(), set.Classes)
	}
	var sum, squares, n float64
	for b, err := range (Loader{Images: set.Test, BatchSize: 100, Size: 32, Normalization: set.Normalization}).Batches(t.Context(), 0, 0) {
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range b.Pixels {
			sum += float64(v)
			squares += float64(v) * float64(v)
			n++
		}
	}
	if mean, power := sum/n, squares/n; math.Abs(mean) > 0.02 || math.Abs(power-1) > 0.03 {
		t.Errorf("the normalised values have mean %.3f and mean square %.3f, want 0 and 1", mean, power)
	}
}

// Each figure lies in its circle or a little beyond, and none is much larger than another.
func TestFigures(t *testing.T) {
	for _, f := range figures {
		area := 0
		for y := -2 * unit; y <= 2*unit; y += 32 {
			for x := -2 * unit; x <= 2*unit; x += 32 {
				if f.inside(x, y) {
					area++
					if !within(x, y, unit*5/4) {
						t.Fatalf("%s: %d, %d is too far out", f.name, x, y)
					}
				}
			}
		}
		if share := float64(area) * 32 * 32 / (math.Pi * unit * unit); share < 0.35 || share > 0.6 {
			t.Errorf("%s: area %.2f of the circle", f.name, share)
		}
	}
	for angle := range 64 {
		if want := unit * math.Sin(float64(angle)*math.Pi/32); math.Abs(float64(sine(angle))-want) > 0.51 {
			t.Errorf("sine(%d) is %d, want %.1f", angle, sine(angle), want)
		}
	}
}
