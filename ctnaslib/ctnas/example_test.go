package ctnas_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/ctnas"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/nb"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// quality is the better the more 3×3 convolutions a cell has.
func quality(a space.Arch) float64 {
	cell, q := a.(nasbench101.Cell), 0.8
	for v := 1; v < cell.N()-1; v++ {
		if cell.Op(v) == nasbench101.Conv3x3 {
			q += 0.02
		}
	}
	return q
}

// convolutions returns a benchmark of 1,000 cells by their quality.
func convolutions() *space.Table {
	archs, _ := space.Draw(rand.New(rand.NewPCG(1, 1)), nasbench101.Space{}, 1000, nil)
	labelled := make([]space.Labelled, len(archs))
	for i, a := range archs {
		labelled[i] = space.Labelled{Arch: a, Accuracy: quality(a)}
	}
	table, _ := space.NewTable(nasbench101.Space{}, "proxy", labelled)
	return table
}

// Alg. 1 with 100 labels.
func ExampleSearch() {
	backend := nb.Must(engine.Open())
	config := ctnas.Quick()
	config.Labels, config.Iterations, config.NAC.Width, config.NAC.Epochs, config.NAC.LearningRate = 100, 10, 16, 60, 1e-2
	dir := nb.Must(os.MkdirTemp("", "runs"))
	defer os.RemoveAll(dir)
	found := nb.Must(ctnas.Search(context.Background(), dir, search.Problem{Backend: backend, Benchmark: convolutions()}, config))
	fmt.Println(found.Queries, "queries; at least three convolutions:", quality(found.Best) >= 0.86)
	// Output: 100 queries; at least three convolutions: true
}

// fixed has the scores of architectures by their IDs.
type fixed map[string]float64

func (f fixed) Scores(archs []space.Arch) ([]comparator.Score, error) {
	scores := make([]comparator.Score, len(archs))
	for i, a := range archs {
		scores[i] = comparator.Score{First: f[a.ID()], Second: -f[a.ID()]}
	}
	return scores, nil
}

// Alg. 2 and Alg. 3 on three cells, of which the comparator takes the convolutions for the best.
func ExampleUpdateBaseline() {
	scores, cells := fixed{}, []space.Arch{}
	for text, score := range map[string]float64{"101:A": 2, "101:B": 1, "101:M": -1} {
		cell, _ := nasbench101.Parse(text)
		scores[cell.ID()], cells = score, append(cells, cell)
	}
	best, s, err := ctnas.UpdateBaseline(scores, cells[:1], cells[1:])
	fmt.Printf("%v with s = %.3f, %v\n", best, s, err)

	pairs, err := ctnas.Explore(scores, cells, 2)
	for _, p := range pairs {
		if !p.Better {
			p.First, p.Second = p.Second, p.First
		}
		fmt.Println(p.First, "is better than", p.Second)
	}
	// Output:
	// 101:A with s = 0.842, <nil>
	// 101:A is better than 101:M
	// 101:A is better than 101:M
}
