// Package comparator is the Neural Architecture Comparator, NAC (paper, Sec. 4):
//
//	p = NAC(α, α'; ϖ) = σ([Z_α; Z_α'] W^FC)          (Eq. 6)
//
// the probability that architecture α is at least as good as α', where Z_α is the
// feature that a graph convolutional network extracts from α's graph (Eq. 7).
//
//	nac, err := comparator.New(backend, nasbench101.Space{}, comparator.Released())
//	loss, err := nac.TrainEpoch(epoch, labelled, nil, 0)
//	p, err := nac.Compare(α, β)
//
// The head is linear before the sigmoid, so with W^FC = [u; v] and a bias b the
// logit is u·Z_α + v·Z_α' + b. Every method here runs the encoder once for each
// architecture, never once for each pair: see [Score].
package comparator

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/ctnas/ctnas/ctnaslib/encoder"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/metric"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// NAC is a comparator for the architectures of one search space. It is not safe
// for concurrent use.
type NAC struct {
	config  Config
	encoder encoder.Encoder
	sizes   encoder.Sizes
	key     key
	pads    bool // batches to a few sizes
	*programs
}

// programs are the compiled graphs of a NAC and the variables they work on.
type programs struct {
	store  *model.Store // the weights ϖ and the optimiser's state
	scores *model.Exec  // scoreGraph
	step   *model.Exec  // stepGraph
}

// key is all that the graphs of a NAC depend on.
type key struct {
	backend       compute.Backend
	encoder       string
	sizes         encoder.Sizes
	antisymmetric bool
	pairing       Pairing
	adam          engine.Adam
}

// The paths of the weights ϖ in the store, beside those of the encoder.
const (
	scopeNAC     = "nac"
	nameHead     = "head"      // W^FC, [2·dim, 1]; u alone, [dim, 1], if antisymmetric
	nameHeadBias = "head_bias" // [1], none if antisymmetric
)

// New makes a NAC with random weights, drawn as in the authors' code (see
// [encoder.GCN.Create]), with the graphs of one that was released if there are any. The error says
// what is wrong in the configuration.
func New(backend compute.Backend, s space.Space, config Config) (*NAC, error) {
	store, err := newStore(s, config)
	if err != nil {
		return nil, err
	}
	n := &NAC{config: config, encoder: config.encoder(), sizes: encoder.SizesOf(s), pads: engine.Describe(backend) != "go"}
	n.key = key{
		backend: backend, encoder: written(n.encoder), sizes: n.sizes,
		antisymmetric: config.Antisymmetric, pairing: config.Pairing, adam: config.adam(),
	}
	n.programs, err = n.open(store)
	return n, err
}

// written returns what an encoder is and all that it says of itself, as the keys of stored results have it.
func written(e encoder.Encoder) string {
	text, err := json.Marshal(e)
	if err != nil { // which a run directory will say
		return fmt.Sprintf("%T %#v", e, e)
	}
	return fmt.Sprintf("%T %s", e, text)
}

// newStore makes the variables of a NAC.
func newStore(s space.Space, config Config) (*model.Store, error) {
	if err := config.Check(); err != nil {
		return nil, err
	}
	rng := engine.Stream(config.Seed, "comparator: weights", 0)
	store := model.NewStore()
	scope := store.RootScope().At(scopeNAC)
	e, sizes := config.encoder(), encoder.SizesOf(s)
	if err := e.Create(scope, sizes, rng); err != nil {
		return nil, fmt.Errorf("comparator: %w", err)
	}
	d := e.Dim(sizes)
	if config.Antisymmetric {
		return store, engine.NewVariable(scope, nameHead, encoder.Uniform(rng, d), d, 1)
	}
	if err := engine.NewVariable(scope, nameHead, encoder.Uniform(rng, 2*d), 2*d, 1); err != nil {
		return nil, fmt.Errorf("comparator: %w", err)
	}
	return store, engine.NewVariable(scope, nameHeadBias, encoder.Uniform(rng, 2*d), 1)
}

// Config returns what the NAC was made with.
func (n *NAC) Config() Config { return n.config }

// scoreGraph builds u·Z and v·Z, [batch] each, and the bias b, all in one, [2·batch+1]: a GPU takes as long to hand over
// three tensors as for the rest of it.
func (n *NAC) scoreGraph(root *model.Scope, inputs []*Node) *Node {
	scope := root.At(scopeNAC)
	return Concatenate(n.head(scope, n.encoder.Encode(scope, n.sizes, inputs)), 0)
}

// head builds u·Z and v·Z, each [batch], and the bias b, [1], of features [batch, dim].
func (n *NAC) head(scope *model.Scope, z *Node) []*Node {
	weights := scope.GetVariable(nameHead).NodeValue(z)
	if n.config.Antisymmetric {
		first := Squeeze(MatMul(z, weights), 1)
		return []*Node{first, Neg(first), Zeros(z.Graph(), shapes.Make(dtypes.Float32, 1))}
	}
	head := Reshape(weights, 2, z.Shape().Dim(1)) // rows u and v
	both := Einsum("kd,bd->kb", head, z)
	first := Squeeze(Slice(both, AxisElem(0)), 0)
	second := Squeeze(Slice(both, AxisElem(1)), 0)
	return []*Node{first, second, scope.GetVariable(nameHeadBias).NodeValue(z)}
}

// stepGraph builds one step of Adam on the binary cross-entropy of pairs, and returns that loss. The pairs
// are left[k] and right[k], positions in the batch, with label y[k] and weight[k]: all are [pairs]. With [AllPairs]
// they come beside all pairs of the batch's first architectures, of which there is in how many pairs the label is 1:
// those where each comes first, and second, and 1 if it counts or 0 if it is padding, [labelled] all three. The
// encoder's inputs come after them.
func (n *NAC) stepGraph(root *model.Scope, inputs []*Node) []*Node {
	left, right, y, weight, rest := inputs[0], inputs[1], inputs[2], inputs[3], inputs[4:]
	if n.config.Pairing == AllPairs {
		rest = inputs[7:]
	}
	scope := root.At(scopeNAC)
	z, minimised := encoder.ForLoss(n.encoder, scope, n.sizes, rest)
	scores := n.head(scope, z)
	first, second, bias := scores[0], scores[1], scores[2]
	logits := Add(Add(Gather(first, ExpandAxes(left, -1)), Gather(second, ExpandAxes(right, -1))), bias)
	// −y·log σ(l) − (1−y)·log(1−σ(l)) = softplus(l) − y·l
	loss, total := ReduceAllSum(Mul(weight, Sub(Softplus(logits), Mul(y, logits)))), ReduceAllSum(weight)
	if n.config.Pairing == AllPairs {
		m, count := inputs[4].Shape().Dim(0), ReduceAllSum(inputs[6])
		all := allPairs(Slice(first, AxisRange(0, m)), Slice(second, AxisRange(0, m)), bias, inputs[4], inputs[5], inputs[6])
		loss, total = Add(loss, all), Add(total, Mul(count, AddScalar(count, -1)))
	}
	loss = Div(loss, total)
	n.config.adam().Minimize(root, scopeNAC, minimised(loss))
	return []*Node{loss}
}

// allPairs builds the sum of the binary cross-entropy over all ordered pairs of different architectures, from their
// scores first and second, [labelled] both, the bias, [1], in how many pairs with each one first, and second, the
// label is 1, and which count, 1 or 0. As the logit of a pair is a sum, its part y·l of the loss needs no more than
// these counts. A pair with padding gets a logit so low that neither its loss nor its gradient is more than 0.
func allPairs(first, second, bias, firstOnes, secondOnes, counts *Node) *Node {
	linear := Add(ReduceAllSum(Mul(first, firstOnes)), ReduceAllSum(Mul(second, secondOnes)))
	linear = Add(linear, Mul(ReduceAllSum(firstOnes), ReduceAllSum(bias)))
	out := MulScalar(AddScalar(counts, -1), 1e6)
	first, second = Add(first, out), Add(second, out)
	logits := Add(Add(ExpandAxes(first, 1), ExpandAxes(second, 0)), ExpandAxes(bias, 0))
	self := Add(Add(first, second), bias)
	return Sub(Sub(ReduceAllSum(Softplus(logits)), ReduceAllSum(Softplus(self))), linear)
}

// Scores runs the encoder once for each architecture. The error names the first architecture
// that does not fit, or that has no finite score because the training has diverged.
func (n *NAC) Scores(archs []space.Arch) ([]Score, error) {
	scores := make([]Score, len(archs))
	err := encoder.Chunks(archs, func(at int, part []space.Arch, batch int) error {
		inputs, err := encoder.Inputs(n.key.backend, n.encoder, part, n.sizes, batch)
		if err != nil {
			return err
		}
		out, err := n.scores.Call1(engine.Args(inputs)...)
		if err != nil {
			return fmt.Errorf("comparator: cannot compute scores: %w", err)
		}
		values := tensors.MustCopyFlatData[float32](out)
		u, v, b := values[:batch], values[batch:2*batch], values[2*batch]
		for i := range part {
			score := Score{First: float64(u[i]) + float64(b), Second: float64(v[i])}
			if sum := score.First + score.Second; math.IsNaN(sum) || math.IsInf(sum, 0) {
				return fmt.Errorf("comparator: the score of %s is not a finite number, so the training of NAC has diverged; lower its learning rate", part[i])
			}
			scores[at+i] = score
		}
		return nil
	})
	return scores, err
}

// Compare returns NAC(a, b), the probability that a is at least as good as b.
func (n *NAC) Compare(a, b space.Arch) (float64, error) {
	scores, err := n.Scores([]space.Arch{a, b})
	if err != nil {
		return 0, err
	}
	return Probability(scores[0], scores[1]), nil
}

// Utilities returns the [Score.Utility] of each architecture: NAC as a [space.Ranker].
func (n *NAC) Utilities(archs []space.Arch) ([]float64, error) { return ranker{n}.Utilities(archs) }

// KendallTau returns the rank correlation between NAC's ranking of archs and their
// accuracies (Sec. 5.1).
func (n *NAC) KendallTau(archs []space.Arch, accuracies []float64) (float64, error) {
	utilities, err := n.Utilities(archs)
	if err != nil {
		return 0, err
	}
	return metric.KendallTau(utilities, accuracies)
}

// Encode writes the weights and the optimiser's state to bytes.
func (n *NAC) Encode() ([]byte, error) {
	return engine.EncodeStore(n.store)
}

// Restore takes on what [NAC.Encode] of a NAC of the same configuration and space wrote. The error
// says that the weights do not fit.
func (n *NAC) Restore(state []byte) error {
	if err := engine.RestoreStore(n.store, state); err != nil {
		return fmt.Errorf("comparator: the checkpoint is of another NAC: %w", err)
	}
	return nil
}
