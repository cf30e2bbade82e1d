package images

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
)

// What an image may have: more pixels than any photograph, in as much memory as these
// take with a byte for each of four channels. A damaged file may claim any size.
const (
	pixelLimit  = 1 << 27
	memoryLimit = 4 * pixelLimit
)

// pixelsInByte is how many pixels a byte of a file can stand for at most: those of a
// PNG with a bit each, of which zlib makes 1032 bytes one.
const pixelsInByte = 8 * 1032

// decodeNamed decodes an image. The error says what to do about it.
func decodeNamed(name string, data []byte) (image.Image, error) {
	m, err := decode(data)
	var unsupportedJPEG jpeg.UnsupportedError
	var unsupportedPNG png.UnsupportedError
	switch format := formatOf(data); {
	case err == nil:
		return m, nil
	case errors.As(err, &unsupportedJPEG), errors.As(err, &unsupportedPNG):
		return nil, fmt.Errorf("the image %s is of a kind that cannot be read, convert it to a common PNG or JPEG: %w", name, err)
	case format != nil && errors.Is(err, image.ErrFormat):
		return nil, fmt.Errorf("the image %s is not JPEG or PNG but %s, convert it", name, format.name)
	}
	return nil, fmt.Errorf("the image %s cannot be decoded, get it again: %w", name, err)
}

func decode(data []byte) (image.Image, error) {
	header, format, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	width, height, pixel := header.Width, header.Height, 4
	if header.ColorModel == color.RGBA64Model || header.ColorModel == color.NRGBA64Model {
		pixel = 8
	}
	if width < 1 || height < 1 || width > min(pixelLimit, memoryLimit/pixel)/height {
		return nil, fmt.Errorf("it claims to have %d×%d pixels", width, height)
	}
	if width*height/pixelsInByte > len(data) {
		return nil, fmt.Errorf("it claims to have %d×%d pixels in %s bytes", width, height, thousands(len(data)))
	}
	m, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	// A PNG says at byte 25 whether it is grey, which 16 bits with a transparent shade do
	// not show any more.
	return opaque(m, format == "png" && len(data) > 25 && data[25] == 0), nil
}

// opaque returns the image as Pillow's convert("RGB") has it: alpha is dropped, colours are
// what the file has beside it, and of 16 bits the upper 8 are taken, or, of grey, the
// values up to 255, which all higher ones become.
func opaque(m image.Image, isGrey bool) image.Image {
	switch m := m.(type) {
	case *image.NRGBA:
		for i := 3; i < len(m.Pix); i += 4 {
			m.Pix[i] = 0xff
		}
		return &image.RGBA{Pix: m.Pix, Stride: m.Stride, Rect: m.Rect}
	case *image.Paletted:
		for i, c := range m.Palette {
			if c, ok := c.(color.NRGBA); ok {
				c.A = 0xff
				m.Palette[i] = c
			}
		}
	case *image.Gray16:
		out := image.NewGray(m.Rect)
		for i := range out.Pix {
			out.Pix[i] = clipped(m.Pix[2*i : 2*i+2])
		}
		return out
	case *image.NRGBA64:
		return upper(m.Pix, m.Rect, isGrey)
	case *image.RGBA64: // which is opaque
		return upper(m.Pix, m.Rect, false)
	case *image.CMYK:
		out := image.NewRGBA(m.Rect)
		for i := 0; i < len(m.Pix); i += 4 {
			ink := m.Pix[i : i+4]
			for c := range 3 {
				out.Pix[i+c] = inked(ink[c], ink[3])
			}
			out.Pix[i+3] = 0xff
		}
		return out
	}
	return m
}

// upper returns the image of these pixels, of four big-endian values of 16 bits.
func upper(pix []byte, rect image.Rectangle, isGrey bool) *image.RGBA {
	out := image.NewRGBA(rect)
	for i := range out.Pix {
		switch {
		case i%4 == 3:
			out.Pix[i] = 0xff
		case isGrey:
			out.Pix[i] = clipped(pix[2*i : 2*i+2])
		default:
			out.Pix[i] = pix[2*i]
		}
	}
	return out
}

// clipped returns a big-endian value of 16 bits, but at most 255.
func clipped(value []byte) byte {
	if value[0] > 0 {
		return 0xff
	}
	return value[1]
}

// inked returns what a colour and black leave of white, rounded as in Pillow.
func inked(colour, black byte) byte {
	light := int(255 - black)
	product := int(colour)*light + 128
	return byte(max(0, light-(product>>8+product)>>8))
}

// format is a format of files that is not read as an image here, or of an image.
type format struct {
	name    string // after "is"
	isImage bool
	magic   string
}

var formats = []format{
	{"JPEG", true, "\xff\xd8\xff"},
	{"PNG", true, "\x89PNG"},
	{"GIF", true, "GIF8"},
	{"BMP", true, "BM"},
	{"TIFF", true, "II*\x00"},
	{"TIFF", true, "MM\x00*"},
	{"WebP", true, "RIFF"},
	{"a .zip", false, "PK\x03\x04"},
	{"a .zip", false, "PK\x05\x06"},
	{"a .7z", false, "7z\xbc\xaf"},
	{"a .rar", false, "Rar!"},
	{"a .xz", false, "\xfd7zXZ"},
	{"a .bz2", false, "BZh"},
	{"a .zst", false, "\x28\xb5\x2f\xfd"},
}

// formatOf returns the format of a file that starts so, or nil.
func formatOf(start []byte) *format {
	for i, f := range formats {
		if bytes.HasPrefix(start, []byte(f.magic)) {
			return &formats[i]
		}
	}
	return nil
}
