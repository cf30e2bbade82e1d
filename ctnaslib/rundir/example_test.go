package rundir_test

import (
	"fmt"
	"os"

	"github.com/ctnas/ctnas/ctnaslib/rundir"
)

// Work is done once for a key: the second time its stored result is read.
func ExampleOnce() {
	dir, _ := os.MkdirTemp("", "runs")
	defer os.RemoveAll(dir)
	key := rundir.Key{
		Step: "square", Algorithms: rundir.Versions{"square": 1}, Config: struct{ Side int }{7},
		Data: map[string]string{"numbers": "integers"},
	}
	for range 2 {
		area, err := rundir.Once(dir, key, func(*rundir.Run) (int, error) {
			fmt.Println("working")
			return 7 * 7, nil
		})
		fmt.Println(area, err)
	}
	// Output:
	// working
	// 49 <nil>
	// 49 <nil>
}
