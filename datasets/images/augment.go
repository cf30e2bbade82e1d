package images

import (
	"errors"
	"image"
	"math"
	"math/rand/v2"

	"golang.org/x/image/draw"
)

// View is what a batch shows of an image: what is in the window, scaled to the size
// of the batch, and then mirrored left to right if Flip. Outside of the image the
// window is black.
type View struct {
	Window image.Rectangle
	Flip   bool
}

// Augment chooses the view of an image with these bounds for a batch of size×size
// pixels. It takes what is random from rng.
type Augment func(rng *rand.Rand, bounds image.Rectangle, size int) View

// CenterCrop shows the square in the middle whose side is this share of the
// image's shorter side. It is what a network is evaluated on: CenterCrop(1) for
// small images, CenterCrop(0.875) for ImageNet.
func CenterCrop(share float64) Augment {
	return func(_ *rand.Rand, bounds image.Rectangle, _ int) View {
		side := max(1, int(math.Round(share*float64(min(bounds.Dx(), bounds.Dy())))))
		return View{Window: centred(bounds, side, side)}
	}
}

// PadCropFlip shows the square in the middle moved at random, by up to padding
// pixels of the batch up or down and left or right, and mirrors half of the images:
// the standard augmentation for CIFAR-10, with a padding of 4.
func PadCropFlip(padding int) Augment {
	return func(rng *rand.Rand, bounds image.Rectangle, size int) View {
		side := min(bounds.Dx(), bounds.Dy())
		reach := max(0, padding) * side / size
		by := image.Pt(rng.IntN(2*reach+1)-reach, rng.IntN(2*reach+1)-reach)
		return View{centred(bounds, side, side).Add(by), rng.IntN(2) == 0}
	}
}

// RandomResizedCrop shows a random rectangle, of 8 % to 100 % of the image's area
// and with sides in the ratio 3:4 to 4:3, and mirrors half of the images: the
// standard augmentation for ImageNet.
func RandomResizedCrop() Augment {
	return func(rng *rand.Rand, bounds image.Rectangle, _ int) View {
		view := View{Flip: rng.IntN(2) == 0}
		for range 10 {
			area := (0.08 + 0.92*rng.Float64()) * float64(bounds.Dx()) * float64(bounds.Dy())
			ratio := math.Exp((2*rng.Float64() - 1) * math.Log(4./3))
			width := int(math.Round(math.Sqrt(area * ratio)))
			height := int(math.Round(math.Sqrt(area / ratio)))
			if width < 1 || height < 1 || width > bounds.Dx() || height > bounds.Dy() {
				continue
			}
			at := bounds.Min.Add(image.Pt(rng.IntN(bounds.Dx()-width+1), rng.IntN(bounds.Dy()-height+1)))
			view.Window = image.Rectangle{at, at.Add(image.Pt(width, height))}
			return view
		}
		// The image is very wide or very high: the middle, as near to the ratio as can be.
		view.Window = centred(bounds, min(bounds.Dx(), bounds.Dy()*4/3), min(bounds.Dy(), bounds.Dx()*4/3))
		return view
	}
}

// centred returns a rectangle in the middle of bounds.
func centred(bounds image.Rectangle, width, height int) image.Rectangle {
	at := bounds.Min.Add(image.Pt((bounds.Dx()-width)/2, (bounds.Dy()-height)/2))
	return image.Rectangle{at, at.Add(image.Pt(width, height))}
}

// render scales what is in the window of an image to all of dst.
func render(dst *image.RGBA, src image.Image, window image.Rectangle) {
	visible := window.Intersect(src.Bounds())
	if visible != window {
		clear(dst.Pix)
	}
	if dst.Rect.Size() == window.Size() {
		draw.Draw(dst, visible.Sub(window.Min), src, visible.Min, draw.Src)
		return
	}
	scale := func(p image.Point) image.Point {
		p = p.Sub(window.Min)
		return image.Pt(p.X*dst.Rect.Dx()/window.Dx(), p.Y*dst.Rect.Dy()/window.Dy())
	}
	draw.BiLinear.Scale(dst, image.Rectangle{scale(visible.Min), scale(visible.Max)}, src, visible, draw.Src, nil)
}

// Normalization makes the values of each channel, red, green and blue, from 0 to
// 1, those of a network: (value − Mean)/Std.
type Normalization struct {
	Mean, Std [3]float64
}

func (n Normalization) check() error {
	for c := range n.Std {
		if !(n.Std[c] > 0) || math.IsInf(n.Std[c], 0) || math.IsNaN(n.Mean[c]) || math.IsInf(n.Mean[c], 0) {
			return errors.New("the normalization needs a positive Std and a Mean for each channel")
		}
	}
	return nil
}

// table holds what each byte of each channel becomes.
type table [3][256]float32

func (n Normalization) table() *table {
	var t table
	for c := range t {
		for v := range t[c] {
			t[c][v] = float32((float64(v)/255 - n.Mean[c]) / n.Std[c])
		}
	}
	return &t
}

// write writes the pixels of m to out, [height, width, 3], mirrored if flip.
func (t *table) write(out []float32, m *image.RGBA, flip bool) {
	width := m.Rect.Dx()
	for i := range width * m.Rect.Dy() {
		from := i
		if flip {
			from = i - i%width + width - 1 - i%width
		}
		p := m.Pix[4*from : 4*from+3]
		o := out[3*i : 3*i+3]
		o[0], o[1], o[2] = t[0][p[0]], t[1][p[1]], t[2][p[2]]
	}
}
