package report

import (
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"gonum.org/v1/plot"
)

// number reads a number as charts show it.
func number(text string) (float64, error) {
	return strconv.ParseFloat(strings.NewReplacer(",", "", "−", "-").Replace(text), 64)
}

// labelled checks ticks by what a reader sees: few, at distinct places with distinct numbers, each
// where its number is, none off the axis.
func labelled(t *testing.T, a axis, ticks []plot.Tick) {
	t.Helper()
	if len(ticks) < 3 || len(ticks) > 8 {
		t.Errorf("%+v has %d ticks", a, len(ticks))
	}
	last := math.Inf(-1)
	for _, tick := range ticks {
		value, err := number(tick.Label)
		switch {
		case err != nil:
			t.Errorf("%+v has the label %q: %v", a, tick.Label, err)
		case value <= last:
			t.Errorf("%+v has the label %q after %g", a, tick.Label, last)
		case value < a.min || value > a.max || a.at(value) != tick.Value || !(0 <= tick.Value && tick.Value <= 1):
			t.Errorf("%+v has the label %q at %g", a, tick.Label, tick.Value)
		case len(tick.Label) > len("-1.79769313486231571e+308"):
			t.Errorf("%+v has the label %q, which is long", a, tick.Label)
		}
		last = value
	}
}

// checkAxis checks the ticks of an axis of two values.
func checkAxis(t *testing.T, x, y float64, log bool) {
	t.Helper()
	a := newAxis([]float64{x, y}, log)
	if low, high := min(x, y), max(x, y); a.at(low) < 0 || a.at(high) > 1 || low < high && a.at(low) >= a.at(high) {
		t.Errorf("%g and %g are at %g and %g", low, high, a.at(low), a.at(high))
	}
	labelled(t, a, a.ticks(80))
	even := a.ticks(0)
	labelled(t, a, even)
	if !log {
		for i := 2; i < len(even); i++ {
			// In the narrowest range, ticks are 3.5 floating point numbers apart.
			if first, second := even[i-1].Value-even[i-2].Value, even[i].Value-even[i-1].Value; math.Abs(first-second) > 2./32 {
				t.Errorf("%+v has ticks at distances of %g and %g", a, first, second)
			}
		}
	}
}

// odd are the ends of the floating point numbers, and what charts of measurements and times hold.
var odd = []float64{
	0, 1, -1, 93.5, 93.6, 93.51, 93.55, 0.9351, 0.9355, 1e15, 1e15 + 0.125, 1e15 + 1, 1e16, 1e16 + 2, -1e16, 1e17, 1.76e18, 1.76e18 + 256, 1.76e18 + 1e9,
	1e-300, 1e-300 + 1e-315, 1e300, 1e308, math.MaxFloat64, -math.MaxFloat64, math.Nextafter(math.MaxFloat64, 0), 1.7e308, -1.7e308,
	math.SmallestNonzeroFloat64, 2 * math.SmallestNonzeroFloat64, -math.SmallestNonzeroFloat64, 1e-320, 0x1p-1022, math.Nextafter(0x1p-1022, 0),
	20, 90, 100, 101, 423, 2115, 4230, math.Nextafter(1, 2), math.Nextafter(1, 0), 0.1 + 0.2,
}

func TestTicks(t *testing.T) {
	for _, x := range odd {
		for _, y := range odd {
			checkAxis(t, x, y, false)
			if x > 0 && y > 0 {
				checkAxis(t, x, y, true)
			}
		}
	}
	random := 5000
	if testing.Short() {
		random = 500
	}
	rng := rand.New(rand.NewPCG(4, 5))
	for range random {
		x, y := math.Float64frombits(rng.Uint64()), math.Float64frombits(rng.Uint64())
		if rng.IntN(2) == 0 { // a range far smaller than the values
			y = x * (1 + math.Pow(10, -17*rng.Float64()))
		}
		if finite(x) && finite(y) {
			checkAxis(t, x, y, false)
			checkAxis(t, max(math.Abs(x), math.SmallestNonzeroFloat64), max(math.Abs(y), math.SmallestNonzeroFloat64), true)
		}
	}
}

func FuzzTicks(f *testing.F) {
	for i, x := range odd {
		f.Add(x, odd[len(odd)-1-i])
	}
	f.Fuzz(func(t *testing.T, x, y float64) {
		if !finite(x) || !finite(y) {
			return
		}
		checkAxis(t, x, y, false)
		if x > 0 && y > 0 {
			checkAxis(t, x, y, true)
		}
	})
}

// texts are the labels of the ticks of an axis.
func texts(ticks []plot.Tick) string {
	var labels []string
	for _, tick := range ticks {
		labels = append(labels, tick.Label)
	}
	return strings.Join(labels, " ")
}

func TestTickLabels(t *testing.T) {
	for _, test := range []struct {
		x, y float64
		log  bool
		want string
	}{
		{93.5, 93.6, false, "93.50 93.52 93.54 93.56 93.58 93.60"},
		{93.51, 93.55, false, "93.51 93.52 93.53 93.54 93.55"},
		{-1, 1, false, "−1.0 −0.5 0.0 0.5 1.0"},
		{0, 423, false, "0 100 200 300 400"},
		{94, 94, false, "85 90 95 100"},
		{0, 0, false, "−1.0 −0.5 0.0 0.5 1.0"},
		{1e15, 1e15 + 1, false, "999,999,999,999,999 1,000,000,000,000,000 1,000,000,000,000,001 1,000,000,000,000,002"},
		{1.76e18, 1.76e18 + 1e9, false, "1.76e+18 1.7600000002e+18 1.7600000004e+18 1.7600000006e+18 1.7600000008e+18 1.760000001e+18"},
		{-1.7e308, 1.7e308, false, "−1e+308 0 1e+308"},
		{0, 5e-324, false, "−5e-323 0 5e-323"},
		{20, 90, true, "20 40 60 80"},
		{20, 4230, true, "20 50 100 200 500 1,000 2,000"},
		{0.001, 10, true, "0.001 0.01 0.1 1 10"},
		{100, 101, true, "100.0 100.2 100.4 100.6 100.8 101.0"},
		{1e-300, 1e300, true, "1e-300 1e-200 1e-100 1 1e+100 1e+200 1e+300"},
	} {
		if got := texts(newAxis([]float64{test.x, test.y}, test.log).ticks(0)); got != test.want {
			t.Errorf("from %g to %g, logarithmic %v: %q, want %q", test.x, test.y, test.log, got, test.want)
		}
	}
}

// Labels fit side by side under a chart, as far as three do.
func TestTicksFit(t *testing.T) {
	ticks := newAxis([]float64{1.76e18, 1.76e18 + 1e9}, false).ticks(56)
	if got, want := texts(ticks), "1.76e+18 1.7600000005e+18 1.760000001e+18"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// On a narrow logarithmic axis, every second of the round values is left.
func TestLogTicksFit(t *testing.T) {
	a := newAxis([]float64{20, 4230}, true)
	for room, want := range map[int]string{80: "20 50 100 200 500 1,000 2,000", 26: "20 100 500 2,000"} {
		if got := texts(a.ticks(room)); got != want {
			t.Errorf("with room for %d letters: %q, want %q", room, got, want)
		}
	}
	if got, want := texts(newAxis([]float64{1, 1e6}, true).ticks(30)), "1 100 10,000 1,000,000"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Whatever the numbers, a chart is a picture with its ticks, and the axis has numbers.
func TestChartOfAnyNumbers(t *testing.T) {
	for _, y := range odd {
		for _, pair := range [][2]float64{{y, y}, {y, 1e300}, {-math.MaxFloat64, y}} {
			many := []float64{1, 2}
			charts := []Chart{
				{X: "x", Y: "y", Series: []Series{{Name: "line", X: many, Y: pair[:]}}},
				{X: "x", Y: "y", Series: []Series{{Name: "line", X: pair[:], Y: many, Low: []float64{0, -1e308}, High: []float64{3, 1e308}}, {Name: "points", X: many, Y: pair[:], Points: true}}},
				{Categories: []string{"a", "b"}, Series: []Series{{Name: "bars", X: []float64{0, 1}, Y: pair[:], Low: []float64{0, -math.MaxFloat64}, High: []float64{1e-300, math.MaxFloat64}}}},
			}
			if pair[0] > 0 {
				charts = append(charts, Chart{LogX: true, X: "x", Series: []Series{{Name: "log", X: pair[:], Y: pair[:]}}})
			}
			for i, c := range charts {
				paths, texts := shapes(t, svgOf(t, c))
				numbers := 0
				for _, text := range texts {
					if _, err := number(text); err == nil {
						numbers++
					}
				}
				if len(c.Categories) == 0 && numbers < 6 || numbers < 3 || numbers > 16 {
					t.Errorf("chart %d of %g has the texts %q", i, pair, texts)
				}
				for _, p := range paths {
					if strings.Contains(p["d"], "NaN") || strings.Contains(p["d"], "Inf") {
						t.Errorf("chart %d of %g has the path %s", i, pair, p["d"])
					}
				}
			}
		}
	}
}
