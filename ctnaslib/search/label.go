package search

import (
	"math/rand/v2"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// Label draws m architectures at random and queries their validation accuracy
// (Alg. 1, line 1). It is the first thing [CTNAS] does, and a function of the seed.
func Label(b space.Benchmark, m int, seed uint64) ([]comparator.Labelled, error) {
	archs, err := b.Sample(rand.New(rand.NewPCG(seed, seedLabels)), m)
	if err != nil {
		return nil, err
	}
	labelled := make([]comparator.Labelled, len(archs))
	for i, a := range archs {
		accuracy, err := b.Validation(a)
		if err != nil {
			return nil, err
		}
		labelled[i] = comparator.Labelled{Arch: a, Accuracy: accuracy}
	}
	return labelled, nil
}
