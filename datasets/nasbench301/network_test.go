package nasbench301

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/ctnas/ctnas/ctnaslib/space/darts"
)

// invented are weights of the published model's names and shapes.
func invented() map[string][]int {
	shapes := map[string][]int{"first_layer.weight": {128, 169}, "first_layer.bias": {128}, "head.weight": {4, 128}, "head.bias": {4}}
	for i := range 28 {
		shapes[fmt.Sprintf("embds_fct.%d.weight", i)] = []int{8, 5}
	}
	for i, shape := range [][]int{{4, 3}, {7, 5}, {11, 6}, {4, 3}, {7, 5}, {11, 6}} {
		shapes[fmt.Sprintf("embds_fct.%d.weight", 28+i)] = shape
	}
	norms := []string{"last_normalization"}
	for i := range 5 {
		layer := fmt.Sprintf("layers.%d.", i)
		norms = append(norms, layer+"norm")
		shapes[layer+"linear0.weight"], shapes[layer+"linear0.bias"] = []int{684, 128}, []int{684}
		shapes[layer+"linear1.weight"], shapes[layer+"linear1.bias"] = []int{128, 342}, []int{128}
	}
	for _, norm := range norms {
		for _, part := range []string{"weight", "bias", "running_mean", "running_var"} {
			shapes[norm+"."+part] = []int{128}
		}
	}
	return shapes
}

// onnxFile writes weights of these shapes as an ONNX file.
func onnxFile(rng *rand.Rand, shapes map[string][]int) []byte {
	var graph []byte
	for name, dims := range shapes {
		var tensor, raw []byte
		size := 1
		for _, d := range dims {
			size *= d
			tensor = protowire.AppendVarint(protowire.AppendTag(tensor, 1, protowire.VarintType), uint64(d))
		}
		for range size {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(0.1+0.1*rng.Float32()))
		}
		tensor = protowire.AppendVarint(protowire.AppendTag(tensor, 2, protowire.VarintType), 1)
		tensor = protowire.AppendString(protowire.AppendTag(tensor, 8, protowire.BytesType), name)
		tensor = protowire.AppendBytes(protowire.AppendTag(tensor, 9, protowire.BytesType), raw)
		graph = protowire.AppendBytes(protowire.AppendTag(graph, 5, protowire.BytesType), tensor)
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, 7, protowire.BytesType), graph)
}

// The network written out with loops, in float64.
func (n network) byHand(codes []int32, epoch float64) float64 {
	linear := func(name string, x []float64) []float64 {
		w, y := n[name+".weight"].Values, []float64(nil)
		for o, sum := range n[name+".bias"].Values {
			y = append(y, float64(sum))
			for i, v := range x {
				y[o] += v * float64(w[o*len(x)+i])
			}
		}
		return y
	}
	norm := func(name string, x []float64) []float64 {
		y := make([]float64, len(x))
		for i, v := range x {
			of := func(part string) float64 { return float64(n[name+"."+part].Values[i]) }
			y[i] = (v-of("running_mean"))/math.Sqrt(of("running_var")+1e-5)*of("weight") + of("bias")
		}
		return y
	}
	var x []float64
	for i, code := range codes {
		table := n[fmt.Sprintf("embds_fct.%d.weight", i)]
		for k := range table.Dims[1] {
			x = append(x, float64(table.Values[int(code)*table.Dims[1]+k]))
		}
	}
	x = linear("first_layer", append(x, 2*(0.01+0.98*(epoch-1)/97)-1))
	for i := range 5 {
		y := linear(fmt.Sprintf("layers.%d.linear0", i), norm(fmt.Sprintf("layers.%d.norm", i), x))
		for k := range 342 {
			y[k] *= max(y[342+k], 0)
		}
		for k, v := range linear(fmt.Sprintf("layers.%d.linear1", i), y[:342]) {
			x[k] += v
		}
	}
	x = norm("last_normalization", x)
	for i := range x {
		x[i] = max(x[i], 0)
	}
	out := 1 / (1 + math.Exp(-linear("head", x)[0]))
	return min(max(0.101309076*(8.480978*(out-0.01)/0.98-7.500442)+0.85116285, 0), 1)
}

func TestNetwork(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	n, err := readNetwork(onnxFile(rng, invented()))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range n {
		for i := range p.Values { // so that nothing saturates
			if !strings.HasSuffix(p.Name, "running_var") {
				p.Values[i] = float32(0.1 * rng.NormFloat64())
			}
		}
	}
	run, err := NewExec(openBackend(t), n.accuracy)
	if err != nil {
		t.Fatal(err)
	}
	for _, epoch := range []float32{1, 50, 98} {
		codes := encode(nil, darts.Space{}.Sample(rng).(darts.Genotype))
		out, err := run.Call(tensors.FromFlatDataAndDimensions(codes, 1, columns), tensors.FromValue([][]float32{{epoch}}))
		if err != nil {
			t.Fatal(err)
		}
		got, want := float64(tensors.MustCopyFlatData[float32](out[0])[0]), n.byHand(codes, float64(epoch))
		if math.Abs(got-want) > 1e-5 || want < 0.01 || want > 0.99 {
			t.Errorf("after %v epochs: %v, want %v", epoch, got, want)
		}
	}
}

func TestReadNetworkErrors(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	good := onnxFile(rng, invented())
	with := func(name string, dims []int) []byte {
		shapes := invented()
		if delete(shapes, name); dims != nil {
			shapes[name] = dims
		}
		return onnxFile(rng, shapes)
	}
	for _, test := range []struct {
		data []byte
		want string
	}{
		{nil, "holds no graph"},
		{good[:len(good)-1], "no whole message"},
		{good[:200], "no whole message"},
		{with("head.bias", nil), `no weights "head.bias" of the shape [4]`},
		{with("head.bias", []int{5}), `no weights "head.bias" of the shape [4]`},
		{with("embds_fct.33.weight", []int{66}), `no weights "embds_fct.33.weight" of the shape [11 6]`},
	} {
		if _, err := readNetwork(test.data); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want %q", err, test.want)
		}
	}
}

// Whatever the file, reading it ends with a whole network or an error.
func FuzzReadNetwork(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 1))
	f.Add(onnxFile(rng, map[string][]int{"head.bias": {4}, "head.weight": {1, 2}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if n, err := readNetwork(data); err == nil && n.check() != nil {
			t.Fatal("a network that lacks weights was read")
		}
	})
}
