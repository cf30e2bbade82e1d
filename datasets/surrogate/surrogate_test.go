package surrogate_test

import (
	"context"
	_ "embed"
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/metric"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/datasets/surrogate"
	"github.com/ctnas/ctnas/datasets/surrogate/internal/model"
)

//go:embed card.json
var card []byte

func parse(t *testing.T, texts ...string) []nasbench101.Cell {
	t.Helper()
	cells := make([]nasbench101.Cell, len(texts))
	for i, text := range texts {
		c, err := nasbench101.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		cells[i] = c
	}
	return cells
}

func predict(t *testing.T, cells []nasbench101.Cell) []float64 {
	t.Helper()
	tests, err := surrogate.Predict(context.Background(), cells)
	if err != nil {
		t.Fatal(err)
	}
	return tests
}

func TestSize(t *testing.T) {
	info, err := os.Stat("weights.bin")
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 4<<20 {
		t.Errorf("weights.bin has %d bytes, want at most 4 MiB", info.Size())
	}
}

// The published best cell is predicted among the best, and far above cells that
// the benchmark's authors and others know to be poor.
func TestOrder(t *testing.T) {
	tests := predict(t, parse(t,
		"110011000101000100101:BAMAA", // the best of the benchmark
		"100101:AA",                   // a chain without a residual connection
		"101:B",
		"101:M",
		"1:",
	))
	if tests[0] < 0.935 {
		t.Errorf("the best cell has %v", tests[0])
	}
	for i, test := range tests[1:] {
		if test > tests[0]-0.005 {
			t.Errorf("cell %d has %v, the best cell %v", 1+i, test, tests[0])
		}
	}
}

func TestNumberingMakesNoDifference(t *testing.T) {
	tests := predict(t, parse(t, "110011:AM", "110011:MA"))
	if tests[0] != tests[1] {
		t.Errorf("two numberings of one cell have %v and %v", tests[0], tests[1])
	}
}

func TestValidation(t *testing.T) {
	hash := [16]byte{1, 2, 3}
	for _, test := range []float64{0, 0.1, 0.5, 0.85, 0.93, 1} {
		v := surrogate.Validation(test, hash, 0)
		if v != surrogate.Validation(test, hash, 0) {
			t.Error("one run has two results")
		}
		if v < 0 || v > 1 || v*9984 != math.Round(v*9984) {
			t.Errorf("at %v the validation accuracy is %v, want a share of 9,984 images", test, v)
		}
		if test > 0.8 && test < 1 && v == surrogate.Validation(test, hash, 1) && v == surrogate.Validation(test, hash, 2) {
			t.Errorf("at %v all runs have %v", test, v)
		}
	}
	if good, poor := surrogate.Spread(0.935), surrogate.Spread(0.85); good < 0.001 || poor < 1.5*good || poor > 0.05 {
		t.Errorf("runs vary by %v at 93.5 %% and by %v at 85 %%", good, poor)
	}
}

// The model card tells the truth about the weights.
func TestHeldOutCells(t *testing.T) {
	if os.Getenv("CTNAS_DATA") == "" {
		t.Skip("CTNAS_DATA is not set")
	}
	table, err := datasets.OpenNASBench101(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	if table.Source().Kind != datasets.Real {
		t.Skipf("needs the real table, not: %v", table.Source())
	}
	var cells []nasbench101.Cell
	var real []float64
	for row := range table.Report().Rows() {
		if model.PartOf(row.Hash) == model.HeldOut {
			cells, real = append(cells, row.Cell), append(real, row.Test)
		}
	}
	tau, err := metric.KendallTau(predict(t, cells), real)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("Kendall's tau on %d held-out cells: %.4f", len(cells), tau)
	if len(cells) < 40000 || tau < 0.88 {
		t.Errorf("tau %.4f on %d cells, want at least 0.88 on 40,000", tau, len(cells))
	}
	var claimed struct {
		HeldOut struct {
			Cells      int     `json:"cells"`
			KendallTau float64 `json:"kendall_tau"`
		} `json:"held_out"`
	}
	if err := json.Unmarshal(card, &claimed); err != nil {
		t.Fatal(err)
	}
	if claimed.HeldOut.Cells != len(cells) || math.Abs(claimed.HeldOut.KendallTau-tau) > 1e-4 {
		t.Errorf("card.json says tau %v on %d cells", claimed.HeldOut.KendallTau, claimed.HeldOut.Cells)
	}
}
