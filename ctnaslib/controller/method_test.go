package controller

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// The controller of the authors' published code (chenyaofo/CTNAS): --hidden_size 64,
// --entropy_coeff 5e-4 and --controller_lr 2e-4 of core/config.py, init_range 0.1 of
// core/controller/nasbench.py, betas (0.5, 0.999) and weight_decay 5e-4 of train.py.
func TestDefaultIsTheAuthors(t *testing.T) {
	want := Config{
		Hidden: 64, InitRange: 0.1, EntropyBonus: 0.0005,
		LearningRate: 0.0002, Beta1: 0.5, Beta2: 0.999, WeightDecay: 0.0005,
	}
	if got := Default(); got != want {
		t.Errorf("Default is %+v, want %+v", got, want)
	}
}

// The weights of a new policy are uniform in ±InitRange, and of Hidden units.
func TestInitialWeights(t *testing.T) {
	for _, scale := range []float64{0.1, 2} {
		config := Default()
		config.InitRange, config.Hidden = scale, 32
		c := newToy(t, config)
		var squares, largest float64
		n := 0
		for _, values := range numbers(c) {
			for _, v := range values {
				squares += v * v
				largest = max(largest, math.Abs(v))
				n++
			}
		}
		if largest > scale || largest < 0.99*scale {
			t.Errorf("InitRange %g: the largest weight is %g", scale, largest)
		}
		// The variance of a uniform distribution is a third of its range's square.
		if got := squares / float64(n) / scale / scale; math.Abs(got-1./3) > 0.02 {
			t.Errorf("InitRange %g: the mean square is %.3f of the range's, want 1/3", scale, got)
		}
		if got := len(numbers(c)["lstm_recurrent_0"]); got != 4*32*32 {
			t.Errorf("the recurrent matrix has %d weights", got)
		}
	}
}

// byHand is the policy of the toy space, in plain numbers. Its weights are vectors laid
// out row by row, as in the store.
type byHand struct {
	config Config
	w      map[string][]float64
}

// times is a vector times a matrix of so many columns.
func times(x, matrix []float64, columns int) []float64 {
	y := make([]float64, columns)
	for i, xi := range x {
		for j := range y {
			y[j] += xi * matrix[i*columns+j]
		}
	}
	return y
}

// step is one step of the LSTM, its gates in, forget, out, update.
func (b byHand) step(x, h, cell []float64) (newH, newCell []float64) {
	n := b.config.Hidden
	fromX, fromH := times(x, b.w["lstm_input_0"], 4*n), times(h, b.w["lstm_recurrent_0"], 4*n)
	gate := func(k, i int) float64 {
		return fromX[k*n+i] + fromH[k*n+i] + b.w["lstm_input_bias_0"][k*n+i] + b.w["lstm_recurrent_bias_0"][k*n+i]
	}
	σ := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	for i := range n {
		c := σ(gate(1, i))*cell[i] + σ(gate(0, i))*math.Tanh(gate(3, i))
		newCell = append(newCell, c)
		newH = append(newH, σ(gate(2, i))*math.Tanh(c))
	}
	return newH, newCell
}

// decide is the log-probability of the taken one of the open choices, and their entropy.
func decide(logits map[int]float64, taken int) (logProb, entropy float64) {
	total := 0.0
	for _, x := range logits {
		total += math.Exp(x)
	}
	for _, x := range logits {
		p := math.Exp(x) / total
		entropy -= p * math.Log(p)
	}
	return logits[taken] - math.Log(total), entropy
}

// logProb is log π of a sequence of the toy space, and the entropy on its way.
func (b byHand) logProb(sequence []int) (logProb, entropy float64) {
	n := b.config.Hidden
	embedding := func(kind, choice int) []float64 { return b.w[fmt.Sprintf("embeddings_%d", kind)][choice*n:][:n] }
	zero := make([]float64, n)
	h, cell := b.step(zero, zero, zero)
	scores := times(h, b.w["head_0"], 2)
	logits := map[int]float64{}
	for choice := range 2 {
		logits[choice] = scores[choice] + b.w["head_bias_0"][choice]
	}
	logProb, entropy = decide(logits, sequence[0])
	if sequence[0] == 1 {
		return logProb, entropy
	}
	h, _ = b.step(embedding(0, 0), h, cell)
	query := times(h, b.w["point_query_1"], n)
	logits = map[int]float64{}
	for _, choice := range []int{0, 2} {
		for i, key := range times(embedding(1, choice), b.w["point_keys_1"], n) {
			logits[choice] += math.Tanh(key+query[i]) * b.w["point_weight_1"][i]
		}
	}
	second, more := decide(logits, sequence[1])
	return logProb + second, entropy + more
}

// measure is the loss of REINFORCE and the mean entropy of sequences.
func (b byHand) measure(sequences [][]int, rewards []float64) (loss, entropy float64) {
	for i, s := range sequences {
		l, h := b.logProb(s)
		loss -= (rewards[i]*l + b.config.EntropyBonus*h) / float64(len(sequences))
		entropy += h / float64(len(sequences))
	}
	return loss, entropy
}

// gradient of the loss with its L2 penalty, by differences.
func (b byHand) gradient(sequences [][]int, rewards []float64) map[string][]float64 {
	penalised := func() float64 {
		loss, _ := b.measure(sequences, rewards)
		for _, values := range b.w {
			for _, v := range values {
				loss += b.config.WeightDecay / 2 * v * v
			}
		}
		return loss
	}
	const small = 1e-5
	gradient := make(map[string][]float64)
	for name, values := range b.w {
		for i, v := range values {
			values[i] = v + small
			above := penalised()
			values[i] = v - small
			gradient[name] = append(gradient[name], (above-penalised())/(2*small))
			values[i] = v
		}
	}
	return gradient
}

// Steps of REINFORCE, worked out by hand: the loss, the entropy, and the weights after each
// step of Adam (Kingma and Ba, ICLR 2015, Alg. 1). The first step of Adam does not depend on
// its betas; the third does.
func TestReinforceByHand(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"all":             func(*Config) {},
		"no bonus":        func(c *Config) { c.EntropyBonus = 0 },
		"no weight decay": func(c *Config) { c.WeightDecay = 0 },
		"no momentum":     func(c *Config) { c.Beta1 = 0 },
		"authors' betas":  func(c *Config) { c.Beta1, c.Beta2 = 0.5, 0.999 },
	} {
		config := Config{Hidden: 2, InitRange: 0.8, EntropyBonus: 0.3, LearningRate: 0.01, Beta1: 0.6, Beta2: 0.9, WeightDecay: 0.05, Seed: 3}
		change(&config)
		c := newToy(t, config)
		b := byHand{config, make(map[string][]float64)}
		for name, values := range numbers(c) {
			b.w[name] = slices.Clone(values)
		}
		moment1, moment2 := make(map[string][]float64), make(map[string][]float64)
		for name, values := range b.w {
			moment1[name], moment2[name] = make([]float64, len(values)), make([]float64, len(values))
		}
		for k, batch := range []struct {
			sequences [][]int
			rewards   []float64
		}{
			{[][]int{{0, 2}, {1}, {0, 0}}, []float64{0.9, 0.2, 0.4}},
			{[][]int{{1}, {1}, {0, 2}}, []float64{1, 0.5, -0.7}},
			{[][]int{{0, 0}}, []float64{0.6}},
		} {
			loss, entropy := b.measure(batch.sequences, batch.rewards)
			step, err := c.Reinforce(batch.sequences, batch.rewards)
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(step.Loss-loss) > 1e-5 || math.Abs(step.Entropy-entropy) > 1e-5 {
				t.Errorf("%s, step %d: loss %.6f and entropy %.6f, want %.6f and %.6f", name, k+1, step.Loss, step.Entropy, loss, entropy)
			}
			gradient, n := b.gradient(batch.sequences, batch.rewards), float64(k+1)
			got := numbers(c)
			for name2, values := range b.w {
				for i, g := range gradient[name2] {
					if config.WeightDecay == 0 && math.Abs(g) < 1e-9 {
						g = 0 // a weight that nothing reads
					}
					m1, m2 := &moment1[name2][i], &moment2[name2][i]
					*m1 = config.Beta1**m1 + (1-config.Beta1)*g
					*m2 = config.Beta2**m2 + (1-config.Beta2)*g*g
					values[i] -= config.LearningRate * *m1 / (1 - math.Pow(config.Beta1, n)) / (math.Sqrt(*m2/(1-math.Pow(config.Beta2, n))) + 1e-8)
					if math.Abs(got[name2][i]-values[i]) > 1e-5 {
						t.Errorf("%s, step %d: the weight %s[%d] is %.7f, want %.7f", name, k+1, name2, i, got[name2][i], values[i])
					}
				}
			}
		}
	}
}

// A step on what was sampled last is that of a policy that sampled nothing; and after a step, the same sequences are
// gone through again.
func TestPassesAreOfTheWeights(t *testing.T) {
	sampled, fresh := newCells(t, Default()), newCells(t, Default())
	sequences, err := sampled.Sample(rand.New(rand.NewPCG(1, 1)), 3)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		logProb, entropy, err := newRestored(t, fresh).LogProb(sequences)
		if err != nil {
			t.Fatal(err)
		}
		a, err := sampled.Reinforce(sequences, []float64{1, 0.5, 0})
		if err != nil {
			t.Fatal(err)
		}
		b, err := fresh.Reinforce(sequences, []float64{1, 0.5, 0})
		if err != nil {
			t.Fatal(err)
		}
		want := -(logProb[0] + 0.5*logProb[1] + Default().EntropyBonus*(entropy[0]+entropy[1]+entropy[2])) / 3
		if a != b || math.Abs(a.Loss-want) > 1e-12 {
			t.Errorf("the losses are %.9f and %.9f, want %.9f", a.Loss, b.Loss, want)
		}
	}
}

// newRestored makes a policy with the weights of another.
func newRestored(t *testing.T, c *Controller) *Controller {
	t.Helper()
	state, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	other := newCells(t, c.Config())
	if err := other.Restore(state); err != nil {
		t.Fatal(err)
	}
	return other
}

// convolutions is the share of a cell's operations that are 3×3 convolutions.
func convolutions(a space.Arch) float64 {
	ops := a.(nasbench101.Cell).OpNames()
	ops = ops[1 : len(ops)-1]
	n := 0
	for _, op := range ops {
		if op == nasbench101.Conv3x3.String() {
			n++
		}
	}
	return float64(n) / float64(max(1, len(ops)))
}

func newCells(t testing.TB, config Config) *Controller {
	t.Helper()
	c, err := New(nasbench101.Space{}.Decisions(), config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A step of Improve is Sample, Decoded, the rewards of all, and Reinforce; and it reports
// the means.
func TestImproveIsItsSteps(t *testing.T) {
	const steps, batch = 3, 5
	config := Default()
	config.Hidden, config.LearningRate = 8, 1e-2
	reward := func(archs []space.Arch) ([]float64, error) {
		rewards := make([]float64, len(archs))
		for i, a := range archs {
			rewards[i] = convolutions(a) + float64(i)/10 // differs within a batch
		}
		return rewards, nil
	}
	c := newCells(t, config)
	rng := rand.New(rand.NewPCG(4, 4))
	var want Learned
	for range steps {
		sequences, err := c.Sample(rng, batch)
		if err != nil {
			t.Fatal(err)
		}
		archs, err := Decoded(nasbench101.Space{}, sequences)
		if err != nil {
			t.Fatal(err)
		}
		rewards, _ := reward(archs)
		for _, r := range rewards {
			want.Reward += r
		}
		step, err := c.Reinforce(sequences, rewards)
		if err != nil {
			t.Fatal(err)
		}
		want.Loss += step.Loss
		want.Entropy += step.Entropy
	}
	want.Reward, want.Loss, want.Entropy = want.Reward/(steps*batch), want.Loss/steps, want.Entropy/steps

	improved := newCells(t, config)
	got, err := improved.Improve(t.Context(), rand.New(rand.NewPCG(4, 4)), nasbench101.Space{}, steps, batch, reward)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(got.Reward-want.Reward) > 1e-9 || math.Abs(got.Loss-want.Loss) > 1e-9 || math.Abs(got.Entropy-want.Entropy) > 1e-9 {
		t.Errorf("it reports %+v, want %+v", got, want)
	}
	a, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	b, err := improved.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Error("it learned something else than its steps one by one")
	}
}

// From a policy whose weights are all zero but for one bias, samples come as often as that
// bias says.
func TestSamplesAreRandom(t *testing.T) {
	config := Default()
	config.Hidden = 1
	c := newToy(t, config)
	setAll(c, 0)
	set(t, c, "head_bias_0", math.Log(3), 0) // 3 of 4 go on to the pointer
	const n = 4000
	sequences, err := c.Sample(rand.New(rand.NewPCG(5, 5)), n)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		sequence []int
		p        float64
	}{{[]int{1}, 1. / 4}, {[]int{0, 0}, 3. / 8}, {[]int{0, 2}, 3. / 8}} {
		count := 0
		for _, s := range sequences {
			if slices.Equal(s, want.sequence) {
				count++
			}
		}
		// Five standard deviations of a binomial.
		if got := float64(count) / n; math.Abs(got-want.p) > 5*math.Sqrt(want.p*(1-want.p)/n) {
			t.Errorf("%v is %.3f of the samples, want %.3f", want.sequence, got, want.p)
		}
	}
}

// REINFORCE learns what is rewarded: 3×3 convolutions. Of 640 cells that it sampled to
// learn from, it comes to a share of more than 0.9, measured over seeds; without learning
// it is a third.
func TestPolicyLearns(t *testing.T) {
	reward := func(archs []space.Arch) ([]float64, error) {
		rewards := make([]float64, len(archs))
		for i, a := range archs {
			rewards[i] = convolutions(a)
		}
		return rewards, nil
	}
	for seed := range uint64(3) {
		config := Default()
		config.Hidden, config.LearningRate, config.Seed = 16, 1e-2, seed
		c := newCells(t, config)
		rng := rand.New(rand.NewPCG(seed, 6))
		mean := func() float64 {
			sequences, err := c.Sample(rng, 200)
			if err != nil {
				t.Fatal(err)
			}
			archs, err := Decoded(nasbench101.Space{}, sequences)
			if err != nil {
				t.Fatal(err)
			}
			mean := 0.0
			for _, a := range archs {
				mean += convolutions(a) / float64(len(archs))
			}
			return mean
		}
		before := mean()
		learned, err := c.Improve(t.Context(), rng, nasbench101.Space{}, 40, 16, reward)
		if err != nil {
			t.Fatal(err)
		}
		after := mean()
		t.Logf("seed %d: from %.3f to %.3f, on the way %.3f", seed, before, after, learned.Reward)
		if before > 0.5 || after < 0.8 || learned.Reward < before || learned.Reward > after {
			t.Errorf("seed %d: from %.3f to %.3f, on the way %.3f; want from about 0.33 to more than 0.8", seed, before, after, learned.Reward)
		}
	}
}

// The average of rewards, as in ENAS's code (melodyguan/enas: baseline −= (1 − decay)·(baseline − reward), from 0 on,
// before it is taken off): worked out by hand, and kept in a checkpoint. Without a decay nothing is taken off.
func TestRewardDecay(t *testing.T) {
	config := Default()
	config.Hidden, config.RewardDecay = 8, 0.9
	c := newCells(t, config)
	rewards, want := []float64{0.5, 1, 0}, []float64{0.5 - 0.05, 1 - 0.145, 0 - 0.1305} // averages of 0.05, 0.9·0.05 + 0.1 and 0.9·0.145
	for i, got := range c.advantages(rewards) {
		if math.Abs(got-want[i]) > 1e-12 {
			t.Errorf("reward %d is %g above the average, want %g", i, got, want[i])
		}
	}
	state, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	restored := newCells(t, config)
	if err := restored.Restore(state); err != nil || math.Abs(restored.average-0.1305) > 1e-12 {
		t.Errorf("after a checkpoint the average is %g, want 0.1305 (error %v)", restored.average, err)
	}
	config.RewardDecay = 0
	if got := newCells(t, config).advantages(rewards); !slices.Equal(got, rewards) {
		t.Errorf("without a decay the rewards became %v", got)
	}
}

// Improve learns from what is above the average, and reports the rewards themselves.
func TestImproveTakesTheAverageOff(t *testing.T) {
	config := Default()
	config.Hidden, config.RewardDecay = 8, 0.5
	c := newCells(t, config)
	reward := func(archs []space.Arch) ([]float64, error) { return []float64{1, 3}, nil }
	learned, err := c.Improve(t.Context(), rand.New(rand.NewPCG(4, 4)), nasbench101.Space{}, 1, 2, reward)
	if err != nil {
		t.Fatal(err)
	}
	want := newCells(t, config)
	sequences, err := want.Sample(rand.New(rand.NewPCG(4, 4)), 2)
	if err != nil {
		t.Fatal(err)
	}
	step, err := want.Reinforce(sequences, []float64{1 - 0.5, 3 - 1.75})
	if err != nil {
		t.Fatal(err)
	}
	if learned.Reward != 2 || math.Abs(learned.Loss-step.Loss) > 1e-12 {
		t.Errorf("it learned %+v, want the mean reward 2 and the loss %g", learned, step.Loss)
	}
}
