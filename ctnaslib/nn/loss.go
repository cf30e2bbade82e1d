package nn

import (
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/train/loss"
)

// CrossEntropy returns the mean of −log softmax(logits)[label] over a batch, in nats: a scalar of logits [batch,
// classes] and labels [batch], int32.
func CrossEntropy(logits, labels *Node) *Node {
	return loss.SparseCategoricalCrossEntropyLogits([]*Node{InsertAxes(labels, -1)}, []*Node{logits})
}

// NumberCorrect returns how many of a batch have their label as the largest logit: a scalar, float32, of logits [batch,
// classes] and labels [batch], int32.
func NumberCorrect(logits, labels *Node) *Node {
	return ReduceAllSum(ConvertDType(Equal(ArgMax(logits, -1, labels.DType()), labels), dtypes.Float32))
}
