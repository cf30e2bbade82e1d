package comparator

// pad makes a batch one of a few sizes, for a backend that takes seconds to compile for each, and returns for how many
// architectures the encoder's inputs are then. The pseudo-labelled pairs are padded, which become more in every search,
// and the labelled architectures of a set that grows. The padding follows the labelled architectures' counts, the pairs
// and the architectures, and does not count in the loss.
func (p *pairs) pad(c Config, grows bool) (batch int) {
	pseudo, moreLabelled := (len(p.archs)-p.labelled)/2, 0
	if grows {
		moreLabelled = paddedSize(p.labelled, c.BatchSize) - p.labelled
	}
	morePseudo := paddedSize(pseudo, p.most) - pseudo
	morePairs := morePseudo
	if c.Pairing == AllPairs {
		p.first, p.second = append(p.first, make([]float32, moreLabelled)...), append(p.second, make([]float32, moreLabelled)...)
	} else {
		morePairs += moreLabelled
	}
	p.left, p.right = append(p.left, make([]int32, morePairs)...), append(p.right, make([]int32, morePairs)...)
	p.y, p.weight = append(p.y, make([]float32, morePairs)...), append(p.weight, make([]float32, morePairs)...)
	return len(p.archs) + moreLabelled + 2*morePseudo
}

// paddedSize returns the size that n of at most full are padded to: all of them, or else a multiple of 16, from 256
// on of 32, from 512 on of 64, and so on. That is at most a sixteenth more than 256, and an eighth more from 128 on.
func paddedSize(n, full int) int {
	step := 16
	for n >= 16*step {
		step *= 2
	}
	return min((n+step-1)/step*step, full)
}

// counts returns 1 for each labelled architecture, and 0 for the padding after them.
func (p *pairs) counts() []float32 {
	counts := make([]float32, len(p.first))
	for i := range p.labelled {
		counts[i] = 1
	}
	return counts
}
