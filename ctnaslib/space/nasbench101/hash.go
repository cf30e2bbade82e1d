package nasbench101

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"slices"
	"strconv"
)

// Hash is the official module hash, which is the same for isomorphic cells and
// different for all others (google-research/nasbench, lib/graph_util.py,
// hash_module). Each vertex starts from the MD5 of its out-degree, in-degree and
// label, printed as a Python tuple; N() times, each vertex's hash becomes the MD5
// of its sorted predecessors' hashes, its sorted successors' and its own; the
// cell's hash is the MD5 of the sorted vertices' hashes, printed as a Python list.
func (c Cell) Hash() [md5.Size]byte {
	type hexHash [2 * md5.Size]byte
	hexSum := func(text []byte) (h hexHash) {
		sum := md5.Sum(text)
		hex.Encode(h[:], sum[:])
		return h
	}
	n := c.N()

	var hashes, next [MaxVertices]hexHash
	text := make([]byte, 0, 512)
	for v := range n {
		inDegree, outDegree := 0, 0
		for w := range n {
			if c.Edge(w, v) {
				inDegree++
			}
			if c.Edge(v, w) {
				outDegree++
			}
		}
		label := -1
		switch {
		case v == n-1:
			label = -2
		case v > 0:
			label = int(c.Op(v))
		}
		text = append(text[:0], '(')
		text = strconv.AppendInt(text, int64(outDegree), 10)
		text = append(text, ", "...)
		text = strconv.AppendInt(text, int64(inDegree), 10)
		text = append(text, ", "...)
		text = strconv.AppendInt(text, int64(label), 10)
		text = append(text, ')')
		hashes[v] = hexSum(text)
	}

	compare := func(a, b hexHash) int { return bytes.Compare(a[:], b[:]) }
	neighbours := make([]hexHash, 0, MaxVertices)
	appendSorted := func() {
		slices.SortFunc(neighbours, compare)
		for _, h := range neighbours {
			text = append(text, h[:]...)
		}
		text = append(text, '|')
		neighbours = neighbours[:0]
	}
	for range n {
		for v := range n {
			text = text[:0]
			for w := range n {
				if c.Edge(w, v) {
					neighbours = append(neighbours, hashes[w])
				}
			}
			appendSorted()
			for w := range n {
				if c.Edge(v, w) {
					neighbours = append(neighbours, hashes[w])
				}
			}
			appendSorted()
			text = append(text, hashes[v][:]...)
			next[v] = hexSum(text)
		}
		hashes = next
	}

	slices.SortFunc(hashes[:n], compare)
	text = append(text[:0], '[')
	for v, h := range hashes[:n] {
		if v > 0 {
			text = append(text, ", "...)
		}
		text = append(text, '\'')
		text = append(text, h[:]...)
		text = append(text, '\'')
	}
	text = append(text, ']')
	return md5.Sum(text)
}

// ID is the module hash in hexadecimal.
func (c Cell) ID() string {
	h := c.Hash()
	return hex.EncodeToString(h[:])
}
