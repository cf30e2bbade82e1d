// Package darts is the search space of DARTS (Liu et al., ICLR 2019): networks of two cells, a normal and a reduction
// cell. A cell reads the outputs of the two cells before it. Each of its four nodes is the sum of two operations,
// each on a node before or an input of the cell; the cell's output is the four nodes side by side.
//
//	g, err := darts.Parse("Genotype(normal=[('sep_conv_3x3', 0), …")
//	g.CIFARCost()  // parameters and multiply-adds of the CIFAR-10 network
//	g.SVG()        // a drawing
package darts

import (
	"fmt"
	"strings"

	"github.com/ctnas/ctnas/ctnaslib/space"
)

// The size of a cell.
const (
	Inputs = 2 // the outputs of the cell before the previous one, and of the previous
	Nodes  = 4 // intermediate nodes
)

// NumGenotypes is the number of genotypes: the square of the 1,037,664,180 = 1·3·6·10·49⁴ cells, whose nodes choose
// two of 2, 3, 4 and 5 predecessors and two of 7 operations.
const NumGenotypes = numCells * numCells

// Op is an operation.
type Op uint8

// The seven operations, in the order of the DARTS code (quark0/darts, cnn/genotypes.py, PRIMITIVES), which has "none"
// too for its search.
const (
	MaxPool3x3 Op = iota
	AvgPool3x3
	SkipConnect
	SepConv3x3
	SepConv5x5
	DilConv3x3
	DilConv5x5
	numOps
)

var opNames = [numOps]string{
	"max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5",
}

// String returns the name of the operation in the DARTS code, such as "sep_conv_3x3".
func (op Op) String() string {
	if op >= numOps {
		return fmt.Sprintf("op(%d)", uint8(op))
	}
	return opNames[op]
}

// Edge is an operation on a predecessor: 0 and 1 are the outputs of the cell before the previous one and of the
// previous, 2 to 5 the cell's own nodes.
type Edge struct {
	Op   Op
	From int
}

// Cell holds the two edges that enter each node: Cell[i] enters node i+2.
type Cell [Nodes][2]Edge

// Genotype is an architecture of the space: its normal and its reduction cell, valid and with the edges of each node
// in the order of their predecessors. Genotypes are comparable with ==, immutable and safe for concurrent use. The
// zero Genotype is not a genotype.
type Genotype struct{ cells [2]Cell }

// New makes a genotype. The edges of a node may come in any order. The error names the node whose predecessors are
// not distinct, not before it, or whose operation is not of the space.
func New(normal, reduce Cell) (Genotype, error) {
	g := Genotype{[2]Cell{normal, reduce}}
	for c := range g.cells {
		for i := range g.cells[c] {
			node := &g.cells[c][i]
			for _, e := range node {
				if e.Op >= numOps {
					return Genotype{}, fmt.Errorf("darts: node %d of the %s cell has the operation %v; the space has %s", i+Inputs, cellNames[c], e.Op, allOps())
				}
				if e.From < 0 || e.From >= i+Inputs {
					return Genotype{}, fmt.Errorf("darts: node %d of the %s cell reads node %d; it can read 0 to %d", i+Inputs, cellNames[c], e.From, i+Inputs-1)
				}
			}
			switch {
			case node[0].From == node[1].From:
				return Genotype{}, fmt.Errorf("darts: node %d of the %s cell reads node %d twice; in this space its two predecessors are distinct", i+Inputs, cellNames[c], node[0].From)
			case node[0].From > node[1].From:
				node[0], node[1] = node[1], node[0]
			}
		}
	}
	return g, nil
}

// The cells of a genotype.
const (
	normal = iota
	reduce
)

var cellNames = [2]string{normal: "normal", reduce: "reduction"}

func allOps() string { return strings.Join(opNames[:], ", ") }

// Normal returns the normal cell.
func (g Genotype) Normal() Cell { return g.cells[normal] }

// Reduce returns the reduction cell.
func (g Genotype) Reduce() Cell { return g.cells[reduce] }

// String returns the text of the DARTS code, which [Parse] reads:
//
//	Genotype(normal=[('sep_conv_3x3', 0), …], normal_concat=range(2, 6), reduce=[…], reduce_concat=range(2, 6))
func (g Genotype) String() string {
	var s strings.Builder
	s.WriteString("Genotype(")
	for c, name := range [2]string{"normal", "reduce"} {
		if c > 0 {
			s.WriteString(", ")
		}
		fmt.Fprintf(&s, "%s=[", name)
		for i, node := range g.cells[c] {
			for k, e := range node {
				if i+k > 0 {
					s.WriteString(", ")
				}
				fmt.Fprintf(&s, "('%s', %d)", e.Op, e.From)
			}
		}
		fmt.Fprintf(&s, "], %s_concat=range(%d, %d)", name, Inputs, Inputs+Nodes)
	}
	s.WriteString(")")
	return s.String()
}

// ID returns [Genotype.Code] in hexadecimal. It is the same for two genotypes that differ only in the order of a
// node's two edges. Two that differ in the numbering of their nodes have different IDs, although they compute the
// same function family: the space, its sampling and NAS-Bench-301 all tell them apart.
func (g Genotype) ID() string { return fmt.Sprintf("%016x", g.Code()) }

// numPairs is the number of choices of the predecessors of each node.
var numPairs = [Nodes]uint64{1, 3, 6, 10}

const numCells = 1 * 3 * 6 * 10 * 49 * 49 * 49 * 49

// Code returns the number of the genotype, less than [NumGenotypes].
func (g Genotype) Code() uint64 {
	code := uint64(0)
	for _, cell := range g.cells {
		for i, node := range cell {
			a, b := node[0].From, node[1].From
			code = code*numPairs[i] + uint64(b*(b-1)/2+a)
			code = (code*uint64(numOps)+uint64(node[0].Op))*uint64(numOps) + uint64(node[1].Op)
		}
	}
	return code
}

// FromCode returns the genotype with a [Genotype.Code]. The error says that no genotype has this code.
func FromCode(code uint64) (Genotype, error) {
	if code >= NumGenotypes {
		return Genotype{}, fmt.Errorf("darts: no genotype has the code %d; there are %d", code, uint64(NumGenotypes))
	}
	var g Genotype
	digit := func(base uint64) int {
		d := code % base
		code /= base
		return int(d)
	}
	for c := len(g.cells) - 1; c >= 0; c-- {
		for i := Nodes - 1; i >= 0; i-- {
			second := Op(digit(uint64(numOps)))
			first := Op(digit(uint64(numOps)))
			a, b := digit(numPairs[i]), 1
			for a >= b {
				a -= b
				b++
			}
			g.cells[c][i] = [2]Edge{{first, a}, {second, b}}
		}
	}
	return g, nil
}

// The operation ids of a genotype's [space.Graph]; 0 is padding.
const (
	idBefore  = 1 // the output of the cell before the previous one
	idPrev    = 2 // the output of the previous cell
	idFirstOp = 3 // plus the [Op]
	numIDs    = idFirstOp + int(numOps)
)

// cellNodes is the number of graph nodes of a cell.
const cellNodes = Inputs + 2*Nodes

// Graph returns the genotype for the comparator: the normal cell's ten nodes, then the reduction cell's, without an
// edge between them. A cell's nodes are its two inputs, then its eight operations, in the order of the nodes that
// they enter. An operation on a node reads both operations whose sum that node is; sums and the output have no graph
// node of their own. So the authors' code does it (ctnas/core/dataset/seq2arch, genotype2arch). Both cells share the
// operation ids.
func (g Genotype) Graph() space.Graph {
	var graph space.Graph
	for c, cell := range g.cells {
		first := c * cellNodes
		graph.Ops = append(graph.Ops, idBefore, idPrev)
		for i, node := range cell {
			for k, e := range node {
				graph.Ops = append(graph.Ops, idFirstOp+int(e.Op))
				to := first + Inputs + 2*i + k
				if e.From < Inputs {
					graph.Edges = append(graph.Edges, [2]int{first + e.From, to})
					continue
				}
				from := first + Inputs + 2*(e.From-Inputs)
				graph.Edges = append(graph.Edges, [2]int{from, to}, [2]int{from + 1, to})
			}
		}
	}
	return graph
}

// Features is the length of [Genotype.Vector]: seven operations on each of the 14 edges that a cell may have.
const Features = 2 * possibleEdges * int(numOps)

// possibleEdges are the edges that may enter a cell's nodes: 2, 3, 4 and 5.
const possibleEdges = Nodes*Inputs + Nodes*(Nodes-1)/2

// Vector has a 1 for each operation of the genotype, at its edge: of the normal cell, then of the reduction cell; by
// node, by predecessor, by operation.
func (g Genotype) Vector() []float32 {
	v := make([]float32, Features)
	at := 0
	for _, cell := range g.cells {
		for i, node := range cell {
			for _, e := range node {
				v[(at+e.From)*int(numOps)+int(e.Op)] = 1
			}
			at += Inputs + i
		}
	}
	return v
}
