package ctnas_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/ctnas"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/nb"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// means takes an operation for as good as the architectures that have it, on average: as a design it is empty.
type means struct{ Accuracy []float64 }

func (means) New(_ compute.Backend, s space.Space) (comparator.Comparator, error) {
	return &means{make([]float64, s.Ops())}, nil
}
func (m means) WithSeed(uint64) comparator.Design { return m } // it draws nothing
func (means) FirstEpochs() int                    { return 1 }
func (means) Versions() rundir.Versions           { return rundir.Versions{"means": 1} }
func (m *means) Encode() ([]byte, error)          { return json.Marshal(m) }
func (m *means) Restore(state []byte) error       { return json.Unmarshal(state, m) }

func (m *means) Scores(archs []space.Arch) ([]comparator.Score, error) {
	scores := make([]comparator.Score, len(archs))
	for i, a := range archs {
		for _, op := range a.Graph().Ops {
			scores[i].First += 100 * m.Accuracy[op]
		}
		scores[i].First /= float64(len(a.Graph().Ops))
		scores[i].Second = -scores[i].First
	}
	return scores, nil
}

func (m *means) TrainEpoch(_ int, labelled []space.Labelled, _ []comparator.Pair, _ float64) (loss float64, err error) {
	sums, counts := make([]float64, len(m.Accuracy)), make([]float64, len(m.Accuracy))
	for _, l := range labelled {
		for _, op := range l.Arch.Graph().Ops {
			sums[op], counts[op] = sums[op]+l.Accuracy, counts[op]+1
		}
	}
	for op := range sums {
		m.Accuracy[op] = sums[op] / max(counts[op], 1)
	}
	return 0, nil
}

// A comparator of one's own in Alg. 1: anything that trains, scores, and can be stored.
func Example_ownComparator() {
	backend := nb.Must(engine.Open())
	config := ctnas.Quick()
	config.Comparator = means{}
	config.Labels, config.Iterations = 60, 5
	dir := nb.Must(os.MkdirTemp("", "runs"))
	defer os.RemoveAll(dir)
	found := nb.Must(ctnas.Search(context.Background(), dir, search.Problem{Backend: backend, Benchmark: convolutions()}, config))
	fmt.Println(found.Queries, "queries; at least three convolutions:", quality(found.Best) >= 0.86)
	// Output: 60 queries; at least three convolutions: true
}
