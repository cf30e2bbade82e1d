package comparator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/ctnas/ctnas/ctnaslib/encoder"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/internal/toy"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/ctnaslib/train"
)

func backend(t testing.TB) compute.Backend {
	t.Helper()
	b, err := engine.Open()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tiny is a small NAC for fast tests.
func tiny(seed uint64) Config {
	c := Released()
	c.Layers, c.Width, c.Epochs, c.BatchSize, c.LearningRate, c.Seed = 2, 16, 30, 32, 5e-3, seed
	return c
}

func newNACOf(t testing.TB, c Config) *NAC {
	t.Helper()
	n, err := New(backend(t), nasbench101.Space{}, c)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// sample draws n labelled cells.
func sample(seed uint64, n int) []space.Labelled {
	return toy.Labelled(rand.New(rand.NewPCG(seed, 99)), n)
}

func split(labelled []space.Labelled) (archs []space.Arch, accuracies []float64) {
	for _, l := range labelled {
		archs = append(archs, l.Arch)
		accuracies = append(accuracies, l.Accuracy)
	}
	return archs, accuracies
}

// A NAC of width 1, worked out with scalars on the cell input → conv3x3 → output.
func TestScoresByHand(t *testing.T) {
	cell, err := nasbench101.Parse("101:A")
	if err != nil {
		t.Fatal(err)
	}
	relu := func(x float64) float64 { return max(x, 0) }
	with := func(c Config, messages encoder.Direction, antisymmetric bool) Config {
		c.Direction, c.Antisymmetric = messages, antisymmetric
		return c
	}
	for _, test := range []struct {
		name   string
		config Config
	}{
		{"Paper", Paper()},
		{"Released", Released()},
		{"backward", with(Released(), encoder.Backward, false)},
		{"both, antisymmetric", with(Released(), encoder.Both, true)},
	} {
		c := test.config
		c.Width, c.Layers = 1, 2
		n := newNACOf(t, c)
		set := func(name string, values ...float32) {
			v := n.store.GetVariable("/" + scopeNAC + "/" + name)
			if err := v.SetValue(tensors.FromFlatDataAndDimensions(values, v.Shape().Dimensions...)); err != nil {
				t.Fatal(err)
			}
		}
		// Operation ids: 0 padding, 1 input, 2 conv3x3, 3 conv1x1, 4 pool, 5 output.
		set("embedding", 0.2, -0.5, 0.9, 7, 7, 0.4)
		forward, backward := []float64{1.5, -0.8}, []float64{0, 0}
		switch c.Direction {
		case encoder.Backward:
			forward, backward = backward, forward
			set("weight_0", 1.5)
			set("weight_1", -0.8)
		case encoder.Both:
			backward = []float64{-0.4, 0.7}
			set("weight_back_0", -0.4)
			set("weight_back_1", 0.7)
			fallthrough
		case encoder.Forward:
			set("weight_0", 1.5)
			set("weight_1", -0.8)
		}
		b0, b1 := 0.0, 0.0
		if c.Bias {
			b0, b1 = 0.3, 1.1
			set("bias_0", float32(b0))
			set("bias_1", float32(b1))
		}
		u, v, b := 2.0, -3.0, 0.25
		if c.Antisymmetric {
			v, b = -2, 0
			set(nameHead, 2)
		} else {
			set(nameHead, 2, -3)
			set(nameHeadBias, 0.25)
		}

		// Each vertex hears itself and its predecessors, or successors; the four
		// padding nodes only themselves.
		x := []float64{-0.5, 0.9, 0.4, 0.2, 0.2, 0.2, 0.2}
		for l := range 2 {
			bias := []float64{b0, b1}[l]
			h := make([]float64, len(x))
			for i := range x {
				before, after := x[i], x[i]
				if i == 1 || i == 2 {
					before += x[i-1]
				}
				if i == 0 || i == 1 {
					after += x[i+1]
				}
				h[i] = forward[l]*before + backward[l]*after + bias
				if c.Residual {
					h[i] += x[i]
				}
				if l == 0 || c.FinalReLU {
					h[i] = relu(h[i])
				}
			}
			x = h
		}
		z := 0.0
		for _, feature := range x {
			z += feature / 7
		}
		scores, err := n.Scores([]space.Arch{cell})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := scores[0].First, u*z+b; math.Abs(got-want) > 1e-5 {
			t.Errorf("%s: first score %.6f, want %.6f", test.name, got, want)
		}
		if got, want := scores[0].Second, v*z; math.Abs(got-want) > 1e-5 {
			t.Errorf("%s: second score %.6f, want %.6f", test.name, got, want)
		}
		p, err := n.Compare(cell, cell)
		if err != nil {
			t.Fatal(err)
		}
		if want := 1 / (1 + math.Exp(-(u*z + b + v*z))); math.Abs(p-want) > 1e-5 {
			t.Errorf("%s: probability %.6f, want %.6f", test.name, p, want)
		}
	}
}

// The loss of the first step, against the cross-entropy of the pairs one by one.
func TestLossIsCrossEntropy(t *testing.T) {
	for _, pairing := range []Pairing{AllPairs, Shuffled} {
		c := tiny(1)
		c.Pairing, c.BatchSize = pairing, 12
		n := newNACOf(t, c)
		labelled := sample(1, 12)
		pseudo := []Pair{{labelled[0].Arch, labelled[1].Arch, true}, {labelled[3].Arch, labelled[2].Arch, false}}
		const r = 0.3

		rng := rand.New(rand.NewPCG(5, 5))
		batch := n.pairUp(labelled, rng.Perm(12), rng)
		own := len(batch.y)
		batch.addPseudo(pseudo, r, rng)
		scores, err := n.Scores(batch.archs)
		if err != nil {
			t.Fatal(err)
		}
		crossEntropy := func(i, j int, better bool) float64 {
			p := Probability(scores[i], scores[j])
			if better {
				return -math.Log(p)
			}
			return -math.Log(1 - p)
		}
		listed := func(from, to int) float64 {
			total := 0.0
			for k := from; k < to; k++ {
				total += crossEntropy(int(batch.left[k]), int(batch.right[k]), batch.y[k] == 1)
			}
			return total / float64(to-from)
		}
		labels := 0.0
		if pairing == Shuffled {
			if own != 12 {
				t.Fatalf("%d pairs, want 12", own)
			}
			labels = listed(0, own)
		} else {
			for i := range 12 {
				for j := range 12 {
					if i != j {
						labels += crossEntropy(i, j, toy.Quality(batch.archs[i]) >= toy.Quality(batch.archs[j])) / (12 * 11)
					}
				}
			}
		}
		want := (1-r)*labels + r*listed(own, len(batch.y))
		if pairing == Shuffled { // every pair counts the same
			want = listed(0, len(batch.y))
		}
		got, err := n.trainStep(batch)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(got-want) > 1e-5 {
			t.Errorf("%s: loss %.6f, want %.6f", pairing, got, want)
		}
	}
}

// Labels: an architecture is at least as good as one of the same accuracy in the
// paper, but not better in the authors' code.
func TestTies(t *testing.T) {
	labelled := sample(2, 4)
	for i := range labelled {
		labelled[i].Accuracy = 0.5
	}
	for pairing, want := range map[Pairing]float32{AllPairs: 1, Shuffled: 0} {
		c := tiny(1)
		c.Pairing = pairing
		b := newNACOf(t, c).pairUp(labelled, []int{0, 1, 2, 3}, rand.New(rand.NewPCG(1, 1)))
		if pairing == AllPairs {
			if fmt.Sprint(b.first, b.second) != "[3 3 3 3] [3 3 3 3]" {
				t.Errorf("%s: of ties %v come first, %v second with the label 1, want 3 each", pairing, b.first, b.second)
			}
			continue
		}
		for _, y := range b.y {
			if y != want {
				t.Errorf("%s: a tie has label %g, want %g", pairing, y, want)
			}
		}
	}
}

func TestLearnsARanking(t *testing.T) {
	for _, pairing := range []Pairing{AllPairs, Shuffled} {
		c := tiny(3)
		c.Pairing = pairing
		n := newNACOf(t, c)
		labelled := sample(3, 120)
		for epoch := range c.Epochs {
			if _, err := n.TrainEpoch(epoch, labelled, nil, 0); err != nil {
				t.Fatal(err)
			}
		}
		archs, accuracies := split(sample(4, 300))
		tau, err := n.KendallTau(archs, accuracies)
		if err != nil {
			t.Fatal(err)
		}
		if tau < 0.7 {
			t.Errorf("%s: Kendall's tau on cells never seen is %.3f", pairing, tau)
		}
		order, err := space.Rank(n, archs)
		if err != nil {
			t.Fatal(err)
		}
		if best, worst := accuracies[order[0]], accuracies[order[len(order)-1]]; best <= worst {
			t.Errorf("%s: the first in rank has accuracy %.2f, the last %.2f", pairing, best, worst)
		}
	}
}

// The number of architectures must not change their scores: batches are padded.
func TestScoresDoNotDependOnTheBatch(t *testing.T) {
	n := newNACOf(t, tiny(4))
	archs, _ := split(sample(5, 1100))
	all, err := n.Scores(archs)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 1, 1023, 1024, 1099} {
		one, err := n.Scores(archs[i : i+1])
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(one[0].First-all[i].First) > 1e-5 || math.Abs(one[0].Second-all[i].Second) > 1e-5 {
			t.Errorf("architecture %d: alone %v, in a batch %v", i, one[0], all[i])
		}
	}
}

// A probe without ProbeEvery measures after every epoch. A training that was done without the
// probe, or with another, is done again to the same weights and has its curve; without a probe it
// is loaded. A probe has to say what it measures.
func TestProbes(t *testing.T) {
	root := t.TempDir()
	config := tiny(6)
	config.Epochs = 6
	training := Training{Backend: backend(t), Space: nasbench101.Space{}, Labelled: sample(6, 30), Config: config}
	archs, accuracies := split(sample(7, 20))
	weights := func(n *NAC) string {
		scores, err := n.Scores(archs)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(scores)
	}
	first, err := Train(t.Context(), root, training)
	if err != nil {
		t.Fatal(err)
	}
	want := weights(first.NAC)
	for _, c := range []struct {
		name   string
		probe  Probe
		every  int
		status rundir.Status
		taus   int
	}{
		{"none before", TauProbe(archs, accuracies), 0, rundir.Trained, 6},
		{"the same", TauProbe(archs, accuracies), 0, rundir.Loaded, 6},
		{"none", Probe{}, 0, rundir.Loaded, 6},
		{"more seldom", TauProbe(archs, accuracies), 3, rundir.Trained, 2},
		{"on others", TauProbe(archs[:10], accuracies[:10]), 3, rundir.Trained, 2},
		{"the same again", TauProbe(archs[:10], accuracies[:10]), 3, rundir.Loaded, 2},
	} {
		training.Probe, training.ProbeEvery = c.probe, c.every
		trained, err := Train(t.Context(), root, training)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		_, taus := rundir.Series(trained.Metrics, "tau")
		if trained.Status != c.status || len(taus) != c.taus || len(trained.Metrics) != 6 || weights(trained.NAC) != want {
			t.Errorf("%s: %s, %d values of tau in %d metrics, want %s and %d", c.name, trained.Status, len(taus), len(trained.Metrics), c.status, c.taus)
		}
	}
	training.Probe.Key = ""
	if _, err := Train(t.Context(), root, training); err == nil || !strings.Contains(err.Error(), "Key") {
		t.Errorf("a probe without a key: error %v", err)
	}
	training.Probe, training.ProbeEvery = Probe{}, -1
	if _, err := Train(t.Context(), root, training); err == nil || !strings.Contains(err.Error(), "ProbeEvery") {
		t.Errorf("a negative ProbeEvery: error %v", err)
	}
}

// Settings that no training can use, labels that are no numbers, and a training that diverges.
func TestDivergence(t *testing.T) {
	labelled := sample(6, 30)
	for want, change := range map[string]func(*Config){
		"learning rate":     func(c *Config) { c.LearningRate = math.NaN() },
		"the learning rate": func(c *Config) { c.LearningRate = 1e10 },
		"not +Inf":          func(c *Config) { c.LearningRate = math.Inf(1) },
		"Beta1":             func(c *Config) { c.Beta1 = 1 },
		"not 0.5 and NaN":   func(c *Config) { c.Beta2 = math.NaN() },
		"weight decay":      func(c *Config) { c.WeightDecay = -1 },
		"the weight decay":  func(c *Config) { c.WeightDecay = math.NaN() },
	} {
		c := tiny(1)
		c.Beta1 = 0.5
		change(&c)
		if _, err := New(backend(t), nasbench101.Space{}, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v", want, err)
		}
	}
	bad := slices.Clone(labelled)
	bad[7].Accuracy = math.NaN()
	if _, err := Train(t.Context(), t.TempDir(), Training{Backend: backend(t), Space: nasbench101.Space{}, Labelled: bad, Config: tiny(1)}); err == nil || !strings.Contains(err.Error(), bad[7].Arch.String()) {
		t.Errorf("a label that is NaN: error %v", err)
	}
	n, err := New(backend(t), nasbench101.Space{}, tiny(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.TrainEpoch(0, bad, nil, 0); err == nil || !strings.Contains(err.Error(), "NaN") {
		t.Errorf("an epoch on it: error %v", err)
	}
	if _, err := n.TrainEpoch(0, labelled, nil, math.NaN()); err == nil {
		t.Error("r may be NaN")
	}
	// Weights that have become infinite: neither an epoch nor a score passes for a number.
	for v := range n.store.IterVariables() {
		if v.Trainable {
			value, err := v.Value()
			if err != nil {
				t.Fatal(err)
			}
			flat := make([]float32, value.Size())
			for i := range flat {
				flat[i] = float32(math.Inf(1 - 2*(i%2)))
			}
			if err := v.SetValue(tensors.FromFlatDataAndDimensions(flat, value.Shape().Dimensions...)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := n.Scores(space.Archs(labelled)); err == nil || !strings.Contains(err.Error(), labelled[0].Arch.String()) || !strings.Contains(err.Error(), "lower its learning rate") {
		t.Errorf("scores of a diverged NAC: error %v", err)
	}
	if _, err := n.TrainEpoch(3, labelled, nil, 0); err == nil || !strings.Contains(err.Error(), "epoch 3") || !strings.Contains(err.Error(), "lower the learning rate") {
		t.Errorf("an epoch of a diverged NAC: error %v", err)
	}
}

func TestTrainResumes(t *testing.T) {
	training := Training{
		Backend: backend(t), Space: nasbench101.Space{}, Labelled: sample(6, 60), Config: tiny(6),
		ProbeEvery: 10,
		Probe:      Probe{Key: "one", Measure: func(Comparator) (map[string]float64, error) { return map[string]float64{"probe": 1}, nil }},
	}
	archs, _ := split(sample(7, 20))
	scores := func(root string, ctx context.Context) ([]Score, *Trained, error) {
		trained, err := Train(ctx, root, training)
		if err != nil {
			return nil, nil, err
		}
		s, err := trained.NAC.Scores(archs)
		return s, trained, err
	}
	want, first, err := scores(t.TempDir(), context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if first.Status != rundir.Trained || len(first.Metrics) != 30 || first.Metrics[9].Values["probe"] != 1 {
		t.Errorf("status %s, %d metrics: want 30 with a probe in every tenth", first.Status, len(first.Metrics))
	}

	root := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	training.Watch = func(step train.Progress) {
		if step.Stage != "" {
			return
		}
		done := step.Done

		if done == 13 {
			cancel()
		}
	}
	if _, _, err := scores(root, ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted: %v, want context.Canceled", err)
	}
	training.Watch = nil
	for _, status := range []rundir.Status{rundir.Resumed, rundir.Loaded} {
		got, trained, err := scores(root, context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if trained.Status != status {
			t.Errorf("status %s, want %s", trained.Status, status)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: the scores differ from those of an uninterrupted run", status)
		}
		if len(trained.Metrics) != 30 {
			t.Errorf("%s: %d metrics, want 30", status, len(trained.Metrics))
		}
	}
}

// A NAC with the graphs of one that was released, trained and untrained, is as new.
func TestRelease(t *testing.T) {
	labelled := sample(3, 20)
	train := func(n *NAC) []byte {
		for epoch := range 3 {
			if _, err := n.TrainEpoch(epoch, labelled, nil, 0); err != nil {
				t.Fatal(err)
			}
		}
		state, err := n.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return state
	}
	c := tiny(7)
	c.Width = 13 // of no other test
	want := train(newNACOf(t, c))
	for range 2 {
		other := c
		other.Seed = 8
		first := newNACOf(t, other)
		train(first)
		graphs := first.programs
		first.Release()
		again := newNACOf(t, c)
		if again.programs != graphs {
			t.Fatal("the graphs of the released NAC were not used")
		}
		if got := train(again); !bytes.Equal(got, want) {
			t.Error("a NAC with the graphs of another learned something else")
		}
		again.Release()
		decoded := newNACOf(t, c)
		if err := decoded.Restore(want); err != nil {
			t.Fatal(err)
		}
		if got, err := decoded.Encode(); err != nil || !bytes.Equal(got, want) || decoded.programs != graphs {
			t.Errorf("a NAC restored into the graphs of another is another one (error %v)", err)
		}
		decoded.Release()
		newNACOf(t, c) // takes the graphs away
	}
}

func TestRestoreErrors(t *testing.T) {
	data, err := newNACOf(t, tiny(1)).Encode()
	if err != nil {
		t.Fatal(err)
	}
	wider := tiny(1)
	wider.Width = 32
	if err := newNACOf(t, wider).Restore(data); err == nil || !strings.Contains(err.Error(), "another NAC") {
		t.Errorf("a checkpoint of another width: error %v", err)
	}
	if err := newNACOf(t, tiny(1)).Restore(data[:len(data)/2]); err == nil {
		t.Error("half a checkpoint was taken for a whole one")
	}
}

func TestConfigErrors(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"layers":  func(c *Config) { c.Layers = 0 },
		"pairing": func(c *Config) { c.Pairing = "odd" },
		"batch":   func(c *Config) { c.BatchSize = 1 },
		"rate":    func(c *Config) { c.LearningRate = 0 },
	} {
		c := tiny(1)
		change(&c)
		if _, err := New(backend(t), nasbench101.Space{}, c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	n := newNACOf(t, tiny(1))
	if _, err := n.TrainEpoch(0, sample(1, 1), nil, 0); err == nil {
		t.Error("training on one architecture: no error")
	}
	if _, err := n.TrainEpoch(0, sample(1, 8), nil, 1); err == nil {
		t.Error("r = 1: no error")
	}
}

func ExampleNAC_Compare() {
	backend, err := engine.Open()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	nac, err := New(backend, nasbench101.Space{}, Released())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	α, _ := nasbench101.Parse("101:A")
	β, _ := nasbench101.Parse("101:M")
	p, err := nac.Compare(α, β)
	fmt.Println(0 < p && p < 1, err)
	// Output: true <nil>
}

// One epoch of the released schedule on 423 cells.
func BenchmarkEpoch(b *testing.B) {
	n := newNACOf(b, Released())
	labelled := sample(1, 423)
	epoch := 0
	train := func() {
		if _, err := n.TrainEpoch(epoch, labelled, nil, 0); err != nil {
			b.Fatal(err)
		}
		epoch++
	}
	train() // compiles
	for b.Loop() {
		train()
	}
}

// One architecture, as in every step of the controller.
func BenchmarkScoresOfOne(b *testing.B) {
	n := newNACOf(b, Released())
	archs, _ := split(sample(1, 1))
	for b.Loop() {
		if _, err := n.Scores(archs); err != nil {
			b.Fatal(err)
		}
	}
}

// A thousand architectures, as in every Kendall's tau.
func BenchmarkScores(b *testing.B) {
	n := newNACOf(b, Released())
	archs, _ := split(sample(1, 1000))
	score := func() {
		if _, err := n.Scores(archs); err != nil {
			b.Fatal(err)
		}
	}
	score() // compiles
	for b.Loop() {
		score()
	}
}
