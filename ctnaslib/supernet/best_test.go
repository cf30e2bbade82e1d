package supernet

import (
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/nn/nntest"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// The best of candidates that get nothing right is one of them.
func TestBestOfTheWrong(t *testing.T) {
	data := *nntest.Data(t)
	c := Small(SPOS, data.Classes)
	c.Channels, c.Side, c.BatchSize, c.Candidates, c.Seed = 7, 4, 8, 1, 1
	for class := range int32(data.Classes) {
		data.Validation.Labels = []int32{class, class}
		s, err := New(nntest.Backend(t), &data, c)
		if err != nil {
			t.Fatal(err)
		}
		best, accuracy, err := s.Best(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if accuracy > 0 {
			continue
		}
		if best == (nasbench101.Cell{}) {
			t.Error("it is none")
		}
		return
	}
	t.Fatal("no candidate gets nothing right: there is nothing to test")
}
