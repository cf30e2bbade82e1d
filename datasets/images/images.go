// Package images opens sets of labelled images and streams them in batches to
// train and evaluate networks on.
//
//	set, err := images.Open(ctx, "") // CIFAR-10 where there is one, else drawn shapes
//	train := images.Loader{Images: set.Train, BatchSize: 128, Size: 32, Normalization: set.Normalization,
//		Augment: images.PadCropFlip(4), Shuffle: true, Seed: 1}
//	for batch, err := range train.Batches(ctx, epoch, 0) { … }
//
// Images are decoded when they are asked for, by several workers at once. What is
// in a batch is a function of the loader's seed, the epoch and the number of the
// batch.
package images

import (
	"fmt"
	"image"
	"math/rand/v2"
	"slices"

	"github.com/ctnas/ctnas/datasets"
)

// Set is a set of images of some classes: a part to train on and a part to test on.
type Set struct {
	Classes       []string // the names of the classes, in the order of their labels
	Train, Test   Images
	Normalization Normalization // what suits these images
	Source        datasets.Source
}

// Images are labelled images, in an order that is the same on every machine.
type Images struct {
	Labels []int32 // [n], each the index of a class

	// Read reads image i, which is opaque. Its error names the image. It may be called from several
	// goroutines at once, and no one may write to what it returns.
	Read func(i int) (image.Image, error)
}

// Len returns the number of images.
func (m Images) Len() int { return len(m.Labels) }

// HoldOut splits off n images, for a search to validate on: a random choice that
// has the classes in the proportions of the whole. It is a function of m, n and
// the seed. Both parts keep the order of m.
func (m Images) HoldOut(n int, seed uint64) (rest, held Images, err error) {
	if n < 0 || n > m.Len() {
		return Images{}, Images{}, fmt.Errorf("images: cannot hold out %d of %d images", n, m.Len())
	}
	rng := rand.New(rand.NewPCG(seed, streamHoldOut))
	order := rng.Perm(m.Len())
	slices.SortStableFunc(order, func(i, j int) int { return int(m.Labels[i] - m.Labels[j]) })
	// Of the images by class, every one at which k·n/len reaches another integer.
	isHeld := make([]bool, m.Len())
	for k, i := range order {
		isHeld[i] = (k+1)*n/m.Len() > k*n/m.Len()
	}
	var in [2][]int
	for i, held := range isHeld {
		if held {
			in[1] = append(in[1], i)
		} else {
			in[0] = append(in[0], i)
		}
	}
	return m.choose(in[0]), m.choose(in[1]), nil
}

// choose returns the images at these indices.
func (m Images) choose(indices []int) Images {
	labels := make([]int32, len(indices))
	for k, i := range indices {
		labels[k] = m.Labels[i]
	}
	return Images{labels, func(k int) (image.Image, error) { return m.Read(indices[k]) }}
}

// thousands prints n with a comma between thousands.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
