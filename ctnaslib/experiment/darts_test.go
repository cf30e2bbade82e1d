package experiment

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/space"
	spacedarts "github.com/ctnas/ctnas/ctnaslib/space/darts"
	"github.com/ctnas/ctnas/datasets/nasbench301"
)

// The searches without a network, and the published genotypes, on the embedded model.
func TestDARTS(t *testing.T) {
	backend, err := engine.Open()
	if err != nil {
		t.Fatal(err)
	}
	predictor := nasbench301.Embedded()
	e := DARTS(Small)
	e.Seeds, e.Compare = 2, nil
	e.Methods = slices.DeleteFunc(e.Methods, func(m Method) bool {
		for _, trained := range []string{methodCTNAS, methodRegression} {
			if strings.HasPrefix(m.Name, trained+", ") {
				return true
			}
		}
		return false
	})
	result, err := e.Run(t.Context(), t.TempDir(), NASBench301(predictor), backend, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Rows) != 6+6 || result.Benchmark != "darts" || result.Source != "surrogate" {
		t.Fatalf("the result is %+v", result)
	}
	best := 0.0
	for _, row := range result.Rows {
		best = max(best, row.Metrics["accuracy_best"])
		switch row.Method {
		case "P-DARTS":
			want, err := predictor.Accuracies([]space.Arch{spacedarts.PDARTS}, nasbench301.Epochs)
			if err != nil || math.Abs(row.Metrics["accuracy_mean"]-100*want[0]) > 1e-9 || row.Seeds != 1 || len(row.PerSeed["accuracy"]) != 1 {
				t.Errorf("P-DARTS has %+v, want %v once (%v)", row, want, err)
			}
			// By the authors' code; see the test of package darts.
			if row.Metrics["madds_m"] != 542.819328 || row.Metrics["queries"] != 0 || row.Paper["madds_m"] != 577 {
				t.Errorf("P-DARTS costs %v, the paper says %v", row.Metrics, row.Paper)
			}
		case "Random search, 50 queries", "Regularised evolution, 50 queries":
			curve := row.Curves[curveAccuracy]
			if row.Metrics["queries"] != 50 || !slices.Equal(row.Curves[curveQueries], []float64{1, 2, 5, 10, 20, 50}) || math.Abs(curve[5]-row.Metrics["accuracy_mean"]) > 1e-9 {
				t.Errorf("%s: %v, %v", row.Method, row.Metrics, row.Curves)
			}
		}
	}
	chart := regret(result)
	if len(chart.Series) != 3 || chart.Series[0].Name != methodRandom || chart.Series[1].Name != methodEvolution || chart.Series[2].Name != nameThompson {
		t.Fatalf("the chart has the series %+v", chart.Series)
	}
	for i, s := range chart.Series {
		if n := len(s.X); n != 6 || s.X[n-1] != 50 || math.Abs(s.Y[n-1]-(best-result.Rows[3+i].Metrics["accuracy_mean"])) > 1e-9 || s.Y[n-1] < 0 {
			t.Errorf("%s is drawn at %v, %v", s.Name, s.X, s.Y)
		}
	}
}

func TestNASBench301Data(t *testing.T) {
	data := NASBench301(nasbench301.Embedded())
	g := spacedarts.DARTSV1
	archs, accuracies, err := data.HeldOut(rand.New(rand.NewPCG(1, 1)), 30, []space.Arch{g})
	if err != nil || len(archs) != 30 || len(accuracies) != 30 {
		t.Fatalf("held out %d genotypes with %d accuracies, %v", len(archs), len(accuracies), err)
	}
	seen := map[string]bool{g.ID(): true}
	for i, a := range archs {
		accuracy, err := data.accuracy(a)
		if err != nil || accuracy != accuracies[i] || seen[a.ID()] {
			t.Errorf("genotype %d: %v, %v; want %v", i, accuracy, err, accuracies[i])
		}
		seen[a.ID()] = true
	}
	if _, err := data.At(50); err == nil {
		t.Error("the embedded model has accuracies after 50 epochs")
	}
}
