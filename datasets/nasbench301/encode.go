package nasbench301

import "github.com/ctnas/ctnas/ctnaslib/space/darts"

// A genotype is 34 categorical hyperparameters of the benchmark: for the normal and
// the reduction cell the operation on each of the 14 edges that could be, edge 0 from
// node 0 to node 2, edge 1 from 1 to 2, edge 2 from 0 to 3 and so on; then, for both
// cells, the pair of predecessors of nodes 3, 4 and 5.
const (
	edges   = 14
	pairs   = 3 // node 2 has only one
	columns = 2 * (edges + pairs)
)

// opCodes are the integers of the operations, in the order of their names. 0 is "#na#":
// a hyperparameter that is not active, as the operation on an edge that is not there.
var opCodes = map[darts.Op]int32{
	darts.AvgPool3x3: 1, darts.DilConv3x3: 2, darts.DilConv5x5: 3, darts.MaxPool3x3: 4,
	darts.SepConv3x3: 5, darts.SepConv5x5: 6, darts.SkipConnect: 7,
}

// encode appends the integers of a genotype, in the order of its hyperparameters
// above. (The published encoding, nb301/encoding_v2.json in slds-lmu/yahpo_data,
// lists edge 10 before edge 2, by their names; the graph has them in the order of
// yahpo_gym's configuration, cat_names.)
func encode(codes []int32, g darts.Genotype) []int32 {
	cells := [2]darts.Cell{g.Normal(), g.Reduce()}
	for _, cell := range cells {
		var ops [edges]int32
		for i, node := range cell {
			for _, e := range node {
				ops[firstEdge(i)+e.From] = opCodes[e.Op]
			}
		}
		codes = append(codes, ops[:]...)
	}
	for _, cell := range cells {
		for i, node := range cell[darts.Nodes-pairs:] {
			codes = append(codes, pairCode(node[0].From, node[1].From, i+darts.Nodes-pairs+darts.Inputs))
		}
	}
	return codes
}

// firstEdge returns the number of the edge from node 0 to the i-th intermediate node.
func firstEdge(i int) int { return i * (i + 3) / 2 }

// pairCode counts the pairs 0_1, 0_2, …, 1_2, … of a node's predecessors, of which
// there are n, from 1 on.
func pairCode(a, b, n int) int32 {
	return int32(a*(2*n-a-1)/2 + b - a)
}
