package supernet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"
)

// formula are the weights that testdata/golden.py gives the original supernet, by the
// names of its state dict.
type formula struct{ asked map[string][]int }

// uniform is u(name, i) of testdata/golden.py.
func uniform(name string, i int) float64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	x := h.Sum64() + uint64(i) + 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return float64((x^x>>31)>>11) / (1 << 53)
}

func (f formula) Float32(name string, dims ...int) ([]float32, error) {
	if f.asked[name] != nil {
		return nil, fmt.Errorf("%s was asked for twice", name)
	}
	f.asked[name] = dims
	size := 1
	for _, d := range dims {
		size *= d
	}
	values := make([]float32, size)
	kind := name[strings.LastIndexByte(name, '.')+1:]
	for i := range values {
		u := uniform(name, i)
		var v float64
		switch {
		case strings.HasSuffix(kind, "_matrix"):
			v = (2*u - 1) * math.Sqrt(3/float64(dims[1]))
			if i/dims[1] == i%dims[1] {
				v++
			}
		case kind == "running_var" || kind == "weight" && len(dims) == 1:
			v = u + 0.5
		case kind == "bias" || kind == "running_mean":
			v = u - 0.5
		default:
			v = (2*u - 1) * math.Sqrt(3/float64(size/dims[0]))
		}
		values[i] = float32(v)
	}
	return values, nil
}

// With the weights of testdata/golden.py, the logits are those of the original PyTorch
// code, for sub-networks of all sizes, by running moments and by the batch's.
func TestElasticIsOFA(t *testing.T) {
	var golden struct {
		Width    float64
		Classes  int
		Networks []struct {
			Kernels, Expands, Depths []int
			Eval, Train              [][]float64
		}
	}
	text, err := os.ReadFile("testdata/forward.json")
	if err == nil {
		err = json.Unmarshal(text, &golden)
	}
	if err != nil {
		t.Fatal(err)
	}
	const side = 64
	config := SmallElastic(golden.Classes)
	config.Skeleton = mobilenetv3.OFA()
	config.Resolution, config.Classes, config.Width = side, golden.Classes, golden.Width
	b := backend(t)
	e, err := NewElastic(b, &Data{Classes: golden.Classes}, config)
	if err != nil {
		t.Fatal(err)
	}
	f := formula{asked: make(map[string][]int)}
	if err := e.Load(f); err != nil {
		t.Fatal(err)
	}
	checkNames(t, f.asked, golden.Classes)

	pixels := make([]float32, 2*side*side*3)
	for n := range 2 {
		for y := range side {
			for x := range side {
				for c := range 3 {
					pixels[((n*side+y)*side+x)*3+c] = float32(2*uniform("image", ((n*3+c)*side+y)*side+x) - 1)
				}
			}
		}
	}
	images := tensors.FromFlatDataAndDimensions(pixels, 2, side, side, 3)
	exec, err := model.NewExec(b, e.store, func(root *model.Scope, inputs []*Node) []*Node {
		return []*Node{e.logits(root, inputs, running(root)), e.logits(root, inputs, batchMoments)}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range golden.Networks {
		n, err := mobilenetv3.FromOFA(g.Depths, g.Kernels, g.Expands)
		if err != nil {
			t.Fatal(err)
		}
		c := choiceOf(n)
		out, err := exec.Call(c[0], c[1], images)
		if err != nil {
			t.Fatal(err)
		}
		for mode, want := range [][][]float64{g.Eval, g.Train} {
			worst, tolerance := 0.0, []float64{1e-5, 1e-4}[mode]
			for i, logit := range tensors.MustCopyFlatData[float32](out[mode]) {
				worst = max(worst, math.Abs(float64(logit)-want[i/golden.Classes][i%golden.Classes]))
			}
			if worst > tolerance {
				t.Errorf("%s, %s: logits are off by %.2g", n, []string{"running moments", "moments of the batch"}[mode], worst)
			}
		}
	}
	if len(golden.Networks) < 5 {
		t.Errorf("only %d networks", len(golden.Networks))
	}
}

// checkNames says that what was asked for is the whole state dict of the original.
func checkNames(t *testing.T, asked map[string][]int, classes int) {
	t.Helper()
	text, err := os.ReadFile("testdata/names.txt")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if strings.HasSuffix(fields[0], "num_batches_tracked") {
			continue
		}
		count++
		dims := fmt.Sprint(asked[fields[0]])
		if want := fmt.Sprint(fields[1:]); dims != want && dims != strings.Replace(want, "1000", fmt.Sprint(classes), 1) {
			t.Errorf("%s has the shape %s, but %s was asked for", fields[0], want, dims)
		}
	}
	if count != len(asked) {
		t.Errorf("%d arrays were asked for, the original has %d", len(asked), count)
	}
}

// Checkpoints of earlier versions of OFA's code have other names.
func TestOlderNames(t *testing.T) {
	for name, old := range map[string]string{
		"blocks.5.conv.inverted_bottleneck.conv.conv.weight": "blocks.5.mobile_inverted_conv.inverted_bottleneck.conv.weight",
		"blocks.5.conv.depth_conv.bn.bn.running_mean":        "blocks.5.mobile_inverted_conv.depth_conv.bn.running_mean",
		"blocks.7.conv.point_linear.bn.bn.weight":            "blocks.7.mobile_inverted_conv.point_linear.bn.bn.weight",
		"blocks.0.conv.depth_conv.conv.weight":               "blocks.0.mobile_inverted_conv.depth_conv.conv.weight",
		"classifier.linear.bias":                             "classifier.bias",
	} {
		if !slices.Contains(olderNames(name), old) {
			t.Errorf("%s is not also called %s, but %q", name, old, olderNames(name))
		}
	}
}

// tinyElastic is a supernet whose steps take the Go backend a fraction of a second.
func tinyElastic(t *testing.T) (*Elastic, *Data) {
	t.Helper()
	data := shapesData(t)
	c := SmallElastic(data.Classes)
	c.Resolution, c.BatchSize, c.Calibration = 4, 8, 16
	e, err := NewElastic(backend(t), data, c)
	if err != nil {
		t.Fatal(err)
	}
	return e, data
}

// shuffleWeights gives all weights random values, so that nothing is symmetric.
func shuffleWeights(t *testing.T, e *Elastic) {
	t.Helper()
	for i, p := range e.parameters {
		values := make([]float32, p.size())
		for k := range values {
			values[k] = float32(uniform(p.name, k+i) - 0.3)
		}
		if err := e.set(scopeWeights+"/"+p.name, values, p.dims); err != nil {
			t.Fatal(err)
		}
	}
}

func logitsOf(t *testing.T, e *Elastic, text string) []float32 {
	t.Helper()
	n, err := mobilenetv3.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	side := e.config.Resolution
	pixels := make([]float32, 4*side*side*3)
	for i := range pixels {
		pixels[i] = float32(uniform("pixels", i))
	}
	exec, err := model.NewExec(backend(t), e.store, func(root *model.Scope, inputs []*Node) *Node {
		return e.logits(root, inputs, batchMoments)
	})
	if err != nil {
		t.Fatal(err)
	}
	c := choiceOf(n)
	out, err := exec.Call(c[0], c[1], tensors.FromFlatDataAndDimensions(pixels, 4, side, side, 3))
	if err != nil {
		t.Fatal(err)
	}
	return tensors.MustCopyFlatData[float32](out[0])
}

// distance is the largest difference, relative to the largest number.
func distance(a, b []float32) float64 {
	most, size := 0.0, 0.0
	for i := range a {
		most, size = max(most, math.Abs(float64(a[i]-b[i]))), max(size, math.Abs(float64(a[i])))
	}
	return most / size
}

// Sorting the channels changes nothing for a network that has them all, nor, where
// expansion 4 was trained before, for one of expansion 4; but it does for others. After
// it, the first channels are those with the largest weights that lead on.
func TestSortChannels(t *testing.T) {
	net := func(expansion int) string {
		unit := strings.TrimSuffix(strings.Repeat(fmt.Sprintf("5x%d,", expansion), 3), ",")
		return strings.TrimSuffix(strings.Repeat(unit+"|", mobilenetv3.Units), "|")
	}
	for _, test := range []struct {
		trained          []int
		same, other      int
		first, of, after int // of the first block: the first so many of such channels are in order
	}{{[]int{6}, 6, 4, 48, 48, 0}, {[]int{4, 6}, 4, 3, 32, 48, 32}} {
		e, _ := tinyElastic(t)
		shuffleWeights(t, e)
		same, other, whole := logitsOf(t, e, net(test.same)), logitsOf(t, e, net(test.other)), logitsOf(t, e, net(6))
		if err := e.sortChannels(test.trained); err != nil {
			t.Fatal(err)
		}
		if d := distance(whole, logitsOf(t, e, net(6))); d > 1e-3 {
			t.Errorf("trained %v: the largest network changed by %g", test.trained, d)
		}
		if d := distance(same, logitsOf(t, e, net(test.same))); d > 1e-3 {
			t.Errorf("trained %v: expansion %d changed by %g", test.trained, test.same, d)
		}
		if d := distance(other, logitsOf(t, e, net(test.other))); d < 1e-3 {
			t.Errorf("trained %v: expansion %d did not change", test.trained, test.other)
		}
		values, err := e.get(scopeWeights + "/block_0/project/" + nameKernel)
		if err != nil {
			t.Fatal(err)
		}
		out := len(values) / test.of
		last := math.Inf(1)
		for c := range test.of {
			sum := 0.0
			for _, w := range values[c*out : (c+1)*out] {
				sum += math.Abs(float64(w))
			}
			if sum > last+1e-5 && c != test.after {
				t.Errorf("trained %v: channel %d has %g, more than %g before it", test.trained, c, sum, last)
			}
			last = sum
		}
	}
}

// A step of a stage changes the weights of the sub-networks that it drew, and what only
// larger ones use gets no gradient.
func TestElasticGradients(t *testing.T) {
	e, data := tinyElastic(t)
	shuffleWeights(t, e)
	small, err := mobilenetv3.Parse("3x3,3x3|3x3,3x3|3x3,3x3|3x3,3x3|3x3,3x3")
	if err != nil {
		t.Fatal(err)
	}
	l := data.augmented(e.config.Resolution, e.config.BatchSize, 1)
	err = stream(t.Context(), l, 0, 1, func(_ int, b batch) error {
		_, err := e.accumulate.call(append(choiceOf(small), b.images, b.labels)...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	largest := func(name string, from int) float64 { // absolute gradient from an entry on
		values, err := e.get(scopeGradients + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		most := 0.0
		for _, v := range values[from:] {
			most = max(most, math.Abs(float64(v)))
		}
		return most
	}
	const middle = 24 // of 8 channels and expansion 3
	if largest("block_0/expand/"+nameScale, 0) == 0 || largest("block_0/depthwise/"+name5to3, 0) == 0 {
		t.Error("the sub-network's own weights got no gradient")
	}
	if g := largest("block_0/expand/"+nameScale, middle); g != 0 {
		t.Errorf("channels beyond the expansion got a gradient of %g", g)
	}
	if g := largest("block_2/project/"+nameKernel, 0); g != 0 {
		t.Errorf("a block beyond the depth got a gradient of %g", g)
	}
}

// A batch is learned by heart.
func TestElasticLearns(t *testing.T) {
	e, data := tinyElastic(t)
	const steps = 25
	e.config.Resolution = 8
	e.config.Stages[0].Steps, e.config.Stages[0].Warmup = steps, 0
	var losses []float64
	err := stream(t.Context(), data.augmented(8, 16, 1), 0, 1, func(_ int, b batch) error {
		for step := range steps {
			loss, _, err := e.trainStep(0, step, step, b)
			if err != nil {
				return err
			}
			losses = append(losses, loss)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if first, last := losses[0], losses[steps-1]; last > 0.7*first {
		t.Errorf("the loss went from %.3f to %.3f", first, last)
	}
}

// A training that is stopped again and again leads to the weights of one that is not.
func TestTrainElastic(t *testing.T) {
	_, data := tinyElastic(t)
	c := SmallElastic(data.Classes)
	c.Resolution, c.BatchSize, c.Round, c.Calibration, c.Crops = 4, 8, 3, 32, true
	c.Stages = quick(30, 3, 0.1, 0.02)
	training := ElasticTraining{Backend: backend(t), Data: data, Config: c}
	whole, err := TrainElastic(t.Context(), t.TempDir(), training)
	if err != nil {
		t.Fatal(err)
	}
	if len(whole.Metrics) != 10+5 || whole.Metrics[14].Values["stage"] != 5 {
		t.Fatalf("%d rounds, the last %v", len(whole.Metrics), whole.Metrics[len(whole.Metrics)-1])
	}
	root := t.TempDir()
	var parts *TrainedElastic
	for stops := 0; parts == nil; stops++ {
		ctx, stop := context.WithCancel(t.Context())
		training.Watch = func(step rundir.Progress) {
			if step.Stage != "" {
				return
			}
			done := step.Done

			if done%4 == 3 && stops < 4 {
				stop()
			}
		}
		parts, err = TrainElastic(ctx, root, training)
		stop()
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	const text = "3x6,5x4|7x3,5x6,3x4|3x6,3x6|7x6,7x6,5x3,3x3|5x4,5x4"
	if d := distance(logitsOf(t, whole.Net, text), logitsOf(t, parts.Net, text)); d != 0 {
		t.Errorf("the stopped training has logits that differ by %g", d)
	}

	labels, err := whole.Labels(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	sample, err := labels.Sample(rand.New(rand.NewPCG(1, 1)), 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range append(sample, sample[0]) {
		if v, err := labels.Validation(a); err != nil || v < 0 || v > 1 {
			t.Errorf("%s has the label %g, %v", a, v, err)
		}
	}
	if labels.Queries() != 2 {
		t.Errorf("%d queries, want 2", labels.Queries())
	}
}

func TestElasticErrors(t *testing.T) {
	e, data := tinyElastic(t)
	for want, change := range map[string]func(*ElasticConfig){
		"set Classes":              func(c *ElasticConfig) { c.Classes++ },
		"its kernels are [4]":      func(c *ElasticConfig) { c.Stages[0].Kernels = []int{4} },
		"is no block":              func(c *ElasticConfig) { c.Stages[0].Only = "all" },
		"strides must be 1 or 2":   func(c *ElasticConfig) { c.Strides[0] = 3 },
		"cannot be shared by 3":    func(c *ElasticConfig) { c.Devices = 3 },
		"training needs stages":    func(c *ElasticConfig) { c.Stages = nil },
		"more steps than the warm": func(c *ElasticConfig) { c.Stages[1].Warmup = 1000 },
	} {
		c := SmallElastic(data.Classes)
		change(&c)
		if _, err := NewElastic(backend(t), data, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	before := logitsOf(t, e, "3x3,3x3|3x3,3x3|3x3,3x3|3x3,3x3|3x3,3x3")
	if err := e.Load(missing{}); err == nil || !strings.Contains(err.Error(), "classifier.linear.weight") {
		t.Errorf("an array is missing: error %v", err)
	}
	if distance(before, logitsOf(t, e, "3x3,3x3|3x3,3x3|3x3,3x3|3x3,3x3|3x3,3x3")) != 0 {
		t.Error("weights were changed by a checkpoint that lacks one")
	}
	if _, err := DecodeElastic(backend(t), data, e.config, []byte("none")); err == nil {
		t.Error("a broken checkpoint was taken")
	}
}

// missing has all weights but the classifier's.
type missing struct{}

func (missing) Float32(name string, dims ...int) ([]float32, error) {
	if strings.HasPrefix(name, "classifier.") && strings.HasSuffix(name, ".weight") {
		return nil, fmt.Errorf("the checkpoint has no %s", name)
	}
	return formula{asked: make(map[string][]int)}.Float32(name, dims...)
}
