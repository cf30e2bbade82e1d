package engine_test

import (
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/engine"
)

// A stream of random numbers is a function of the seed, what it is for, and a number.
func ExampleStream() {
	a := engine.Stream(1, "example: weights", 0)
	b := engine.Stream(1, "example: weights", 0)
	c := engine.Stream(1, "example: weights", 1)
	x, y, z := a.IntN(1000), b.IntN(1000), c.IntN(1000)
	fmt.Println(x == y, x == z)
	// Output: true false
}
