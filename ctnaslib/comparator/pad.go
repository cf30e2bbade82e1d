package comparator

// pad makes a batch one of a few sizes, for a backend that takes seconds to compile for each, and returns for how many
// architectures the encoder's inputs are then. If there are pseudo-labelled pairs, they are padded to as many as a batch
// can have, which they soon are in every search; padded are also the labelled architectures of a batch after a whole
// one. The padding follows the labelled architectures' counts, the pairs and the architectures, and does not count in
// the loss.
func (p *pairs) pad(c Config) (batch int) {
	labelled, pseudo := p.padded(c)
	moreLabelled, morePseudo := labelled-p.labelled, pseudo-p.pseudo()
	morePairs := morePseudo
	if c.Pairing == AllPairs {
		p.first, p.second = append(p.first, make([]float32, moreLabelled)...), append(p.second, make([]float32, moreLabelled)...)
	} else {
		morePairs += moreLabelled
	}
	p.left, p.right = append(p.left, make([]int32, morePairs)...), append(p.right, make([]int32, morePairs)...)
	p.y, p.weight = append(p.y, make([]float32, morePairs)...), append(p.weight, make([]float32, morePairs)...)
	return labelled + 2*pseudo
}

// compiling is for how many architectures more a training can be computed in the time of compiling once more: 50,000 of
// width 128 took XLA on 2 cores the second that compiling took.
const compiling = 50_000

// padded returns to how many labelled architectures and pseudo-labelled pairs a batch is padded: one without pairs to
// the whole batch before it, if the computing that this takes is less than compiling.
func (p *pairs) padded(c Config) (labelled, pseudo int) {
	if p.whole != nil && p.most == 0 && c.Epochs*(p.whole.labelled-p.labelled) <= compiling {
		return p.whole.padded(c)
	}
	labelled = p.labelled
	if pseudo = p.pseudo(); pseudo > 0 {
		pseudo = p.most
	}
	return labelled, pseudo
}

// pseudo returns the number of pseudo-labelled pairs.
func (p *pairs) pseudo() int { return (len(p.archs) - p.labelled) / 2 }

// counts returns 1 for each labelled architecture, and 0 for the padding after them.
func (p *pairs) counts() []float32 {
	counts := make([]float32, len(p.first))
	for i := range p.labelled {
		counts[i] = 1
	}
	return counts
}
