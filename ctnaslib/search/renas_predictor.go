package search

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/layers/activation"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/ctnas/ctnas/ctnaslib/encoder"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// RankingLoss is the loss φ(z) of a pair that [ReNASPredictor] learns from, where z is how
// much higher the better architecture of the two scores.
type RankingLoss string

const (
	LogisticLoss RankingLoss = "logistic" // log(1 + e^−z), as in ReNAS's published code
	HingeLoss    RankingLoss = "hinge"    // max(0, 1 − z)
)

// ReNASPredictorConfig describes a [ReNASPredictor] and its training. It is stored with every run, so
// all of it is exported and plain.
type ReNASPredictorConfig struct {
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

// ReleasedReNASPredictor returns the predictor of ReNAS's published code, with its defaults.
func ReleasedReNASPredictor() ReNASPredictorConfig {
	return ReNASPredictorConfig{
		Channels: [2]int{38, 128}, Hidden: [2]int{120, 84}, Loss: LogisticLoss,
		Epochs: 200, BatchSize: 1024, LearningRate: 1e-3, Beta1: 0.9, Beta2: 0.999,
	}
}

// QuickReNASPredictor is ReleasedReNASPredictor in a quarter of the epochs, for a laptop and a lesson.
func QuickReNASPredictor() ReNASPredictorConfig {
	c := ReleasedReNASPredictor()
	c.Epochs = 50
	return c
}

func (c ReNASPredictorConfig) adam() engine.Adam {
	return engine.Adam{LearningRate: c.LearningRate, Beta1: c.Beta1, Beta2: c.Beta2, WeightDecay: c.WeightDecay}
}

// Check reports what is wrong in the configuration.
func (c ReNASPredictorConfig) Check() error {
	if min(c.Channels[0], c.Channels[1], c.Hidden[0], c.Hidden[1]) < 1 {
		return fmt.Errorf("search: the layers of ReNAS need a width of at least one, not Channels %v and Hidden %v", c.Channels, c.Hidden)
	}
	if c.Loss != LogisticLoss && c.Loss != HingeLoss {
		return fmt.Errorf("search: unknown ranking loss %q; use search.LogisticLoss or search.HingeLoss", c.Loss)
	}
	return checkTraining(c.Epochs, c.BatchSize, c.adam())
}

// Costed is an architecture that ReNASPredictor can read: it knows what its nodes cost.
type Costed interface {
	space.Arch

	// Costs are the floating point operations flops[k][v] and the trainable parameters
	// params[k][v] of node v of the graph, in the k-th place of the network that holds
	// the architecture. Every architecture of a space has as many places.
	Costs() (flops, params [][]int)
}

// ReNASPredictor ranks architectures by a score (Xu et al., ReNAS: Relativistic Evaluation of
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
type ReNASPredictor struct {
	config ReNASPredictorConfig
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

// NewReNASPredictor makes a predictor with random weights, for maps like those of labelled,
// which set their mean and deviation. The error says what is wrong in the
// configuration, that there are no labelled architectures, or that one is not [Costed].
func NewReNASPredictor(backend compute.Backend, s space.Space, labelled []space.Labelled, config ReNASPredictorConfig) (*ReNASPredictor, error) {
	if err := config.Check(); err != nil {
		return nil, err
	}
	if len(labelled) == 0 {
		return nil, fmt.Errorf("search: ReNAS needs labelled architectures, got none")
	}
	features, maps, err := featureMaps(space.Archs(labelled), s.Nodes())
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
		return nil, fmt.Errorf("search: %w", err)
	}
	r := &ReNASPredictor{config: config, space: s, maps: maps, store: store}
	if r.score, err = engine.NewProgram(backend, store, r.scoreGraph); err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	if r.step, err = engine.NewProgram(backend, store, r.stepGraph); err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	return r, nil
}

// newReNASStore draws the weights as PyTorch does: uniform ±1/√n for n inputs.
func newReNASStore(nodes, maps int, means, deviations []float64, config ReNASPredictorConfig) (*model.Store, error) {
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

// Config returns what the predictor was made with.
func (r *ReNASPredictor) Config() ReNASPredictorConfig { return r.config }

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
			return nil, 0, fmt.Errorf("search: ReNAS cannot read %v: its space does not count the costs of nodes", a)
		}
		g := a.Graph()
		if len(g.Ops) > nodes {
			return nil, 0, fmt.Errorf("search: architecture %v has %d nodes, but ReNAS was built for %d", a, len(g.Ops), nodes)
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
func (r *ReNASPredictor) scoreGraph(root *model.Scope, features *Node) *Node {
	return r.network(root, features, false)
}

// network builds the CNN. In training, batch norm takes the moments of the batch and
// moves the running ones towards them, else it takes the running ones.
func (r *ReNASPredictor) network(root *model.Scope, features *Node, training bool) *Node {
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
func (r *ReNASPredictor) norm(root *model.Scope, i int, x *Node, training bool) (mean, variance *Node) {
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
func (r *ReNASPredictor) stepGraph(root *model.Scope, features, accuracies *Node) *Node {
	scores := r.network(root, features, true)
	loss := r.loss(scores, accuracies)
	r.config.adam().Minimize(root, scopeReNAS, loss)
	return loss
}

// loss builds the mean φ over all ordered pairs i ≠ j. As in the authors' code a pair
// of equal accuracies counts φ(0).
func (r *ReNASPredictor) loss(scores, accuracies *Node) *Node {
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

// TrainReNASPredictor trains a [ReNASPredictor] in a run directory under root. If that training was
// done before it returns the stored one; if it was interrupted, by ctx or by the end
// of the process, it continues.
func TrainReNASPredictor(ctx context.Context, root string, t PredictorTraining[ReNASPredictorConfig]) (*TrainedPredictor[*ReNASPredictor], error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	p, err := NewReNASPredictor(t.Backend, t.Space, t.Labelled, t.Config)
	if err != nil {
		return nil, err
	}
	return trainPredictor(ctx, root, "renas-predictor", t, t.Config.Epochs, p)
}

// TrainEpoch trains on every labelled architecture once, in batches, and returns
// the mean loss of the batches. An epoch is a function of the weights, the seed and
// its number. A last batch of one is left out: it has no pairs.
func (r *ReNASPredictor) TrainEpoch(epoch int, labelled []space.Labelled) (loss float64, err error) {
	if len(labelled) < 2 {
		return 0, fmt.Errorf("search: training needs at least 2 labelled architectures, got %d", len(labelled))
	}
	trained := 0
	for _, part := range batches(r.config.Seed, epoch, labelled, r.config.BatchSize) {
		if len(part) < 2 {
			break
		}
		features, err := r.features(space.Archs(part), len(part))
		if err != nil {
			return 0, err
		}
		out, err := r.step.Call1(features, accuracies(part, 0, 1))
		if err != nil {
			return 0, fmt.Errorf("search: cannot train: %w", err)
		}
		loss += float64(tensors.ToScalar[float32](out))
		trained++
	}
	return loss / float64(trained), nil
}

// features returns the maps of archs, padded with zeros to a batch of the given size.
func (r *ReNASPredictor) features(archs []space.Arch, size int) (*tensors.Tensor, error) {
	nodes := r.space.Nodes()
	features, maps, err := featureMaps(archs, nodes)
	if err != nil {
		return nil, err
	}
	if maps != r.maps {
		return nil, fmt.Errorf("search: these architectures have %d maps, but ReNAS was built for %d", maps, r.maps)
	}
	features = append(features, make([]float32, (size-len(archs))*nodes*nodes*maps)...)
	return tensors.FromFlatDataAndDimensions(features, size, nodes, nodes, maps), nil
}

// Utilities returns the scores of each architecture: the predictor as a [space.Ranker].
func (r *ReNASPredictor) Utilities(archs []space.Arch) ([]float64, error) {
	scores := make([]float64, len(archs))
	err := encoder.Chunks(archs, func(at int, part []space.Arch, batch int) error {
		features, err := r.features(part, batch)
		if err != nil {
			return err
		}
		out, err := r.score.Call1(features)
		if err != nil {
			return fmt.Errorf("search: cannot compute scores: %w", err)
		}
		for i, s := range tensors.MustCopyFlatData[float32](out)[:len(part)] {
			if err := finite(float64(s), part[i]); err != nil {
				return err
			}
			scores[at+i] = float64(s)
		}
		return nil
	})
	return scores, err
}

// Encode writes the weights, the moments and the optimiser's state to bytes.
func (r *ReNASPredictor) Encode() ([]byte, error) { return engine.EncodeStore(r.store) }

// Restore takes on what [ReNASPredictor.Encode] of one of the same configuration and space wrote. The
// error says that the weights do not fit.
func (r *ReNASPredictor) Restore(state []byte) error {
	if err := engine.RestoreStore(r.store, state); err != nil {
		return fmt.Errorf("search: the checkpoint is of another ReNAS predictor: %w", err)
	}
	return nil
}
