package nasbench101

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"slices"
)

// Hash returns the official module hash, which is the same for isomorphic cells and different for all others
// (google-research/nasbench, lib/graph_util.py, hash_module). Each vertex starts from the MD5 of its out-degree,
// in-degree and label, printed as a Python tuple; N() times, each vertex's hash becomes the MD5 of its sorted
// predecessors' hashes, its sorted successors' and its own; the cell's hash is the MD5 of the sorted vertices'
// hashes, printed as a Python list.
func (c Cell) Hash() [md5.Size]byte {
	n := c.N()
	var in, out [MaxVertices][]int // predecessors and successors of each vertex
	for i, j := range c.out.edges() {
		in[j], out[i] = append(in[j], i), append(out[i], j)
	}
	var hashes, next [MaxVertices]hexHash
	for v := range n {
		label := -1
		switch {
		case v == n-1:
			label = -2
		case v > 0:
			label = int(c.Op(v))
		}
		hashes[v] = hexSum(fmt.Appendf(nil, "(%d, %d, %d)", len(out[v]), len(in[v]), label))
	}
	text := make([]byte, 0, 512)
	for range n {
		for v := range n {
			text = append(appendSorted(text[:0], hashes, in[v]), '|')
			text = append(appendSorted(text, hashes, out[v]), '|')
			next[v] = hexSum(append(text, hashes[v][:]...))
		}
		hashes = next
	}
	slices.SortFunc(hashes[:n], compareHashes)
	separator := "['"
	text = text[:0]
	for _, h := range hashes[:n] {
		text = append(append(text, separator...), h[:]...)
		separator = "', '"
	}
	return md5.Sum(append(text, "']"...))
}

// hexHash is an MD5 in hexadecimal.
type hexHash [2 * md5.Size]byte

func hexSum(text []byte) (h hexHash) {
	sum := md5.Sum(text)
	hex.Encode(h[:], sum[:])
	return h
}

func compareHashes(a, b hexHash) int { return bytes.Compare(a[:], b[:]) }

// appendSorted appends the hashes of some vertices to text, in their order.
func appendSorted(text []byte, hashes [MaxVertices]hexHash, vertices []int) []byte {
	sorted := make([]hexHash, 0, MaxVertices)
	for _, v := range vertices {
		sorted = append(sorted, hashes[v])
	}
	slices.SortFunc(sorted, compareHashes)
	for _, h := range sorted {
		text = append(text, h[:]...)
	}
	return text
}

// ID returns the module hash in hexadecimal.
func (c Cell) ID() string {
	h := c.Hash()
	return hex.EncodeToString(h[:])
}
