// Package space says what an architecture is, for every search space at once.
//
// A search space is a set Ω of architectures (paper, Sec. 3). The comparator
// reads an architecture as a graph (Sec. 4.1, Fig. 3), the controller writes
// one down as a sequence of decisions (Sec. 3.2), and a benchmark answers for
// its accuracy. Everything that learns or searches is written against the four
// small types here; a search space implements them in a package of its own,
// and nothing else has to change:
//
//   - [Arch], an architecture: its identity, its text, its graph;
//   - [Space], the set: sampling, mutation, and the decisions that lead to an [Arch];
//   - [Decisions], the finite automaton behind those decisions;
//   - [Benchmark], where a search buys validation accuracies.
//
// The package has no heavy imports, so a notebook cell that only looks at
// architectures starts at once.
package space

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
)

// Arch is one architecture α of a search space. Implementations are immutable.
type Arch interface {
	// ID is the same for two architectures exactly when they compute the same
	// function family: for NAS-Bench-101 it is the official module hash.
	ID() string

	// String is a short text from which [Space.Parse] reads the architecture back.
	String() string

	// Graph is the architecture as the comparator sees it.
	Graph() Graph
}

// Graph is the data pair (A, X) of Sec. 4.1 before it becomes tensors: a
// directed acyclic graph whose nodes are operations.
type Graph struct {
	// Ops holds the operation of each node, in topological order. An id is at
	// least 1 and less than [Space.Ops]; 0 is kept for padding.
	Ops []int

	// Edges holds the pairs (from, to), from < to, along which data flows.
	Edges [][2]int
}

// Space is a search space Ω.
type Space interface {
	// Name is the name of the space in results and run directories.
	Name() string

	// Nodes is the largest number of nodes of a [Graph] of this space.
	Nodes() int

	// Ops is the number of operation ids, the padding id 0 included.
	Ops() int

	// Sample draws one architecture from Ω: uniformly, unless the space says
	// otherwise.
	Sample(rng *rand.Rand) Arch

	// Mutate draws an architecture of Ω that is a small random change away from a, and
	// is never a itself: a step of an evolutionary search. The error says that a is
	// not of this space.
	Mutate(rng *rand.Rand, a Arch) (Arch, error)

	// Parse reads what [Arch.String] wrote. The error names what is wrong in it.
	Parse(text string) (Arch, error)

	// Decisions describes the sequences by which a policy writes an architecture.
	Decisions() *Decisions

	// Decode turns a complete sequence of decisions into its architecture. The
	// error names the first decision that [Space.Decisions] does not allow.
	Decode(sequence []int) (Arch, error)
}

// Finite is a [Space] small enough to list.
type Finite interface {
	Space

	// All lists every architecture of the space once. The slice is shared between
	// callers: do not change it.
	All() []Arch
}

// Cellular is a [Space] whose architectures consist of several cells. A [Graph] of it
// has [Space.Nodes] nodes, the same number for each cell, one cell's after the other's,
// and no edges between cells. An encoder keeps the cells' features apart.
type Cellular interface {
	Space

	// Cells is the number of cells of an architecture.
	Cells() int
}

// Featured is a [Space] whose architectures are each a [Vector], for encoders that
// read no graph.
type Featured interface {
	Space

	// Features is the length of [Vector.Vector].
	Features() int
}

// Vector is an [Arch] of a [Featured] space.
type Vector interface {
	Arch

	// Vector describes the architecture by a fixed number of numbers.
	Vector() []float32
}

// Counting is an [Arch] that counts what it is made of, for what has to learn from few labels: counts say less than
// what stands where, but a few architectures already show what they are worth. It is needed where the
// operations of the [Graph] are too many to be counted themselves.
type Counting interface {
	Arch

	// Counts returns a fixed number of counts, of the same things for each architecture of the space.
	Counts() []float32
}

// Crossing is a [Space] whose architectures can be crossed.
type Crossing interface {
	Space

	// Cross draws a child of two architectures, each of its choices one of theirs. The
	// error says that they are not of this space, or have no child in it.
	Cross(rng *rand.Rand, a, b Arch) (Arch, error)
}

// Ranker is what can put architectures in order: a comparator, a predictor.
type Ranker interface {
	// Utilities says how good each architecture is taken to be, the higher the
	// better. Only their order means anything.
	Utilities(archs []Arch) ([]float64, error)
}

// Rank returns the positions of archs from the best to the worst, of equal ones in
// their order. The error is the ranker's.
func Rank(r Ranker, archs []Arch) ([]int, error) {
	utilities, err := r.Utilities(archs)
	if err != nil {
		return nil, err
	}
	return Order(utilities), nil
}

// Order returns the positions of utilities from the highest to the lowest, of equal ones in their
// order.
func Order(utilities []float64) []int {
	order := make([]int, len(utilities))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(utilities[j], utilities[i]) })
	return order
}

// Batch is a batch of graphs, padded to one number of nodes and laid out flat
// for the comparator's tensors.
type Batch struct {
	Size  int // number of graphs
	Nodes int // nodes of each graph, padding included

	// Adjacency is [Size, Nodes, Nodes], row-major: 1 at (b, i, j) where graph b has
	// an edge from i to j, else 0.
	Adjacency []float32

	// Ops is [Size, Nodes], row-major: the operation id of each node, 0 for padding.
	Ops []int32
}

// NewBatch lays out the graphs of archs, each padded to the given number of
// nodes. The error names the first architecture that does not fit.
func NewBatch(archs []Arch, nodes int) (Batch, error) {
	b := Batch{
		Size:      len(archs),
		Nodes:     nodes,
		Adjacency: make([]float32, len(archs)*nodes*nodes),
		Ops:       make([]int32, len(archs)*nodes),
	}
	for k, a := range archs {
		g := a.Graph()
		if len(g.Ops) > nodes {
			return Batch{}, fmt.Errorf("space: architecture %s has %d nodes, but the comparator was built for %d", a, len(g.Ops), nodes)
		}
		for i, op := range g.Ops {
			if op < 1 {
				return Batch{}, fmt.Errorf("space: architecture %s has the operation %d at node %d; 0 is padding, and others are positive", a, op, i)
			}
			b.Ops[k*nodes+i] = int32(op)
		}
		for _, e := range g.Edges {
			if err := g.checkEdge(e); err != nil {
				return Batch{}, fmt.Errorf("space: architecture %s %w", a, err)
			}
			b.Adjacency[(k*nodes+e[0])*nodes+e[1]] = 1
		}
	}
	return b, nil
}
