package experiment

import (
	"context"
	"errors"
	"math"
	"reflect"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/train"
	"github.com/ctnas/ctnas/datasets"
)

// Both risks fall, and the share of pairs in the wrong order is at most the
// cross-entropy in bits: the logistic loss lies above the step.
func TestProposition1(t *testing.T) {
	table, err := datasets.OpenNASBench101(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	backend, err := engine.Open()
	if err != nil {
		t.Fatal(err)
	}
	c := Proposition1At(Small)
	c.Labels, c.HeldOut, c.ProbeEvery = 60, 100, 15
	c.NAC.Width, c.NAC.Epochs = 16, 30
	root := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Proposition1(ctx, root, table, backend, c, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v, want context.Canceled", err)
	}
	steps := 0
	result, err := Proposition1(context.Background(), root, table, backend, c, func(step train.Progress) {
		steps = step.Done
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Rows) != 3 || len(result.Tests) != 2 || result.Source != string(table.Source().Kind) || steps != 2 {
		t.Fatalf("result %+v", result)
	}
	for _, row := range result.Rows {
		for i, ranking := range row.PerSeed["ranking_risk"] {
			if bits := row.PerSeed["bce_risk"][i] / math.Ln2; ranking/100 > bits {
				t.Errorf("%s: %.1f %% of pairs in the wrong order, more than the cross-entropy of %.3f bits", row.Method, ranking, bits)
			}
		}
	}
	first, last := result.Rows[0].Metrics, result.Rows[2].Metrics
	if !(last["bce_risk_mean"] < first["bce_risk_mean"] && last["ranking_risk_mean"] < first["ranking_risk_mean"]) {
		t.Errorf("the risks do not fall: %v, then %v", first, last)
	}
	figures := Proposition1Figures(result)
	if points := figures[2].Chart.Series[0]; len(points.X) != 2*2 || points.X[0] != result.Rows[1].PerSeed["bce_risk"][0]/math.Ln2 {
		t.Errorf("the risks of two trainings at two epochs are drawn at %v", points.X)
	}
	if err := result.WriteFiles(t.TempDir(), result.Table(Proposition1Columns...), figures...); err != nil {
		t.Error(err)
	}
	again, err := Proposition1(context.Background(), root, table, backend, c, nil)
	if err != nil || !reflect.DeepEqual(again, result) {
		t.Errorf("loaded again it is %+v, %v", again, err)
	}
	checkCollected(t, root, must(c.Plan(root, table, backend, nil)), result)
}

func TestProposition1Refuses(t *testing.T) {
	c := Proposition1At(Small)
	c.ProbeEvery = 0
	if _, err := Proposition1(context.Background(), t.TempDir(), nil, nil, c, nil); err == nil {
		t.Error("no measurement is no error")
	}
}
