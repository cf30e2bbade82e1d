package ofa

import (
	"fmt"
	"math/rand/v2"

	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
)

// Benchmark answers for the accuracies that a [Predictor] predicts. It is safe for concurrent use.
type Benchmark struct {
	predictor *Predictor
	space     mobilenetv3.Space
}

var _ space.Versioned = (*Benchmark)(nil)

// Benchmark returns what a search in s may ask. The error says that s is not of the
// skeleton whose networks the predictor knows, [Predictor.Skeleton]; s may have any
// limit of multiply-adds.
func (p *Predictor) Benchmark(s mobilenetv3.Space) (*Benchmark, error) {
	if s.Skeleton != p.skeleton {
		return nil, fmt.Errorf("ofa: the predictor knows no networks of the space %q, only of the skeleton of width %g at %d", s.Name(), p.skeleton.Width, p.skeleton.Resolution)
	}
	return &Benchmark{predictor: p, space: s}, nil
}

// Space returns the space, with its limit.
func (b *Benchmark) Space() space.Space { return b.space }

// Source returns the [datasets.Kind] of the predictor, as text.
func (b *Benchmark) Source() string { return string(b.predictor.source.Kind) }

// Version returns the predictor's description and the digest of its weights.
func (b *Benchmark) Version() string {
	return fmt.Sprintf("%s, digest %s", b.predictor.source.Description, b.predictor.model.Digest())
}

// Sample draws n distinct networks as [mobilenetv3.Space.Sample] does. It is free. The
// error says that no more could be found, which only a limit close to the smallest
// network's multiply-adds can cause.
func (b *Benchmark) Sample(rng *rand.Rand, n int) ([]space.Arch, error) {
	if n < 0 {
		return nil, fmt.Errorf("ofa: cannot sample %d networks", n)
	}
	archs, err := space.Draw(rng, b.space, n, nil)
	if err != nil {
		return nil, fmt.Errorf("ofa: cannot sample networks: %w", err)
	}
	return archs, nil
}

// Validation returns the predicted accuracy of a, in [0, 1]. The error wraps [space.ErrNotQueryable] where a is
// not in the space.
func (b *Benchmark) Validation(a space.Arch) (float64, error) {
	net, ok := a.(mobilenetv3.Net)
	if !ok || net == (mobilenetv3.Net{}) {
		return 0, fmt.Errorf("ofa: %v is not a network of the MobileNetV3 space", a)
	}
	if !b.space.Contains(net) {
		return 0, fmt.Errorf("ofa: network %v has %d multiply-adds, but this space ends at %d: %w", net, b.space.MAdds(net), b.space.Limit(), space.ErrNotQueryable)
	}
	return b.predictor.Accuracies([]mobilenetv3.Net{net})[0], nil
}
