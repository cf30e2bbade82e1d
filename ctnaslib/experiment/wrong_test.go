package experiment

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/ctnas"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/search"
)

// wantSentence says where an error is not one sentence that holds some words.
func wantSentence(t *testing.T, what string, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", what)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%s: the error does not say %q: %v", what, word, err)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: the error is more than a line: %v", what, err)
	}
}

// A preset that there is not is an error before anything is run, whatever it is given to.
func TestWrongPreset(t *testing.T) {
	table, backend := open(t)
	root := t.TempDir()
	for _, p := range []Preset{"", "medium", "Small", "small "} {
		words := []string{"no preset", `"small"`, `"paper"`}
		for id, e := range All {
			if _, err := e.Open(p); p != Small {
				wantSentence(t, id+", Open", err, words...)
			}
			_, err := e.Run(t.Context(), root, backend, p, nil)
			wantSentence(t, id+", Run", err, words...)
			_, err = e.Plan(t.Context(), root, backend, p, nil)
			wantSentence(t, id+", Plan", err, words...)
			_, err = e.Vary(p, Seeds(1))
			wantSentence(t, id+", Vary", err, words...)
			if e.compare == nil {
				continue
			}
			x := e.compare(p)
			_, err = x.Run(t.Context(), root, NASBench101(table), backend, nil)
			wantSentence(t, id+", Experiment.Run", err, words...)
			for _, m := range x.Methods {
				if m.runs() {
					_, err := m.Find(t.Context(), root, search.Problem{Backend: backend, Benchmark: table.Benchmark()}, 1)
					wantSentence(t, id+", "+m.Name, err, words...)
				}
			}
		}
		_, err := Proposition1(t.Context(), root, table, backend, Proposition1At(p), nil)
		wantSentence(t, "Proposition1", err, words...)
		_, err = ShrinkingAt(p, 10).Run(t.Context(), root, nil, backend, nil)
		wantSentence(t, "ShrinkingAt", err, words...)
		_, err = WeightSharing(p, 10).Run(t.Context(), root, table, nil, backend, nil)
		wantSentence(t, "WeightSharing", err, words...)
	}
	if left, _ := os.ReadDir(root); len(left) > 0 {
		t.Errorf("something was run: %v", left)
	}
}

// So is an experiment that there is not.
func TestWrongExperiment(t *testing.T) {
	_, backend := open(t)
	_, err := Find("table9")
	wantSentence(t, "Find", err, `"table9"`, "table1", "darts")
	if e, err := Find("table4"); err != nil || e.compare == nil {
		t.Errorf("table4 is not found: %v", err)
	}
	e := All["table9"]
	_, err = e.Run(t.Context(), t.TempDir(), backend, Small, nil)
	wantSentence(t, "Run", err, "no experiment")
	_, err = e.Plan(t.Context(), t.TempDir(), backend, Small, nil)
	wantSentence(t, "Plan", err, "no experiment")
	_, err = e.With(1, nil)
	wantSentence(t, "With", err, "no experiment")
	_, err = e.Vary(Small, Seeds(1))
	wantSentence(t, "Vary", err, "no experiment")
}

// And so are experiments of one's own that could not be finished: it is not found out after hours.
func TestWrongExperimentOfOnesOwn(t *testing.T) {
	table, backend := open(t)
	data := NASBench101(table)
	wrong := func(what string, change func(e *Experiment), words ...string) {
		t.Helper()
		e := tiny()
		change(&e)
		_, err := e.Run(t.Context(), t.TempDir(), data, backend, nil)
		wantSentence(t, what, err, words...)
		_, err = e.Plan(t.TempDir(), data, backend, nil)
		wantSentence(t, what, err, words...)
	}
	wrong("no ID", func(e *Experiment) { e.ID = "" }, "ID")
	wrong("no seeds", func(e *Experiment) { e.Seeds = 0 }, "at least one seed, not 0")
	wrong("negative seeds", func(e *Experiment) { e.Seeds = -3 }, "at least one seed, not -3")
	wrong("no methods", func(e *Experiment) { e.Methods, e.Compare = nil, nil }, "no method to run")
	wrong("no name", func(e *Experiment) { e.Methods[0].Name = "" }, "method 1", "no name")
	wrong("the same name", func(e *Experiment) { e.Methods[2].Name = "curriculum" }, `two methods named "curriculum"`)
	wrong("misspelt", func(e *Experiment) { e.Compare = [][2]string{{"curiculum", "fixed"}} }, `"curiculum"`, "curriculum, paper's alone, fixed")
	wrong("the paper's alone", func(e *Experiment) { e.Compare = [][2]string{{"curriculum", "paper's alone"}} }, `"paper's alone"`, "0 of the 3 seeds")
	wrong("one seed", func(e *Experiment) { e.Methods[2].OneSeed = true }, `"fixed"`, "1 of the 3 seeds")
	_, err := tiny().Run(t.Context(), t.TempDir(), Data{}, backend, nil)
	wantSentence(t, "no data", err, "no benchmark")
	_, err = tiny().Run(t.Context(), t.TempDir(), NASBench101(nil), backend, nil)
	wantSentence(t, "no table", err, "no benchmark")
	_, err = tiny().Run(t.Context(), t.TempDir(), data, nil, nil)
	wantSentence(t, "no backend", err, "engine.Open")
	for _, id := range []string{"table1", "table3", "proposition1"} {
		_, err = All[id].Run(t.Context(), t.TempDir(), nil, Small, nil)
		wantSentence(t, id+" without a backend", err, "no backend")
	}
	_, err = Proposition1(t.Context(), t.TempDir(), nil, backend, Proposition1At(Small), nil)
	wantSentence(t, "Proposition1 without a table", err, "no table")
	_, err = OFA(nil, 0)
	wantSentence(t, "OFA", err, "no predictor")
	_, err = ImageNet(nil, 0)
	wantSentence(t, "ImageNet", err, "no predictor")
	if NASBench301(nil).Benchmark != nil || Measured(nil, nil).Benchmark != nil {
		t.Error("there is a benchmark of nothing")
	}
}

// Each change reaches all searches that it means, with what goes with it; one without a meaning is an error.
func TestVary(t *testing.T) {
	vary := func(id string, changes ...Change) Experiment {
		t.Helper()
		e, err := All[id].Vary(Small, changes...)
		if err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		return e.of(Small)
	}
	x := vary("table1", Seeds(2), Labels(40), Pairs(7))
	if x.Seeds != 2 || !slices.Equal(x.values(labelsIn), []int{40}) || !slices.Equal(x.values(pairsIn), []int{7}) {
		t.Errorf("%d seeds, labels %v, pairs %v", x.Seeds, x.values(labelsIn), x.values(pairsIn))
	}
	for _, id := range []string{"distance", "table2", "ablation-depth"} {
		if got := vary(id, Labels(60)).values(labelsIn); !slices.Equal(got, []int{60}) {
			t.Errorf("%s has labels %v", id, got)
		}
	}
	for _, m := range vary("distance", Labels(60)).Methods {
		if _, ok := m.Config.(withReported); ok != m.reported {
			t.Errorf("the configuration of %s is a %T, so that it would be taken for another search", m.Name, m.Config)
		}
	}
	if got := vary("figure5", Labels(10, 30)).values(labelsIn); !slices.Equal(got, []int{10, 30}) {
		t.Errorf("figure5 has labels %v", got)
	}
	before := All["table4"].of(Small)
	if vary("table4", Labels(30)); !slices.Equal(All["table4"].of(Small).values(labelsIn), before.values(labelsIn)) {
		t.Error("a change of one entry changed another")
	}

	wrong := func(id string, change Change, words ...string) {
		t.Helper()
		_, err := All[id].Vary(Small, change)
		wantSentence(t, id, err, words...)
	}
	wrong("table1", Seeds(0), "0 seeds")
	wrong("table1", Seeds(-1), "-1 seeds")
	wrong("table3", Seeds(3), "measures time")
	wrong("table1", Labels(), "no number")
	wrong("table1", Labels(0), "0 labels", "at least")
	wrong("table1", Labels(-100), "-100 labels")
	wrong("table1", Labels(20, 50), "one number")
	wrong("figure5", Labels(20, 20), "twice")
	wrong("figure5", Labels(20, 1), "1 labels")
	wrong("darts", Labels(30), "compares numbers of labels")
	wrong("ablation-answer", Labels(30), "compares numbers of labels")
	wrong("table3", Labels(30), "no search")
	wrong("table1", Pairs(-1), "-1")
	wrong("ablation-exploration", Pairs(3), "compares numbers of pseudo-labelled pairs")
	wrong("ablation-depth", Pairs(3), "no search")
	wrong("table1", nil, "nil")
	_, err := All["table1"].With(1, regexp.MustCompile("CTNSA"))
	wantSentence(t, "a misspelt method", err, "CTNSA")
}

// A changed experiment runs, under another configuration.
func TestVariedRun(t *testing.T) {
	_, backend := open(t)
	e, err := All["ablation-head"].Vary(Small, Seeds(1), Labels(12))
	if err != nil {
		t.Fatal(err)
	}
	result, err := e.Run(t.Context(), t.TempDir(), backend, Small, nil)
	if err != nil {
		t.Fatal(err)
	}
	if result.Seeds != 1 || result.Rows[0].Metrics["queries"] != 12 {
		t.Errorf("the result has %d seeds, and %g queries", result.Seeds, result.Rows[0].Metrics["queries"])
	}
}

// More labels than the benchmark has are an error, not a search without end.
func TestTooManyLabels(t *testing.T) {
	_, backend := open(t)
	for _, id := range []string{"ablation-head", "table4"} {
		e, err := All[id].Vary(Small, Seeds(1), Labels(1_000_000_000))
		if err != nil {
			t.Fatal(err)
		}
		_, err = e.Run(t.Context(), t.TempDir(), backend, Small, nil)
		wantSentence(t, id, err, "1000000000")
	}
}

// Tables and pictures of any result, also of another experiment or an odd one, are made without a panic.
func TestOddResults(t *testing.T) {
	var results []report.Result
	for _, id := range slices.Sorted(maps.Keys(All)) {
		if r, err := report.ReadResult(filepath.Join("..", "..", "figures", id, "result.json")); err == nil {
			results = append(results, r)
		}
	}
	odd := report.Result{ID: "odd", Rows: []report.Row{{}, {Method: "CTNAS, 5 queries"}, {Method: "after epochs"},
		{Method: "x", Curves: map[string][]float64{curveQueries: {1}, curveAccuracy: {90, 91}, curveSpread: {1, 1, 1}}, Metrics: map[string]float64{"queries": 1}}}}
	for _, r := range append(results, odd, report.Result{}) {
		for _, e := range All {
			r.Table(e.Columns...)
			for _, f := range e.Figures(r) {
				f.Chart.SVG()
			}
		}
		for _, row := range r.Rows {
			QueriesToReach(row, 90.5)
		}
	}
}

// A method that has only the paper's numbers cannot be run, nor can a search with settings that make no sense.
func TestWrongMethods(t *testing.T) {
	table, backend := open(t)
	problem := search.Problem{Backend: backend, Benchmark: table.Benchmark()}
	_, err := Table1(Small).Methods[1].Find(context.Background(), t.TempDir(), problem, 1)
	wantSentence(t, "DARTS", err, "only the paper's numbers")
	_, err = NewMethod[ctnas.Config]("mine", ctnas.Quick(), nil, nil).Find(t.Context(), t.TempDir(), problem, 1)
	wantSentence(t, "no functions", err, `"mine"`)
	c := ctnas.Quick()
	c.Labels = -1
	_, err = CTNAS("mine", c, nil).Find(t.Context(), t.TempDir(), problem, 1)
	wantSentence(t, "negative labels", err, "Labels")
	_, err = CTNAS("mine", ctnas.Quick(), nil).Find(t.Context(), t.TempDir(), search.Problem{Backend: backend}, 1)
	wantSentence(t, "no benchmark", err, "enchmark")
	_, err = CTNAS("mine", ctnas.Quick(), nil).Find(t.Context(), t.TempDir(), search.Problem{Benchmark: table.Benchmark()}, 1)
	wantSentence(t, "no backend", err, "ackend")
}
