package comparator

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/ctnas/ctnas/ctnaslib/encoder"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// Pair is a labelled pair (α, α', y) of Alg. 1: Better says whether α is taken to
// be at least as good as α'.
type Pair struct {
	First, Second space.Arch
	Better        bool
}

// TrainEpoch trains on every labelled architecture once, in batches, and returns
// the mean loss. An epoch is a function of the weights, the seed and its number.
//
// If there are pseudo-labelled pairs (Sec. 4.2), a batch of m labelled
// architectures also gets ⌊r/(1−r)·m⌋ of them at random, or all if there are fewer:
// the paper's r = |U|/(|U|+|M|) (Sec. 6.3). With [AllPairs], they make up the share r
// of its loss; with [Shuffled] pairs every pair counts the same, as in the authors'
// code.
func (n *NAC) TrainEpoch(epoch int, labelled []space.Labelled, pseudo []Pair, r float64) (loss float64, err error) {
	if len(labelled) < 2 {
		return 0, fmt.Errorf("comparator: training needs at least 2 labelled architectures, got %d", len(labelled))
	}
	if !(r >= 0 && r < 1) {
		return 0, fmt.Errorf("comparator: the proportion r of pseudo-labelled pairs must be in [0, 1), not %g", r)
	}
	if err := space.CheckLabels(labelled); err != nil {
		return 0, err
	}
	rng := engine.Stream(n.config.Seed, "comparator: epoch", epoch)
	order := rng.Perm(len(labelled))
	var first *pairs
	batches := 0
	for start := 0; start < len(order); start += n.config.BatchSize {
		chosen := order[start:min(start+n.config.BatchSize, len(order))]
		if len(chosen) < 2 {
			break // a lone architecture has no other to be compared with
		}
		b := n.pairUp(labelled, chosen, rng)
		b.addPseudo(pseudo, r, rng)
		if b.whole = first; first == nil {
			first = b
		}
		l, err := n.trainStep(b)
		if err != nil {
			return 0, err
		}
		if math.IsNaN(l) || math.IsInf(l, 0) {
			return 0, fmt.Errorf("comparator: the loss is %g in epoch %d, so the training has diverged; lower the learning rate", l, epoch)
		}
		loss += l
		batches++
	}
	return loss / float64(batches), nil
}

// pairs is a batch of architectures and the pairs of them to learn from.
type pairs struct {
	archs    []space.Arch // the labelled ones, then both of each pseudo-labelled pair
	labelled int
	most     int    // pseudo-labelled pairs that a batch of this size gets if there are enough
	whole    *pairs // the first batch of the epoch, if this is another

	// With [AllPairs], of each labelled architecture: in how many of the pairs where it comes first, and in how many
	// where it comes second, the label is 1.
	first, second []float32

	// Further pairs, one by one.
	left, right []int32   // positions in archs
	y, weight   []float32 // label and weight in the loss
}

func (p *pairs) add(left, right int, better bool, weight float64) {
	p.left = append(p.left, int32(left))
	p.right = append(p.right, int32(right))
	var y float32
	if better {
		y = 1
	}
	p.y = append(p.y, y)
	p.weight = append(p.weight, float32(weight))
}

func (n *NAC) pairUp(labelled []space.Labelled, chosen []int, rng *rand.Rand) *pairs {
	b := &pairs{labelled: len(chosen)}
	for _, i := range chosen {
		b.archs = append(b.archs, labelled[i].Arch)
	}
	accuracy := func(i int) float64 { return labelled[chosen[i]].Accuracy }
	if n.config.Pairing == Shuffled {
		for i, j := range rng.Perm(len(chosen)) {
			b.add(i, j, accuracy(i) > accuracy(j), 1)
		}
		return b
	}
	b.first, b.second = make([]float32, len(chosen)), make([]float32, len(chosen))
	for i := range chosen {
		for j := range chosen {
			if i != j && accuracy(i) >= accuracy(j) {
				b.first[i]++
				b.second[j]++
			}
		}
	}
	b.add(0, 0, true, 0) // counts for nothing: a list of no pairs has no graph
	return b
}

// addPseudo adds pseudo-labelled pairs: beside all pairs, with the share r of the loss.
func (p *pairs) addPseudo(pseudo []Pair, r float64, rng *rand.Rand) {
	odds := r / (1 - r)
	p.most = int(odds * float64(len(p.archs)))
	count := min(p.most, len(pseudo))
	if count == 0 {
		return
	}
	weight := 1.0
	if m := len(p.first); m > 0 {
		weight = odds * float64(m*(m-1)) / float64(count)
	}
	for _, k := range rng.Perm(len(pseudo))[:count] {
		at := len(p.archs)
		p.archs = append(p.archs, pseudo[k].First, pseudo[k].Second)
		p.add(at, at+1, pseudo[k].Better, weight)
	}
}

func (n *NAC) trainStep(p *pairs) (loss float64, err error) {
	batch := len(p.archs)
	if n.pads {
		batch = p.pad(n.config)
	}
	inputs, err := encoder.Inputs(n.key.backend, n.encoder, p.archs, n.sizes, batch)
	if err != nil {
		return 0, err
	}
	list := []*tensors.Tensor{
		tensors.FromFlatDataAndDimensions(p.left, len(p.left)),
		tensors.FromFlatDataAndDimensions(p.right, len(p.right)),
		tensors.FromFlatDataAndDimensions(p.y, len(p.y)),
		tensors.FromFlatDataAndDimensions(p.weight, len(p.weight)),
	}
	if p.first != nil {
		for _, values := range [][]float32{p.first, p.second, p.counts()} {
			list = append(list, tensors.FromFlatDataAndDimensions(values, len(values)))
		}
	}
	out, err := n.step.Call1(engine.Args(append(list, inputs...))...)
	if err != nil {
		return 0, fmt.Errorf("comparator: cannot train: %w", err)
	}
	return float64(tensors.ToScalar[float32](out)), nil
}
