package nn

import (
	"context"
	"fmt"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/ctnas/ctnas/datasets/images"
)

// Augmented returns a loader of the training images, flipped and moved as is standard for CIFAR-10, or cropped as
// [Input] says.
func (m *Model) Augmented() images.Loader {
	augment := images.PadCropFlip(max(1, m.Input.Side/8))
	if m.Input.Crops {
		augment = images.RandomResizedCrop()
	}
	return images.Loader{
		Images: m.Data.Train, BatchSize: m.Input.BatchSize, Size: m.Input.Side, Normalization: m.Data.Normalization,
		Augment: augment, Shuffle: true, Seed: m.Input.Seed,
	}
}

// plain returns a loader of images as they are, in one random order that is always the same: batch norm by the moments
// of a batch needs all classes in it. Images that do not fill a last batch are left out. The devices can share each
// batch.
func (m *Model) plain(part images.Images) images.Loader {
	size := min(m.Input.BatchSize, part.Len())
	if m.mesh != nil && size > m.Input.Devices {
		size -= size % m.Input.Devices
	}
	l := images.Loader{
		Images: part, BatchSize: size, Size: m.Input.Side, Normalization: m.Data.Normalization,
		Shuffle: true,
	}
	if m.Input.Crops {
		l.Augment = images.CenterCrop(0.875) // 224 of 256 pixels
	}
	return l
}

// Held returns the batches of the held-out images, which it reads at the first call.
func (m *Model) Held(ctx context.Context) (held []Batch, err error) {
	if m.held == nil {
		l := m.plain(m.Data.Validation)
		m.held, err = batches(ctx, l, l.Len())
	}
	return m.held, err
}

// Plain returns batches of at least count training images as they are, or all that there are.
func (m *Model) Plain(ctx context.Context, count int) ([]Batch, error) {
	l := m.plain(m.Data.Train)
	return batches(ctx, l, min((count+l.BatchSize-1)/l.BatchSize, l.Len()))
}

// Validation returns the accuracy on the held-out images, in [0, 1], by a program that returns the number of images
// that are right, and whose inputs are some, then images and labels.
func (m *Model) Validation(ctx context.Context, p *Program, inputs ...*tensors.Tensor) (float64, error) {
	held, err := m.Held(ctx)
	if err != nil {
		return 0, err
	}
	return p.Accuracy(ctx, held, inputs...)
}

// Accuracy returns the accuracy on some batches as [Model.Validation] does.
func (p *Program) Accuracy(ctx context.Context, batches []Batch, inputs ...*tensors.Tensor) (float64, error) {
	correct, total := 0.0, 0
	for _, b := range batches {
		if err := ctx.Err(); err != nil {
			return 0, fmt.Errorf("nn: the evaluation was stopped: %w", err)
		}
		n, err := p.correct(b, inputs)
		if err != nil {
			return 0, err
		}
		correct, total = correct+n, total+b.Size
	}
	return correct / float64(total), nil
}

func (p *Program) correct(b Batch, inputs []*tensors.Tensor) (float64, error) {
	out, err := p.Call(append(inputs[:len(inputs):len(inputs)], b.Images, b.Labels)...)
	if err != nil {
		return 0, err
	}
	return Number(out[0]), nil
}

// Test returns the accuracy on the test images as [Model.Validation] does. No search may see it.
func (m *Model) Test(ctx context.Context, p *Program, inputs ...*tensors.Tensor) (float64, error) {
	correct, total := 0.0, 0
	l := m.plain(m.Data.Test)
	err := Stream(ctx, l, 0, l.Len(), func(_ int, b Batch) error {
		n, err := p.correct(b, inputs)
		correct, total = correct+n, total+b.Size
		return err
	})
	return correct / float64(total), err
}
