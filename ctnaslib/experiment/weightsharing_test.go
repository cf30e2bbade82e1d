package experiment

import (
	"context"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/supernet"
	"github.com/ctnas/ctnas/ctnaslib/train"
	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/datasets/images"
)

// tinySharing is SPOS alone, for a few steps.
func tinySharing(set *images.Set) Sharing {
	s := WeightSharing(Small, len(set.Classes))
	s.Nets = s.Nets[:1]
	s.Nets[0].Steps, s.Nets[0].Candidates = 10, 3
	s.CTNAS.Labels, s.CTNAS.Iterations, s.CTNAS.NAC.Epochs = 6, 2, 5
	s.Images, s.Alone.Epochs = 320, 1
	return s
}

// Shared weights end in cells that are looked up; a second run loads what the first one
// did, and Table 1 takes the rows with their source.
func TestWeightSharing(t *testing.T) {
	table, backend := open(t)
	set := images.Shapes()
	s := tinySharing(set)
	root := t.TempDir()
	var results [2]report.Result
	for i := range results {
		outcomes := 0
		var err error
		results[i], err = s.Run(context.Background(), root, table, set, backend, func(step train.Progress) {
			if step.Stage != "" {
				return
			}
			done, total := step.Done, step.Total

			if outcomes++; done != outcomes || total != 3 {
				t.Errorf("told of outcome %d of %d after %d", done, total, outcomes)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		for k := range results[i].Rows {
			delete(results[i].Rows[k].Metrics, "peak_percent") // measured again
		}
	}
	if summary(t, results[0]) != summary(t, results[1]) {
		t.Errorf("the second run gave\n%s\nthe first\n%s", summary(t, results[1]), summary(t, results[0]))
	}
	checkCollected(t, root, must(s.Plan(root, table, set, backend, nil)), results[1])
	r := results[0]
	source := datasets.Proxy // the networks; but where cells are looked up in a surrogate, that
	if kind := table.Source().Kind; kind != datasets.Real {
		source = kind
	}
	if r.Source != string(source) || len(r.Rows) != 3 {
		t.Fatalf("source %s, want %s; %d rows", r.Source, source, len(r.Rows))
	}
	for _, row := range r.Rows {
		if a := row.Metrics["accuracy_mean"]; a < 9 || a > 95 {
			t.Errorf("%s: test accuracy %g %%", row.Method, a)
		}
	}
	for _, f := range sharingFigures(r) {
		if _, err := f.Chart.SVG(); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
	}

	table1 := report.Result{ID: "table1", Benchmark: r.Benchmark, Source: "real", Backend: "go", Seeds: 10, Config: "some", Rows: []report.Row{
		{Method: string(supernet.SPOS), Paper: accuracy(89.85, 3.80)}, {Method: "ReNAS", Paper: accuracy(93.9, 0.21)},
	}}
	merged := withSharing(table1, r)
	if err := merged.Check(); err != nil {
		t.Fatal(err)
	}
	if row := merged.Rows[0]; row.Source != r.Source || row.Seeds != 1 || len(row.Metrics) == 0 || row.Paper["accuracy_mean"] != 89.85 {
		t.Errorf("the merged row is %+v", row)
	}
	if len(merged.Rows) != 3 || len(table1.Rows[0].Metrics) != 0 {
		t.Errorf("%d rows are merged, the old row has %v", len(merged.Rows), table1.Rows[0].Metrics)
	}
}
