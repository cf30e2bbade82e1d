package experiment

import (
	"slices"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/datasets/ofa"
)

func mobileData(t *testing.T) Data {
	t.Helper()
	data, err := ImageNet(ofa.Embedded(), MobileLimit)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Table 2 and Figure 4, cut down further: all networks keep to the limit, curves rise and
// end in what the row says, and a search that chooses beats a random network.
func TestMobile(t *testing.T) {
	backend, err := engine.OpenConfig("go")
	if err != nil {
		t.Fatal(err)
	}
	table := Table2(Small)
	table.Seeds = 2
	result, err := table.Run(t.Context(), t.TempDir(), mobileData(t), backend, nil)
	if err != nil {
		t.Fatal(err)
	}
	accuracy := map[string]float64{}
	for _, row := range result.Rows {
		if row.Metrics == nil {
			continue
		}
		accuracy[row.Method] = row.Metrics["accuracy_mean"]
		if m := row.Metrics["madds_m"]; m < 121 || m > 567 {
			t.Errorf("%s: %g million multiply-adds", row.Method, m)
		}
		if e, by := row.Metrics["model_error"], row.Metrics["predictor_mean"]; e < 0.02 || e > 0.06 || by < row.Metrics["accuracy_mean"]+3 || by > 86 {
			t.Errorf("%s: the model's error is %g, and OFA's predictor says %g %%", row.Method, e, by)
		}
		if a := row.Metrics["accuracy_mean"]; a < 71 || a > 78 {
			t.Errorf("%s: %g %% is not in ImageNet's scale", row.Method, a)
		}
		if q := row.Metrics["queries"]; q != 100 && row.Method != nameAnyNetwork {
			t.Errorf("%s: %g queries", row.Method, q)
		}
		curve := row.Curves[curveAccuracy]
		if row.Method == nameMobile || row.Method == nameAnyNetwork {
			if curve != nil {
				t.Errorf("%s has a curve", row.Method)
			}
			continue
		}
		if len(curve) != len(budgets(100)) || !slices.IsSorted(curve) {
			t.Errorf("%s: the curve is %v", row.Method, curve)
		}
		if last := curve[len(curve)-1]; row.Method != nameThompson && last != accuracy[row.Method] {
			t.Errorf("%s: the curve ends at %g, the row says %g", row.Method, last, accuracy[row.Method])
		}
	}
	for _, name := range []string{nameBestSampled, nameMobile, nameGenerations, nameThompson} {
		if accuracy[name] < accuracy[nameAnyNetwork]+0.5 {
			t.Errorf("%s reaches %.2f %%, a random network %.2f %%", name, accuracy[name], accuracy[nameAnyNetwork])
		}
	}
	if text := result.Table(table2.Columns...).Markdown(); !strings.Contains(text, "surrogate") || !strings.Contains(text, "| **77.3** |") || !strings.Contains(text, "| KTau, best tenth |") {
		t.Errorf("the table is\n%s", text)
	}
	if !strings.Contains(result.Data, "2162 measured") || !strings.Contains(result.Data, ofa.Embedded().Source().Description) || table2.Keeps(result) {
		t.Errorf("the data is %q", result.Data)
	}
	result.Data = "…, and beside it the published accuracy predictor of Once-for-All, from acc_predictor.pth"
	if !table2.Keeps(result) || table4.Keeps(result) {
		t.Error("a model with the published predictor beside it is to be kept, of Table 2 alone")
	}
}

func TestBudgets(t *testing.T) {
	if got := budgets(100); !slices.Equal(got, []int{1, 2, 5, 10, 20, 50, 100}) {
		t.Errorf("%v", got)
	}
	if got := budgets(30); !slices.Equal(got, []int{1, 2, 5, 10, 20, 30}) {
		t.Errorf("%v", got)
	}
}

func TestQueriesToReach(t *testing.T) {
	row := report.Row{Curves: map[string][]float64{curveQueries: {1, 2, 5}, curveAccuracy: {70, 80, 90}}}
	if q, ok := QueriesToReach(row, 80); q != 2 || !ok {
		t.Errorf("80 %% after %d queries, %v", q, ok)
	}
	if _, ok := QueriesToReach(row, 91); ok {
		t.Error("91 % was reached")
	}
}

func TestOFAErrors(t *testing.T) {
	if _, err := ImageNet(ofa.Embedded(), 1e6); err == nil || !strings.Contains(err.Error(), "too small") {
		t.Errorf("a limit of 1M: error %v", err)
	}
	data := mobileData(t)
	if _, err := data.accuracy(nasbench101.Cell{}); err == nil {
		t.Error("a cell has an accuracy")
	}
	short := Experiment{ID: "short", Seeds: 1, Methods: []Method{randomSearch("short", 10)}}
	short.Methods[0].Epochs = 4
	backend, err := engine.Open()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := short.Run(t.Context(), t.TempDir(), data, backend, nil); err == nil || !strings.Contains(err.Error(), "4 epochs") {
		t.Errorf("4 epochs: error %v", err)
	}
}
