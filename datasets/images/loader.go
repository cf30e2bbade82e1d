package images

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"iter"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
)

// Loader makes batches of images.
type Loader struct {
	Images        Images
	BatchSize     int
	Size          int // height and width of the images in a batch
	Normalization Normalization
	Augment       Augment // CenterCrop(1) if nil

	// Shuffle takes the images in another order in each epoch, and leaves out those
	// that do not fill a last batch. Without it, the last batch may be smaller.
	Shuffle bool

	Seed    uint64 // of the order and the augmentation
	Workers int    // how many images are read at once; as many as there are processors if 0
}

// Batch is a batch of n images. Its slices are overwritten after the iteration
// that it is given to.
type Batch struct {
	Pixels []float32 // [n, size, size, 3], normalised
	Labels []int32   // [n]
}

// The random streams of a seed, the second word of each generator's seed. An
// image's augmentation has that of the epoch and of its index.
const (
	streamHoldOut = 1 << 63
	streamOrder   = 1 << 62 // plus the epoch
	streamImage   = 1 << 32 // times the epoch, plus the index
)

// prefetched is how many batches may wait for the consumer.
const prefetched = 2

// Len returns the number of batches in an epoch.
func (l Loader) Len() int {
	size := max(1, l.BatchSize)
	if l.Shuffle {
		return l.Images.Len() / size
	}
	return (l.Images.Len() + size - 1) / size
}

// Batches gives the batches of an epoch in order, from batch number first on, so
// that training can go on in the middle of an epoch. A batch is a function of the
// loader, the epoch and its number.
//
// While the consumer is at work the next two batches are made. When the loop
// ends, so have all workers. After an error, such as that ctx is done or that an
// image cannot be read, there are no more batches.
func (l Loader) Batches(ctx context.Context, epoch, first int) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		if err := l.check(epoch, first); err != nil {
			yield(Batch{}, err)
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		var making sync.WaitGroup
		defer making.Wait()
		defer cancel()

		// One batch is in the making, some wait, and one is with the consumer.
		free, done := make(chan Batch, prefetched+2), make(chan made, prefetched)
		for range cap(free) {
			free <- Batch{make([]float32, l.BatchSize*l.Size*l.Size*3), make([]int32, l.BatchSize)}
		}
		making.Go(func() { l.makeAll(ctx, epoch, first, free, done) })
		for range l.Len() - first {
			var m made
			select {
			case m = <-done:
			case <-ctx.Done():
			}
			if err := ctx.Err(); err != nil {
				m.err = fmt.Errorf("images: stopped reading: %w", err)
			}
			if !yield(m.Batch, m.err) || m.err != nil {
				return
			}
			free <- m.Batch
		}
	}
}

func (l Loader) check(epoch, first int) error {
	switch {
	case l.Images.Len() == 0:
		return errors.New("images: there are no images to make batches of")
	case l.BatchSize < 1 || l.Size < 1:
		return fmt.Errorf("images: cannot make batches of %d images of %d×%d pixels", l.BatchSize, l.Size, l.Size)
	case l.Shuffle && l.BatchSize > l.Images.Len():
		return fmt.Errorf("images: %d images do not fill a batch of %d", l.Images.Len(), l.BatchSize)
	case epoch < 0 || first < 0 || first > l.Len():
		return fmt.Errorf("images: there is no batch %d of epoch %d, with %d batches in an epoch", first, epoch, l.Len())
	}
	if err := l.Normalization.check(); err != nil {
		return fmt.Errorf("images: %w", err)
	}
	return nil
}

func (l Loader) workers() int {
	if l.Workers > 0 {
		return l.Workers
	}
	return runtime.GOMAXPROCS(0)
}

// order returns the order of the images in an epoch.
func (l Loader) order(epoch int) []int {
	if l.Shuffle {
		return rand.New(rand.NewPCG(l.Seed, streamOrder+uint64(epoch))).Perm(l.Images.Len())
	}
	order := make([]int, l.Images.Len())
	for i := range order {
		order[i] = i
	}
	return order
}

// made is a batch that was made, or why it could not be.
type made struct {
	Batch
	err error
}

// makeAll makes the batches of an epoch from number first on, in free ones, until there
// are no more, one could not be made, or ctx is done.
func (l Loader) makeAll(ctx context.Context, epoch, first int, free <-chan Batch, done chan<- made) {
	order, table := l.order(epoch), l.Normalization.table()
	for from := first * l.BatchSize; from < l.Len()*l.BatchSize; from += l.BatchSize {
		indices := order[from:min(from+l.BatchSize, len(order))]
		b := <-free // there is always one
		m := made{Batch: Batch{b.Pixels[:len(indices)*l.Size*l.Size*3], b.Labels[:len(indices)]}}
		m.err = l.fill(ctx, epoch, indices, table, m.Batch)
		select {
		case done <- m:
		case <-ctx.Done():
			return
		}
		if m.err != nil {
			return
		}
	}
}

// fill puts the images with these indices into a batch. The error is that of the first
// image that could not be read.
func (l Loader) fill(ctx context.Context, epoch int, indices []int, table *table, b Batch) error {
	failed := make([]error, len(indices))
	pixels := l.Size * l.Size * 3
	var next atomic.Int64
	var working sync.WaitGroup
	for range min(l.workers(), len(indices)) {
		working.Go(func() {
			scaled := image.NewRGBA(image.Rect(0, 0, l.Size, l.Size))
			source := &rand.PCG{}
			rng := rand.New(source)
			for ctx.Err() == nil {
				at := int(next.Add(1)) - 1
				if at >= len(indices) {
					return
				}
				i := indices[at]
				source.Seed(l.Seed, streamImage*uint64(epoch)+uint64(i))
				view, err := l.view(rng, scaled, i)
				if failed[at] = err; err == nil {
					table.write(b.Pixels[at*pixels:(at+1)*pixels], scaled, view.Flip)
					b.Labels[at] = l.Images.Labels[i]
				}
			}
		})
	}
	working.Wait()
	return cmp.Or(failed...)
}

// view reads image i and scales what is seen of it, not yet mirrored.
func (l Loader) view(rng *rand.Rand, scaled *image.RGBA, i int) (View, error) {
	m, err := l.Images.Read(i)
	if err != nil {
		return View{}, err
	}
	if m.Bounds().Empty() {
		return View{}, fmt.Errorf("images: image %d has no pixels", i)
	}
	augment := l.Augment
	if augment == nil {
		augment = CenterCrop(1)
	}
	view := augment(rng, m.Bounds(), l.Size)
	if view.Window.Empty() {
		return View{}, fmt.Errorf("images: the augmentation shows nothing of image %d", i)
	}
	render(scaled, m, view.Window)
	return view, nil
}
