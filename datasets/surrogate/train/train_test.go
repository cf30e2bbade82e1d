package main

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/datasets/internal/training"
	"github.com/ctnas/ctnas/datasets/surrogate/internal/dagnet"
	"github.com/ctnas/ctnas/datasets/surrogate/internal/model"
	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	gomlx "github.com/gomlx/gomlx/ml/model"
)

func goBackend(t *testing.T) compute.Backend {
	t.Helper()
	backend, err := engine.OpenConfig("go")
	if err != nil {
		t.Fatal(err)
	}
	return backend
}

// The graph that is trained is the network that predicts.
func TestPredict(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	net := dagnet.New(16)
	for _, p := range net.Parts() {
		for i := range p.Values {
			p.Values[i] = float32(0.3 * rng.NormFloat64())
		}
	}
	run, err := gomlx.NewExec(goBackend(t), gomlx.NewStore(), func(root *gomlx.Scope, inputs []*Node) *Node {
		for _, p := range net.Parts() {
			if _, err := root.At("model").CreateVariable(p.Name, tensors.FromFlatDataAndDimensions(p.Values, p.Dims...)); err != nil {
				t.Error(err)
			}
		}
		return predict(root, net.Parts(), inputs)
	})
	if err != nil {
		t.Fatal(err)
	}
	cells := []nasbench101.Cell{{}}
	cells[0], _ = nasbench101.Parse("1:")
	for range 200 {
		cells = append(cells, nasbench101.Space{}.Sample(rng).(nasbench101.Cell))
	}
	out, err := run.Call1(engine.Args(inputsOf(cells))...)
	if err != nil {
		t.Fatal(err)
	}
	got := tensors.MustCopyFlatData[float32](out)
	for i, want := range net.Predict(new(dagnet.Memory), dagnet.NewPlan(cells)) {
		if math.Abs(float64(got[i]-want)) > 1e-4*(1+math.Abs(float64(want))) {
			t.Errorf("%v has %v, want %v", cells[i], got[i], want)
		}
	}
}

// smallParts are random cells with an invented accuracy that their operations
// determine.
func smallParts() (p parts) {
	rng := rand.New(rand.NewPCG(1, 2))
	rows := func(n int) []datasets.Row {
		rows := make([]datasets.Row, n)
		for i := range rows {
			row := &rows[i]
			row.Cell = nasbench101.Space{}.Sample(rng).(nasbench101.Cell)
			row.Hash = row.Cell.Hash()
			row.Test = 0.85 + 0.08*float64(strings.Count(row.Cell.String(), "A"))/5 + 0.001*rng.Float64()
			row.Validation = [...]float64{math.NaN(), math.NaN(), math.NaN(), row.Test + 0.01*rng.Float64()}
		}
		rows[0].Test, rows[0].Validation[last] = 0.1, 0.1
		return rows
	}
	return parts{train: rows(4000), tuning: rows(500), heldOut: rows(2000)}
}

func configure(t *testing.T, epochs int) {
	t.Helper()
	before := configuration
	t.Cleanup(func() { configuration = before })
	configuration.Width, configuration.Epochs, configuration.Batch, configuration.Warmup = 16, epochs, 64, 10
}

// afterSteps is a context that is done after a trainer has looked at it a number of
// times.
type afterSteps struct {
	context.Context
	left int
}

func (c *afterSteps) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// Training that was interrupted and continued leads to the same weights, and the
// network learns what there is to learn.
func TestFitResumes(t *testing.T) {
	configure(t, 3)
	p := smallParts()
	whole, facts, err := fit(context.Background(), goBackend(t), t.TempDir(), p)
	if err != nil {
		t.Fatal(err)
	}
	if facts.KendallTuned < 0.6 {
		t.Errorf("Kendall's tau is %v after training", facts.KendallTuned)
	}
	root := t.TempDir()
	if _, _, err := fit(&afterSteps{context.Background(), 100}, goBackend(t), root, p); !errors.Is(err, context.Canceled) {
		t.Fatalf("the interrupted training gave the error %v", err)
	}
	resumed, _, err := fit(context.Background(), goBackend(t), root, p)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(whole.Encode(), resumed.Encode()) {
		t.Error("the resumed training led to another model")
	}
}

func TestMeasureAndWrite(t *testing.T) {
	configure(t, 1)
	p := smallParts()
	m, facts, err := fit(context.Background(), goBackend(t), t.TempDir(), p)
	if err != nil {
		t.Fatal(err)
	}
	cells, tests := cellsAndTests(p.heldOut)
	predicted, err := m.Predict(context.Background(), cells)
	if err != nil {
		t.Fatal(err)
	}
	c := &card{Data: "invented data", Training: *facts}
	if c.HeldOut, err = measureHeldOut(predicted, tests); err != nil {
		t.Fatal(err)
	}
	if c.Noise, err = measureNoise(context.Background(), m, p.heldOut); err != nil {
		t.Fatal(err)
	}
	cellsInRanges := 0
	for _, r := range c.HeldOut.Ranges {
		cellsInRanges += r.Cells
	}
	if cellsInRanges != len(p.heldOut) {
		t.Errorf("the ranges hold %d cells, want %d", cellsInRanges, len(p.heldOut))
	}
	folder := t.TempDir()
	if err := training.Write(folder, m.Encode(), c, page); err != nil {
		t.Fatal(err)
	}
	weights, err := os.ReadFile(filepath.Join(folder, "weights.bin"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := model.Decode(weights); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "invented data") || strings.Contains(string(text), "<no value>") || strings.Contains(string(text), "NaN") {
		t.Errorf("the model card is\n%s", text)
	}
}

// Perfect, reversed and half right predictions, worked by hand.
func TestOverlap(t *testing.T) {
	real := []float64{0.9, 0.8, 0.7, 0.6}
	for _, test := range []struct {
		predicted []float64
		common    int
		mean      float64
	}{
		{[]float64{4, 3, 2, 1}, 2, 85},
		{[]float64{1, 2, 3, 4}, 0, 65},
		{[]float64{4, 1, 3, 2}, 1, 80},
	} {
		common, mean, best := overlap(test.predicted, real, 2)
		if common != test.common || mean != test.mean || best != 85 {
			t.Errorf("overlap(%v) = %v, %v, %v; want %v, %v, 85", test.predicted, common, mean, best, test.common, test.mean)
		}
	}
}
