// Package nn is what the networks on images have in common, those of packages supernet, onceforall and relaxation:
// their layers, their weights, their optimisers, and the one way in which they are trained and judged. A network's
// package says how its graph is built and what a step of its training does; all else is here.
//
// # Images
//
// [Data] are the images to train on, those that are held out, by whose accuracy a search chooses, and those to test on,
// which no search may see:
//
//	set, err := images.Open(ctx, "")
//	data, err := nn.NewData(set, 10_000)
//
// # Networks
//
// A network is built twice. A function takes a [Builder] and images and builds the graph, layer by layer; what it asks
// the builder for first are the parameters, by name and shape. [NewModel] calls it once without computing anything, to
// learn what parameters there are, and gives each its first value. From then on the network calls it with
// [Model.Builder] in the graphs of its programs, where the parameters are those of the store.
//
//	m, err := nn.NewModel(backend, data, nn.Input{Side: 32, Classes: 10, BatchSize: 64}, rng,
//		func(b nn.Builder, images *Node) *Node {
//			x := b.ConvNormReLU("stem", images, 3, 16)
//			return b.Dense("dense", ReduceMean(x, 1, 2), 10)
//		})
//
// A [Program] is a compiled graph over these weights, on one device or, data parallel, on several. Batch norm
// normalises by what [Builder.Moments] says, such as the moments of the batch ([BatchMoments]).
//
// # Training
//
// Training goes in rounds, the steps from one checkpoint to the next. [Process] is a training as package train runs it,
// so it can be stopped or killed at any moment, goes on at its last checkpoint, and leads to the same weights.
// [Training] says what is trained on what, in all three packages.
//
// # Labels without a benchmark
//
// [Ranker] makes of a network with shared weights what ranks architectures, and [Benchmark] what a search can buy
// labels from.
package nn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/distributed"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
)

// Versions returns the version of what is computed here, for the keys of stored results.
func Versions() rundir.Versions { return rundir.Versions{"nn": 1} }

// Input says in what form a network gets its images.
type Input struct {
	Side      int    // height and width, in pixels
	Classes   int    // of the images
	BatchSize int    // images in a step; those to evaluate come in batches of at most as many
	Devices   int    // of the backend that share every batch; 0 and 1 are one
	Seed      uint64 // of the order and the augmentation of training images

	// Crops says that training images are random crops, and others the middle, 224 of 256 pixels, as is standard for
	// ImageNet; else training images are moved by up to an eighth of the side, and others are whole.
	Crops bool
}

// Check says what is wrong with the batches.
func (in Input) Check() error {
	switch {
	case in.BatchSize < 2:
		return fmt.Errorf("nn: training needs batches of at least 2 images, not %d", in.BatchSize)
	case in.Devices < 0 || in.Devices > 1 && in.BatchSize%in.Devices != 0:
		return fmt.Errorf("nn: a batch of %d images cannot be shared by %d devices", in.BatchSize, in.Devices)
	}
	return nil
}

// IsRate, IsDecay and IsFraction report whether a setting is one that can train a network: a rate is positive, a decay
// is not negative, neither is beyond all reason, and a fraction is in [0, 1). None is NaN.
func IsRate(v float64) bool     { return v > 0 && v <= 1000 }
func IsDecay(v float64) bool    { return v >= 0 && v <= 1000 }
func IsFraction(v float64) bool { return v >= 0 && v < 1 }

// ParameterSpec is the name and the shape of a parameter. It is float32.
type ParameterSpec struct {
	Name string // of its layer, a slash, and one of the names beside [NameKernel]
	Dims []int
}

// Size returns the number of entries.
func (p ParameterSpec) Size() int {
	size := 1
	for _, d := range p.Dims {
		size *= d
	}
	return size
}

// Parameters lists the parameters that a network for images of side×side pixels has, in the order in which it asks for
// them, by building it once, which returns its logits [batch, classes] for images [batch, side, side, 3]. It computes
// nothing and takes no memory for weights. The error says what cannot be built.
func Parameters(backend compute.Backend, side int, build func(b Builder, images *Node) *Node) (parameters []ParameterSpec, err error) {
	err = engine.Try(func() {
		g := NewGraph(backend, "shapes")
		defer g.Finalize()
		known := make(map[string]bool)
		b := Builder{Moments: BatchMoments, Parameter: func(name string, dims ...int) *Node {
			if !known[name] {
				known[name] = true
				parameters = append(parameters, ParameterSpec{name, dims})
			}
			return Zeros(g, Shape(dims...))
		}}
		build(b, Zeros(g, Shape(1, side, side, 3)))
	})
	return parameters, err
}

// Weights is the scope of a store that holds the parameters of a network.
const Weights = "/weights"

// Model is the weights of a network, in a store that also holds the state of its optimiser, and the images that it is
// trained and judged on. It is not safe for concurrent use.
type Model struct {
	Input      Input
	Data       *Data
	Store      *model.Store
	Parameters []ParameterSpec

	backend compute.Backend
	mesh    *distributed.DeviceMesh // nil for one device
	held    []Batch                 // what Held returns, once it was asked
}

// NewModel makes the weights of a network that a function builds, as in [Parameters]. Kernels are drawn from a normal
// distribution of variance 1/(number of inputs), scales are 1, and all others 0. (NAS-Bench-101 cuts that distribution
// off at two standard deviations.) The error says what is wrong with the input, what does not fit the data, or what
// cannot be built.
func NewModel(backend compute.Backend, data *Data, in Input, rng *rand.Rand, build func(b Builder, images *Node) *Node) (*Model, error) {
	if err := in.Check(); err != nil {
		return nil, err
	}
	if data.Classes != in.Classes {
		return nil, fmt.Errorf("nn: the images have %d classes, but the network is made for %d; set Classes", data.Classes, in.Classes)
	}
	m := &Model{Input: in, Data: data, Store: model.NewStore(), backend: backend}
	var err error
	if m.Parameters, err = Parameters(backend, in.Side, build); err != nil {
		return nil, fmt.Errorf("nn: cannot build the network: %w", err)
	}
	if m.mesh, err = newMesh(backend, in.Devices); err != nil {
		return nil, err
	}
	for _, p := range m.Parameters {
		if err := m.Create(Weights, p, initial(p, rng)); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// initial draws the first value of each entry of a parameter.
func initial(p ParameterSpec, rng *rand.Rand) func() float64 {
	switch path.Base(p.Name) {
	case NameScale:
		return func() float64 { return 1 }
	case NameKernel, NameDepthwiseKernel:
		inputs := p.Size() / p.Dims[len(p.Dims)-1]
		deviation := 1 / math.Sqrt(float64(inputs))
		return func() float64 { return deviation * rng.NormFloat64() }
	}
	return func() float64 { return 0 }
}

// Create adds a variable of a parameter's name and shape to a scope of the store, such as [Weights], whose entries are
// drawn one by one, row by row.
func (m *Model) Create(scope string, p ParameterSpec, draw func() float64) error {
	layer, last := path.Split(p.Name)
	if err := engine.NewVariable(m.Store.Scope(path.Join(scope, layer)), last, draw, p.Dims...); err != nil {
		return fmt.Errorf("nn: cannot make the weights %s: %w", p.Name, err)
	}
	return nil
}

// Variables returns the variables in a scope that have the names of the parameters, in their order.
func (m *Model) Variables(scope string) []*model.Variable {
	variables := make([]*model.Variable, len(m.Parameters))
	for i, p := range m.Parameters {
		variables[i] = m.Store.GetVariable(scope + "/" + p.Name)
	}
	return variables
}

// Values returns what variables are worth at this point of a graph: after a step that was built before, what it leads
// to.
func Values(g *Graph, variables []*model.Variable) []*Node {
	nodes := make([]*Node, len(variables))
	for i, v := range variables {
		nodes[i] = v.NodeValue(g)
	}
	return nodes
}

// Builder returns a builder of networks whose parameters have the given values, in their order, or the first entries of
// them along each axis, and whose batch norm takes the moments of the batch.
func (m *Model) Builder(values []*Node) Builder {
	byName := make(map[string]*Node, len(values))
	for i, p := range m.Parameters {
		byName[p.Name] = values[i]
	}
	return Builder{Moments: BatchMoments, Parameter: func(name string, dims ...int) *Node {
		x := byName[name]
		for axis, d := range dims {
			if x.Shape().Dim(axis) != d {
				x = SliceAxis(x, axis, AxisRange(0, d))
			}
		}
		return x
	}}
}

// Encode writes all variables of the store, weights and optimiser state alike, to bytes.
func (m *Model) Encode() ([]byte, error) { return engine.EncodeStore(m.Store) }

// Restore takes on what [Model.Encode] of a network like it wrote. The error says that the variables do not fit.
func (m *Model) Restore(state []byte) error {
	if err := engine.RestoreStore(m.Store, state); err != nil {
		return fmt.Errorf("nn: the checkpoint is of another network: %w", err)
	}
	return nil
}
