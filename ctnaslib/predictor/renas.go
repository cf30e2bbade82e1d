package predictor

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/encoder"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/gomlx/compute"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/layers/activation"
	"github.com/gomlx/gomlx/ml/model"
)

// RankingLoss is the loss φ(z) of a pair that [ReNAS] learns from, where z is how
// much higher the better architecture of the two scores.
type RankingLoss string

const (
	LogisticLoss RankingLoss = "logistic" // log(1 + e^−z), as in ReNAS's published code
	HingeLoss    RankingLoss = "hinge"    // max(0, 1 − z)
)

// ReNASConfig describes a [ReNAS] and its training. It is stored with every run, so
// all of it is exported and plain.
type ReNASConfig struct {
	Channels [2]int // of the two convolutions
	Hidden   [2]int // widths of the two hidden linear layers
	Loss     RankingLoss

	Epochs       int     // passes over the labelled architectures
	BatchSize    int     // labelled architectures in a batch; all their pairs count
	LearningRate float64 // of Adam
	Beta1, Beta2 float64 // of Adam
	WeightDecay  float64 // L2 penalty: WeightDecay/2 · ‖w‖² joins the loss

	Seed uint64 // of the initial weights and the batches
}

// ReleasedReNAS is the predictor of ReNAS's published code, with its defaults.
func ReleasedReNAS() ReNASConfig {
	return ReNASConfig{
		Channels: [2]int{38, 128}, Hidden: [2]int{120, 84}, Loss: LogisticLoss,
		Epochs: 200, BatchSize: 1024, LearningRate: 1e-3, Beta1: 0.9, Beta2: 0.999,
	}
}

// QuickReNAS is ReleasedReNAS in a quarter of the epochs, for a laptop and a lesson.
func QuickReNAS() ReNASConfig {
	c := ReleasedReNAS()
	c.Epochs = 50
	return c
}

func (c ReNASConfig) adam() engine.Adam {
	return engine.Adam{LearningRate: c.LearningRate, Beta1: c.Beta1, Beta2: c.Beta2, WeightDecay: c.WeightDecay}
}

// Check reports what is wrong in the configuration.
func (c ReNASConfig) Check() error {
	if min(c.Channels[0], c.Channels[1], c.Hidden[0], c.Hidden[1]) < 1 {
		return fmt.Errorf("predictor: the layers of ReNAS need a width of at least one, not Channels %v and Hidden %v", c.Channels, c.Hidden)
	}
	if c.Loss != LogisticLoss && c.Loss != HingeLoss {
		return fmt.Errorf("predictor: unknown ranking loss %q; use predictor.LogisticLoss or predictor.HingeLoss", c.Loss)
	}
	return checkTraining(c.Epochs, c.BatchSize, c.adam())
}

// Costed is an architecture that ReNAS can read: it knows what its nodes cost.
type Costed interface {
	space.Arch

	// Costs are the floating point operations flops[k][v] and the trainable parameters
	// params[k][v] of node v of the graph, in the k-th place of the network that holds
	// the architecture. Every architecture of a space has as many places.
	Costs() (flops, params [][]int)
}

// ReNAS ranks architectures by a score (Xu et al., ReNAS: Relativistic Evaluation of
// Neural Architecture Search, CVPR 2021; the paper's rival in Table 1). Its input
// is a stack of maps [nodes, nodes] made by hand: the adjacency matrix whose entry
// for an edge i → j is replaced by the operation of j, then by the FLOPs and by the
// parameters of j in each place of the network, so 19 maps for the nine cells of
// NAS-Bench-101. A small CNN like LeNet-5 scores them: two 3×3 convolutions with
// batch norm and ReLU, three linear layers. It trains on all pairs of a batch,
//
//	1/(m(m−1)) · Σ_{i≠j} φ((s_i − s_j)·sign(R_i − R_j)).
//
// It is not safe for concurrent use.
//
// # What it follows
//
// The network, φ, the optimiser, standardising each entry of the maps over the
// labelled architectures, and the number of epochs are those of the authors'
// published code (huawei-noah/Efficient-Computing, ReNAS/renas.py). That code reads
// the maps from files that could not be had; the maps follow the paper's Fig. 1 and
// its re-implementation by Guo et al. (AlbertiPot/nar, arch_encode.py): the output
// is the last row and column, padding comes before it. Assumed are what the costs
// count (see nasbench101.Cell.Costs) and the numbering of the operations (that of
// [space.Graph]).
//
// In three points this departs from that code. It learns from validation accuracies,
// where the code takes test accuracies. It keeps the weights of the last epoch, not
// those of the epoch with the highest Kendall's tau on the labelled ones. And the
// search that uses it may not look up the accuracies of its ten best, as the code
// does, since those would be more queries.
type ReNAS struct {
	config ReNASConfig
	space  space.Space
	maps   int          // of the input
	store  *model.Store // weights, the input's moments, the running moments, the optimiser's state
	score  *model.Exec  // scoreGraph
	step   *model.Exec  // stepGraph
}

// The paths in the store; %d is 0 or 1.
const (
	scopeReNAS   = "renas"
	nameConv     = "conv_%d"       // [9·channels in, channels out], rows in the order of (row, column, channel in)
	nameScale    = "norm_scale_%d" // [channels]
	nameShift    = "norm_shift_%d" // [channels]
	nameFC       = "linear_%d"     // [in, out]; %d is 0, 1 or 2
	nameFCBias   = "linear_bias_%d"
	scopeInput   = "input"
	nameMean     = "mean"      // [nodes, nodes, maps]
	nameSpread   = "deviation" // [nodes, nodes, maps]
	scopeRunning = "running"
	nameRunMean  = "mean_%d"     // of the batch norms, [channels]
	nameRunVar   = "variance_%d" // [channels]
)

// NewReNAS makes a predictor with random weights, for maps like those of labelled,
// which set their mean and deviation. The error says what is wrong in the
// configuration, that there are no labelled architectures, or that one is not [Costed].
func NewReNAS(backend compute.Backend, s space.Space, labelled []comparator.Labelled, config ReNASConfig) (*ReNAS, error) {
	if err := config.Check(); err != nil {
		return nil, err
	}
	if len(labelled) == 0 {
		return nil, fmt.Errorf("predictor: ReNAS needs labelled architectures, got none")
	}
	features, maps, err := featureMaps(comparator.Archs(labelled), s.Nodes())
	if err != nil {
		return nil, err
	}
	size := s.Nodes() * s.Nodes() * maps
	means, deviations := make([]float64, size), make([]float64, size)
	values := make([]float64, len(labelled))
	for entry := range size {
		for i := range values {
			values[i] = float64(features[i*size+entry])
		}
		means[entry], deviations[entry] = moments(values)
	}
	store, err := newReNASStore(s.Nodes(), maps, means, deviations, config)
	if err != nil {
		return nil, fmt.Errorf("predictor: %w", err)
	}
	return newReNAS(backend, s, config, store)
}

// newReNASStore draws the weights as PyTorch does: uniform ±1/√n for n inputs.
func newReNASStore(nodes, maps int, means, deviations []float64, config ReNASConfig) (*model.Store, error) {
	rng := engine.Stream(config.Seed, "predictor: weights", 0)
	store := model.NewStore()
	scope, running, input := store.RootScope().At(scopeReNAS), store.RootScope().At(scopeRunning), store.RootScope().At(scopeInput)
	var err error
	create := func(name string, i int, draw func() float64, dims ...int) {
		if err == nil {
			err = engine.NewVariable(scope, fmt.Sprintf(name, i), draw, dims...)
		}
	}
	fixed := func(scope *model.Scope, name string, values []float64, dims ...int) {
		if err == nil {
			err = constant(scope, name, values, dims...)
		}
	}
	ones := func() float64 { return 1 }
	zeros := func() float64 { return 0 }
	channels := maps
	for i, out := range config.Channels {
		create(nameConv, i, encoder.Uniform(rng, 9*channels), 9*channels, out)
		create(nameScale, i, ones, out)
		create(nameShift, i, zeros, out)
		start := make([]float64, 2*out) // mean 0, variance 1
		for k := range out {
			start[out+k] = 1
		}
		fixed(running, fmt.Sprintf(nameRunMean, i), start[:out], out)
		fixed(running, fmt.Sprintf(nameRunVar, i), start[out:], out)
		channels = out
	}
	width := nodes * nodes * channels
	for i, out := range []int{config.Hidden[0], config.Hidden[1], 1} {
		create(nameFC, i, encoder.Uniform(rng, width), width, out)
		create(nameFCBias, i, encoder.Uniform(rng, width), out)
		width = out
	}
	fixed(input, nameMean, means, nodes, nodes, maps)
	fixed(input, nameSpread, deviations, nodes, nodes, maps)
	return store, err
}

func newReNAS(backend compute.Backend, s space.Space, config ReNASConfig, store *model.Store) (*ReNAS, error) {
	r := &ReNAS{config: config, space: s, store: store}
	r.maps = store.GetVariable("/" + scopeInput + "/" + nameMean).Shape().Dim(2)
	var err error
	if r.score, err = model.NewExec(backend, store, r.scoreGraph); err != nil {
		return nil, fmt.Errorf("predictor: %w", err)
	}
	if r.step, err = model.NewExec(backend, store, r.stepGraph); err != nil {
		return nil, fmt.Errorf("predictor: %w", err)
	}
	r.score.SetMaxCache(-1)
	r.step.SetMaxCache(-1)
	return r, nil
}

// Config returns what the predictor was made with.
func (r *ReNAS) Config() ReNASConfig { return r.config }

// featureMaps are ReNAS's maps of each architecture, [batch, nodes, nodes, maps],
// row-major, and the number of maps: the operation's id, then the FLOPs of each
// place in 10⁷, then the parameters of each place in 10⁵. An entry (i, j) is 0 where
// there is no edge i → j, else it speaks of node j. A graph of fewer nodes is padded
// before its last one. The error names the first architecture that is not [Costed]
// or has too many nodes.
func featureMaps(archs []space.Arch, nodes int) (features []float32, maps int, err error) {
	for k, a := range archs {
		costed, ok := a.(Costed)
		if !ok {
			return nil, 0, fmt.Errorf("predictor: ReNAS cannot read %v: its space does not count the costs of nodes", a)
		}
		g := a.Graph()
		if len(g.Ops) > nodes {
			return nil, 0, fmt.Errorf("predictor: architecture %v has %d nodes, but ReNAS was built for %d", a, len(g.Ops), nodes)
		}
		flops, params := costed.Costs()
		places := len(flops)
		if k == 0 {
			maps = 1 + 2*places
			features = make([]float32, len(archs)*nodes*nodes*maps)
		}
		at := func(node int) int {
			if node == len(g.Ops)-1 {
				return nodes - 1
			}
			return node
		}
		for _, e := range g.Edges {
			entry := features[((k*nodes+at(e[0]))*nodes+at(e[1]))*maps:][:maps]
			entry[0] = float32(g.Ops[e[1]])
			for p := range places {
				entry[1+p] = float32(float64(flops[p][e[1]]) / 1e7)
				entry[1+places+p] = float32(float64(params[p][e[1]]) / 1e5)
			}
		}
	}
	return features, maps, nil
}

// scoreGraph builds the scores [batch] of features [batch, nodes, nodes, maps].
func (r *ReNAS) scoreGraph(root *model.Scope, features *Node) *Node {
	return r.network(root, features, false)
}

// network builds the CNN. In training, batch norm takes the moments of the batch and
// moves the running ones towards them, else it takes the running ones.
func (r *ReNAS) network(root *model.Scope, features *Node, training bool) *Node {
	g := features.Graph()
	variable := func(scope, name string) *Node { return root.At("%s", scope).GetVariable(name).NodeValue(g) }
	standard := func(name string) *Node { return ExpandLeftToRank(variable(scopeInput, name), 4) }
	x := Div(Sub(features, standard(nameMean)), standard(nameSpread))
	for i := range r.config.Channels {
		x = convolve(x, variable(scopeReNAS, fmt.Sprintf(nameConv, i)))
		mean, variance := r.norm(root, i, x, training)
		scale := Div(variable(scopeReNAS, fmt.Sprintf(nameScale, i)), Sqrt(AddScalar(variance, 1e-5)))
		shift := Sub(variable(scopeReNAS, fmt.Sprintf(nameShift, i)), Mul(mean, scale))
		x = activation.Relu(Add(Mul(x, ExpandLeftToRank(scale, 4)), ExpandLeftToRank(shift, 4)))
	}
	x = Reshape(x, x.Shape().Dim(0), -1)
	for i := range 3 {
		if i > 0 {
			x = activation.Relu(x)
		}
		x = Add(MatMul(x, variable(scopeReNAS, fmt.Sprintf(nameFC, i))), ExpandLeftToRank(variable(scopeReNAS, fmt.Sprintf(nameFCBias, i)), 2))
	}
	return Squeeze(x, 1)
}

// convolve builds a 3×3 convolution with padding as one matrix product: x is
// [batch, rows, columns, in], weights [9·in, out].
func convolve(x, weights *Node) *Node {
	rows, columns := x.Shape().Dim(1), x.Shape().Dim(2)
	padded := x
	for _, axis := range []int{1, 2} { // GoMLX v0.28.2 knows no gradient of Pad
		dims := slices.Clone(padded.Shape().Dimensions)
		dims[axis] = 1
		border := Zeros(x.Graph(), shapes.Make(x.DType(), dims...))
		padded = Concatenate([]*Node{border, padded, border}, axis)
	}
	var around []*Node
	for i := range 3 {
		for j := range 3 {
			around = append(around, Slice(padded, AxisRange(), AxisRange(i, i+rows), AxisRange(j, j+columns)))
		}
	}
	return MatMul(Concatenate(around, -1), weights)
}

// norm builds the mean and the variance [channels] for the i-th batch norm of x, and
// keeps the running ones as PyTorch does, with momentum 0.1.
func (r *ReNAS) norm(root *model.Scope, i int, x *Node, training bool) (mean, variance *Node) {
	const momentum = 0.1
	running := root.At(scopeRunning)
	runMean, runVariance := running.GetVariable(fmt.Sprintf(nameRunMean, i)), running.GetVariable(fmt.Sprintf(nameRunVar, i))
	if !training {
		return runMean.NodeValue(x), runVariance.NodeValue(x)
	}
	mean = ReduceMean(x, 0, 1, 2)
	variance = ReduceMean(Square(Sub(x, ExpandLeftToRank(mean, 4))), 0, 1, 2)
	n := float64(x.Shape().Size() / x.Shape().Dim(3))
	move := func(v *model.Variable, to *Node) {
		v.SetNodeValue(Add(MulScalar(v.NodeValue(x), 1-momentum), MulScalar(to, momentum)))
	}
	move(runMean, mean)
	move(runVariance, MulScalar(variance, n/(n-1)))
	return mean, variance
}

// stepGraph builds one step of Adam on the loss of all pairs of a batch, features
// [batch, nodes, nodes, maps] with accuracies [batch], and returns that loss.
func (r *ReNAS) stepGraph(root *model.Scope, features, accuracies *Node) *Node {
	scores := r.network(root, features, true)
	loss := r.loss(scores, accuracies)
	r.config.adam().Minimize(root, scopeReNAS, loss)
	return loss
}

// loss builds the mean φ over all ordered pairs i ≠ j. As in the authors' code a pair
// of equal accuracies counts φ(0).
func (r *ReNAS) loss(scores, accuracies *Node) *Node {
	differences := func(x *Node) *Node { return Sub(ExpandAxes(x, 1), ExpandAxes(x, 0)) }
	z := Mul(differences(scores), Sign(differences(accuracies)))
	var φ *Node
	var itself float64 // φ(0), of an architecture with itself
	if r.config.Loss == LogisticLoss {
		φ, itself = Softplus(Neg(z)), math.Ln2
	} else {
		φ, itself = activation.Relu(AddScalar(Neg(z), 1)), 1
	}
	m := float64(scores.Shape().Dim(0))
	return DivScalar(AddScalar(ReduceAllSum(φ), -m*itself), m*(m-1))
}

// TrainReNAS trains a [ReNAS] in a run directory under root. If that training was
// done before it returns the stored one; if it was interrupted, by ctx or by the end
// of the process, it continues.
func TrainReNAS(ctx context.Context, root string, t Training[ReNASConfig]) (*Trained[*ReNAS], error) {
	return train(ctx, root, "renas-predictor", t, t.Config.Epochs,
		func() (*ReNAS, error) { return NewReNAS(t.Backend, t.Space, t.Labelled, t.Config) },
		func(state []byte) (*ReNAS, error) { return DecodeReNAS(t.Backend, t.Space, t.Config, state) })
}

// TrainEpoch trains on every labelled architecture once, in batches, and returns
// the mean loss of the batches. An epoch is a function of the weights, the seed and
// its number. A last batch of one is left out: it has no pairs.
func (r *ReNAS) TrainEpoch(epoch int, labelled []comparator.Labelled) (loss float64, err error) {
	if len(labelled) < 2 {
		return 0, fmt.Errorf("predictor: training needs at least 2 labelled architectures, got %d", len(labelled))
	}
	trained := 0
	for _, part := range batches(r.config.Seed, epoch, labelled, r.config.BatchSize) {
		if len(part) < 2 {
			break
		}
		features, err := r.features(comparator.Archs(part), len(part))
		if err != nil {
			return 0, err
		}
		out, err := r.step.Call1(features, accuracies(part, 0, 1))
		if err != nil {
			return 0, fmt.Errorf("predictor: cannot train: %w", err)
		}
		loss += float64(tensors.ToScalar[float32](out))
		trained++
	}
	return loss / float64(trained), nil
}

// features are the maps of archs, padded with zeros to a batch of the given size.
func (r *ReNAS) features(archs []space.Arch, size int) (*tensors.Tensor, error) {
	nodes := r.space.Nodes()
	features, maps, err := featureMaps(archs, nodes)
	if err != nil {
		return nil, err
	}
	if maps != r.maps {
		return nil, fmt.Errorf("predictor: these architectures have %d maps, but ReNAS was built for %d", maps, r.maps)
	}
	features = append(features, make([]float32, (size-len(archs))*nodes*nodes*maps)...)
	return tensors.FromFlatDataAndDimensions(features, size, nodes, nodes, maps), nil
}

// Utilities are the scores of each architecture: ReNAS as a [space.Ranker].
func (r *ReNAS) Utilities(archs []space.Arch) ([]float64, error) {
	scores := make([]float64, 0, len(archs))
	err := encoder.Chunks(archs, func(part []space.Arch, batch int) error {
		features, err := r.features(part, batch)
		if err != nil {
			return err
		}
		out, err := r.score.Call1(features)
		if err != nil {
			return fmt.Errorf("predictor: cannot compute scores: %w", err)
		}
		for i, s := range tensors.MustCopyFlatData[float32](out)[:len(part)] {
			if err := finite(float64(s), part[i]); err != nil {
				return err
			}
			scores = append(scores, float64(s))
		}
		return nil
	})
	return scores, err
}

// Encode writes the weights, the moments and the optimiser's state to bytes.
func (r *ReNAS) Encode() ([]byte, error) { return engine.EncodeStore(r.store) }

// DecodeReNAS makes a predictor from what [ReNAS.Encode] wrote. The error says that
// the weights do not fit the space or the configuration.
func DecodeReNAS(backend compute.Backend, s space.Space, config ReNASConfig, data []byte) (*ReNAS, error) {
	if err := config.Check(); err != nil {
		return nil, err
	}
	store, err := engine.DecodeStore(data)
	if err != nil {
		return nil, err
	}
	another := func(err error) error {
		return fmt.Errorf("predictor: the checkpoint is of another ReNAS: %w", err)
	}
	mean := store.GetVariable("/" + scopeInput + "/" + nameMean)
	if mean == nil || mean.Shape().Rank() != 3 {
		return nil, another(fmt.Errorf("it does not say how many maps the input has"))
	}
	nodes, maps := s.Nodes(), mean.Shape().Dim(2)
	anything := make([]float64, nodes*nodes*maps)
	fresh, err := newReNASStore(nodes, maps, anything, anything, config)
	if err != nil {
		return nil, fmt.Errorf("predictor: %w", err)
	}
	if err := engine.SameVariables(store, fresh); err != nil {
		return nil, another(err)
	}
	return newReNAS(backend, s, config, store)
}
