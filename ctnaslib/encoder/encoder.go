package encoder

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"golang.org/x/sync/errgroup"

	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// Encoder is a network that turns architectures into features: a [GCN], an [MLP], or one's own. An
// encoder is a plain value, which is stored with every run: what its features depend on stands in its
// exported fields, a version of its code among them, so that no stored result of another is taken.
type Encoder interface {
	// Check reports what is wrong with the description.
	Check() error

	// Dim is the number of features of an architecture.
	Dim(sizes Sizes) int

	// Create makes the weights in scope.
	Create(scope *model.Scope, sizes Sizes, rng *rand.Rand) error

	// Inputs lays out archs for Encode, padded to the given size of the batch. The
	// error names the first architecture that does not fit.
	Inputs(archs []space.Arch, sizes Sizes, batch int) ([]*tensors.Tensor, error)

	// Encode builds the features [batch, Dim] with the weights in scope. Those of an architecture do not depend on
	// the others of the batch, nor on padding.
	Encode(scope *model.Scope, sizes Sizes, inputs []*Node) *Node
}

// Differentiated is an [Encoder] that builds the gradients of its weights itself, where that takes less time than
// differentiating Encode.
type Differentiated interface {
	Encoder

	// EncodeWithGradient builds what Encode builds, and returns what builds the gradients of a loss with respect
	// to the weights, by their names in scope, from that with respect to the features, [batch, Dim].
	EncodeWithGradient(scope *model.Scope, sizes Sizes, inputs []*Node) (z *Node, gradient func(dz *Node) map[string]*Node)
}

// ForLoss builds the features, [batch, Dim], for a loss, a scalar, and returns what has to be minimised in the
// loss's place: it has the loss's gradients, but those of a [Differentiated] encoder's weights are the encoder's own.
func ForLoss(e Encoder, scope *model.Scope, sizes Sizes, inputs []*Node) (z *Node, minimised func(loss *Node) *Node) {
	d, ok := e.(Differentiated)
	if !ok {
		return e.Encode(scope, sizes, inputs), func(loss *Node) *Node { return loss }
	}
	z, gradient := d.EncodeWithGradient(scope, sizes, inputs)
	z = Identity(StopGradient(z)) // whose own gradient is not stopped
	return z, func(loss *Node) *Node {
		gradients := gradient(Gradient(loss, z)[0])
		for _, name := range slices.Sorted(maps.Keys(gradients)) {
			g, w := gradients[name], scope.GetVariable(name).NodeValue(z)
			loss = Add(loss, ReduceAllSum(Mul(StopGradient(g), w)))
		}
		return loss
	}
}

// Sizes is what an encoder has to know of a search space.
type Sizes struct {
	Ops      int // of [space.Space]
	Nodes    int // of [space.Space]
	Cells    int // of [space.Cellular], else 1
	Features int // of [space.Featured], else 0
}

// SizesOf returns the sizes of a search space.
func SizesOf(s space.Space) Sizes {
	sizes := Sizes{Ops: s.Ops(), Nodes: s.Nodes(), Cells: 1}
	if c, ok := s.(space.Cellular); ok {
		sizes.Cells = c.Cells()
	}
	if f, ok := s.(space.Featured); ok {
		sizes.Features = f.Features()
	}
	return sizes
}

// Versions returns the versions of the encoders, for the keys of stored results. The version is raised when
// features change: by this package, or by what a space gives as graph, vector or decisions.
func Versions() rundir.Versions { return rundir.Versions{"encoder": 3} }

// SpaceIdentity names a search space as encoders see it, for the keys of stored results.
func SpaceIdentity(s space.Space) string { return fmt.Sprintf("%s %+v", s.Name(), SizesOf(s)) }

// Chunks calls f for all parts of archs, as many side by side as there are processors, with the position of
// the part's first and the size that its batch is to be padded to, a power of two: so few sizes of a graph are
// ever compiled. What a graph computes of the padding is to be left out. It returns the error of the first part
// that has one.
func Chunks(archs []space.Arch, f func(at int, part []space.Arch, batch int) error) error {
	const largest = 1024
	parts := (len(archs) + largest - 1) / largest
	errs := make([]error, parts)
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for k := range parts {
		at := k * largest
		part := archs[at:min(at+largest, len(archs))]
		batch := 1
		for batch < len(part) {
			batch *= 2
		}
		group.Go(func() error {
			errs[k] = f(at, part, batch)
			return nil
		})
	}
	group.Wait() // whose error would be that of the first in time
	return cmp.Or(errs...)
}
