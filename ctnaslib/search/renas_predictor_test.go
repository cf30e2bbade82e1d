package search

import (
	"math"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// tinyReNAS is a small predictor for fast tests.
func tinyReNAS(seed uint64) ReNASPredictorConfig {
	c := ReleasedReNASPredictor()
	c.Channels, c.Hidden, c.Epochs, c.LearningRate, c.Seed = [2]int{8, 8}, [2]int{16, 8}, 30, 5e-3, seed
	return c
}

func newReNASOf(t testing.TB, labelled []space.Labelled, c ReNASPredictorConfig) *ReNASPredictor {
	t.Helper()
	r, err := NewReNASPredictor(backend(t), nasbench101.Space{}, labelled, c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The maps of the cell input → conv3x3 → output with an edge input → output, worked
// out by hand: the output is the last of 7 nodes, and all else is 0.
func TestFeatureMapsByHand(t *testing.T) {
	features, maps, err := featureMaps([]space.Arch{mustParse(t, "1:"), mustParse(t, "111:A")}, 7)
	if err != nil {
		t.Fatal(err)
	}
	if maps != 19 || len(features) != 2*7*7*19 {
		t.Fatalf("%d maps and %d entries, want 19 and 2·7·7·19", maps, len(features))
	}
	const second = 7 * 7 * 19
	want := map[int]float64{}
	edge := func(start, from, to int, values ...float64) {
		for m, v := range values {
			want[start+(from*7+to)*19+m] = v
		}
	}
	// A 1×1 projection of in channels to out, at a side of the image.
	projection := func(in, out, side float64) float64 { return 2 * in * out * side * side / 1e7 }
	parameters := func(k, in, out float64) float64 { return (k*k*in*out + 2*out) / 1e5 }
	var flopsOut, paramsOut, addition, flopsConv, paramsConv []float64
	in := 128.0
	for k := range 9 {
		out, side := 128*math.Pow(2, float64(k/3)), 32/math.Pow(2, float64(k/3))
		flopsOut = append(flopsOut, projection(in, out, side))
		paramsOut = append(paramsOut, parameters(1, in, out))
		addition = append(addition, out*side*side/1e7)
		flopsConv = append(flopsConv, projection(in, out, side)+9*projection(out, out, side))
		paramsConv = append(paramsConv, parameters(1, in, out)+parameters(3, out, out))
		in = out
	}
	join := func(op float64, flops, params []float64) []float64 {
		return append(append([]float64{op}, flops...), params...)
	}
	edge(0, 0, 6, join(5, flopsOut, paramsOut)...)
	for k := range flopsOut {
		flopsOut[k] += addition[k]
	}
	edge(second, 0, 6, join(5, flopsOut, paramsOut)...)
	edge(second, 1, 6, join(5, flopsOut, paramsOut)...)
	edge(second, 0, 1, join(2, flopsConv, paramsConv)...)
	for i, got := range features {
		if math.Abs(float64(got)-want[i]) > 1e-5 {
			t.Fatalf("entry %d is %g, want %g", i, got, want[i])
		}
	}
}

// Scores 2, −1, 0.5 of accuracies 0.9, 0.9, 0.8: one tie, one pair right by 1.5, one
// wrong by 1.5, each in both orders.
func TestRankingLossByHand(t *testing.T) {
	for loss, want := range map[RankingLoss]float64{
		LogisticLoss: (math.Log(2) + math.Log1p(math.Exp(-1.5)) + math.Log1p(math.Exp(1.5))) / 3,
		HingeLoss:    (1 + 0 + 2.5) / 3,
	} {
		r := &ReNASPredictor{config: ReNASPredictorConfig{Loss: loss}}
		got, err := CallOnce(backend(t), r.loss, []float32{2, -1, 0.5}, []float32{0.9, 0.9, 0.8})
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(float64(tensors.ToScalar[float32](got))-want) > 1e-6 {
			t.Errorf("%s: loss %v, want %.6f", loss, got, want)
		}
	}
}

// The one matrix product against the definition of a convolution.
func TestConvolve(t *testing.T) {
	const batch, side, in, out = 2, 4, 3, 2
	x := make([]float32, batch*side*side*in)
	w := make([]float32, 9*in*out)
	for i := range x {
		x[i] = float32(math.Sin(float64(i)))
	}
	for i := range w {
		w[i] = float32(math.Cos(float64(i)))
	}
	got, err := CallOnce(backend(t), convolve, tensors.FromFlatDataAndDimensions(x, batch, side, side, in), tensors.FromFlatDataAndDimensions(w, 9*in, out))
	if err != nil {
		t.Fatal(err)
	}
	flat := tensors.MustCopyFlatData[float32](got)
	for b := range batch {
		for i := range side {
			for j := range side {
				for o := range out {
					want := 0.0
					for di := range 3 {
						for dj := range 3 {
							row, column := i+di-1, j+dj-1
							if row < 0 || row >= side || column < 0 || column >= side {
								continue
							}
							for c := range in {
								want += float64(x[((b*side+row)*side+column)*in+c]) * float64(w[((di*3+dj)*in+c)*out+o])
							}
						}
					}
					if at := ((b*side+i)*side+j)*out + o; math.Abs(float64(flat[at])-want) > 1e-4 {
						t.Fatalf("output %d is %g, want %g", at, flat[at], want)
					}
				}
			}
		}
	}
}

// After one step the running moments of a batch norm are a tenth of the way from
// their start to the batch's, as the first convolution's outputs have them.
func TestBatchNorm(t *testing.T) {
	labelled := sample(1, 20)
	r := newReNASOf(t, labelled, tinyReNAS(1))
	features, err := r.features(space.Archs(labelled), 20)
	if err != nil {
		t.Fatal(err)
	}
	value := func(path string) *tensors.Tensor { return r.store.GetVariable(path).MustValue() }
	convolved, err := CallOnce(backend(t), func(x, mean, deviation, w *Node) *Node {
		return convolve(Div(Sub(x, ExpandAxes(mean, 0)), ExpandAxes(deviation, 0)), w)
	}, features, value("/input/mean"), value("/input/deviation"), value("/renas/conv_0"))
	if err != nil {
		t.Fatal(err)
	}
	outputs := tensors.MustCopyFlatData[float32](convolved)
	if _, err := r.TrainEpoch(0, labelled); err != nil {
		t.Fatal(err)
	}
	means, variances := tensors.MustCopyFlatData[float32](value("/running/mean_0")), tensors.MustCopyFlatData[float32](value("/running/variance_0"))
	for c := range 8 {
		var channel []float64
		for i := c; i < len(outputs); i += 8 {
			channel = append(channel, float64(outputs[i]))
		}
		n := float64(len(channel))
		mean, deviation := moments(channel)
		if want := 0.1 * mean; math.Abs(float64(means[c])-want) > 1e-5 {
			t.Errorf("channel %d: running mean %.6f, want %.6f", c, means[c], want)
		}
		if want := 0.9 + 0.1*deviation*deviation*n/(n-1); math.Abs(float64(variances[c])-want) > 1e-4 {
			t.Errorf("channel %d: running variance %.6f, want %.6f", c, variances[c], want)
		}
	}
}

func TestReNASLearns(t *testing.T) {
	for _, loss := range []RankingLoss{LogisticLoss, HingeLoss} {
		c := tinyReNAS(2)
		c.Epochs, c.Loss = 40, loss
		labelled := sample(2, 200)
		r := newReNASOf(t, labelled, c)
		for epoch := range c.Epochs {
			if _, err := r.TrainEpoch(epoch, labelled); err != nil {
				t.Fatal(err)
			}
		}
		if tau := tau(t, r, sample(3, 300)); tau < 0.5 {
			t.Errorf("%s: Kendall's tau on cells never seen is %.3f", loss, tau)
		}
	}
}

func TestReNASResumes(t *testing.T) {
	testResume(t, PredictorTraining[ReNASPredictorConfig]{
		Backend: backend(t), Space: nasbench101.Space{}, Labelled: sample(4, 60), Config: tinyReNAS(4),
	}, TrainReNASPredictor)
}

// The number of architectures must not change their scores: batches are padded.
func TestScoresDoNotDependOnTheBatch(t *testing.T) {
	labelled := sample(5, 37)
	r := newReNASOf(t, labelled, tinyReNAS(5))
	if _, err := r.TrainEpoch(0, labelled); err != nil {
		t.Fatal(err)
	}
	archs := space.Archs(labelled)
	all, err := r.Utilities(archs)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 20, 36} {
		one, err := r.Utilities(archs[i : i+1])
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(one[0]-all[i]) > 1e-5 {
			t.Errorf("architecture %d: alone %g, in a batch %g", i, one[0], all[i])
		}
	}
}

var _ Costed = nasbench101.Cell{}

// plain is an architecture that does not know what its nodes cost.
type plain struct{ space.Arch }

func TestReNASPredictorErrors(t *testing.T) {
	for part, change := range map[string]func(*ReNASPredictorConfig){
		"Channels":      func(c *ReNASPredictorConfig) { c.Channels[1] = 0 },
		"Hidden":        func(c *ReNASPredictorConfig) { c.Hidden[0] = 0 },
		"ranking loss":  func(c *ReNASPredictorConfig) { c.Loss = "soft" },
		"batches":       func(c *ReNASPredictorConfig) { c.BatchSize = 1 },
		"learning rate": func(c *ReNASPredictorConfig) { c.LearningRate = 0 },
	} {
		c := tinyReNAS(1)
		change(&c)
		_, err := NewReNASPredictor(backend(t), nasbench101.Space{}, sample(1, 2), c)
		wantError(t, part, err, part)
	}
	_, err := NewReNASPredictor(backend(t), nasbench101.Space{}, nil, tinyReNAS(1))
	wantError(t, "no labels", err, "got none")
	_, err = NewReNASPredictor(backend(t), nasbench101.Space{}, []space.Labelled{{Arch: plain{mustParse(t, "101:A")}}}, tinyReNAS(1))
	wantError(t, "no costs", err, "101:A")
	_, _, err = featureMaps([]space.Arch{mustParse(t, "101:A")}, 2)
	wantError(t, "few nodes", err, "3 nodes")

	r := newReNASOf(t, sample(1, 4), tinyReNAS(1))
	_, err = r.TrainEpoch(0, sample(1, 1))
	wantError(t, "one label", err, "at least 2")
	data, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	wider := tinyReNAS(1)
	wider.Hidden[0] = 32
	err = newReNASOf(t, sample(1, 4), wider).Restore(data)
	wantError(t, "another width", err, "another ReNAS")
	err = r.Restore(data[:len(data)/2])
	wantError(t, "half a checkpoint", err, "cannot read")
	regression, err := newRegressionOf(t, sample(1, 4), tinyRegression(1)).Encode()
	if err != nil {
		t.Fatal(err)
	}
	err = r.Restore(regression)
	wantError(t, "a regression's checkpoint", err, "another ReNAS")
	err = newRegressionOf(t, sample(1, 4), tinyRegression(1)).Restore(data)
	wantError(t, "a ReNAS's checkpoint", err, "another regression")
}

// One step of the released training on 423 cells.
func BenchmarkReNASEpoch(b *testing.B) {
	labelled := sample(1, 423)
	r := newReNASOf(b, labelled, ReleasedReNASPredictor())
	epoch := 0
	for b.Loop() {
		if _, err := r.TrainEpoch(epoch, labelled); err != nil {
			b.Fatal(err)
		}
		epoch++
	}
}

// One architecture, as in every cycle of the evolution.
func BenchmarkReNASUtilitiesOfOne(b *testing.B) {
	labelled := sample(1, 8)
	r := newReNASOf(b, labelled, ReleasedReNASPredictor())
	archs := space.Archs(labelled)[:1]
	for b.Loop() {
		if _, err := r.Utilities(archs); err != nil {
			b.Fatal(err)
		}
	}
}
