package images

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// converted are images that are not simply red, green and blue, and their first four
// pixels as Pillow 13.0 converts them to RGB.
var converted = []struct {
	name, base64 string
	want         []byte
}{
	{"grey and alpha", "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAQAAADYv8WvAAAAEklEQVR4nGM4z6Brw6B39t5UAA9kA6fCbFE1AAAAAElFTkSuQmCC",
		[]byte{207, 207, 207, 45, 45, 45, 46, 46, 46, 222, 222, 222}},
	{"alpha", "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAYAAABytg0kAAAAGklEQVR4nGPgkghlmF/lrMGwcQ+HbHHK4/8AKp0GR8fzfVQAAAAASUVORK5CYII=",
		[]byte{10, 24, 85, 159, 122, 67, 177, 188, 8, 115, 100, 227}},
	{"grey and alpha of 16 bits", "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACEAQAAACILxnsAAAAG0lEQVR4nGPI7smzXTVlmgWDjt2eRwd3fjkLAEWxCPIoZhsDAAAAAElFTkSuQmCC",
		[]byte{107, 107, 107, 170, 170, 170, 44, 44, 44, 193, 193, 193}},
	{"alpha of 16 bits", "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACEAYAAAAiJtFnAAAAK0lEQVR4nGM46eJxMPDVMvZldZus77V7vWf4EMSQKLzhp8nHRT4pyssCEgEa/w/+vUgXmgAAAABJRU5ErkJggg==",
		[]byte{201, 72, 81, 166, 178, 222, 240, 0, 19, 241, 76, 35}},
	{"16 bits", "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACEAIAAACtREYwAAAAI0lEQVR4nGPg5njivnLJ1LN2iyuWMxjsOvq1spz9iKPilt8AmH8MXlCTNsgAAAAASUVORK5CYII=",
		[]byte{11, 228, 169, 149, 62, 120, 48, 197, 121, 7, 65, 180}},
	{"grey of 16 bits", "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACEAAAAAAHTY67AAAAEklEQVR4nGNgYGBIYWBk+P8fAAVjAmTFDxp7AAAAAElFTkSuQmCC",
		[]byte{0, 0, 0, 100, 100, 100, 255, 255, 255, 255, 255, 255}},
	{"grey of 16 bits with a transparent shade", "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACEAAAAAAHTY67AAAAAnRSTlMAZDxMaHkAAAASSURBVHicY2BgYEhhYGT4/x8ABWMCZMUPGnsAAAAASUVORK5CYII=",
		[]byte{0, 0, 0, 100, 100, 100, 255, 255, 255, 255, 255, 255}},
	{"grey with a transparent shade", "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAAAAABX3VL4AAAAAnRSTlMACQ9PdZwAAAAOSURBVHicY+A8wcD5HwAEZAHauyKKNQAAAABJRU5ErkJggg==",
		[]byte{9, 9, 9, 200, 200, 200, 9, 9, 9, 255, 255, 255}},
	{"a transparent colour", "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAABnRSTlMAAQACAAPJS6v1AAAAFElEQVR4nGNgZGJmYWVjYOfgBLIAAVkANGovNSMAAAAASUVORK5CYII=",
		[]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3}},
	{"a palette with alpha", "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAMAAABFaP0WAAAADFBMVEUKFB7IZDIA/wAJCAcD3IEnAAAAA3RSTlMAgP/s97MYAAAADklEQVR4nGNgYGRgYgYAABEAB56iKhIAAAAASUVORK5CYII=",
		[]byte{10, 20, 30, 200, 100, 50, 0, 255, 0, 9, 8, 7}},
	{"two shades of grey, one transparent", "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACAQAAAABazTCJAAAAAnRSTlMAAQGU/a4AAAAMSURBVHicY3BgaAAAAUQAwTp6HFYAAAAASUVORK5CYII=",
		[]byte{0, 0, 0, 255, 255, 255, 255, 255, 255, 0, 0, 0}},
	{"a CMYK JPEG of Adobe", "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwADAgIDAgIDAwMDBAMDBAUIBQUEBAUKBwcGCAwKDAwLCgsLDQ4SEA0OEQ4LCxAWEBETFBUVFQwPFxgWFBgSFBUU/8AAFAgACAAIBEMRAE0RAFkRAEsRAP/EABYAAQEBAAAAAAAAAAAAAAAAAAgFCf/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAOBEMATQBZAEsAAD8AdZgNNU9//9k=",
		[]byte{103, 96, 117, 103, 96, 117, 103, 96, 117, 103, 96, 117}},
	{"a progressive JPEG with an orientation", "/9j/4AAQSkZJRgABAQAAAQABAAD/4QAiRXhpZgAATU0AKgAAAAgAAQESAAMAAAABAAYAAAAAAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGBYUGBIUFRT/2wBDAQMEBAUEBQkFBQkUDQsNFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBT/wgARCAAIABADASIAAhEBAxEB/8QAFgABAQEAAAAAAAAAAAAAAAAAAAgJ/8QAFAEBAAAAAAAAAAAAAAAAAAAAAP/aAAwDAQACEAMQAAABlTVQP//EABQQAQAAAAAAAAAAAAAAAAAAABD/2gAIAQEAAQUCP//EABQRAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQMBAT8Bf//EABQRAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQIBAT8Bf//EABQQAQAAAAAAAAAAAAAAAAAAABD/2gAIAQEABj8CP//EABQQAQAAAAAAAAAAAAAAAAAAABD/2gAIAQEAAT8hP//aAAwDAQACAAMAAAAQ8//EABQRAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQMBAT8Qf//EABQRAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQIBAT8Qf//EABQQAQAAAAAAAAAAAAAAAAAAABD/2gAIAQEAAT8QP//Z",
		[]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
}

func fromBase64(text string) []byte {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return data
}

func TestConverted(t *testing.T) {
	for _, c := range converted {
		m, err := decodeNamed(c.name, fromBase64(c.base64))
		if err != nil {
			t.Error(err)
			continue
		}
		width := m.Bounds().Dx()
		for i := range 4 {
			r, g, b, a := m.At(i%width, i/width).RGBA()
			got, want := [4]byte{byte(r >> 8), byte(g >> 8), byte(b >> 8), byte(a >> 8)}, [4]byte{c.want[3*i], c.want[3*i+1], c.want[3*i+2], 255}
			if got != want {
				t.Errorf("%s: pixel %d is %v, want %v", c.name, i, got, want)
			}
		}
	}
	m, err := decodeNamed("turned", fromBase64(converted[len(converted)-1].base64))
	if err != nil || m.Bounds().Dx() != 16 {
		t.Errorf("an image with an orientation is %v, want it as it is", m)
	}
}

// oddSampling is a JPEG whose two channels of colour are sampled differently.
const oddSampling = "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAIBAQEBAQIBAQECAgICAgQDAgICAgUEBAMEBgUGBgYFBgYGBwkIBgcJBwYGCAsICQoKCgoKBggLDAsKDAkKCgr/2wBDAQICAgICAgUDAwUKBwYHCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgr/wAARCAAQABADASIAAiEBAxIB/8QAFQABAQAAAAAAAAAAAAAAAAAACAn/xAAcEAAABgMAAAAAAAAAAAAAAAAABwglQlEREzP/xAAXAQADAQAAAAAAAAAAAAAAAAAFBgcI/8QAHhEAAQMEAwAAAAAAAAAAAAAAAAQFBwgiM1EhMWH/2gAMAwEAAhEDEQA/AJvkwkPk11ALYl0h51NdQCUJdIeNTXUAtiYSHya6gBaN465GpG8el1p5kPDfowrTzIeG/R//2Q=="

// What to do about an image that is whole, but not read, is to convert it.
func TestUnreadKinds(t *testing.T) {
	usual := jpegFile(t, gradient(12, 8))
	frame := strings.Index(usual, "\xff\xc0")
	for want, content := range map[string]string{
		"is of a kind that cannot be read, convert it to a common PNG or JPEG: unsupported JPEG feature: luma": string(fromBase64(oddSampling)),
		"is of a kind that cannot be read, convert it to a common PNG or JPEG: unsupported JPEG feature: prec": usual[:frame+4] + "\x0c" + usual[frame+5:],
		"is not JPEG or PNG but WebP, convert it":                                                              "RIFF\x10\x00\x00\x00WEBPVP8 ",
		"is not JPEG or PNG but GIF, convert it":                                                               "GIF89a\x01\x00\x01\x00",
		"is not JPEG or PNG but BMP, convert it":                                                               "BM\x00\x00",
		"is not JPEG or PNG but TIFF, convert it":                                                              "II*\x00\x08",
	} {
		root := animals(t).with("train/cat/1.jpg", content).write(t)
		_, err := mustOpen(t, root).Train.Read(1)
		wantError(t, err, "images: "+root+": the image train/cat/1.jpg "+want)
	}
}

// A small file cannot take much memory, whatever size it claims to have.
func TestImageBombs(t *testing.T) {
	whole := pngFile(t, gradient(2, 2))
	for size, want := range map[[2]uint32]string{
		{60_000, 60_000}: "it claims to have 60000×60000 pixels",
		{8_000, 8_000}:   "it claims to have 8000×8000 pixels in 83 bytes",
	} {
		bomb := []byte(whole)
		binary.BigEndian.PutUint32(bomb[16:], size[0])
		binary.BigEndian.PutUint32(bomb[20:], size[1])
		binary.BigEndian.PutUint32(bomb[29:], crc32.ChecksumIEEE(bomb[12:29]))
		root := animals(t).with("train/cat/1.jpg", string(bomb)).write(t)
		set := mustOpen(t, root)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := set.Train.Read(1)
		runtime.ReadMemStats(&after)
		wantError(t, err, "images: "+root+": the image train/cat/1.jpg cannot be decoded, get it again: "+want)
		if bytes := after.TotalAlloc - before.TotalAlloc; bytes > 1<<20 {
			t.Errorf("%v takes %d bytes", size, bytes)
		}
	}
	// A file larger than any image is not read at all.
	root := animals(t).write(t)
	if err := os.Truncate(filepath.Join(root, "train/cat/1.jpg"), fileLimit+1); err != nil {
		t.Fatal(err)
	}
	_, err := mustOpen(t, root).Train.Read(1)
	wantError(t, err, filepath.Join(root, "train/cat/1.jpg"), "more than 256 MiB")
}
