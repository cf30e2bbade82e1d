package nn

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/ctnas/ctnas/datasets/images"
)

// Data are the images that networks are trained, validated and tested on. It is safe for concurrent use, as long as
// nobody changes its fields.
type Data struct {
	Train, Validation, Test images.Images
	Normalization           images.Normalization
	Classes                 int
	Source                  string // a description of the images

	mu       sync.Mutex
	identity string // what Identity returns, empty until it was asked
}

// NewData holds out some of a set's training images to validate on, as a search must: a random choice, the same for
// every seed of a search, with the classes in their proportions. (NAS-Bench-101 holds out 10,000 of CIFAR-10's 50,000.)
// The error says that there are not so many.
func NewData(set *images.Set, validation int) (*Data, error) {
	train, held, err := set.Train.HoldOut(validation, 0)
	if err != nil {
		return nil, fmt.Errorf("nn: %w", err)
	}
	return &Data{
		Train: train, Validation: held, Test: set.Test,
		Normalization: set.Normalization, Classes: len(set.Classes), Source: set.Source.Description,
	}, nil
}

// Identity says which images these are, for the keys of stored results: their description, how many there are of each
// part, and a digest of all labels and of the pixels of some images, evenly spread. It reads them at the first call
// only. The error names an image that cannot be read.
func (d *Data) Identity() (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.identity != "" {
		return d.identity, nil
	}
	const some = 64 // images of each part whose pixels count
	h := sha256.New()
	for _, part := range []images.Images{d.Train, d.Validation, d.Test} {
		fmt.Fprintln(h, part.Labels)
		count := min(some, part.Len())
		for i := range count {
			img, err := part.Read(i * part.Len() / count)
			if err != nil {
				return "", fmt.Errorf("nn: %w", err)
			}
			b := img.Bounds()
			fmt.Fprintln(h, b.Dx(), b.Dy())
			for y := b.Min.Y; y < b.Max.Y; y++ {
				for x := b.Min.X; x < b.Max.X; x++ {
					red, green, blue, alpha := img.At(x, y).RGBA()
					for _, v := range []uint32{red, green, blue, alpha} {
						h.Write([]byte{byte(v >> 8), byte(v)})
					}
				}
			}
		}
	}
	d.identity = fmt.Sprintf("%s, %d to train on, %d to validate, %d to test, normalised by %v, digest %x",
		d.Source, d.Train.Len(), d.Validation.Len(), d.Test.Len(), d.Normalization, h.Sum(nil)[:8])
	return d.identity, nil
}

// Batch is a batch of images, [Size, side, side, 3] float32, and their labels, [Size] int32.
type Batch struct {
	Images, Labels *tensors.Tensor
	Size           int
}

// Stream gives each of the steps from first on, up to and without last, its batch of an endless stream of epochs: the
// batch of a step is always the same. Its errors are those of reading the images, of each, and of a ctx that is done.
func Stream(ctx context.Context, l images.Loader, first, last int, each func(step int, b Batch) error) error {
	if l.Len() < 1 {
		return fmt.Errorf("nn: %d images do not fill a batch of %d", l.Images.Len(), l.BatchSize)
	}
	for step := first; step < last; {
		for b, err := range l.Batches(ctx, step/l.Len(), step%l.Len()) {
			if err != nil {
				return fmt.Errorf("nn: %w", err)
			}
			n := len(b.Labels)
			batch := Batch{
				Images: tensors.FromFlatDataAndDimensions(b.Pixels, n, l.Size, l.Size, 3),
				Labels: tensors.FromFlatDataAndDimensions(b.Labels, n), Size: n,
			}
			if err := each(step, batch); err != nil {
				return err
			}
			if step++; step == last {
				break
			}
		}
	}
	return nil
}

// batches returns the first count batches of a loader.
func batches(ctx context.Context, l images.Loader, count int) ([]Batch, error) {
	all := make([]Batch, 0, count)
	err := Stream(ctx, l, 0, count, func(_ int, b Batch) error {
		all = append(all, b)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}
