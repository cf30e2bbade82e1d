package images

import (
	"image"
	"math"
	"math/rand/v2"
	"testing"
)

func TestCenterCrop(t *testing.T) {
	for _, c := range []struct {
		bounds, want image.Rectangle
		share        float64
	}{
		{image.Rect(0, 0, 32, 32), image.Rect(0, 0, 32, 32), 1},
		{image.Rect(0, 0, 500, 400), image.Rect(75, 25, 425, 375), 0.875},
		{image.Rect(10, 20, 40, 120), image.Rect(10, 55, 40, 85), 1},
		{image.Rect(0, 0, 1, 9), image.Rect(0, 4, 1, 5), 0.1},
	} {
		if got := CenterCrop(c.share)(nil, c.bounds, 224); got != (View{Window: c.want}) {
			t.Errorf("CenterCrop(%v) of %v is %v, want %v", c.share, c.bounds, got, c.want)
		}
	}
}

// All 9×9 windows and both directions are about equally frequent, and neighbours in
// a set have nothing to do with each other.
func TestPadCropFlip(t *testing.T) {
	const n = 162 * 200
	source := &rand.PCG{}
	rng := rand.New(source)
	counts, pairs := map[View]int{}, map[[2]bool]int{}
	var before View
	for i := range n {
		source.Seed(7, streamImage*3+uint64(i))
		v := PadCropFlip(4)(rng, image.Rect(0, 0, 32, 32), 32)
		if v.Window.Size() != image.Pt(32, 32) || !v.Window.In(image.Rect(-4, -4, 36, 36)) {
			t.Fatalf("view %v", v)
		}
		counts[v]++
		pairs[[2]bool{before.Flip == v.Flip, before.Window.Min.X == v.Window.Min.X}]++
		before = v
	}
	if len(counts) != 162 {
		t.Errorf("%d different views, want 162", len(counts))
	}
	chi2 := 0.
	for _, c := range counts {
		chi2 += float64((c-200)*(c-200)) / 200
	}
	if chi2 > 230 { // 161 ± 18
		t.Errorf("views are not equally frequent: χ² is %.0f", chi2)
	}
	for pair, share := range map[[2]bool]float64{{true, true}: 1. / 18, {true, false}: 8. / 18, {false, true}: 1. / 18, {false, false}: 8. / 18} {
		if want, got := share*n, float64(pairs[pair]); math.Abs(got-want) > 4*math.Sqrt(want) {
			t.Errorf("neighbours agree in direction and place (%v) %.0f times, want %.0f", pair, got, want)
		}
	}
	// On larger images, padding is as large in the batch.
	if v := PadCropFlip(4)(rng, image.Rect(0, 0, 320, 640), 32); v.Window.Size() != image.Pt(320, 320) || !v.Window.In(image.Rect(-40, 120, 360, 520)) {
		t.Errorf("view %v of a large image", v)
	}
}

func TestRandomResizedCrop(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, bounds := range []image.Rectangle{image.Rect(0, 0, 500, 375), image.Rect(5, 5, 105, 405), image.Rect(0, 0, 1, 1), image.Rect(0, 0, 3, 2)} {
		var area, flips float64
		const n = 2000
		for range n {
			v := RandomResizedCrop()(rng, bounds, 224)
			if v.Window.Empty() || !v.Window.In(bounds) {
				t.Fatalf("view %v of %v", v, bounds)
			}
			area += float64(v.Window.Dx()*v.Window.Dy()) / float64(bounds.Dx()*bounds.Dy()) / n
			if v.Flip {
				flips += 1. / n
			}
			ratio := float64(v.Window.Dx()) / float64(v.Window.Dy())
			if bounds.Dx() > 50 && (ratio < 0.72 || ratio > 1.39) {
				t.Fatalf("view %v has ratio %v", v, ratio)
			}
		}
		if math.Abs(flips-0.5) > 0.05 || bounds.Dx() == 500 && math.Abs(area-0.45) > 0.05 {
			t.Errorf("%v: %.2f are mirrored, the mean area is %.2f", bounds, flips, area)
		}
	}
}

// What a view shows is exact where nothing is scaled.
func TestRender(t *testing.T) {
	m := gradient(40, 40)
	dst := image.NewRGBA(image.Rect(0, 0, 32, 32))
	for _, window := range []image.Rectangle{image.Rect(0, 0, 32, 32), image.Rect(-4, 3, 28, 35), image.Rect(12, 12, 44, 44), image.Rect(-90, 0, -58, 32)} {
		for i := range dst.Pix {
			dst.Pix[i] = 77 // of the image before
		}
		render(dst, m, window)
		out := make([]float32, 32*32*3)
		bytesOf.table().write(out, dst, true)
		for y := range 32 {
			for x := range 32 {
				at := window.Min.Add(image.Pt(31-x, y))
				want := [3]float32{float32(at.X), float32(at.Y), float32(at.X + at.Y)}
				if !at.In(m.Rect) {
					want = [3]float32{}
				}
				if got := [3]float32(out[3*(32*y+x):]); got != want {
					t.Fatalf("window %v: pixel %d, %d is %v, want %v", window, x, y, got, want)
				}
			}
		}
	}
}

// A scaled gradient is a gradient; also in part, and for each format of pixels.
func TestRenderScaled(t *testing.T) {
	m := gradient(120, 90)
	yuv := image.NewYCbCr(m.Rect, image.YCbCrSubsampleRatio420)
	for i := range yuv.Y {
		yuv.Y[i] = m.Pix[4*i]
	}
	for i := range yuv.Cb {
		yuv.Cb[i], yuv.Cr[i] = 128, 128
	}
	dst := image.NewRGBA(image.Rect(0, 0, 20, 20))
	for _, src := range []image.Image{m, yuv} {
		for _, window := range []image.Rectangle{image.Rect(10, 10, 70, 70), image.Rect(-30, 0, 30, 60), image.Rect(100, 80, 110, 90)} {
			render(dst, src, window)
			scale := window.Dx() / 20
			for x := range 20 {
				want := float64(window.Min.X) + (float64(x)+0.5)*float64(window.Dx())/20 - 0.5
				inside := want > float64(scale) && want < 119
				if want < -0.5 {
					want, inside = 0, true
				}
				if got := float64(dst.RGBAAt(x, 10).R); inside && math.Abs(got-want) > 1.5 {
					t.Errorf("%T, window %v: red at %d is %v, want %.1f", src, window, x, got, want)
				}
			}
		}
	}
}

func TestNormalization(t *testing.T) {
	table := cifar10Normalization.table()
	if got, want := float64(table[1][128]), (128./255-0.4822)/0.2435; math.Abs(got-want) > 1e-6 {
		t.Errorf("a green of 128 becomes %v, want %v", got, want)
	}
}
