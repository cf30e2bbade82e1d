package ctnas

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/controller"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// letter is an architecture of a space of letters: later ones are better.
type letter string

func (l letter) ID() string         { return string(l) }
func (l letter) String() string     { return string(l) }
func (l letter) Graph() space.Graph { return space.Graph{} }

// letters is that space; a policy writes a letter in one decision.
type letters struct{ nasbench101.Space }

func (letters) Decode(sequence []int) (space.Arch, error) {
	return letter(rune('a' + sequence[0])), nil
}

// Decisions are uniform over d alone.
func (letters) Decisions() *space.Decisions {
	const d = 3
	return &space.Decisions{
		Kinds: []space.Kind{{Name: "letter", Choices: d + 1}}, Steps: 1,
		States: []space.State{{Next: []int{space.Forbidden, space.Forbidden, space.Forbidden, 1}}},
	}
}

// recorder is a comparator and a policy that write down what they are asked.
type recorder struct {
	log     []string
	sampled []string // what Sample gives, one text for each call
	met     []string // what Improve meets, one text for each call
	rewards []float64
}

func (r *recorder) say(format string, args ...any) {
	r.log = append(r.log, fmt.Sprintf(format, args...))
}

// logit is that of NAC(α, β), for letters α and β.
func logit(α, β byte) float64 { return (float64(α) - float64(β)) / 4 }

func (r *recorder) Scores(archs []space.Arch) ([]comparator.Score, error) {
	scores := make([]comparator.Score, len(archs))
	text := ""
	for i, a := range archs {
		value := logit(a.String()[0], 'a')
		scores[i] = comparator.Score{First: value, Second: -value}
		text += a.String()
	}
	r.say("scores %s", text)
	return scores, nil
}

func (r *recorder) TrainEpoch(epoch int, labelled []space.Labelled, pseudo []comparator.Pair, share float64) (float64, error) {
	var labels, pairs strings.Builder
	for _, l := range labelled {
		fmt.Fprintf(&labels, "%s%g", l.Arch, l.Accuracy)
	}
	for _, p := range pseudo {
		sign := "<"
		if p.Better {
			sign = ">"
		}
		fmt.Fprintf(&pairs, " %s%s%s", p.First, sign, p.Second)
	}
	r.say("train %d on %s and%s, r = %g", epoch, &labels, &pairs, share)
	return 0.25, nil
}

func (r *recorder) Sample(_ *rand.Rand, n int) ([][]int, error) {
	next := r.sampled[0]
	r.sampled = r.sampled[1:]
	if len(next) != n {
		return nil, fmt.Errorf("asked for %d samples, not %d", n, len(next))
	}
	r.say("sample %d", n)
	sequences := make([][]int, n)
	for i := range sequences {
		sequences[i] = []int{int(next[i] - 'a')}
	}
	return sequences, nil
}

func (r *recorder) Improve(_ context.Context, _ *rand.Rand, s space.Space, steps, batch int, reward func([]space.Arch) ([]float64, error)) (controller.Learned, error) {
	r.say("improve %d × %d", steps, batch)
	var archs []space.Arch
	for _, c := range r.met[0] {
		archs = append(archs, letter(c))
	}
	r.met = r.met[1:]
	rewards, err := reward(archs)
	r.rewards = append(r.rewards, rewards...)
	return controller.Learned{Reward: 0.5, Step: controller.Step{Loss: 2, Entropy: 3}}, err
}

func (r *recorder) Encode() ([]byte, error) { return nil, nil }
func (r *recorder) Restore([]byte) error    { return nil }
func (r *recorder) Release()                {}

// byHand is Alg. 1 on letters at the size of the tests below; the first baseline is d.
func byHand(r *recorder, change func(*Config)) *algorithm1 {
	c := Paper()
	c.PolicySteps, c.PolicyBatch, c.Samples, c.BaselineSamples, c.TopK, c.NACEpochs = 2, 3, 4, 3, 2, 2
	c.NAC.Epochs, c.PseudoRatio = 100, 0.4
	change(&c)
	if c.Schedule == AsPaper {
		r.sampled = append([]string{"d"}, r.sampled...)
	}
	return &algorithm1{
		config: c, space: letters{}, nac: r, policy: r,
		labelled: []space.Labelled{{Arch: letter("a"), Accuracy: 0.1}, {Arch: letter("b"), Accuracy: 0.2}},
	}
}

func steps(t *testing.T, a *algorithm1, n int) []map[string]float64 {
	t.Helper()
	var all []map[string]float64
	for i := range n {
		values, err := a.Step(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, values)
	}
	return all
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Three iterations of Algorithm 1, each event worked out by hand from the paper: the lines of the
// algorithm are in the comments.
func TestAlgorithm1ByHand(t *testing.T) {
	r := &recorder{sampled: []string{"cefg", "gcch", "ahbk"}, met: []string{"ce", "dh", "a"}}
	a := byHand(r, func(*Config) {})
	values := steps(t, a, 3)
	same(t, "events", r.log, []string{
		"sample 1", // line 4: β = d
		// Iteration 1. The first, full training of NAC (line 7) was before.
		"scores d",      // β is what it began with
		"improve 2 × 3", // lines 8 to 10, N = 2·3
		"scores ce",     // of what the policy met
		"sample 4",      // line 12: 𝒮 = c e f g
		"scores cefg",   // Alg. 3: of the 12 pairs the 2 of the highest |p − 0.5| are c, g in both orders
		"scores dcef",   // Alg. 2: ℬ = {d} and the first 3 of 𝒮: f wins
		// Iteration 2: NAC learns further (line 7), with new random numbers in each epoch.
		"train 100 on a0.1b0.2 and c<g g>c, r = 0.4",
		"train 101 on a0.1b0.2 and c<g g>c, r = 0.4",
		"scores f",
		"improve 2 × 3",
		"scores dh",
		"sample 4",    // 𝒮 = g c c h
		"scores gch",  // distinct; the 2 of the highest confidence are c, h
		"scores dfgc", // ℬ = {d, f}, and g c c: g wins
		// Iteration 3: the pseudo-labelled pairs of both iterations.
		"train 102 on a0.1b0.2 and c<g g>c c<h h>c, r = 0.4",
		"train 103 on a0.1b0.2 and c<g g>c c<h h>c, r = 0.4",
		"scores g",
		"improve 2 × 3",
		"scores a",
		"sample 4",      // 𝒮 = a h b k
		"scores ahbk",   // a, k in both orders
		"scores dfgahb", // ℬ = {d, f, g}, and a h b: h wins
	})
	// The reward of α is NAC(α, β), β the best of Alg. 2 before.
	σ := func(α, β byte) float64 { return 1 / (1 + math.Exp(-logit(α, β))) }
	for i, want := range []float64{σ('c', 'd'), σ('e', 'd'), σ('d', 'f'), σ('h', 'f'), σ('a', 'g')} {
		if math.Abs(r.rewards[i]-want) > 1e-12 {
			t.Errorf("reward %d is %.4f, want %.4f", i, r.rewards[i], want)
		}
	}
	if got := fmt.Sprint(a.baselines); got != "[d f g h]" {
		t.Errorf("the baselines are %s, want [d f g h]", got)
	}
	// s of Eq. 5, worked out for the third iteration's h against d f g a b.
	s := (σ('h', 'd') + σ('h', 'f') + σ('h', 'g') + σ('h', 'a') + σ('h', 'b')) / 5
	if got := values[2]["baseline_score"]; math.Abs(got-s) > 1e-12 {
		t.Errorf("the score of the third baseline is %.6f, want %.6f", got, s)
	}
	for i, v := range values {
		if v["reward"] != 0.5 || v["policy_loss"] != 2 || v["entropy"] != 3 || (v["nac_loss"] == 0.25) != (i > 0) {
			t.Errorf("iteration %d measured %v", i, v)
		}
	}
	if pairs := len(a.pseudo); pairs != 6 {
		t.Errorf("%d pseudo-labelled pairs after three iterations, want 6", pairs)
	}
}

// Where the configuration departs: only every second iteration chooses a baseline; a fixed baseline stays the reward's,
// a random one is any of 𝒮; without pseudo-labels nothing is explored.
func TestAlgorithm1ByHandOtherRules(t *testing.T) {
	two := func() *recorder {
		return &recorder{sampled: []string{"gbbb", "cccc", "aaaf"}, met: []string{"c", "c", "c"}}
	}
	r := two()
	a := byHand(r, func(c *Config) { c.BaselineEvery = 2; c.PseudoRatio = 0; c.NACEpochs = 1 })
	steps(t, a, 3)
	same(t, "a baseline in every second iteration", r.log, []string{
		"sample 1", "scores d", "improve 2 × 3", "scores c", "sample 4", "scores dgb",
		"train 100 on a0.1b0.2 and, r = 0", "scores g", "improve 2 × 3", "scores c", "sample 4",
		"train 101 on a0.1b0.2 and, r = 0", "scores g", "improve 2 × 3", "scores c", "sample 4", "scores dga",
	})
	if got := fmt.Sprint(a.baselines); got != "[d g g g]" {
		t.Errorf("the baselines are %s, want [d g g g]", got)
	}

	r = two()
	a = byHand(r, func(c *Config) { c.Baseline = FixedBaseline })
	steps(t, a, 3)
	for i, event := range r.log {
		if strings.HasPrefix(event, "improve") && r.log[i-1] != "scores d" {
			t.Errorf("the fixed baseline became that of %q", r.log[i-1])
		}
	}
	if a.Best() != letter("g") {
		t.Errorf("with a fixed baseline the answer is %v, want g", a.Best())
	}

	r = two()
	a = byHand(r, func(c *Config) { c.Baseline = RandomBaseline })
	steps(t, a, 2)
	if a.baseline != letter("c") {
		t.Errorf("the random baseline is %v, but 𝒮 was c c c c", a.baseline)
	}
}

// Three iterations as in the authors' code (core/engine/policy_learning.py), each event worked out by hand from it.
func TestReleasedByHand(t *testing.T) {
	r := &recorder{
		sampled: []string{"aaaaaaaaee", "hff", "bbbk", "aceg", "ccb"},
		met:     []string{"c", "ee", "g", "ha", "d", "bb"},
	}
	a := byHand(r, func(c *Config) {
		c.Schedule, c.BaselineEvery, c.NACEpochs, c.PolicySteps, c.NAC.BatchSize = AsReleased, 2, 1, 3, 8
	})
	values := steps(t, a, 3)
	first, second, third := a.pseudo[:5], a.pseudo[5:7], a.pseudo[7:]
	trained := func(epoch int, pairs ...[]comparator.Pair) string {
		return fmt.Sprintf("train %d on a0.1b0.2 and %s, r = 0.4", epoch, pairsText(slices.Concat(pairs...)))
	}
	same(t, "events", r.log, []string{
		// Steps 0 to 2; β = d, drawn uniformly. At first r/(1−r) = 2/3 of the batch of 8, 5 pairs, are kept of 10.
		"sample 10", "scores aaaaaaaaee", trained(100, first),
		"scores d", "improve 1 × 3", "scores c",
		"sample 3", "scores hff", "scores hffd", // derive: h is the best of h f f, and of these and d
		"scores h", "improve 2 × 3", "scores ee",
		// Steps 3 to 5: no baseline.
		"sample 4", "scores bbbk", trained(101, first, second),
		"scores h", "improve 1 × 3", "scores g",
		"scores h", "improve 2 × 3", "scores ha",
		// Steps 6 to 8: the best of c c b is c, though h is better; h stays the answer.
		"sample 4", "scores aceg", trained(102, first, second, third),
		"scores h", "improve 1 × 3", "scores d",
		"sample 3", "scores ccb", "scores ccbh",
		"scores c", "improve 2 × 3", "scores bb",
	})
	if got := fmt.Sprintf("%v %v %v", a.baselines, a.baseline, a.Best()); got != "[d h h h] c h" {
		t.Errorf("the baselines, β and the answer are %s, want [d h h h] c h", got)
	}
	σ := func(α, β byte) float64 { return 1 / (1 + math.Exp(-logit(α, β))) }
	if got, want := values[2]["baseline_score"], (0.5+σ('c', 'b'))/2; math.Abs(got-want) > 1e-12 {
		t.Errorf("the score of c in c c b is %.6f, want %.6f", got, want)
	}
	// The means over both parts of an iteration are those over all of its steps.
	for i, v := range values {
		if math.Abs(v["reward"]-0.5) > 1e-12 || math.Abs(v["policy_loss"]-2) > 1e-12 || math.Abs(v["entropy"]-3) > 1e-12 || v["nac_loss"] != 0.25 {
			t.Errorf("iteration %d measured %v", i, v)
		}
	}
	for _, pairs := range [][]comparator.Pair{first, second, third} {
		last := 8.0
		for _, p := range pairs {
			value := logit(p.First.String()[0], p.Second.String()[0])
			if p.Better != (value > 0) || value > last {
				t.Errorf("the pair %s, of the logit %g after one of %g, has the label %v", pairsText([]comparator.Pair{p}), value, last, p.Better)
			}
			last = value
		}
	}
}

// Without pseudo-labels the authors' code trains NAC no further; a fixed baseline stays that of the reward, a random one
// is any of the fresh samples; and an iteration may be a single step.
func TestReleasedByHandOtherRules(t *testing.T) {
	run := func(rule BaselineRule) (*recorder, *algorithm1) {
		r := &recorder{sampled: []string{"fff", "bbb"}, met: []string{"c", "c"}}
		a := byHand(r, func(c *Config) {
			c.Schedule, c.PseudoRatio, c.PolicySteps, c.Baseline = AsReleased, 0, 1, rule
		})
		steps(t, a, 2)
		return r, a
	}
	r, a := run(FixedBaseline)
	same(t, "events", r.log, []string{
		"scores d", "improve 1 × 3", "scores c", "sample 3", "scores fff", "scores fffd",
		"scores d", "improve 1 × 3", "scores c", "sample 3", "scores bbb", "scores bbbf",
	})
	if a.baseline != letter("d") || a.Best() != letter("f") {
		t.Errorf("with a fixed baseline β is %v and the answer %v, want d and f", a.baseline, a.Best())
	}
	if _, a := run(RandomBaseline); a.baseline != letter("b") || a.Best() != letter("f") {
		t.Errorf("with a random baseline of b b b β is %v and the answer %v, want b and f", a.baseline, a.Best())
	}
}

func pairsText(pairs []comparator.Pair) string {
	var texts []string
	for _, p := range pairs {
		sign := "<"
		if p.Better {
			sign = ">"
		}
		texts = append(texts, fmt.Sprint(p.First, sign, p.Second))
	}
	return strings.Join(texts, " ")
}

// The logit as the reward: ln p/(1 − p) of NAC(α, β).
func TestLogitRewardByHand(t *testing.T) {
	r := &recorder{sampled: []string{"cefg"}, met: []string{"ce"}}
	a := byHand(r, func(c *Config) { c.Reward = LogitReward })
	steps(t, a, 1)
	for i, want := range []float64{logit('c', 'd'), logit('e', 'd')} {
		if math.Abs(r.rewards[i]-want) > 1e-12 {
			t.Errorf("reward %d is %.4f, want %.4f", i, r.rewards[i], want)
		}
	}
}
