package nasbench301

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/layers/activation"

	"github.com/ctnas/ctnas/datasets/internal/weights"
	"github.com/ctnas/ctnas/datasets/internal/wire"
)

// network is the published model: its weights by name, which the ONNX file holds. The
// graph of the file, which is always the same, is what [network.accuracy] builds. (GoMLX's
// own importer, onnx-gomlx, has no release for the GoMLX that this module uses.)
type network map[string]weights.Part

// The sizes of the published model.
const (
	blocks = 5
	width  = 128 // between blocks
	inner  = 342 // values within a block, after each was multiplied by its gate
	heads  = 4   // outputs: the validation accuracy, and what is not read here
)

// embeddings are the shapes of the tables for the codes of a genotype, one after the other.
var embeddings = func() (all [columns][2]int) {
	for i := range all {
		switch {
		case i < 2*edges: // operations
			all[i] = [2]int{8, 5}
		default: // predecessors of nodes 3, 4 and 5
			all[i] = [...][2]int{{4, 3}, {7, 5}, {11, 6}}[(i-2*edges)%pairs]
		}
	}
	return all
}()

// readNetwork reads the weights of an ONNX file. The numbers of the fields are those of the
// format's definition (onnx/onnx, onnx/onnx.proto). The error says that it is damaged, or
// which weights it lacks.
func readNetwork(data []byte) (network, error) {
	n := make(network)
	found := false
	err := wire.Fields(data, func(f wire.Field) error {
		if f.Number != 7 { // ModelProto.graph
			return nil
		}
		found = true
		return wire.Fields(f.Bytes, func(f wire.Field) error {
			if f.Number != 5 { // GraphProto.initializer
				return nil
			}
			p, err := readTensor(f.Bytes)
			n[p.Name] = p
			return err
		})
	})
	if err == nil && !found {
		err = errors.New("it holds no graph")
	}
	if err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	return n, n.check()
}

// readTensor reads a TensorProto of float32 with raw data.
func readTensor(data []byte) (p weights.Part, err error) {
	var dims []int64
	err = wire.Fields(data, func(f wire.Field) (err error) {
		switch f.Number {
		case 1:
			dims, err = f.AppendInts(dims)
		case 8:
			p.Name = string(f.Bytes)
		case 9: // raw data
			for raw := f.Bytes; len(raw) >= 4; raw = raw[4:] {
				p.Values = append(p.Values, math.Float32frombits(binary.LittleEndian.Uint32(raw)))
			}
		}
		return err
	})
	for _, d := range dims {
		p.Dims = append(p.Dims, int(d))
	}
	return p, err
}

// check reports the first of the network's weights that is missing or of another shape.
func (n network) check() error {
	var err error
	need := func(name string, dims ...int) {
		want := 1
		for _, d := range dims {
			want *= d
		}
		if p := n[name]; err == nil && (!slices.Equal(p.Dims, dims) || len(p.Values) != want) {
			err = fmt.Errorf("onnx: it has no weights %q of the shape %v", name, dims)
		}
	}
	linear := func(name string, inputs, outputs int) {
		need(name+".weight", outputs, inputs)
		need(name+".bias", outputs)
	}
	norm := func(name string) {
		for _, part := range []string{"weight", "bias", "running_mean", "running_var"} {
			need(name+"."+part, width)
		}
	}
	inputs := 1 // the epoch
	for i, shape := range embeddings {
		need(fmt.Sprintf("embds_fct.%d.weight", i), shape[0], shape[1])
		inputs += shape[1]
	}
	linear("first_layer", inputs, width)
	for i := range blocks {
		norm(fmt.Sprintf("layers.%d.norm", i))
		linear(fmt.Sprintf("layers.%d.linear0", i), width, 2*inner)
		linear(fmt.Sprintf("layers.%d.linear1", i), inner, width)
	}
	norm("last_normalization")
	linear("head", width, heads)
	return err
}

// accuracy builds the graph that gives the validation accuracy [batch] of the codes [batch,
// columns] of genotypes after epochs [batch, 1].
func (n network) accuracy(codes, epochs *Node) *Node {
	g := codes.Graph()
	weight := func(name string) *Node {
		return Const(g, tensors.FromFlatDataAndDimensions(n[name].Values, n[name].Dims...))
	}
	row := func(name string) *Node { return ExpandLeftToRank(weight(name), 2) }
	linear := func(name string, x *Node) *Node {
		return Add(Einsum("bi,oi->bo", x, weight(name+".weight")), row(name+".bias"))
	}
	norm := func(name string, x *Node) *Node {
		deviation := Sqrt(AddScalar(row(name+".running_var"), 1e-5))
		return Add(Mul(Div(Sub(x, row(name+".running_mean")), deviation), row(name+".weight")), row(name+".bias"))
	}
	number := func(v float32) *Node { return Const(g, v) }

	var inputs []*Node
	for i := range embeddings {
		code := SliceAxis(codes, 1, AxisElem(i)) // [batch, 1]
		inputs = append(inputs, Gather(weight(fmt.Sprintf("embds_fct.%d.weight", i)), code))
	}
	// Numbers are scaled from their range to [0.01, 0.99], the epoch then to [-0.98, 0.98].
	epoch := Add(Div(Mul(Sub(epochs, number(1)), number(0.98)), number(Epochs-1)), number(0.01))
	epoch = Sub(Mul(epoch, number(2)), number(1))
	x := linear("first_layer", Concatenate(append(inputs, epoch), 1))
	for i := range blocks {
		block := fmt.Sprintf("layers.%d", i)
		y := linear(block+".linear0", norm(block+".norm", x))
		values, gates := SliceAxis(y, 1, AxisRange(0, inner)), SliceAxis(y, 1, AxisRange(inner, 2*inner))
		x = Add(x, linear(block+".linear1", Mul(values, activation.Relu(gates))))
	}
	out := Sigmoid(linear("head", activation.Relu(norm("last_normalization", x))))
	accuracy := Squeeze(SliceAxis(out, 1, AxisElem(0)), 1)
	// The training data's range, then its deviation and mean.
	accuracy = Add(Mul(Div(Sub(accuracy, number(0.01)), number(0.98)), number(8.480978)), number(-7.500442))
	accuracy = Add(Mul(accuracy, number(0.101309076)), number(0.85116285))
	return Min(Max(accuracy, number(0)), number(1))
}
