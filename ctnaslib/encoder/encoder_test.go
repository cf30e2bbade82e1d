package encoder

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/gomlx/gomlx/core/tensors"
)

// The features themselves are checked by hand in package comparator.

func TestCheck(t *testing.T) {
	for _, test := range []struct {
		gcn  GCN
		want string
	}{
		{GCN{Layers: 1, Width: 1, Messages: Both}, ""},
		{GCN{Layers: 0, Width: 1, Messages: Both}, "at least one layer"},
		{GCN{Layers: 1, Width: 0, Messages: Forward}, "at least one layer"},
		{GCN{Layers: 1, Width: 1}, `unknown messages ""`},
	} {
		err := test.gcn.Check()
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%+v: error %v, want %q", test.gcn, err, test.want)
		}
	}
}

func TestChunks(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	archs := make([]space.Arch, 1024+5)
	for i := range archs {
		archs[i] = nasbench101.Space{}.Sample(rng)
	}
	seen := 0
	err := Chunks(archs, 7, func(part []space.Arch, adjacency, ops *tensors.Tensor) error {
		if want := map[int]int{1024: 1024, 5: 8}[len(part)]; ops.Shape().Dim(0) != want || adjacency.Shape().Dim(0) != want {
			t.Errorf("a part of %d has a batch of %d, want %d", len(part), ops.Shape().Dim(0), want)
		}
		flat := tensors.MustCopyFlatData[int32](ops)
		for i, a := range part {
			if a.ID() != archs[seen+i].ID() || flat[7*i] != int32(a.Graph().Ops[0]) {
				t.Fatalf("architecture %d is out of place", seen+i)
			}
		}
		for _, op := range flat[7*len(part):] {
			if op != 0 {
				t.Errorf("the padding holds operation %d", op)
			}
		}
		seen += len(part)
		return nil
	})
	if err != nil || seen != len(archs) {
		t.Errorf("saw %d of %d architectures, error %v", seen, len(archs), err)
	}
	if err := Chunks(archs, 1, nil); err == nil || !strings.Contains(err.Error(), "nodes") {
		t.Errorf("architectures that are too large: error %v", err)
	}
}
