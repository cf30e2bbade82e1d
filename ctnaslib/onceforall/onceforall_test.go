package onceforall

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/ctnas/ctnas/ctnaslib/internal/authors"
	"github.com/ctnas/ctnas/ctnaslib/nn"
	"github.com/ctnas/ctnas/ctnaslib/nn/nntest"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/ctnaslib/train"
)

// formula are the weights that testdata/golden.py gives the original supernet, by the names of its state dict.
type formula struct{ asked map[string][]int }

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
		u := authors.Uniform(name, i)
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

// goldenForward is testdata/forward.json: logits [2, classes] of the original supernet for some sub-networks, by
// running moments and by the batch's.
type goldenForward struct {
	Width    float64
	Classes  int
	Networks []struct {
		Kernels, Expands, Depths []int
		Eval, Train              [][]float64
	}
}

// With the weights of testdata/golden.py, the logits are those of the original PyTorch code, for sub-networks of all
// sizes, by running moments and by the batch's.
func TestIsOFA(t *testing.T) {
	var golden goldenForward
	text, err := os.ReadFile("testdata/forward.json")
	if err == nil {
		err = json.Unmarshal(text, &golden)
	}
	if err != nil {
		t.Fatal(err)
	}
	const side = 64
	config := Small(golden.Classes)
	config.Skeleton = mobilenetv3.OFA()
	config.Resolution, config.Classes, config.Width = side, golden.Classes, golden.Width
	b := nntest.Backend(t)
	s, err := New(b, &nn.Data{Classes: golden.Classes}, config)
	if err != nil {
		t.Fatal(err)
	}
	f := formula{asked: make(map[string][]int)}
	if err := s.Load(f); err != nil {
		t.Fatal(err)
	}
	checkNames(t, f.asked, golden.Classes)

	images := goldenImages(side)
	exec, err := model.NewExec(b, s.model.Store, func(_ *model.Scope, inputs []*Node) []*Node {
		return []*Node{s.logits(inputs, s.running), s.logits(inputs, nn.BatchMoments)}
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

// goldenImages returns the images of testdata/golden.py, [2, side, side, 3].
func goldenImages(side int) *tensors.Tensor {
	pixels := make([]float32, 2*side*side*3)
	for n := range 2 {
		for y := range side {
			for x := range side {
				for c := range 3 {
					pixels[((n*side+y)*side+x)*3+c] = float32(2*authors.Uniform("image", ((n*3+c)*side+y)*side+x) - 1)
				}
			}
		}
	}
	return tensors.FromFlatDataAndDimensions(pixels, 2, side, side, 3)
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

// tiny is a supernet whose steps take the Go backend a fraction of a second.
func tiny(t *testing.T) (*Supernet, *nn.Data) {
	t.Helper()
	data := nntest.Data(t)
	c := Small(data.Classes)
	c.Resolution, c.BatchSize, c.Calibration = 4, 8, 16
	s, err := New(nntest.Backend(t), data, c)
	if err != nil {
		t.Fatal(err)
	}
	return s, data
}

// shuffleWeights gives all weights random values, so that nothing is symmetric.
func shuffleWeights(t *testing.T, s *Supernet) {
	t.Helper()
	for i, p := range s.model.Parameters {
		values := make([]float32, p.Size())
		for k := range values {
			values[k] = float32(authors.Uniform(p.Name, k+i) - 0.3)
		}
		if err := s.set(nn.Weights+"/"+p.Name, values, p.Dims); err != nil {
			t.Fatal(err)
		}
	}
}

func logitsOf(t *testing.T, s *Supernet, text string) []float32 {
	t.Helper()
	n, err := mobilenetv3.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	side := s.config.Resolution
	pixels := make([]float32, 4*side*side*3)
	for i := range pixels {
		pixels[i] = float32(authors.Uniform("pixels", i))
	}
	exec, err := model.NewExec(nntest.Backend(t), s.model.Store, func(_ *model.Scope, inputs []*Node) *Node {
		return s.logits(inputs, nn.BatchMoments)
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

// Sorting the channels changes nothing for a network that has them all, nor, where expansion 4 was trained before, for
// one of expansion 4; but it does for others. After it, the first channels are those with the largest weights that lead
// on.
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
		s, _ := tiny(t)
		shuffleWeights(t, s)
		same, other, whole := logitsOf(t, s, net(test.same)), logitsOf(t, s, net(test.other)), logitsOf(t, s, net(6))
		if err := s.sortChannels(test.trained); err != nil {
			t.Fatal(err)
		}
		if d := distance(whole, logitsOf(t, s, net(6))); d > 1e-3 {
			t.Errorf("trained %v: the largest network changed by %g", test.trained, d)
		}
		if d := distance(same, logitsOf(t, s, net(test.same))); d > 1e-3 {
			t.Errorf("trained %v: expansion %d changed by %g", test.trained, test.same, d)
		}
		if d := distance(other, logitsOf(t, s, net(test.other))); d < 1e-3 {
			t.Errorf("trained %v: expansion %d did not change", test.trained, test.other)
		}
		values, err := s.get(nn.Weights + "/block_0/project/" + nn.NameKernel)
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

// A step of a stage changes the weights of the sub-networks that it drew, and what only larger ones use gets no
// gradient.
// After the first stage a step learns from the teacher, too.
func TestTeacher(t *testing.T) {
	var losses []float64
	for _, scale := range []float32{1, 2} { // of the weights that the teacher ends in
		s, _ := tiny(t)
		shuffleWeights(t, s)
		if err := s.begin(1); err != nil {
			t.Fatal(err)
		}
		last := s.model.Parameters[len(s.model.Parameters)-2]
		values, err := s.get(scopeTeacher + "/" + last.Name)
		if err != nil {
			t.Fatal(err)
		}
		for i := range values {
			values[i] *= scale
		}
		if err := s.set(scopeTeacher+"/"+last.Name, values, last.Dims); err != nil {
			t.Fatal(err)
		}
		err = nn.Stream(t.Context(), s.model.Augmented(), 0, 1, func(_ int, b nn.Batch) error {
			loss, _, err := s.trainStep(1, 0, 0, b)
			losses = append(losses, loss)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if losses[0] == losses[1] {
		t.Errorf("the loss is %g whatever the teacher says", losses[0])
	}
}

func TestGradients(t *testing.T) {
	s, _ := tiny(t)
	shuffleWeights(t, s)
	small, err := mobilenetv3.Parse("3x3,3x3|3x3,3x3|3x3,3x3|3x3,3x3|3x3,3x3")
	if err != nil {
		t.Fatal(err)
	}
	l := s.model.Augmented()
	l.Seed = 1
	err = nn.Stream(t.Context(), l, 0, 1, func(_ int, b nn.Batch) error {
		_, err := s.accumulate.Call(append(choiceOf(small), b.Images, b.Labels)...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	largest := func(name string, from int) float64 { // absolute gradient from an entry on
		values, err := s.get(scopeGradients + "/" + name)
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
	if largest("block_0/expand/"+nn.NameScale, 0) == 0 || largest("block_0/depthwise/"+name5to3, 0) == 0 {
		t.Error("the sub-network's own weights got no gradient")
	}
	if g := largest("block_0/expand/"+nn.NameScale, middle); g != 0 {
		t.Errorf("channels beyond the expansion got a gradient of %g", g)
	}
	if g := largest("block_2/project/"+nn.NameKernel, 0); g != 0 {
		t.Errorf("a block beyond the depth got a gradient of %g", g)
	}
}

// A batch is learned by heart.
func TestLearns(t *testing.T) {
	const steps = 25
	data := nntest.Data(t)
	c := Small(data.Classes)
	c.Stages[0].Steps, c.Stages[0].Warmup = steps, 0
	s, err := New(nntest.Backend(t), data, c)
	if err != nil {
		t.Fatal(err)
	}
	var losses []float64
	err = nn.Stream(t.Context(), s.model.Augmented(), 0, 1, func(_ int, b nn.Batch) error {
		for step := range steps {
			loss, _, err := s.trainStep(0, step, step, b)
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
func TestTrain(t *testing.T) {
	_, data := tiny(t)
	c := Small(data.Classes)
	c.Resolution, c.BatchSize, c.CheckpointInterval, c.Calibration, c.Crops = 4, 8, 3, 32, true
	c.Stages = quick(30, 3, 0.1, 0.02)
	training := Training{Backend: nntest.Backend(t), Data: data, Config: c}
	whole, err := Train(t.Context(), t.TempDir(), training)
	if err != nil {
		t.Fatal(err)
	}
	if len(whole.Metrics) != 10+5 || whole.Metrics[14].Values["stage"] != 5 {
		t.Fatalf("%d rounds, the last %v", len(whole.Metrics), whole.Metrics[len(whole.Metrics)-1])
	}
	root := t.TempDir()
	var parts *Trained
	for stops := 0; parts == nil; stops++ {
		ctx, stop := context.WithCancel(t.Context())
		training.Watch = func(step train.Progress) {
			if step.Done%4 == 3 && stops < 4 {
				stop()
			}
		}
		parts, err = Train(ctx, root, training)
		stop()
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	const text = "3x6,5x4|7x3,5x6,3x4|3x6,3x6|7x6,7x6,5x3,3x3|5x4,5x4"
	if d := distance(logitsOf(t, whole.Net, text), logitsOf(t, parts.Net, text)); d != 0 {
		t.Errorf("the stopped training has logits that differ by %g", d)
	}

	labels, err := whole.Benchmark(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	sample, err := labels.Sample(rand.New(rand.NewPCG(1, 1)), 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range sample {
		if v, err := labels.Validation(a); err != nil || v < 0 || v > 1 {
			t.Errorf("%s has the label %g, %v", a, v, err)
		}
	}
}

func TestErrors(t *testing.T) {
	s, data := tiny(t)
	for want, change := range map[string]func(*Config){
		"set Classes":              func(c *Config) { c.Classes++ },
		"its kernels are [4]":      func(c *Config) { c.Stages[0].Kernels = []int{4} },
		"is no block":              func(c *Config) { c.Stages[0].Only = "all" },
		"strides must be 1 or 2":   func(c *Config) { c.Strides[0] = 3 },
		"cannot be shared by 3":    func(c *Config) { c.Devices = 3 },
		"training needs stages":    func(c *Config) { c.Stages = nil },
		"more steps than the warm": func(c *Config) { c.Stages[1].Warmup = 1000 },
		"narrows blocks to [3 4], whose channels have to be trained before: let \"first\" have the expansion 6": func(c *Config) {
			c.Stages = c.Stages[:2]
			c.Stages[0].Name, c.Stages[0].Expansions, c.Stages[1].Expansions = "first", []int{4}, []int{3, 4}
		},
		"narrows blocks to [3 6]": func(c *Config) {
			c.Stages = c.Stages[:2]
			c.Stages[0].Only, c.Stages[0].Expansions, c.Stages[1].Expansions = "3x3,3x3|3x3,3x3|3x3,3x3|3x3,3x3|3x3,3x3", nil, []int{3, 6}
		},
	} {
		c := Small(data.Classes)
		change(&c)
		if _, err := New(nntest.Backend(t), data, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	before := logitsOf(t, s, "3x3,3x3|3x3,3x3|3x3,3x3|3x3,3x3|3x3,3x3")
	if err := s.Load(missing{}); err == nil || !strings.Contains(err.Error(), "classifier.linear.weight") {
		t.Errorf("an array is missing: error %v", err)
	}
	if distance(before, logitsOf(t, s, "3x3,3x3|3x3,3x3|3x3,3x3|3x3,3x3|3x3,3x3")) != 0 {
		t.Error("weights were changed by a checkpoint that lacks one")
	}
	if err := s.model.Restore([]byte("none")); err == nil {
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

// It tells how long a step of a stage takes, which is less than all steps took, with compiling and reading.
func TestStepTime(t *testing.T) {
	data := nntest.Data(t)
	config := Small(data.Classes)
	s, err := New(nntest.Backend(t), data, config)
	if err != nil {
		t.Fatal(err)
	}
	for _, stage := range []int{0, 1} {
		const steps = 2
		start := time.Now()
		if step, err := s.StepTime(t.Context(), stage, steps); err != nil || step <= 0 || step > time.Since(start)/steps {
			t.Errorf("%s: a step takes %v of %v (error %v)", config.Stages[stage].Name, step, time.Since(start), err)
		}
	}
	for _, stage := range []int{-1, len(config.Stages)} {
		if _, err := s.StepTime(t.Context(), stage, 1); err == nil {
			t.Errorf("there is a stage %d", stage)
		}
	}
}

// OFA's largest network, of width 1.2 at 224 pixels, and its teacher beside it.
func TestFLOPs(t *testing.T) {
	c := Paper()
	_, most := c.Range()
	if got, want := c.FLOPs(0), 2*float64(most); got != want {
		t.Errorf("%g FLOPs, want %g", got, want)
	}
	if got, want := c.FLOPs(1), 8*float64(most)/3; got < 0.999*want || got > 1.001*want {
		t.Errorf("%g FLOPs with a teacher, want %g", got, want)
	}
}

// Two devices that share each batch do what one does: the loss of a random network, and after a step, and the accuracy
// of a recalibrated part.
func TestTwoDevices(t *testing.T) {
	b := nntest.TwoDevices(t)
	data := nntest.Data(t)
	var losses [2][]float64
	var accuracies [2]float64
	for i, devices := range []int{1, 2} {
		c := Small(data.Classes)
		c.Devices = devices
		s, err := New(b, data, c)
		if err != nil {
			t.Fatal(err)
		}
		if accuracies[i], err = s.Validation(t.Context(), c.largest()); err != nil {
			t.Fatal(err)
		}
		err = nn.Stream(t.Context(), s.model.Augmented(), 0, 2, func(step int, b nn.Batch) error {
			loss, _, err := s.trainStep(0, step, step, b)
			losses[i] = append(losses[i], loss)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if math.Abs(accuracies[0]-accuracies[1]) > 0.02 {
		t.Errorf("validation accuracy %g on one device, %g on two", accuracies[0], accuracies[1])
	}
	for step := range losses[0] {
		if math.Abs(losses[0][step]-losses[1][step]) > 1e-3 {
			t.Errorf("the loss after %d steps is %g on one device, %g on two", step, losses[0][step], losses[1][step])
		}
	}
}
