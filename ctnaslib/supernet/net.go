// Package supernet trains networks of NAS-Bench-101 cells on images: one cell alone, by
// the benchmark's recipe ([Alone]), and all cells with shared weights, by the methods of
// the paper's Table 1 ([Train]). Shared weights label architectures without training
// each of them (Sec. 3.2, "Obtain their accuracy by training a supernet").
//
//	set, err := images.Open(ctx, "")
//	data, err := supernet.NewData(set, 10_000)
//	trained, err := supernet.Train(ctx, "runs", supernet.Training{
//		Backend: backend, Data: data, Config: supernet.Proxy(supernet.SPOS),
//	})
//	accuracies, err := trained.Net.Ranker(ctx).Utilities(cells) // on the held-out images
//	best, accuracy, err := trained.Net.Best(ctx)
package supernet

import (
	"bytes"
	"context"
	"encoding/gob"
	"fmt"
	"math/rand/v2"

	"github.com/ctnas/ctnas/ctnaslib/controller"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
)

// Net is a network with shared weights: every cell of the space is a part of it. It is
// a [space.Ranker], by the accuracy on held-out images. Batch norm takes the moments of
// the batch, in evaluation too: running ones would be those of no cell. A Net is not
// safe for concurrent use.
type Net struct {
	config     Config
	data       *Data
	store      *model.Store
	parameters []shape
	policy     *controller.Controller // of ENAS
	validation []batch

	step     *program // stepGraph
	relaxed  *program // relaxedGraph
	evaluate *program // hitsGraph
}

// NewNet makes a network with random weights. The error says what is wrong in the
// configuration or does not fit the data.
func NewNet(backend compute.Backend, data *Data, config Config) (*Net, error) {
	n, err := newNet(backend, data, config, model.NewStore())
	if err != nil {
		return nil, err
	}
	rng := engine.Stream(config.Seed, "supernet: weights", 0)
	if err := create(n.store, n.parameters, rng); err != nil {
		return nil, err
	}
	if config.relaxed() {
		if err := createMixture(n.store); err != nil {
			return nil, err
		}
	}
	if config.Method == ENAS {
		policy := config.Policy
		policy.Seed = config.Seed
		if n.policy, err = controller.New(backend, nasbench101.Space{}.Decisions(), policy); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// newNet makes a network with the weights that are in a store, or will be.
func newNet(backend compute.Backend, data *Data, config Config, store *model.Store) (*Net, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	if err := data.check(config.Classes); err != nil {
		return nil, err
	}
	n := &Net{config: config, data: data, store: store}
	var err error
	n.parameters, err = shapesOf(backend, config.Side, func(b builder, images *Node) *Node {
		g := images.Graph()
		w := wires{edges: Ones(g, shapeOf(ends, ends)), ops: Ones(g, shapeOf(vertices, ops)), slots: Ones(g, shapeOf(1, vertices)), mixed: true}
		return b.sharedNetwork(config.Skeleton, w, images)
	})
	if err != nil {
		return nil, fmt.Errorf("supernet: %w", err)
	}
	mesh, err := newMesh(backend, config.Devices)
	if err != nil {
		return nil, err
	}
	const whole, split = false, true
	cell := []bool{whole, whole, whole, whole} // the inputs of a wiring
	if n.step, err = newProgram(backend, store, mesh, append(cell[:4:4], split, split, whole), n.stepGraph); err != nil {
		return nil, err
	}
	mixture := []bool{split, split, split, split, whole, whole, whole, whole, whole}
	if n.relaxed, err = newProgram(backend, store, mesh, mixture, n.relaxedGraph); err != nil {
		return nil, err
	}
	if n.evaluate, err = newProgram(backend, store, mesh, append(cell[:4:4], split, split), n.hitsGraph); err != nil {
		return nil, err
	}
	return n, nil
}

// Config returns what the network was made with.
func (n *Net) Config() Config { return n.config }

// FLOPs is the number of floating point operations, forward, of the convolutions and the
// dense layer that a step of training needs for one image: those of the cells that it
// trains, the mean of 100 random ones, or for a mixture those of all parts, for the
// network's step and for the mixture's, of first order. Training takes about three times as many.
func (n *Net) FLOPs(backend compute.Backend) (float64, error) {
	if n.config.relaxed() {
		return 2 * float64(n.config.flops(n.parameters)), nil
	}
	const cells = 100
	rng := engine.Stream(n.config.Seed, "supernet: cells to count", 0)
	total := 0
	for range cells {
		count, err := n.config.FLOPs(backend, nasbench101.Space{}.Sample(rng).(nasbench101.Cell))
		if err != nil {
			return 0, err
		}
		total += n.config.paths() * count
	}
	return float64(total) / cells, nil
}

// variables are the variables of parameters, in their order.
func variables(root *model.Scope, parameters []shape) []*model.Variable {
	return scoped(root, scopeWeights, parameters)
}

// scoped are the variables of parameters in a scope of the store.
func scoped(root *model.Scope, scope string, parameters []shape) []*model.Variable {
	variables := make([]*model.Variable, len(parameters))
	for i, p := range parameters {
		variables[i] = root.Store().GetVariable(scope + "/" + p.name)
	}
	return variables
}

// values are the values of the parameters in a graph.
func values(g *Graph, variables []*model.Variable) []*Node {
	nodes := make([]*Node, len(variables))
	for i, v := range variables {
		nodes[i] = v.NodeValue(g)
	}
	return nodes
}

// builder builds networks whose parameters have the given values, or the first
// entries of them.
func (n *Net) builder(values []*Node) builder {
	byName := make(map[string]*Node, len(values))
	for i, p := range n.parameters {
		byName[p.name] = values[i]
	}
	return builder{moments: batchMoments, parameter: func(name string, dims ...int) *Node {
		x := byName[name]
		for axis, d := range dims {
			if x.Shape().Dim(axis) != d {
				x = SliceAxis(x, axis, AxisRange(0, d))
			}
		}
		return x
	}}
}

// stepGraph builds one step of training on some cells of the same edges: their ops
// [cells, 5, 3] and the rest of a [wiring], images, labels, the learning rate. It
// returns the mean loss of the cells, and how many images they get right.
func (n *Net) stepGraph(root *model.Scope, inputs []*Node) []*Node {
	w, images, labels, rate := wiresOf(inputs[:4]), inputs[4], inputs[5], inputs[6]
	variables := variables(root, n.parameters)
	values := values(rate.Graph(), variables)
	b := n.builder(values)
	cells := w.ops.Shape().Dim(0)
	var loss, right *Node
	for k := range cells {
		one := w
		one.ops = Squeeze(Slice(w.ops, AxisElem(k)), 0)
		logits := b.sharedNetwork(n.config.Skeleton, one, images)
		loss, right = plus(loss, crossEntropy(logits, labels)), plus(right, hits(logits, labels))
	}
	gradients := clipped(Gradient(loss, values...), n.config.Clip)
	w.ops = ReduceMax(w.ops, 0)
	byName := w.used(n.config.Skeleton)
	used := make([]*Node, len(variables))
	for i, p := range n.parameters {
		used[i] = byName[p.name]
	}
	momentum{n.config.Momentum, n.config.WeightDecay}.step(root, variables, gradients, rate, used)
	return []*Node{DivScalar(loss, cells), DivScalar(right, cells)}
}

// hitsGraph builds how many of the images, with labels, a wired cell gets right.
func (n *Net) hitsGraph(root *model.Scope, inputs []*Node) []*Node {
	w, images, labels := wiresOf(inputs[:4]), inputs[4], inputs[5]
	b := n.builder(values(images.Graph(), variables(root, n.parameters)))
	return []*Node{hits(b.sharedNetwork(n.config.Skeleton, w, images), labels)}
}

// trainOn does a step of training on cells that differ in their operations only.
func (n *Net) trainOn(cells []nasbench101.Cell, b batch, rate float64) (loss, accuracy float64, err error) {
	var w wiring
	all := make([]float32, 0, len(cells)*vertices*ops)
	for _, c := range cells {
		w = n.config.wire(c)
		all = append(all, tensors.MustCopyFlatData[float32](w.ops)...)
	}
	w.ops = tensors.FromFlatDataAndDimensions(all, len(cells), vertices, ops)
	out, err := n.step.call(append(w.inputs(), b.images, b.labels, tensors.FromScalar(float32(rate)))...)
	if err != nil {
		return 0, 0, fmt.Errorf("supernet: cannot train: %w", err)
	}
	return scalar(out[0]), scalar(out[1]) / float64(b.size), nil
}

func scalar(t *tensors.Tensor) float64 { return float64(tensors.ToScalar[float32](t)) }

// accuracy is the share of images that a cell gets right.
func (n *Net) accuracy(ctx context.Context, c nasbench101.Cell, batches ...batch) (float64, error) {
	w := n.config.wire(c)
	right, total := 0.0, 0
	for _, b := range batches {
		if err := ctx.Err(); err != nil {
			return 0, fmt.Errorf("supernet: the evaluation was stopped: %w", err)
		}
		out, err := n.evaluate.call(append(w.inputs(), b.images, b.labels)...)
		if err != nil {
			return 0, fmt.Errorf("supernet: cannot evaluate %s: %w", c, err)
		}
		right, total = right+scalar(out[0]), total+b.size
	}
	return right / float64(total), nil
}

// held are the held-out images, which are read once.
func (n *Net) held(ctx context.Context) ([]batch, error) {
	if n.validation == nil {
		all, err := batches(ctx, n.data.plain(n.data.Validation, n.config.Side, n.config.BatchSize))
		if err != nil {
			return nil, err
		}
		n.validation = all
	}
	return n.validation, nil
}

// Validation is the accuracy of a cell on the held-out images, in [0, 1].
func (n *Net) Validation(ctx context.Context, c nasbench101.Cell) (float64, error) {
	held, err := n.held(ctx)
	if err != nil {
		return 0, err
	}
	return n.accuracy(ctx, c, held...)
}

// Test is the accuracy of a cell on the test images, in [0, 1]. No search may see it.
func (n *Net) Test(ctx context.Context, c nasbench101.Cell) (float64, error) {
	right, count := 0.0, 0
	l := n.data.plain(n.data.Test, n.config.Side, n.config.BatchSize)
	err := stream(ctx, l, 0, l.Len(), func(_ int, b batch) error {
		accuracy, err := n.accuracy(ctx, c, b)
		right, count = right+accuracy, count+1
		return err
	})
	return right / float64(count), err
}

// Ranker is Net as a [space.Ranker] by its accuracies on the held-out images, until ctx ends. Its
// error says that an architecture is not a cell of NAS-Bench-101.
func (n *Net) Ranker(ctx context.Context) space.Ranker {
	return ranker[nasbench101.Cell]{ctx, "a cell of NAS-Bench-101", n.Validation}
}

// Best is the cell that the method ends in, and its accuracy on the held-out images:
// the best of the candidates, or for DARTS and FBNet the strongest parts of the mixture.
func (n *Net) Best(ctx context.Context) (best nasbench101.Cell, accuracy float64, err error) {
	if n.config.relaxed() {
		if best, err = n.strongest(); err != nil {
			return best, 0, err
		}
		accuracy, err = n.Validation(ctx, best)
		return best, accuracy, err
	}
	rng := engine.Stream(n.config.Seed, "supernet: candidates", 0)
	for range n.config.Candidates {
		c, err := n.draw(rng)
		if err != nil {
			return best, 0, err
		}
		a, err := n.Validation(ctx, c)
		if err != nil {
			return best, 0, err
		}
		if a > accuracy {
			best, accuracy = c, a
		}
	}
	return best, accuracy, nil
}

// draw is a random cell: the policy's, if there is one.
func (n *Net) draw(rng *rand.Rand) (nasbench101.Cell, error) {
	s := nasbench101.Space{}
	if n.policy == nil {
		return s.Sample(rng).(nasbench101.Cell), nil
	}
	sequences, err := n.policy.Sample(rng, 1)
	if err != nil {
		return nasbench101.Cell{}, err
	}
	archs, err := controller.Decoded(s, sequences)
	if err != nil {
		return nasbench101.Cell{}, err
	}
	return archs[0].(nasbench101.Cell), nil
}

// savedNet is a Net in a checkpoint.
type savedNet struct{ Store, Policy []byte }

// Encode writes the weights and the optimisers' state to bytes.
func (n *Net) Encode() ([]byte, error) {
	var s savedNet
	var err error
	if s.Store, err = engine.EncodeStore(n.store); err != nil {
		return nil, err
	}
	if n.policy != nil {
		if s.Policy, err = n.policy.Encode(); err != nil {
			return nil, err
		}
	}
	var out bytes.Buffer
	if err := gob.NewEncoder(&out).Encode(s); err != nil {
		return nil, fmt.Errorf("supernet: cannot write the checkpoint: %w", err)
	}
	return out.Bytes(), nil
}

// Decode makes a network from what [Net.Encode] wrote. The error says that the weights
// do not fit the configuration.
func Decode(backend compute.Backend, data *Data, config Config, state []byte) (*Net, error) {
	var s savedNet
	if err := gob.NewDecoder(bytes.NewReader(state)).Decode(&s); err != nil {
		return nil, fmt.Errorf("supernet: cannot read the checkpoint: %w", err)
	}
	fresh, err := NewNet(backend, data, config)
	if err != nil {
		return nil, err
	}
	store, err := restored(s.Store, fresh.store)
	if err != nil {
		return nil, err
	}
	n, err := newNet(backend, data, config, store)
	if err != nil {
		return nil, err
	}
	if fresh.policy != nil {
		n.policy, err = controller.Decode(backend, nasbench101.Space{}.Decisions(), fresh.policy.Config(), s.Policy)
		if err != nil {
			return nil, err
		}
	}
	return n, nil
}
