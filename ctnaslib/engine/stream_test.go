package engine

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// The definition written out for one stream; and no two of many agree in a number.
func TestStream(t *testing.T) {
	sum := sha256.Sum256([]byte("7 3 comparator: epoch"))
	want := rand.New(rand.NewPCG(binary.LittleEndian.Uint64(sum[:8]), binary.LittleEndian.Uint64(sum[8:16])))
	got := Stream(7, "comparator: epoch", 3)
	for i := range 5 {
		if g, w := got.Uint64(), want.Uint64(); g != w {
			t.Errorf("number %d is %d, want %d", i, g, w)
		}
	}
	seen := make(map[uint64]bool)
	for seed := range uint64(20) {
		for _, purpose := range []string{"search: labels", "comparator: weights", "comparator: epoch", "controller: weights"} {
			for n := range 20 {
				rng := Stream(seed, purpose, n)
				for range 5 {
					v := rng.Uint64()
					if seen[v] {
						t.Fatalf("two streams share the number %d", v)
					}
					seen[v] = true
				}
			}
		}
	}
}
