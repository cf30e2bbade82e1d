// Package nasbench101 is the NAS-Bench-101 search space (Ying et al., ICML 2019): cells of at most 7 vertices and 9
// edges, whose interior vertices are one of three operations. It has 423,624 distinct cells.
//
//	cell, err := nasbench101.New(matrix, []string{"input", "conv3x3-bn-relu", "output"})
//	cell.Hash()   // the official module hash
//	cell.Params() // trainable parameters of the benchmark's network
//	cell.SVG()    // a drawing
package nasbench101

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/ctnas/ctnas/ctnaslib/space"
)

// The limits of the space.
const (
	MaxVertices = 7      // input and output included
	MaxEdges    = 9      // after pruning
	NumCells    = 423624 // distinct cells, counted by module hash
)

// Op is the operation of an interior vertex. The values are the labels that the official module hash uses.
type Op uint8

// The three operations.
const (
	Conv3x3 Op = iota // 3×3 convolution, batch norm, ReLU
	Conv1x1           // 1×1 convolution, batch norm, ReLU
	MaxPool           // 3×3 max pooling
	numOps
)

// The official names of the operations and of the two end vertices.
const (
	nameInput  = "input"
	nameOutput = "output"
)

var opNames = [numOps]string{"conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3"}

// opLetters are the letters of the text form; see [Parse].
const opLetters = "ABM"

// String returns the official name of the operation, such as "conv3x3-bn-relu".
func (op Op) String() string {
	if op >= numOps {
		return fmt.Sprintf("op(%d)", uint8(op))
	}
	return opNames[op]
}

// Cell is a cell of the space: a directed acyclic graph from vertex 0, the input, to vertex N()-1, the output. A Cell
// made by this package is valid and pruned: every vertex lies on a path from the input to the output. Cells are
// comparable with ==, which is finer than isomorphism; [Cell.Hash] compares up to isomorphism. They are immutable and
// safe for concurrent use. The zero Cell is not a cell.
type Cell struct {
	n   uint8
	out graph
	ops [MaxVertices - 2]uint8 // ops[i] is the operation of vertex i+1; unused ones are 0
}

// New makes a cell from an adjacency matrix (matrix[i][j] is 1 for an edge i → j) and the operations of all vertices
// by their official names, "input" first and "output" last. As in the official code, vertices that are not on a path
// from input to output are pruned, and edges are counted after that. The error says which rule the input breaks.
func New(matrix [][]int, ops []string) (Cell, error) {
	n := len(matrix)
	if n < 2 || n > MaxVertices {
		return Cell{}, fmt.Errorf("nasbench101: a cell has 2 to %d vertices, this one has %d", MaxVertices, n)
	}
	if len(ops) != n {
		return Cell{}, fmt.Errorf("nasbench101: the matrix has %d vertices but %d operations are given", n, len(ops))
	}
	var out graph
	for i, row := range matrix {
		if len(row) != n {
			return Cell{}, fmt.Errorf("nasbench101: the matrix is not square: row %d has %d entries, not %d", i, len(row), n)
		}
		for j, e := range row {
			if e != 0 && e != 1 {
				return Cell{}, fmt.Errorf("nasbench101: entry (%d, %d) of the matrix is %d, not 0 or 1", i, j, e)
			}
			out[i] |= uint8(e) << j
		}
	}
	if err := out.checkOrder(n); err != nil {
		return Cell{}, err
	}
	if ops[0] != nameInput || ops[n-1] != nameOutput {
		return Cell{}, fmt.Errorf("nasbench101: the first operation must be %q and the last %q, not %q and %q", nameInput, nameOutput, ops[0], ops[n-1])
	}
	interior := make([]Op, n-2)
	for v, name := range ops[1 : n-1] {
		op := slices.Index(opNames[:], name)
		if op < 0 {
			return Cell{}, fmt.Errorf("nasbench101: vertex %d: unknown operation %q; the space has %s", v+1, name, strings.Join(opNames[:], ", "))
		}
		interior[v] = Op(op)
	}
	return prune(out, interior)
}

// Parse reads the text form "edges:ops" of a cell: the row-major upper triangle of the adjacency matrix as 0s and 1s,
// and one letter for each interior vertex, A for conv3x3-bn-relu, B for conv1x1-bn-relu, M for maxpool3x3. The cell
// input → conv3x3 → output is "101:A". Parse prunes and checks as [New] does.
func Parse(text string) (Cell, error) {
	edges, letters, ok := strings.Cut(text, ":")
	if !ok {
		return Cell{}, fmt.Errorf("nasbench101: %q is not of the form edges:ops, such as 101:A", text)
	}
	n := len(letters) + 2
	if n > MaxVertices {
		return Cell{}, fmt.Errorf("nasbench101: a cell has 2 to %d vertices, %q has %d", MaxVertices, text, n)
	}
	if len(edges) != n*(n-1)/2 {
		return Cell{}, fmt.Errorf("nasbench101: %q has %d vertices, so it needs %d edge digits, not %d", text, n, n*(n-1)/2, len(edges))
	}
	ops := make([]Op, len(letters))
	for v := range ops {
		op := strings.IndexByte(opLetters, letters[v])
		if op < 0 {
			return Cell{}, fmt.Errorf("nasbench101: unknown operation %q in %q; the letters are A (conv3x3-bn-relu), B (conv1x1-bn-relu) and M (maxpool3x3)", letters[v], text)
		}
		ops[v] = Op(op)
	}
	var code uint32
	for k, digit := range []byte(edges) {
		if digit != '0' && digit != '1' {
			return Cell{}, fmt.Errorf("nasbench101: edge digit %d of %q is %q, not 0 or 1", k, text, digit)
		}
		code |= uint32(digit-'0') << k
	}
	return prune(graphOf(code, n), ops)
}

// String returns the text form that [Parse] reads, such as "101:A".
func (c Cell) String() string {
	var s strings.Builder
	code := c.out.code(c.N())
	for k := range c.N() * (c.N() - 1) / 2 {
		s.WriteByte('0' + byte(code>>k&1))
	}
	s.WriteByte(':')
	for v := 1; v < c.N()-1; v++ {
		s.WriteByte(opLetters[c.Op(v)])
	}
	return s.String()
}

// N returns the number of vertices, input and output included.
func (c Cell) N() int { return int(c.n) }

// Edge says whether there is an edge from vertex i to vertex j.
func (c Cell) Edge(i, j int) bool { return c.out[i]>>j&1 == 1 }

// Edges returns the number of edges.
func (c Cell) Edges() int {
	edges := 0
	for _, o := range c.out {
		edges += bits.OnesCount8(o)
	}
	return edges
}

// Op returns the operation of the interior vertex v, 1 ≤ v ≤ N()-2.
func (c Cell) Op(v int) Op { return Op(c.ops[v-1]) }

// Matrix returns the adjacency matrix, N()×N(), as [New] takes it.
func (c Cell) Matrix() [][]int {
	m := make([][]int, c.N())
	for i := range m {
		m[i] = make([]int, c.N())
		for j := range m[i] {
			m[i][j] = int(c.out[i] >> j & 1)
		}
	}
	return m
}

// OpNames returns the official names of all vertices' operations, as [New] takes them.
func (c Cell) OpNames() []string {
	names := []string{nameInput}
	for v := 1; v < c.N()-1; v++ {
		names = append(names, c.Op(v).String())
	}
	return append(names, nameOutput)
}

// The operation ids of a cell's [space.Graph]; 0 is padding.
const (
	idInput   = 1
	idFirstOp = 2 // plus the [Op]
	idOutput  = idFirstOp + int(numOps)
	numIDs    = idOutput + 1
)

// Graph returns the cell for the comparator: one node for each vertex.
func (c Cell) Graph() space.Graph {
	g := space.Graph{Ops: make([]int, c.N()), Edges: make([][2]int, 0, MaxEdges)}
	for i, j := range c.out.edges() {
		g.Edges = append(g.Edges, [2]int{i, j})
	}
	g.Ops[0], g.Ops[c.N()-1] = idInput, idOutput
	for v := 1; v < c.N()-1; v++ {
		g.Ops[v] = idFirstOp + int(c.Op(v))
	}
	return g
}

// Code packs the cell into 34 bits, for compact tables: 3 bits for N(), 2 for each of five operations, 21 for the
// edges.
func (c Cell) Code() uint64 {
	code := uint64(c.out.code(c.N()))
	for _, op := range c.ops {
		code = code<<2 | uint64(op)
	}
	return code<<3 | uint64(c.n)
}

// FromCode unpacks what [Cell.Code] packed. The error says that no cell has this code.
func FromCode(code uint64) (Cell, error) {
	n := int(code & 7)
	if n >= 2 {
		ops := make([]Op, n-2)
		rest := code >> 3
		for i := MaxVertices - 3; i >= 0; i-- {
			if i < len(ops) {
				ops[i] = Op(rest & 3)
			}
			rest >>= 2
		}
		c, err := prune(graphOf(uint32(rest), n), ops)
		known := !slices.ContainsFunc(c.ops[:], func(op uint8) bool { return Op(op) >= numOps })
		if err == nil && known && c.Code() == code {
			return c, nil
		}
	}
	return Cell{}, fmt.Errorf("nasbench101: no cell has the code %#x", code)
}
