package engine

import (
	"fmt"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
	"github.com/gomlx/gomlx/ml/train/optimizer"
)

// NewVariable creates a float32 variable whose values are drawn one by one, on the
// host, so that they are the same on every backend.
func NewVariable(scope *model.Scope, name string, draw func() float64, dims ...int) error {
	size := 1
	for _, d := range dims {
		size *= d
	}
	values := make([]float32, size)
	for i := range values {
		values[i] = float32(draw())
	}
	_, err := scope.CreateVariable(name, tensors.FromFlatDataAndDimensions(values, dims...))
	return err
}

// NewProgram compiles a graph function over the variables of a store when it is first called, once for
// each combination of shapes of its inputs, and forgets none.
func NewProgram[F model.ExecGraphFn](backend compute.Backend, store *model.Store, graph F) (*model.Exec, error) {
	exec, err := model.NewExec(backend, store, graph)
	if err == nil {
		exec.SetMaxCache(-1)
	}
	return exec, err
}

// Args are tensors as the arguments of a call of a graph.
func Args(inputs []*tensors.Tensor) []any {
	args := make([]any, len(inputs))
	for i, t := range inputs {
		args[i] = t
	}
	return args
}

// Adam is the optimiser of the authors' code: PyTorch's Adam, whose weight decay is
// an L2 penalty, WeightDecay/2 · ‖w‖², on the loss.
type Adam struct {
	LearningRate, Beta1, Beta2, WeightDecay float64
}

// Check reports a setting that no training can use: a learning rate that is not in (0, 1] (Adam
// changes a weight by about as much), a β that is not in [0, 1), a weight decay that is not in [0, 1].
func (a Adam) Check() error {
	switch {
	case !(a.LearningRate > 0 && a.LearningRate <= 1):
		return fmt.Errorf("the learning rate must be positive and at most 1, not %g", a.LearningRate)
	case !(a.Beta1 >= 0 && a.Beta1 < 1) || !(a.Beta2 >= 0 && a.Beta2 < 1):
		return fmt.Errorf("the Beta1 and Beta2 of Adam must be at least 0 and less than 1, not %g and %g", a.Beta1, a.Beta2)
	case !(a.WeightDecay >= 0 && a.WeightDecay <= 1):
		return fmt.Errorf("the weight decay must be at least 0 and at most 1, not %g", a.WeightDecay)
	}
	return nil
}

// Minimize builds one step on the weights in a scope of root.
func (a Adam) Minimize(root *model.Scope, scope string, loss *Node) {
	g := loss.Graph()
	penalty := ScalarZero(g, dtypes.Float32)
	for v := range root.At("%s", scope).IterVariables() {
		penalty = Add(penalty, ReduceAllSum(Square(v.NodeValue(g))))
	}
	optimizer.Adam().
		LearningRate(a.LearningRate).
		Betas(a.Beta1, a.Beta2).
		Epsilon(1e-8).
		Done().
		UpdateGraph(root, g, Add(loss, MulScalar(penalty, a.WeightDecay/2)))
}
