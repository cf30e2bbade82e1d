package images

import (
	"fmt"
	"image"

	"github.com/ctnas/ctnas/datasets"
)

// How many shapes there are to train and test on, and their side in pixels.
const (
	shapesTrain = 10_000
	shapesTest  = 2_000
	shapesSide  = 32
)

// shapesNormalization is the mean and deviation over the training images.
var shapesNormalization = Normalization{Mean: [3]float64{0.364, 0.364, 0.364}, Std: [3]float64{0.218, 0.218, 0.218}}

// Shapes returns the images that need no file: 10,000 to train and 2,000 to test on, of
// 32×32 pixels, in 10 classes. Each is drawn when it is read, by this package, which
// is their licence too, and is the same on every machine.
//
// The class is the form of the figure in the image. Its place, size, direction,
// proportions, colours and pattern are random and say nothing of the class, nor do
// the background, the lines that cross it, and the noise. So a pixel by itself says
// next to nothing, and a linear classifier is little better than chance, while a
// small convolutional network learns the classes in minutes.
func Shapes() *Set {
	classes := make([]string, len(figures))
	for i, f := range figures {
		classes[i] = f.name
	}
	set := &Set{Classes: classes, Train: shapes(shapesTrain, 0), Test: shapes(shapesTest, 1<<32), Normalization: shapesNormalization}
	set.Source = datasets.Source{Kind: datasets.Proxy, Description: fmt.Sprintf("shapes drawn by this library, %s", set.contents())}
	return set
}

// shapes are n images, with the classes in turn and seeds from first on.
func shapes(n int, first uint64) Images {
	labels := make([]int32, n)
	for i := range labels {
		labels[i] = int32(i % len(figures))
	}
	return Images{labels, func(i int) (image.Image, error) {
		return drawFigure(first+uint64(i), figures[labels[i]].inside), nil
	}}
}

// unit is the radius of a figure, in the coordinates of figures.
const unit = 1024

// figures are the classes in the order of their names. All have a
// similar area and lie in the circle of radius unit, with x to the right and y down.
var figures = []struct {
	name   string
	inside func(x, y int) bool
}{
	{"bars", func(x, y int) bool { return abs(x) < 800 && abs(y) > 200 && abs(y) < 620 }},
	{"crescent", func(x, y int) bool { return within(x, y, 960) && !within(x-420, y, 720) }},
	{"cross", func(x, y int) bool { return max(abs(x), abs(y)) < 860 && min(abs(x), abs(y)) < 260 }},
	{"disc", func(x, y int) bool { return within(x, y, 760) }},
	{"ell", func(x, y int) bool { return abs(x) < 700 && abs(y) < 700 && (x < -150 || y > 150) }},
	{"frame", func(x, y int) bool { return max(abs(x), abs(y)) < 720 && max(abs(x), abs(y)) > 400 }},
	{"hourglass", func(x, y int) bool { return abs(y) < 760 && abs(x) < abs(y)+60 }},
	{"ring", func(x, y int) bool { return within(x, y, 880) && !within(x, y, 520) }},
	{"square", func(x, y int) bool { return max(abs(x), abs(y)) < 680 }},
	{"triangle", func(x, y int) bool { return y < 560 && 9*(y+1000) > 16*abs(x) }},
}

func abs(x int) int { return max(x, -x) }

func within(x, y, radius int) bool { return x*x+y*y < radius*radius }

// sines[i] is unit·sin(i·90°/16), rounded. All is drawn with integers: so it is the
// same everywhere.
var sines = [...]int{0, 100, 200, 297, 392, 483, 569, 650, 724, 792, 851, 903, 946, 980, 1004, 1019, 1024}

// sine is unit·sin(angle·90°/16).
func sine(angle int) int {
	switch angle %= 64; {
	case angle < 16:
		return sines[angle]
	case angle < 32:
		return sines[32-angle]
	}
	return -sine(angle - 32)
}

// dice is the generator SplitMix64.
type dice uint64

// roll returns a number from low to high.
func (d *dice) roll(low, high int) int {
	*d += 0x9e3779b97f4a7c15
	z := uint64(*d)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	z ^= z >> 31
	return low + int(z>>33)%(high-low+1)
}

// rgb is red, green and blue, from 0 to 255.
type rgb [3]int

// color returns a color of any hue, the lighter the higher from is.
func (d *dice) color(from int) rgb {
	return rgb{d.roll(from, from+140), d.roll(from, from+140), d.roll(from, from+140)}
}

// pose is where a figure is: coordinates with their own origin, axes and unit.
type pose struct {
	x, y          int // of the middle, in quarters of a pixel
	sin, cos      int // of its direction
	width, height int // its radius along its axes, in quarters of a pixel
}

func (d *dice) pose() pose {
	angle, radius, stretch := d.roll(0, 63), d.roll(32, 54), d.roll(85, 118)
	return pose{
		x: d.roll(46, 82), y: d.roll(46, 82),
		sin: sine(angle), cos: sine(angle + 16),
		width: radius * stretch / 100, height: radius * 100 / stretch,
	}
}

// at returns the point x, y, in quarters of a pixel, in the coordinates of the figure.
func (p pose) at(x, y int) (int, int) {
	x, y = x-p.x, y-p.y
	return (p.cos*x + p.sin*y) / p.width, (p.cos*y - p.sin*x) / p.height
}

// line is where a·x + b·y + c is 0, with x, y in quarters of a pixel. Elsewhere it
// is the distance in quarters of a pixel, times unit.
type line struct{ a, b, c int }

func (d *dice) line() line {
	angle, offset := d.roll(0, 63), d.roll(-48, 48)
	a, b := sine(angle), sine(angle+16)
	return line{a, b, offset*unit - 2*shapesSide*(a+b)}
}

func (l *line) at(x, y int) int { return l.a*x + l.b*y + l.c }

// drawFigure draws the figure on a random background.
func drawFigure(seed uint64, inside func(x, y int) bool) *image.RGBA {
	d := dice(seed)
	ground, shade, ink := d.color(0), d.color(0), d.color(115)
	// Half of the figures are striped.
	second, stripe := ink, d.roll(250, 700)
	if d.roll(0, 1) == 0 {
		second = d.color(115)
	}
	figure, slope := d.pose(), d.line()
	var lines [2]line
	var lineColors [2]rgb
	for i := range lines {
		lines[i], lineColors[i] = d.line(), d.color(d.roll(0, 115))
	}
	noise := d.roll(4, 30)

	m := image.NewRGBA(image.Rect(0, 0, shapesSide, shapesSide))
	for i := range shapesSide * shapesSide {
		x, y := i%shapesSide*4, i/shapesSide*4
		share := min(max(slope.at(x, y)/64+unit, 0), 2*unit)
		var background, sum rgb
		for c := range background {
			background[c] = ground[c] + (shade[c]-ground[c])*share/(2*unit)
		}
		// Four points in a pixel make its color.
		for quarter := range 4 {
			x, y := x+1+quarter%2*2, y+1+quarter/2*2
			point := background
			if u, v := figure.at(x, y); !inside(u, v) {
				for k := range lines {
					if abs(lines[k].at(x, y)) < 3*unit {
						point = lineColors[k]
					}
				}
			} else if point = ink; (u+2*unit)/stripe%2 == 0 {
				point = second
			}
			for c := range sum {
				sum[c] += point[c]
			}
		}
		for c := range sum {
			m.Pix[4*i+c] = uint8(min(max(sum[c]/4+d.roll(-noise, noise), 0), 255))
		}
		m.Pix[4*i+3] = 0xff
	}
	return m
}
