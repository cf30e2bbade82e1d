package supernet

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/controller"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/datasets/images"
	"github.com/gomlx/gomlx/core/tensors"
)

// Data are the images that networks are trained, validated and tested on.
type Data struct {
	Train, Validation, Test images.Images
	Normalization           images.Normalization
	Classes                 int
	Source                  string // a description of the images
}

// NewData holds out some of a set's training images to validate on, as a search must:
// a random choice, the same for every seed of a search, with the classes in their
// proportions. The benchmark holds out 10,000 of CIFAR-10's 50,000.
func NewData(set *images.Set, validation int) (*Data, error) {
	train, held, err := set.Train.HoldOut(validation, 0)
	if err != nil {
		return nil, fmt.Errorf("supernet: %w", err)
	}
	return &Data{
		Train: train, Validation: held, Test: set.Test,
		Normalization: set.Normalization, Classes: len(set.Classes), Source: set.Source.Description,
	}, nil
}

// Identity says which images these are, for the keys of stored results: their description, how
// many there are of each part, and a digest of all labels and of the pixels of some images, evenly
// spread. The error names an image that cannot be read.
func (d *Data) Identity() (string, error) {
	const some = 64 // images of each part whose pixels count
	h := sha256.New()
	for _, part := range []images.Images{d.Train, d.Validation, d.Test} {
		fmt.Fprintln(h, part.Labels)
		for i := range min(some, part.Len()) {
			img, err := part.Read(i * part.Len() / some)
			if part.Len() < some {
				img, err = part.Read(i)
			}
			if err != nil {
				return "", fmt.Errorf("supernet: %w", err)
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
	return fmt.Sprintf("%s, %d to train on, %d to validate, %d to test, normalised by %v, digest %x",
		d.Source, d.Train.Len(), d.Validation.Len(), d.Test.Len(), d.Normalization, h.Sum(nil)[:8]), nil
}

// open opens the run directory of a training on these images under root.
func (d *Data) open(root, step string, backend compute.Backend, config any) (*rundir.Run, error) {
	images, err := d.Identity()
	if err != nil {
		return nil, err
	}
	return rundir.Open(root, rundir.Key{
		Step: step, Algorithms: Versions(), Config: config, Backend: engine.Fingerprint(backend),
		Data: map[string]string{"images": images},
	})
}

// Versions are those of the algorithms behind the training of a network, for the keys of stored
// results.
func Versions() rundir.Versions {
	return controller.Versions().With(rundir.Versions{"supernet": 1})
}

// batch is [batch, side, side, 3] images and their [batch] labels.
type batch struct {
	images, labels *tensors.Tensor
	size           int
}

func newBatch(b images.Batch, side int) batch {
	n := len(b.Labels)
	return batch{
		images: tensors.FromFlatDataAndDimensions(b.Pixels, n, side, side, 3),
		labels: tensors.FromFlatDataAndDimensions(b.Labels, n), size: n,
	}
}

// augmented streams training batches, flipped and moved by up to an eighth of the side
// as is standard for CIFAR-10.
func (d *Data) augmented(side, size int, seed uint64) images.Loader {
	return images.Loader{
		Images: d.Train, BatchSize: size, Size: side, Normalization: d.Normalization,
		Augment: images.PadCropFlip(max(1, side/8)), Shuffle: true, Seed: seed,
	}
}

// plain streams images as they are, in one random order that is always the same: batch
// norm by the moments of a batch needs all classes in it. Images that do not fill a
// last batch are left out.
func (d *Data) plain(part images.Images, side, size int) images.Loader {
	return images.Loader{
		Images: part, BatchSize: min(size, part.Len()), Size: side, Normalization: d.Normalization,
		Shuffle: true,
	}
}

// batches are all batches of a loader's first epoch.
func batches(ctx context.Context, l images.Loader) ([]batch, error) {
	var all []batch
	err := stream(ctx, l, 0, l.Len(), func(_ int, b batch) error {
		all = append(all, b)
		return nil
	})
	return all, err
}

// stream gives each of the steps from first on, up to last, its batch of an endless
// stream of epochs.
func stream(ctx context.Context, l images.Loader, first, last int, each func(step int, b batch) error) error {
	if l.Len() < 1 {
		return fmt.Errorf("supernet: %d images do not fill a batch of %d", l.Images.Len(), l.BatchSize)
	}
	for step := first; step < last; {
		for b, err := range l.Batches(ctx, step/l.Len(), step%l.Len()) {
			if err != nil {
				return fmt.Errorf("supernet: %w", err)
			}
			if err := each(step, newBatch(b, l.Size)); err != nil {
				return err
			}
			if step++; step == last {
				break
			}
		}
	}
	return nil
}

// trainRound trains on the batches of some steps of a stream, and returns the means of
// what the steps measured: "loss" and "accuracy".
func trainRound(ctx context.Context, l images.Loader, first, last int, train func(step int, b batch) (loss, accuracy float64, err error)) (map[string]float64, error) {
	means := map[string]float64{"loss": 0, "accuracy": 0}
	err := stream(ctx, l, first, last, func(step int, b batch) error {
		loss, accuracy, err := train(step, b)
		means["loss"] += loss / float64(last-first)
		means["accuracy"] += accuracy / float64(last-first)
		return err
	})
	return means, err
}

// check says that the images do not fit a network for so many classes.
func (d *Data) check(classes int) error {
	if d.Classes != classes {
		return fmt.Errorf("supernet: the images have %d classes, but the network is made for %d; set Classes", d.Classes, classes)
	}
	return nil
}
