package nasbench101_test

import (
	"fmt"
	"math/rand/v2"

	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// A cell as the benchmark writes it: its module hash, its parameters, and what its mutants are.
func Example() {
	cell, err := nasbench101.New([][]int{
		{0, 1, 1, 0},
		{0, 0, 0, 1},
		{0, 0, 0, 1},
		{0, 0, 0, 0},
	}, []string{"input", "conv3x3-bn-relu", "maxpool3x3", "output"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(cell, "has the hash", cell.ID())
	fmt.Println(cell.Params(), "parameters,", cell.Edges(), "edges, channels", cell.Channels(128, 256))

	mutant, err := nasbench101.Space{}.Mutate(rand.New(rand.NewPCG(1, 1)), cell)
	fmt.Println(mutant, err)

	_, err = nasbench101.Parse("101:X")
	fmt.Println(err)
	// Output:
	// 110011:AM has the hash 7c65f6bd01b87407734781b6038050bc
	// 3207690 parameters, 4 edges, channels [128 128 128 256]
	// 101:A <nil>
	// nasbench101: unknown operation 'X' in "101:X"; the letters are A (conv3x3-bn-relu), B (conv1x1-bn-relu) and M (maxpool3x3)
}
