package supernet

import (
	"fmt"

	. "github.com/gomlx/gomlx/core/graph"

	"github.com/ctnas/ctnas/ctnaslib/nn"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// Skeleton is the network around the cells (Ying et al., ICML 2019, Sec. 2.2): a 3×3 convolution as stem, stacks of
// modules that are all the same cell, global average pooling and a dense layer. From stack to stack the channels are
// doubled, and the sides halved by 2×2 max pooling.
type Skeleton struct {
	Channels int // of the stem and the first stack
	Stacks   int
	Modules  int // cells in a stack
	Side     int // height and width of the images, in pixels
	Classes  int // of the images
}

// BenchmarkSkeleton returns the skeleton of NAS-Bench-101, for CIFAR-10.
func BenchmarkSkeleton() Skeleton {
	return Skeleton{Channels: 128, Stacks: 3, Modules: 3, Side: 32, Classes: 10}
}

func (s Skeleton) check() error {
	if s.Channels < nasbench101.MaxVertices-2 || s.Stacks < 1 || s.Modules < 1 || s.Classes < 2 {
		return fmt.Errorf("supernet: a network needs at least %d channels, a stack, a module and two classes, not %d, %d, %d and %d",
			nasbench101.MaxVertices-2, s.Channels, s.Stacks, s.Modules, s.Classes)
	}
	if half := 1 << (s.Stacks - 1); s.Side < half || s.Side%half != 0 {
		return fmt.Errorf("supernet: images with a side of %d pixels cannot be halved %d times; use a multiple of %d", s.Side, s.Stacks-1, half)
	}
	return nil
}

// module is one of the cells of the network.
type module struct {
	name    string
	in, out int  // channels
	halve   bool // whether 2×2 max pooling comes before it
}

// modules returns those of the network in their order.
func (s Skeleton) modules() []module {
	var modules []module
	in := s.Channels
	for stack := range s.Stacks {
		for i := range s.Modules {
			out := s.Channels << stack
			modules = append(modules, module{fmt.Sprintf("stack_%d/module_%d", stack, i), in, out, stack > 0 && i == 0})
			in = out
		}
	}
	return modules
}

// network returns the skeleton with a cell in each of its modules: the logits [batch, classes] of images [batch, side,
// side, 3]. The cell of a module makes [batch, height, width, m.out] of [batch, height, width, m.in].
func (b builder) network(s Skeleton, images *Node, cell func(m module, x *Node) *Node) *Node {
	x := b.ConvNormReLU("stem", images, 3, s.Channels)
	for _, m := range s.modules() {
		if m.halve {
			x = nn.MaxPool2x2(x)
		}
		x = cell(m, x)
	}
	return b.Dense("dense", ReduceMean(x, 1, 2), s.Classes)
}
