package encoder_test

import (
	"fmt"
	"math/rand/v2"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/ctnas/ctnas/ctnaslib/encoder"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// The features of two cells by the paper's two graph convolutions (Eq. 7), with random weights.
func ExampleGCN() {
	backend, err := engine.Open()
	if err != nil {
		fmt.Println(err)
		return
	}
	gcn := encoder.GCN{Layers: 2, Width: 8, Direction: encoder.Forward}
	sizes, store := encoder.SizesOf(nasbench101.Space{}), model.NewStore()
	if err := gcn.Create(store.RootScope(), sizes, rand.New(rand.NewPCG(1, 1))); err != nil {
		fmt.Println(err)
		return
	}
	encode, err := engine.NewProgram(backend, store, func(scope *model.Scope, inputs []*Node) []*Node {
		return []*Node{gcn.Encode(scope, sizes, inputs)}
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	a, _ := nasbench101.Parse("101:A")
	b, _ := nasbench101.Parse("101:M")
	inputs, err := gcn.Inputs([]space.Arch{a, b}, sizes, 2)
	if err != nil {
		fmt.Println(err)
		return
	}
	var features *tensors.Tensor
	if features, err = encode.Call1(engine.Args(inputs)...); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(features.Shape())
	// Output: (Float32)[2, 8]
}
