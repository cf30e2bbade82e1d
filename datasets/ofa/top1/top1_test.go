package top1

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/metric"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
)

func draw(t testing.TB, seed uint64, n int) []mobilenetv3.Net {
	t.Helper()
	s, err := mobilenetv3.New(mobilenetv3.OFAWidth1(), 0)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	nets := make([]mobilenetv3.Net, n)
	for i := range nets {
		nets[i] = s.Sample(rng).(mobilenetv3.Net)
	}
	return nets
}

// A model that is fitted to the answers of the embedded one gives nearly the same on other networks.
func TestFit(t *testing.T) {
	fitted, tested := draw(t, 1, 800), draw(t, 2, 300)
	m, err := Fit(fitted, Embedded().Accuracies(fitted), Default())
	if err != nil {
		t.Fatal(err)
	}
	got, want := m.Accuracies(tested), Embedded().Accuracies(tested)
	mae := 0.0
	for i := range got {
		mae += 100 * math.Abs(got[i]-want[i]) / float64(len(got))
	}
	tau, err := metric.KendallTau(got, want)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("mean error %.3f, Kendall's tau %.3f", mae, tau)
	if mae > 0.05 || tau < 0.97 {
		t.Errorf("mean error %.3f percentage points, Kendall's tau %.3f", mae, tau)
	}
	// Without pairs it is additive: of two changes in different units the second does the same with and without the first.
	c := Default()
	c.Pairs = 0
	if m, err = Fit(fitted, Embedded().Accuracies(fitted), c); err != nil {
		t.Fatal(err)
	}
	var z []float64
	for _, text := range []string{"3x3,3x3|3x3,3x3|3x3,3x3|3x3,3x3|3x3,3x3", "7x6,3x3|3x3,3x3|3x3,3x3|3x3,3x3|3x3,3x3",
		"3x3,3x3|3x3,3x3|3x3,3x3|3x3,3x3|3x3,5x4", "7x6,3x3|3x3,3x3|3x3,3x3|3x3,3x3|3x3,5x4"} {
		net, err := mobilenetv3.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		z = append(z, -math.Log(c.Limit-m.Accuracies([]mobilenetv3.Net{net})[0]))
	}
	if math.Abs((z[1]-z[0])-(z[3]-z[2])) > 1e-9 || z[0] == z[1] {
		t.Errorf("without pairs, the changes add %v", z)
	}
}

// What it minimises, on three networks: the gradient is zero, worked out from the model's formula.
func TestFitIsRidge(t *testing.T) {
	nets, accuracies := draw(t, 3, 3), []float64{0.72, 0.75, 0.77}
	c := Config{Limit: 0.8, Ridge: 0.7, Pairs: 0}
	m, err := Fit(nets, accuracies, c)
	if err != nil {
		t.Fatal(err)
	}
	var residual []float64
	for i, got := range m.Accuracies(nets) {
		residual = append(residual, math.Log(c.Limit-got)-math.Log(c.Limit-accuracies[i])) // measured less predicted
	}
	for j := range features {
		gradient := c.Ridge * m.single[j]
		for i, net := range nets {
			gradient -= residual[i] * float64(net.Vector()[j])
		}
		if math.Abs(gradient) > 1e-9 {
			t.Errorf("the gradient of weight %d is %g", j, gradient)
		}
	}
}

func TestFitErrors(t *testing.T) {
	nets := draw(t, 4, 2)
	for _, test := range []struct {
		accuracies []float64
		change     func(*Config)
		want       string
	}{
		{[]float64{0.7}, nil, "2 networks and 1 accuracies"},
		{[]float64{0.7, 0.795}, nil, "0.795, which is not below the limit"},
		{[]float64{0.7, math.NaN()}, nil, "NaN, which is not below the limit"},
		{[]float64{0.7, 0.71}, func(c *Config) { c.Ridge = 0 }, "Ridge positive"},
		{[]float64{0.7, 0.71}, func(c *Config) { c.Limit = 2 }, "the limit must be"},
		{[]float64{0.7, 0.71}, func(c *Config) { c.Pairs = math.NaN() }, "Pairs not negative"},
	} {
		c := Default()
		if test.change != nil {
			test.change(&c)
		}
		if _, err := Fit(nets, test.accuracies, c); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: error %v, want %q", test.accuracies, err, test.want)
		}
	}
	if _, err := Fit(nil, nil, Default()); err == nil {
		t.Error("a model of no networks was fitted")
	}
}

// The embedded model is as it was written down, and small.
func TestEmbedded(t *testing.T) {
	if len(file) > 40_000 || !bytes.Equal(Embedded().Encode(), file) {
		t.Errorf("the weights have %d bytes, and are not what is written of them", len(file))
	}
	const digest = "a20c0b36d1ede61d"
	if got := Embedded().Digest(); got != digest {
		t.Errorf("the digest is %s, want %s", got, digest)
	}
	if runtime.GOARCH != "amd64" {
		t.Skip("other processors fuse multiplications and additions")
	}
	sum := 0.0
	for _, v := range Embedded().Accuracies(draw(t, 5, 1000)) {
		sum += v
	}
	const want = 753.2594371120772
	if sum != want {
		t.Errorf("1,000 networks have accuracies of %v in all, want %v", sum, want)
	}
	for _, damaged := range [][]byte{nil, file[:100], append(slices.Clone(file), 0), bytes.Replace(file, []byte("1.0"), []byte("1.2"), 1)} {
		if _, err := Decode(damaged); err == nil {
			t.Errorf("%d bytes were read", len(damaged))
		}
	}
}

// Errors are those of networks that a model was not fitted to, by multiply-adds.
func TestMeasure(t *testing.T) {
	nets := draw(t, 6, 400)
	rng := rand.New(rand.NewPCG(6, 2))
	for range 100 { // large ones, of which hardly any is drawn
		var units [][]mobilenetv3.Block
		for range mobilenetv3.Units {
			var unit []mobilenetv3.Block
			for range mobilenetv3.MaxDepth {
				unit = append(unit, mobilenetv3.Block{Kernel: 3 + 2*rng.IntN(3), Expansion: 4 + 2*rng.IntN(2)})
			}
			units = append(units, unit)
		}
		net, err := mobilenetv3.NewNet(units)
		if err != nil {
			t.Fatal(err)
		}
		nets = append(nets, net)
	}
	samples := make([]Sample, len(nets))
	for i, v := range Embedded().Accuracies(nets) {
		samples[i] = Sample{nets[i], v, 0.8 + v/10} // a predictor whose answers lie on a line
	}
	card, err := Measure(t.Context(), "DATA", samples, Default())
	if err != nil {
		t.Fatal(err)
	}
	if card.Data != "DATA" || card.Networks != len(samples) || card.Largest < 450e6 || len(card.HeldOut) != 8 || len(card.Beyond) != 6 {
		t.Errorf("the card is %+v", card)
	}
	count := 0
	for _, e := range card.HeldOut[1:] {
		count += e.Networks
	}
	if count != len(samples) || card.HeldOut[0].MAE <= 0 || card.HeldOut[0].MAE > 0.2 || card.HeldOut[0].Tau < 0.9 {
		t.Errorf("%d networks in the ranges, of all: %+v", count, card.HeldOut[0])
	}
	if line := card.Rivals[0]; line.MAE > 1e-6 || line.Largest > 1e-6 || line.Tau < 1-1e-9 {
		t.Errorf("a predictor on a line has the errors %+v", line)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Measure(stopped, "", samples, Default()); err == nil {
		t.Error("measuring cannot be stopped")
	}
}

// The error of a network is that of its range, and beyond all that were measured the largest of those beyond a model.
func TestCardError(t *testing.T) {
	card := Card{Largest: 500, HeldOut: []Errors{{Of: "all", MAE: 9}, {To: 200, MAE: 1}, {From: 200, MAE: 2}}, Beyond: []Errors{{MAE: 3}, {MAE: 5}, {MAE: 4}}}
	for madds, want := range map[int64]float64{1: 1, 199: 1, 200: 2, 500: 2, 501: 5} {
		if got := card.Error(madds); got != want {
			t.Errorf("%d multiply-adds: %g, want %g", madds, got, want)
		}
	}
	known, err := EmbeddedCard()
	if err != nil || known.Networks != 2162 || known.Largest != 506_480_288 || known.Error(480e6) > 0.05 || known.Error(560e6) < 0.04 || known.Fitted != Default() {
		t.Errorf("the embedded card is %+v, %v", known, err)
	}
}

func TestCompare(t *testing.T) {
	nets := draw(t, 7, 3)
	e, err := compare("x", []Sample{{nets[0], 0.70, 0}, {nets[1], 0.72, 0}, {nets[2], 0.74, 0}}, []float64{0.71, 0.725, 0.72})
	if err != nil || math.Abs(e.MAE-3.5/3) > 1e-9 || math.Abs(e.Bias+0.5/3) > 1e-9 || math.Abs(e.Largest-2) > 1e-9 || math.Abs(e.Tau-1.0/3) > 1e-9 {
		t.Errorf("%+v, %v", e, err)
	}
}
