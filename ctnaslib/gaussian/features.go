package gaussian

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/ctnas/ctnas/ctnaslib/space"
)

// Features reads architectures of one space as numbers, in groups that the kernel weighs by themselves:
//
//   - what is where: for each cell its part of [space.Vector], or the nodes of its graph, each with its operation, and
//     the edges;
//   - how often there is what: the counts of a [space.Counting], or of a graph its operations and its operations with
//     those that they read (the labels of Weisfeiler and Lehman after one round), for each cell, and its edges.
//
// Each group is scaled so that two architectures drawn at random have a mean squared distance of 1 in it; one in
// which all are alike is left out. It does not change, and is safe for concurrent use.
type Features struct {
	cells   int
	nodes   int              // of a cell
	columns []map[string]int // by group: the column of a name; nil for a group that is left out
	group   []int            // of each column
	scale   []float64        // of each group
	groups  int
}

// NewFeatures returns the features of a space, with their scales as they are among reference, architectures drawn at
// random; some hundreds are enough. What none of them has is not looked at. The error says that they are all alike.
func NewFeatures(s space.Space, reference []space.Arch) (*Features, error) {
	f := &Features{cells: 1}
	if c, ok := s.(space.Cellular); ok {
		f.cells = c.Cells()
	}
	f.nodes = s.Nodes() / f.cells
	read := make([][]map[string]float64, len(reference))
	for i, a := range reference {
		read[i] = f.read(a)
	}
	for g := range f.cells + 1 {
		sum := make(map[string]float64)
		squares := 0.0
		for _, groups := range read {
			for name, x := range groups[g] {
				sum[name] += x
				squares += x * x
			}
		}
		n := float64(len(reference))
		distance := 2 * squares / n
		for _, name := range sorted(sum) {
			distance -= 2 * sum[name] * sum[name] / (n * n)
		}
		if distance < 1e-9 {
			f.columns = append(f.columns, nil)
			continue
		}
		columns := make(map[string]int, len(sum))
		for _, name := range sorted(sum) {
			columns[name] = len(f.group)
			f.group = append(f.group, f.groups)
		}
		f.columns, f.scale = append(f.columns, columns), append(f.scale, 1/math.Sqrt(distance))
		f.groups++
	}
	if f.groups == 0 {
		return nil, fmt.Errorf("gaussian: %d architectures of the space %s are all alike; draw more of them", len(reference), s.Name())
	}
	return f, nil
}

// sorted returns the names in order, for sums that come out the same each time.
func sorted(m map[string]float64) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// read returns what an architecture has, by group and name.
func (f *Features) read(a space.Arch) []map[string]float64 {
	graph := a.Graph()
	groups := make([]map[string]float64, f.cells+1)
	for g := range groups {
		groups[g] = make(map[string]float64)
	}
	if v, ok := a.(space.Vector); ok {
		vector := v.Vector()
		part := (len(vector) + f.cells - 1) / f.cells
		for i, x := range vector {
			if x != 0 {
				groups[i/part][strconv.Itoa(i)] = float64(x)
			}
		}
	} else {
		for i, op := range graph.Ops {
			groups[f.cell(i)][join('n', i, op)] = 1
		}
		for _, e := range graph.Edges {
			groups[f.cell(e[0])][join('e', e[0], e[1])] = 1
		}
	}
	f.count(a, graph, groups[f.cells])
	return groups
}

func (f *Features) cell(node int) int { return min(node/f.nodes, f.cells-1) }

// count adds how often there is what.
func (f *Features) count(a space.Arch, graph space.Graph, counts map[string]float64) {
	if c, ok := a.(space.Counting); ok {
		for i, x := range c.Counts() {
			if x != 0 {
				counts[strconv.Itoa(i)] = float64(x)
			}
		}
		return
	}
	reads := make([][]int, len(graph.Ops)) // the operations that each node reads
	for _, e := range graph.Edges {
		reads[e[1]] = append(reads[e[1]], graph.Ops[e[0]])
	}
	for i, op := range graph.Ops {
		counts[join('o', f.cell(i), op)]++
		slices.Sort(reads[i])
		counts[join('r', append([]int{f.cell(i), op}, reads[i]...)...)]++
	}
	counts["edges"] = float64(len(graph.Edges))
}

// join returns a name of numbers.
func join(kind byte, numbers ...int) string {
	name := make([]byte, 1, 4*len(numbers)+1)
	name[0] = kind
	for _, n := range numbers {
		name = append(strconv.AppendInt(name, int64(n), 10), ' ')
	}
	return string(name)
}

// point is an architecture as the kernel sees it.
type point struct {
	columns []int // in which it is not 0, ascending
	values  []float64
	squares []float64 // by group: its squared length
}

// point reads an architecture.
func (f *Features) point(a space.Arch) point {
	p := point{squares: make([]float64, f.groups)}
	type entry struct {
		column int
		value  float64
	}
	var entries []entry
	for g, names := range f.read(a) {
		for name, x := range names {
			if column, ok := f.columns[g][name]; ok {
				entries = append(entries, entry{column, x * f.scale[f.group[column]]})
			}
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return a.column - b.column })
	for _, e := range entries {
		p.columns, p.values = append(p.columns, e.column), append(p.values, e.value)
		p.squares[f.group[e.column]] += e.value * e.value
	}
	return p
}
