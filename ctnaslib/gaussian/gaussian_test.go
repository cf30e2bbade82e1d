package gaussian_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/stat"

	"github.com/ctnas/ctnas/ctnaslib/gaussian"
	"github.com/ctnas/ctnas/ctnaslib/metric"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/darts"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// choices returns a space of n choices of one name, of so many options.
func choices(t testing.TB, n, options int) *space.Choices {
	t.Helper()
	config := space.ChoicesConfig{Name: "test"}
	for range n {
		c := space.Choice{Name: "c"}
		for o := range options {
			c.Options = append(c.Options, fmt.Sprint(o))
		}
		config.Choices = append(config.Choices, c)
	}
	s, err := space.NewChoices(config)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func parse(t testing.TB, s space.Space, texts ...string) []space.Arch {
	t.Helper()
	archs := make([]space.Arch, len(texts))
	for i, text := range texts {
		var err error
		if archs[i], err = s.Parse(text); err != nil {
			t.Fatal(err)
		}
	}
	return archs
}

func labelled(archs []space.Arch, quality func(space.Arch) float64) []space.Labelled {
	all := make([]space.Labelled, len(archs))
	for i, a := range archs {
		all[i] = space.Labelled{Arch: a, Accuracy: quality(a)}
	}
	return all
}

func draw(t testing.TB, s space.Space, seed uint64, n int) []space.Arch {
	t.Helper()
	archs, err := space.Draw(rand.New(rand.NewPCG(seed, 0)), s, n, nil)
	if err != nil {
		t.Fatal(err)
	}
	return archs
}

// One choice of two options, both labelled, computed by hand. The graph's nodes and the counts are the two groups that
// vary; among a and b in equal parts the nodes differ in two numbers, so their mean squared distance is
// 1 and that of a and b is 2. With a kernel of the nodes alone, K is 1.1 on the diagonal and m(2) =
// (1 + √6)·exp(−√6) = 0.297829 beside it, and the scores are ∓0.674490. So the weights are ∓0.674490/(1.1 − 0.297829),
// the utilities ∓0.674490·(1 − 0.297829)/0.802171 = ∓0.590407; their difference has variance
// 2·0.702171 − 2·0.702171²/0.802171 = 0.175067 and P[b ≥ a] = Φ(1.180813/0.418410) = Φ(2.82214) = 0.997615.
func TestByHand(t *testing.T) {
	s := choices(t, 1, 2)
	archs := parse(t, s, "0", "1")
	features, err := gaussian.NewFeatures(s, archs)
	if err != nil {
		t.Fatal(err)
	}
	labels := []space.Labelled{{Arch: archs[0], Accuracy: 0.3}, {Arch: archs[1], Accuracy: 0.9}}
	model, err := gaussian.With(features, labels, gaussian.Hyper{Linear: []float64{0, 0}, Weight: []float64{1, 0}, Amplitude: 1, Noise: 0.1})
	if err != nil {
		t.Fatal(err)
	}
	utilities, err := model.Utilities(archs)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{-0.590407, 0.590407} {
		if math.Abs(utilities[i]-want) > 2e-6 {
			t.Errorf("utility %d is %.6f, want %.6f", i, utilities[i], want)
		}
	}
	p, err := model.Compare(archs[1], archs[0])
	if err != nil || math.Abs(p-0.997615) > 2e-6 {
		t.Errorf("P[b ≥ a] = %.6f, %v, want 0.997615", p, err)
	}
}

// Only the order of labels counts, equal ones are alike, and the two directions of a comparison add up to 1.
func TestOrderAlone(t *testing.T) {
	s := nasbench101.Space{}
	archs := draw(t, s, 1, 60)
	features, err := gaussian.NewFeatures(s, archs)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(2, 0))
	labels := labelled(archs, func(a space.Arch) float64 { return float64(len(a.Graph().Edges)) + 0.1*rng.NormFloat64() })
	labels[3].Accuracy = labels[4].Accuracy
	bent := make([]space.Labelled, len(labels))
	for i, l := range labels {
		bent[i] = space.Labelled{Arch: l.Arch, Accuracy: math.Exp(l.Accuracy) - 7}
	}
	one, err := gaussian.Fit(features, labels, nil)
	if err != nil {
		t.Fatal(err)
	}
	other, err := gaussian.Fit(features, bent, nil)
	if err != nil {
		t.Fatal(err)
	}
	u, _ := one.Utilities(archs)
	v, _ := other.Utilities(archs)
	for i := range u {
		if u[i] != v[i] {
			t.Fatalf("the utility of %d is %g, and %g by labels in the same order", i, u[i], v[i])
		}
	}
	p, err1 := one.Compare(archs[0], archs[1])
	q, err2 := one.Compare(archs[1], archs[0])
	if err1 != nil || err2 != nil || math.Abs(p+q-1) > 1e-9 || p == 0.5 {
		t.Errorf("P[a ≥ b] = %g, P[b ≥ a] = %g, %v, %v", p, q, err1, err2)
	}
	if (u[0] > u[1]) != (p > 0.5) {
		t.Errorf("utilities %g and %g, but P = %g", u[0], u[1], p)
	}
	if p, err := one.Compare(archs[0], archs[0]); p != 0.5 || err != nil {
		t.Errorf("P[a ≥ a] = %g, %v", p, err)
	}
	scores := gaussian.NormalScores(labels)
	if scores[3] != scores[4] {
		t.Errorf("equal labels have the scores %g and %g", scores[3], scores[4])
	}
}

// It learns what the labels say, in each kind of space, and from pure noise to expect hardly anything.
func TestLearns(t *testing.T) {
	mobile, err := mobilenetv3.New(mobilenetv3.OFAWidth1(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		s       space.Space
		quality func(space.Arch) float64
	}{
		"choices": {choices(t, 8, 4), func(a space.Arch) float64 {
			o := a.(space.Chosen).Options()
			return float64(o[0]-o[3]) + 2*math.Abs(float64(o[1]-o[2]))
		}},
		"cells":    {nasbench101.Space{}, func(a space.Arch) float64 { g := a.Graph(); return float64(len(g.Edges) * (g.Ops[1] % 3)) }},
		"darts":    {darts.Space{}, func(a space.Arch) float64 { return float64(a.Graph().Ops[4] - a.Graph().Ops[7]) }},
		"networks": {mobile, func(a space.Arch) float64 { return float64(len(a.Graph().Ops)) + float64(len(a.String())%5) }},
	} {
		t.Run(name, func(t *testing.T) {
			archs := draw(t, c.s, 3, 300)
			features, err := gaussian.NewFeatures(c.s, archs)
			if err != nil {
				t.Fatal(err)
			}
			learn := func(quality func(space.Arch) float64) (tau, spread float64) {
				model, err := gaussian.Fit(features, labelled(archs[:150], quality), nil)
				if err != nil {
					t.Fatal(err)
				}
				utilities, err := model.Utilities(archs[150:])
				if err != nil {
					t.Fatal(err)
				}
				var truth []float64
				for _, a := range archs[150:] {
					truth = append(truth, c.quality(a))
				}
				if tau, err = metric.KendallTau(utilities, truth); err != nil {
					t.Fatal(err)
				}
				return tau, stat.StdDev(utilities, nil)
			}
			rng := rand.New(rand.NewPCG(4, 0))
			tau, spread := learn(c.quality)
			if tau < 0.5 {
				t.Errorf("τ on unseen architectures is %.2f", tau)
			}
			if _, noise := learn(func(space.Arch) float64 { return rng.NormFloat64() }); noise > spread/2 {
				t.Errorf("utilities learnt from noise are as different as %.2f, from labels %.2f", noise, spread)
			}
		})
	}
}

// Functions that are drawn have the posterior's mean, and the spread that its comparisons have.
func TestSamples(t *testing.T) {
	s := choices(t, 4, 3)
	archs := draw(t, s, 5, 40)
	features, err := gaussian.NewFeatures(s, archs)
	if err != nil {
		t.Fatal(err)
	}
	labels := labelled(archs[:15], func(a space.Arch) float64 { o := a.(space.Chosen).Options(); return float64(o[0]*o[1] - o[2]) })
	model, err := gaussian.With(features, labels, gaussian.Hyper{Linear: []float64{0.3, 0.2}, Weight: []float64{1, 0.5}, Amplitude: 0.7, Noise: 0.6})
	if err != nil {
		t.Fatal(err)
	}
	utilities, _ := model.Utilities(archs)
	values := make([][]float64, len(archs))
	for draws := range 40 { // each with other waves
		samples, err := model.Sample(rand.New(rand.NewPCG(6, uint64(draws))), 50)
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range archs {
			values[i] = append(values[i], samples.Values(a)...)
		}
	}
	n := float64(len(values[0]))
	for i := range archs {
		mean, sd := stat.MeanStdDev(values[i], nil)
		if math.Abs(mean-utilities[i]) > 4*sd/math.Sqrt(n)+1e-3 {
			t.Errorf("%s: the mean of the functions is %.3f ± %.3f, the utility %.3f", archs[i], mean, sd/math.Sqrt(n), utilities[i])
		}
		j := (i + 17) % len(archs)
		higher := 0.0
		for k := range values[i] {
			if values[i][k] > values[j][k] {
				higher++
			}
		}
		p, err := model.Compare(archs[i], archs[j])
		if err != nil || math.Abs(higher/n-p) > 4*math.Sqrt(0.25/n) {
			t.Errorf("%s is above %s in %.3f of the functions, P = %.3f, %v", archs[i], archs[j], higher/n, p, err)
		}
	}
}

func TestErrors(t *testing.T) {
	s := choices(t, 3, 2)
	archs := parse(t, s, "0,0,1", "0,1,1", "1,1,1")
	if _, err := gaussian.NewFeatures(s, archs[:1]); err == nil {
		t.Error("features of one architecture: no error")
	}
	features, err := gaussian.NewFeatures(s, archs)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gaussian.Fit(features, nil, nil); err == nil {
		t.Error("no labels: no error")
	}
	if _, err := gaussian.Fit(features, []space.Labelled{{Arch: archs[0]}, {Arch: archs[1], Accuracy: math.NaN()}}, nil); err == nil {
		t.Error("NaN: no error")
	}
	if _, err := gaussian.With(features, labelled(archs, func(space.Arch) float64 { return 1 }), gaussian.Hyper{}); err == nil {
		t.Error("a kernel of no groups: no error")
	}
	if _, err := gaussian.Fit(features, labelled(archs, func(space.Arch) float64 { return 1 }), nil); err != nil {
		t.Errorf("equal labels: %v", err)
	}
}
