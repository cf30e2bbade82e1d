package space_test

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/ctnas/ctnas/ctnaslib/space"
)

// The width and the kernel of each of five layers. The comparator sees a chain of ten nodes between an input and an
// output.
func ExampleNewChoices() {
	layer := []space.Choice{
		{Name: "width", Options: []string{"16", "32", "64"}},
		{Name: "kernel", Options: []string{"3x3", "5x5"}},
	}
	s, err := space.NewChoices(space.ChoicesConfig{
		Name:    "five layers",
		Choices: slices.Repeat(layer, 5),
		Text:    "%s:%s %s:%s %s:%s %s:%s %s:%s",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	rng := rand.New(rand.NewPCG(1, 2))
	net := s.Sample(rng)
	fmt.Println(net)
	mutant, err := s.Mutate(rng, net)
	fmt.Println(mutant, err)
	fmt.Println(net.(space.Chosen).Words()[:2], net.(space.Chosen).Options()[:2])
	fmt.Println(net.Graph().Ops, "of", s.Nodes(), "nodes and", s.Ops(), "operations")

	written, err := s.Decode([]int{0, 1, 2, 0, 2, 0, 1, 1, 0, 0}) // as a policy writes it
	fmt.Println(written, err)
	// Output:
	// 64:3x3 64:3x3 16:3x3 32:3x3 16:3x3
	// 64:3x3 64:3x3 16:3x3 64:3x3 16:3x3 <nil>
	// [64 3x3] [2 0]
	// [1 5 6 5 6 3 6 4 6 3 6 2] of 12 nodes and 8 operations
	// 16:5x5 64:3x3 64:3x3 32:5x5 16:3x3 <nil>
}
