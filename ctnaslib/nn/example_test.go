package nn_test

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"os"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/ctnas/ctnas/ctnaslib/nn"
	"github.com/ctnas/ctnas/ctnaslib/nn/nntest"
)

// A network of one convolution, trained for ten epochs on drawn shapes of 8 pixels, with all that a
// package of networks adds to this one.
func Example() {
	root, err := os.MkdirTemp("", "runs")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(root)
	backend, data, err := nntest.Open()
	if err != nil {
		log.Fatal(err)
	}

	// The graph, and its weights.
	network := func(b nn.Builder, images *Node) *Node {
		return b.Dense("dense", ReduceMean(b.ConvNormReLU("stem", images, 3, 8), 1, 2), data.Classes)
	}
	in := nn.Input{Side: 8, Classes: data.Classes, BatchSize: 16}
	m, err := nn.NewModel(backend, data, in, rand.New(rand.NewPCG(1, 1)), network)
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range m.Parameters {
		fmt.Println(p.Name, p.Dims)
	}

	// A step of training.
	step, err := m.Program(func(_ *model.Scope, inputs []*Node) []*Node {
		images, labels, rate := inputs[0], inputs[1], inputs[2]
		variables := m.Variables(nn.Weights)
		weights := nn.Values(images.Graph(), variables)
		logits := network(m.Builder(weights), images)
		loss := nn.CrossEntropy(logits, labels)
		nn.Momentum{Momentum: 0.9}.Step(m.Store, variables, Gradient(loss, weights...), rate, nil)
		return []*Node{loss, nn.NumberCorrect(logits, labels)}
	}, nn.Sharded, nn.Sharded, nn.Replicated)
	if err != nil {
		log.Fatal(err)
	}
	const steps = 32
	p := &nn.Process{Model: m, Rounds: nn.Rounds(0, steps, 10)}
	p.TrainStep = func(_ context.Context, t int, b nn.Batch) (loss, accuracy float64, err error) {
		return step.Measure(b, b.Images, b.Labels, tensors.FromScalar(float32(nn.Cosine(0.1, t, steps))))
	}

	// The training, which can be stopped and goes on.
	training := nn.Training[nn.Input]{Backend: backend, Data: data, Config: in}
	outcome, err := training.Run(context.Background(), root, "example", nn.Versions(), p, len(p.Rounds))
	if err != nil {
		log.Fatal(err)
	}
	first, last := outcome.Metrics[0].Values["loss"], outcome.Metrics[len(outcome.Metrics)-1].Values["loss"]
	fmt.Println(outcome.Status, len(outcome.Metrics), "rounds; the loss fell:", last < first)
	// Output:
	// stem/kernel [3 3 3 8]
	// stem/scale [8]
	// stem/shift [8]
	// dense/kernel [8 10]
	// dense/bias [10]
	// trained 4 rounds; the loss fell: true
}
