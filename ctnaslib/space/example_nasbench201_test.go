package space_test

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/ctnas/ctnas/ctnaslib/space"
)

// The operations of NAS-Bench-201 (Dong and Yang, ICLR 2020), and the edges between the four nodes of its cell,
// those that enter node 1 first.
var (
	operations201 = []string{"none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"}
	edges201      = [][2]int{{0, 1}, {0, 2}, {1, 2}, {0, 3}, {1, 3}, {2, 3}}
)

// newNASBench201 makes the whole space: an operation on each edge.
func newNASBench201() (*space.Choices, error) {
	return space.NewChoices(space.ChoicesConfig{
		Name:    "nasbench201",
		Choices: slices.Repeat([]space.Choice{{Name: "operation", Options: operations201}}, len(edges201)),
		Text:    "|%s~0|+|%s~0|%s~1|+|%s~0|%s~1|%s~2|",
		Graph:   graph201, Nodes: 1 + len(edges201) + 1, Ops: 3 + len(operations201),
	})
}

// graph201 has a node for the input, for the operation on each edge, and for the output. An operation reads those
// that enter the node where its edge begins.
func graph201(chosen []int) space.Graph {
	const input, output, firstOperation = 1, 2, 3
	g := space.Graph{Ops: []int{input}}
	enter := map[int][]int{0: {0}} // what enters each node of the cell
	connect := func(from, to int) {
		for _, node := range enter[from] {
			g.Edges = append(g.Edges, [2]int{node, to})
		}
	}
	for i, edge := range edges201 {
		connect(edge[0], i+1)
		enter[edge[1]] = append(enter[edge[1]], i+1)
		g.Ops = append(g.Ops, firstOperation+chosen[i])
	}
	connect(3, len(g.Ops))
	g.Ops = append(g.Ops, output)
	return g
}

// A search space of one's own with a graph of its own: NAS-Bench-201. A benchmark whose Space method returns it
// can be searched.
func Example_nasBench201() {
	s, err := newNASBench201()
	if err != nil {
		fmt.Println(err)
		return
	}
	cell, err := s.Parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|avg_pool_3x3~1|none~2|")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(cell.Graph().Ops, cell.Graph().Edges)

	mutant, err := s.Mutate(rand.New(rand.NewPCG(1, 1)), cell)
	fmt.Println(mutant, err)

	_, err = s.Parse("|nor_conv_5x5~0|+|none~0|none~1|+|none~0|none~1|none~2|")
	fmt.Println(err)
	// Output:
	// [1 6 3 4 5 7 3 2] [[0 1] [0 2] [1 3] [0 4] [1 5] [2 6] [3 6] [4 7] [5 7] [6 7]]
	// |nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|avg_pool_3x3~1|avg_pool_3x3~2| <nil>
	// space: choice 1 (operation) of "|nor_conv_5x5~0|+|none~0|none~1|+|none~0|none~1|none~2|" is "nor_conv_5x5"; the options are none, skip_connect, nor_conv_1x1, nor_conv_3x3, avg_pool_3x3
}
