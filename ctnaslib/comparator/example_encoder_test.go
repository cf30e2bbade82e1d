package comparator_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/encoder"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/nb"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// counts encodes an architecture by how often it has each operation, and knows nothing of its edges.
type counts struct{ Version int }

func (counts) Check() error                                                         { return nil }
func (counts) Dim(s encoder.Sizes) int                                              { return s.Ops }
func (counts) Create(*model.Scope, encoder.Sizes, *rand.Rand) error                 { return nil } // it has no weights
func (counts) Encode(_ *model.Scope, _ encoder.Sizes, in []*graph.Node) *graph.Node { return in[0] }

func (counts) Inputs(archs []space.Arch, s encoder.Sizes, batch int) ([]*tensors.Tensor, error) {
	flat := make([]float32, batch*s.Ops)
	for i, a := range archs {
		for _, op := range a.Graph().Ops {
			flat[i*s.Ops+op]++
		}
	}
	return []*tensors.Tensor{tensors.FromFlatDataAndDimensions(flat, batch, s.Ops)}, nil
}

// An encoder of one's own: NAC learns from the counts of operations that cells with 3×3 convolutions are better.
func Example_ownEncoder() {
	backend := nb.Must(engine.Open())
	config := comparator.Quick()
	config.Encoder, config.Epochs, config.LearningRate = counts{Version: 1}, 100, 1e-2
	dir := nb.Must(os.MkdirTemp("", "runs"))
	defer os.RemoveAll(dir)
	trained, err := comparator.Train(context.Background(), dir, comparator.Training{
		Backend: backend, Space: nasbench101.Space{}, Labelled: labelledCells(60), Config: config,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	archs, accuracies := split(labelledCells(200)[60:])
	tau, err := trained.NAC.KendallTau(archs, accuracies)
	fmt.Println("Kendall's tau on others is above 0.8:", tau > 0.8, err)
	// Output: Kendall's tau on others is above 0.8: true <nil>
}
