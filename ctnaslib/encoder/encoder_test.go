package encoder

import (
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// The features themselves are checked by hand in package comparator.

func TestCheck(t *testing.T) {
	for _, test := range []struct {
		gcn  GCN
		want string
	}{
		{GCN{Layers: 1, Width: 1, Direction: Both}, ""},
		{GCN{Layers: 0, Width: 1, Direction: Both}, "at least one layer"},
		{GCN{Layers: 1, Width: 0, Direction: Forward}, "at least one layer"},
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
	sizes := SizesOf(nasbench101.Space{})
	var seen atomic.Int64
	err := Chunks(archs, func(at int, part []space.Arch, batch int) error {
		if want := map[int]int{1024: 1024, 5: 8}[len(part)]; batch != want {
			t.Errorf("a part of %d has a batch of %d, want %d", len(part), batch, want)
		}
		inputs, err := GCN{}.Inputs(part, sizes, batch)
		if err != nil {
			return err
		}
		if inputs[0].Shape().Dim(0) != batch || inputs[1].Shape().Dim(0) != batch {
			t.Errorf("the inputs have shapes %s and %s, want a batch of %d", inputs[0].Shape(), inputs[1].Shape(), batch)
		}
		flat := tensors.MustCopyFlatData[int32](inputs[1])
		for i, a := range part {
			if a.ID() != archs[at+i].ID() || flat[7*i] != int32(a.Graph().Ops[0]) {
				t.Errorf("architecture %d is out of place", at+i)
			}
		}
		for _, op := range flat[7*len(part):] {
			if op != 0 {
				t.Errorf("the padding holds operation %d", op)
			}
		}
		seen.Add(int64(len(part)))
		return nil
	})
	if err != nil || int(seen.Load()) != len(archs) {
		t.Errorf("saw %d of %d architectures, error %v", seen.Load(), len(archs), err)
	}
	first, second := errors.New("the first part"), errors.New("the second part")
	if err := Chunks(archs, func(at int, _ []space.Arch, _ int) error {
		if at == 0 {
			return first
		}
		return second
	}); err != first {
		t.Errorf("two parts with errors have the error %v", err)
	}
	if _, err := (GCN{}).Inputs(archs, Sizes{Nodes: 1}, len(archs)); err == nil || !strings.Contains(err.Error(), "nodes") {
		t.Errorf("architectures that are too large: error %v", err)
	}
}
