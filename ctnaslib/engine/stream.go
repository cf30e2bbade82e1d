package engine

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
)

// Stream returns the n-th generator of random numbers for a purpose, such as "comparator: epoch".
// It is a function of its arguments, and generators of different arguments are
// independent: no two parts of a run draw the same numbers because they share a seed.
// A purpose begins with the name of its package.
func Stream(seed uint64, purpose string, n int) *rand.Rand {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %d %s", seed, n, purpose))
	return rand.New(rand.NewPCG(binary.LittleEndian.Uint64(sum[:8]), binary.LittleEndian.Uint64(sum[8:16])))
}
