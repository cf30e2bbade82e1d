package torch_test

import (
	"fmt"
	"path/filepath"

	"github.com/ctnas/ctnas/datasets/torch"
)

// The weights in a file of PyTorch.
func Example() {
	weights, err := torch.Open(filepath.Join("testdata", "zip.pth"))
	if err != nil {
		panic(err)
	}
	fmt.Println(weights.Names())
	matrix, err := weights.Float32("matrix", 2, 3)
	if err != nil {
		panic(err)
	}
	fmt.Println(matrix)
	// Output:
	// [matrix transposed row half double count empty parameter bytes broadcast]
	// [0 0.125 0.25 0.375 0.5 0.625]
}
