package model

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/datasets/surrogate/internal/dagnet"
)

// measuredCells are invented: runs vary by 1 − test, and a few fail.
func measuredCells(rng *rand.Rand) []Measured {
	var measured []Measured
	for range 20000 {
		test := 0.8 + 0.14*rng.Float64()
		measured = append(measured, Measured{test, test + 0.01 + 0.1*(1-test)*rng.NormFloat64()})
	}
	for range 20 {
		measured = append(measured, Measured{0.1, 0.095}, Measured{0.63, 0.9})
	}
	return measured
}

func newModel(t *testing.T) *Model {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	noise, err := FitNoise(measuredCells(rng))
	if err != nil {
		t.Fatal(err)
	}
	m := &Model{Net: dagnet.New(16), Noise: noise}
	m.Net.Init(rng)
	return m
}

func TestEncodeDecode(t *testing.T) {
	m := newModel(t)
	data := m.Encode()
	back, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, m) {
		t.Error("the decoded model differs")
	}
	for name, damage := range map[string]func([]byte) []byte{
		"empty":     func(d []byte) []byte { return nil },
		"cut off":   func(d []byte) []byte { return d[:len(d)/2] },
		"changed":   func(d []byte) []byte { d[len(d)/2]++; return d },
		"too long":  func(d []byte) []byte { return append(d, 0) },
		"only name": func(d []byte) []byte { return d[:len("ctnas "+name)] },
	} {
		if _, err := Decode(damage(bytes.Clone(data))); err == nil {
			t.Errorf("%s: decoded", name)
		}
	}
}

func TestScoreAndAccuracy(t *testing.T) {
	for _, test := range []float64{0.1, 0.5, 0.9064, 0.943176} {
		if got := Accuracy(Score(test)); math.Abs(got-test) > 1e-7 {
			t.Errorf("Accuracy(Score(%v)) = %v", test, got)
		}
	}
	if got := Accuracy(-100); got != 0 {
		t.Errorf("the lowest accuracy is %v, want 0", got)
	}
}

// Chunks and the order of the cells make no difference.
func TestPredictOrder(t *testing.T) {
	m := newModel(t)
	cells := slices.Clone(nasbench101.Enumerate()[:chunk+100])
	rng := rand.New(rand.NewPCG(3, 4))
	rng.Shuffle(len(cells), func(i, j int) { cells[i], cells[j] = cells[j], cells[i] })
	all, err := m.Predict(context.Background(), cells)
	if err != nil {
		t.Fatal(err)
	}
	few, err := m.Predict(context.Background(), cells[:100])
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(all[:100], few) {
		t.Error("predictions depend on the other cells")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := m.Predict(ctx, cells); err == nil {
		t.Error("a cancelled prediction gave no error")
	}
}

// The noise has the spread that it was fitted to, less what a mean of three runs
// adds.
func TestNoise(t *testing.T) {
	n := newModel(t).Noise
	for _, test := range []float64{0.82, 0.9, 0.93} {
		var sum, square float64
		const runs = 20000
		for run := range uint64(runs) {
			d := n.Validation(test, [16]byte{1, 2, 3}, run) - test
			sum += d / runs
			square += d * d / runs
		}
		std := math.Sqrt(square - sum*sum)
		if want := ofOneRun * 0.1 * (1 - test); math.Abs(std-want) > 0.1*want {
			t.Errorf("at %v, runs vary by %v, want %v", test, std, want)
		}
		if got := n.Spread(test); math.Abs(got-std) > 0.05*std {
			t.Errorf("at %v, Spread is %v but runs vary by %v", test, got, std)
		}
		if math.Abs(sum-0.01) > 0.0015 {
			t.Errorf("at %v, validation is %v above test on average, want 0.01", test, sum)
		}
	}
	// Invented: validation accuracy where all three runs failed, and where one did.
	for test, want := range map[float64]float64{0.1: 0.095, 0.63: 0.9} {
		if got := n.Validation(test, [16]byte{}, 0); math.Abs(got-want) > 1e-3 {
			t.Errorf("at %v the validation accuracy is %v, want %v", test, got, want)
		}
	}
}

func TestFitNoiseNeedsCells(t *testing.T) {
	if _, err := FitNoise([]Measured{{0.9, 0.91}}); err == nil {
		t.Error("noise was fitted to one cell")
	}
}
