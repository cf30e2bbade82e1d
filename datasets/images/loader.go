package images

import (
	"context"
	"errors"
	"fmt"
	"image"
	"iter"
	"math/rand/v2"
	"runtime"
	"sync"
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

// Len is the number of batches in an epoch.
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
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()

		p := l.pipeline(epoch)
		running.Go(func() { p.feed(ctx, first) })
		for range l.workers() {
			running.Go(func() { p.work(ctx) })
		}
		for range l.Len() - first {
			made, err := p.next(ctx)
			if err != nil {
				yield(Batch{}, err)
				return
			}
			if !yield(made.Batch, nil) {
				return
			}
			p.free <- made
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

// order is the order of the images in an epoch.
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

// pipeline makes the batches of an epoch. A feeder cuts them into jobs, one for
// each image, for the workers.
type pipeline struct {
	Loader
	epoch int
	order []int
	table *table

	free  chan *making // buffers to make batches in
	queue chan *making // batches in order, begun or made
	jobs  chan job
}

// making is a batch in the making.
type making struct {
	Batch
	done chan struct{} // closed when all images are in it

	sync.Mutex
	left   int   // images that are not in it yet
	failed int   // the first position of an image that could not be read
	err    error // why
}

// job is to put an image into a batch.
type job struct {
	in *making
	at int // position in the batch
	i  int // index of the image
}

func (l Loader) pipeline(epoch int) *pipeline {
	if l.Augment == nil {
		l.Augment = CenterCrop(1)
	}
	const buffers = prefetched + 1
	p := &pipeline{l, epoch, l.order(epoch), l.Normalization.table(),
		make(chan *making, buffers), make(chan *making, buffers), make(chan job)}
	for range buffers {
		p.free <- &making{Batch: Batch{
			make([]float32, l.BatchSize*l.Size*l.Size*3),
			make([]int32, l.BatchSize),
		}}
	}
	return p
}

// feed hands out the work of the batches from first on.
func (p *pipeline) feed(ctx context.Context, first int) {
	pixels := p.Size * p.Size * 3
	for b := first; b < p.Len(); b++ {
		indices := p.order[b*p.BatchSize : min((b+1)*p.BatchSize, len(p.order))]
		var m *making
		select {
		case m = <-p.free:
		case <-ctx.Done():
			return
		}
		m.Batch = Batch{m.Pixels[:len(indices)*pixels], m.Labels[:len(indices)]}
		m.done, m.left = make(chan struct{}), len(indices)
		p.queue <- m // there is room for all buffers
		for at, i := range indices {
			select {
			case p.jobs <- job{m, at, i}:
			case <-ctx.Done():
				return
			}
		}
	}
}

// next waits for the next batch.
func (p *pipeline) next(ctx context.Context) (*making, error) {
	var m *making
	select {
	case m = <-p.queue:
		select {
		case <-m.done:
		case <-ctx.Done():
		}
	case <-ctx.Done():
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("images: stopped reading: %w", err)
	}
	return m, m.err
}

// work does jobs until ctx is done.
func (p *pipeline) work(ctx context.Context) {
	scaled := image.NewRGBA(image.Rect(0, 0, p.Size, p.Size))
	source := &rand.PCG{}
	rng := rand.New(source)
	pixels := p.Size * p.Size * 3
	for {
		select {
		case <-ctx.Done():
			return
		case j := <-p.jobs:
			source.Seed(p.Seed, streamImage*uint64(p.epoch)+uint64(j.i))
			view, err := p.view(rng, scaled, j.i)
			if err == nil {
				p.table.write(j.in.Pixels[j.at*pixels:(j.at+1)*pixels], scaled, view.Flip)
				j.in.Labels[j.at] = p.Images.Labels[j.i]
			}
			j.in.put(j.at, err)
		}
	}
}

// view reads image i and scales what is seen of it, not yet mirrored.
func (p *pipeline) view(rng *rand.Rand, scaled *image.RGBA, i int) (View, error) {
	m, err := p.Images.Read(i)
	if err != nil {
		return View{}, err
	}
	if m.Bounds().Empty() {
		return View{}, fmt.Errorf("images: image %d has no pixels", i)
	}
	view := p.Augment(rng, m.Bounds(), p.Size)
	if view.Window.Empty() {
		return View{}, fmt.Errorf("images: the augmentation shows nothing of image %d", i)
	}
	render(scaled, m, view.Window)
	return view, nil
}

// put notes that the work at a position is done, or could not be. A batch has the
// error of its first bad image, whichever was tried first.
func (m *making) put(at int, err error) {
	m.Lock()
	defer m.Unlock()
	if err != nil && (m.err == nil || at < m.failed) {
		m.failed, m.err = at, err
	}
	if m.left--; m.left == 0 {
		close(m.done)
	}
}
