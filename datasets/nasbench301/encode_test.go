package nasbench301

import (
	"slices"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/space/darts"
)

// By hand, from the published encoding: the edges that are there have the operations'
// places in the alphabet, and the pairs of predecessors their places among 0_1, 0_2, …
func TestEncode(t *testing.T) {
	want := []int32{
		// DARTS_V2, normal cell: edges 0 and 1, 2 and 3, 5 and 6, 9 and 11.
		5, 5 /**/, 5, 5, 0 /**/, 7, 5, 0, 0 /**/, 7, 0, 2, 0, 0,
		// Reduction cell: edges 0 and 1, 3 and 4, 5 and 7, 10 and 11.
		4, 4 /**/, 0, 4, 7 /**/, 4, 0, 7, 0 /**/, 0, 4, 7, 0, 0,
		// Normal cell: 0_1, 0_1, 0_2; reduction cell: 1_2, 0_2, 1_2.
		1, 1, 2 /**/, 3, 2, 5,
	}
	if got := encode(nil, darts.DARTSV2); !slices.Equal(got, want) {
		t.Errorf("DARTS_V2 is encoded as %v, want %v", got, want)
	}
}

// The codes of node 5's pairs, from the published encoding.
func TestPairCodes(t *testing.T) {
	for pair, want := range map[[2]int]int32{
		{0, 1}: 1, {0, 2}: 2, {0, 3}: 3, {0, 4}: 4, {1, 2}: 5, {1, 3}: 6, {1, 4}: 7, {2, 3}: 8, {2, 4}: 9, {3, 4}: 10,
	} {
		if got := pairCode(pair[0], pair[1], 5); got != want {
			t.Errorf("%d_%d has the code %d, want %d", pair[0], pair[1], got, want)
		}
	}
}
