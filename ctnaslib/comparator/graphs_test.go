package comparator_test

import (
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/encoder"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// scaled are the counts of operations times a factor, and print alike whatever that is.
type scaled struct {
	counts
	Factor float64
}

func (scaled) String() string { return "scaled counts" }

func (e scaled) Encode(_ *model.Scope, _ encoder.Sizes, in []*graph.Node) *graph.Node {
	return graph.MulScalar(in[0], e.Factor)
}

// A comparator takes over the graphs of one that was released only if they are its own.
func TestGraphsOfAnotherEncoder(t *testing.T) {
	backend, err := engine.Open()
	if err != nil {
		t.Fatal(err)
	}
	archs := nasbench101.Space{}.All()[1000:1001]
	score := func(factor float64) (*comparator.NAC, float64) {
		c := comparator.Quick()
		c.Encoder = scaled{Factor: factor}
		n, err := comparator.New(backend, nasbench101.Space{}, c)
		if err != nil {
			t.Fatal(err)
		}
		s, err := n.Scores(archs)
		if err != nil {
			t.Fatal(err)
		}
		return n, s[0].First
	}
	_, want := score(5)
	other, _ := score(1)
	other.Release()
	if _, got := score(5); got != want {
		t.Errorf("the score is %g after a comparator of another encoder was released, and %g before", got, want)
	}
}
