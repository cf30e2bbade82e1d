package experiment

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/metric"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/datasets"
)

// The protocol of the authors' code: 100 further cells that have labels, against those; no queries. A search that ranks
// nothing has no such tau.
func TestAuthorsTauOfASearch(t *testing.T) {
	b := counted{nasbench101.Space{}}
	labelled, err := search.Label(t.Context(), b, 30, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, sign := range []float64{1, -1} {
		found := &search.Found{Ranker: oracle{b, sign}, Labelled: labelled}
		got, err := authorsTau(found, b, 2)
		if err != nil {
			t.Fatal(err)
		}
		others, labels, err := Data{Benchmark: b}.heldOut(engine.Stream(2, "experiment: held out with labels", 0), 100, space.Archs(labelled))
		if err != nil || len(others) != 100 {
			t.Fatalf("%d cells are held out (%v)", len(others), err)
		}
		u, _ := found.Ranker.Utilities(others)
		want, err := metric.AuthorsTau(labels, func(i, j int) bool { return u[i] >= u[j] })
		if err != nil || got != want || sign*got < 0.6 {
			t.Errorf("sign %g: tau %g (%v), want %g", sign, got, err, want)
		}
	}
	// Of 40 cells with labels, the search's 30 are not measured on.
	some, err := search.Label(t.Context(), b, 40, 1)
	if err != nil {
		t.Fatal(err)
	}
	table, err := space.NewTable(nasbench101.Space{}, "proxy", some)
	if err != nil {
		t.Fatal(err)
	}
	asked := &asking{}
	if _, err := authorsTau(&search.Found{Ranker: asked, Labelled: some[:30]}, table, 1); err != nil || len(asked.archs) != 10 {
		t.Errorf("of 40 cells with labels, 30 of them the search's, it is measured on %d (%v), want 10", len(asked.archs), err)
	}
	if _, err := authorsTau(&search.Found{}, b, 1); err != ErrNotMeasured {
		t.Errorf("without a ranker: error %v", err)
	}
}

// asking notes what it is asked to rank.
type asking struct{ archs []space.Arch }

func (a *asking) Utilities(archs []space.Arch) ([]float64, error) {
	a.archs = archs
	return make([]float64, len(archs)), nil
}

// A row whose searches have no value of a metric goes without it; one that has it, has it for each seed.
func TestMetricsThatAreNotMeasured(t *testing.T) {
	_, backend := open(t)
	data, _, _ := newCountedData()
	data.Metrics = []Metric{{Name: "odd", Measure: func(f *search.Found, seed uint64) (float64, error) {
		if f.Queries == 20 && seed == 2 {
			return 0, ErrNotMeasured
		}
		return float64(seed), nil
	}}}
	e := Experiment{ID: "metrics", Seeds: 2, Methods: []Method{randomSearch("some", 20), randomSearch("all", 30)}}
	result, err := e.Run(t.Context(), t.TempDir(), data, backend, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := result.Rows[0].Metrics["odd_mean"]; ok || !slices.Equal(result.Rows[1].PerSeed["odd"], []float64{1, 2}) {
		t.Errorf("the rows are %+v", result.Rows)
	}
}

// Only the rows that say that they are an analysis see what is reported of architectures; they share no labels with
// the others.
func TestLabelsOfTheAnalysis(t *testing.T) {
	_, backend := open(t)
	data, _, _ := newCountedData()
	data.ReportOf = "minus"
	data.Report = func(a space.Arch) (float64, error) {
		q, err := data.Benchmark.Validation(a)
		return -q, err
	}
	see := func(name string, labels *[]space.Labelled) Method {
		return Method{Name: name, Config: search.RandomConfig{Labels: 20}, own: func(ctx context.Context, root string, p search.Problem, seed uint64) (*search.Found, error) {
			found, err := search.Random(ctx, root, p, search.RandomConfig{Labels: 20, Seed: seed})
			if err == nil {
				*labels = found.Labelled
			}
			return found, err
		}}
	}
	var plain, analysed []space.Labelled
	e := Experiment{ID: "labels", Seeds: 1, Methods: []Method{see("plain", &plain), onReported(see("plain", &analysed), "analysed")}}
	if _, err := e.Run(t.Context(), t.TempDir(), data, backend, nil); err != nil {
		t.Fatal(err)
	}
	if len(plain) != 20 || len(analysed) != 20 {
		t.Fatalf("%d and %d labels", len(plain), len(analysed))
	}
	for i := range plain {
		if plain[i].Arch.ID() != analysed[i].Arch.ID() || plain[i].Accuracy != -analysed[i].Accuracy {
			t.Errorf("label %d is %v, in the analysis %v", i, plain[i], analysed[i])
		}
	}
	for _, p := range []Preset{Small, Paper} {
		for _, entry := range []func(Preset) Experiment{Table1, Table4, Table5, Figure5, Distance, AblatePolicy} {
			for _, m := range entry(p).Methods {
				if m.reported != strings.HasSuffix(m.Name, "test labels (analysis)") || m.reported && !strings.HasPrefix(m.Note, "An analysis, and no method") {
					t.Errorf("%s, of labels that are reported: %v", m.Name, m.reported)
				}
			}
		}
	}
}

// A ranking of the whole space by its truth, and by the opposite.
func TestExamineRanking(t *testing.T) {
	data := Data{Benchmark: counted{fewCells{}}}
	all := fewCells{}.All()
	spread := make(map[string]float64, len(all)) // no two are equal
	rng := rand.New(rand.NewPCG(1, 1))
	for position, i := range rng.Perm(len(all)) {
		spread[all[i].ID()] = float64(position+1) / float64(len(all))
	}
	data.Report = func(a space.Arch) (float64, error) { return spread[a.ID()], nil }
	for _, sign := range []float64{1, -1} {
		values := make(map[string]float64)
		ranks, err := examineRanking(&search.Found{Ranker: told{spread, sign}}, data, values)
		if err != nil || len(ranks) != topRanked {
			t.Fatalf("%d ranks (%v)", len(ranks), err)
		}
		n := float64(len(all))
		first, last, best, median := 1.0, 100.0, 100.0, 100*50/n
		if sign < 0 {
			first, last, best, median = n, n-99, 100*100/n, 100*(n-50)/n
		}
		for name, want := range map[string]float64{"first": map[bool]float64{true: 100, false: 100 / n}[sign > 0], "top_best": best, "top_rank_percent": median, "best_ranked_percent": median} {
			if math.Abs(values[name]-want) > 1e-3 {
				t.Errorf("sign %g: %s is %g, want %g", sign, name, values[name], want)
			}
		}
		if ranks[0] != first || ranks[99] != last {
			t.Errorf("sign %g: the ranks go from %g to %g, want %g to %g", sign, ranks[0], ranks[99], first, last)
		}
	}
}

// fewCells is a space of which 2,000 cells can be listed.
type fewCells struct{ nasbench101.Space }

func (fewCells) All() []space.Arch { return nasbench101.Space{}.All()[:2000] }

// told ranks by numbers that it was told.
type told struct {
	of   map[string]float64
	sign float64
}

func (r told) Utilities(archs []space.Arch) ([]float64, error) {
	utilities := make([]float64, len(archs))
	for i, a := range archs {
		utilities[i] = r.sign * r.of[a.ID()]
	}
	return utilities, nil
}

// Table 1 takes the rows of weight sharing from the result beside it, and the authors' row where the labels are those that
// their program was given; what is not there is left out, and what is damaged is an error.
func TestCompleteTable1(t *testing.T) {
	table1 := report.Result{
		ID: "table1", Benchmark: "nasbench101", Source: "real", Backend: "go", Seeds: 10, Config: "some", Data: "a table, digest 0123, after 108 epochs",
		Rows: []report.Row{{Method: "SPOS", Paper: accuracy(89.85, 3.80)}, {Method: "DARTS", Paper: accuracy(92.21, 0.61)}},
	}
	sharing := report.Result{ID: "weightsharing", Benchmark: "nasbench101", Source: "proxy", Backend: "xla:cpu", Seeds: 3, Config: "some", Rows: []report.Row{
		report.NewRow("SPOS", map[string][]float64{"accuracy": {92, 93, 94}}), report.NewRow(nameAlone, map[string][]float64{"accuracy": {93, 93, 93}}),
	}}
	dir := t.TempDir()
	if err := sharing.WriteFiles(dir, report.Table{}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "result.json"))
	if err != nil {
		t.Fatal(err)
	}
	with := func(data string, files fstest.MapFS) report.Result {
		t.Helper()
		r := table1
		r.Data = data
		completed, err := All["table1"].Complete(files, r)
		if err == nil {
			err = completed.Check()
		}
		if err != nil {
			t.Fatal(err)
		}
		return completed
	}
	if r := with(table1.Data, nil); len(r.Rows) != 2 || r.Rows[0].Metrics != nil {
		t.Errorf("with nothing beside it: %+v", r.Rows)
	}
	beside := fstest.MapFS{"weightsharing/result.json": {Data: text}}
	for range 2 { // completed again, it is the same
		table1 = with(table1.Data, beside)
		if spos := table1.Rows[0]; len(table1.Rows) != 2 || spos.Source != "proxy" || spos.Seeds != 3 || spos.Metrics["accuracy_mean"] != 93 || spos.Paper["accuracy_mean"] != 89.85 {
			t.Errorf("the rows are %+v", table1.Rows)
		}
	}
	r := with("digest "+authorsLabels, beside)
	theirs := r.Rows[len(r.Rows)-1]
	if theirs.Method != nameAuthors || theirs.Source != string(datasets.Real) || theirs.Seeds != 10 || math.Abs(theirs.Metrics["accuracy_mean"]-93.359) > 1e-9 ||
		math.Abs(theirs.Metrics["ktau_authors_mean"]-0.74954) > 1e-9 || math.Abs(theirs.Metrics["best_rank_percent"]-100*1704./nasbench101.NumCells) > 1e-12 {
		t.Errorf("the authors' row is %+v", theirs)
	}
	if _, err := All["table1"].Complete(fstest.MapFS{"weightsharing/result.json": {Data: text[:100]}}, table1); err == nil || !strings.Contains(err.Error(), "weightsharing/result.json") {
		t.Errorf("a damaged result: error %v", err)
	}
}

// What a policy samples is measured at the beginning and in each part of a search, beside random cells, and may be
// tested; the search is the one without a probe.
func TestSamplesOfAPolicy(t *testing.T) {
	table, backend := open(t)
	e := tiny()
	e.Seeds, e.Compare, e.Tested = 2, [][2]string{{"probed", "curriculum"}, {"probed", "fixed"}}, []string{samplesAt(3), "none"}
	e.Methods[2].probed = 1
	probed := e.Methods[0]
	probed.Name, probed.probed = "probed", 1
	e.Methods = append(e.Methods, probed)
	result, err := e.Run(t.Context(), t.TempDir(), NASBench101(table), backend, nil)
	if err != nil {
		t.Fatal(err)
	}
	plain, row := result.Rows[0], result.Rows[3]
	if row.Metrics["accuracy_mean"] != plain.Metrics["accuracy_mean"] || row.Metrics["ktau_mean"] != plain.Metrics["ktau_mean"] {
		t.Errorf("with a probe %v, without %v", row.Metrics, plain.Metrics)
	}
	for _, name := range []string{samplesAt(0), samplesAt(1), samplesAt(2), samplesAt(3), randomCells} {
		if v := row.PerSeed[name]; len(v) != 2 || v[0] < 60 || v[0] > 95 || v[0] == v[1] {
			t.Errorf("%s is %v", name, v)
		}
		if _, ok := plain.Metrics[name+"_mean"]; ok {
			t.Errorf("%s was measured without a probe", name)
		}
	}
	var tested []string
	for _, c := range result.Tests {
		tested = append(tested, c.Second+": "+c.Metric)
	}
	if got := strings.Join(tested, ", "); got != "curriculum: accuracy, curriculum: ktau, fixed: accuracy, fixed: ktau, fixed: samples_3_tenths" {
		t.Errorf("tested were %s", got)
	}
	if chart := sampleChart(result); len(chart.Series) != 3 || !chart.Series[2].Reference {
		t.Errorf("the chart has the series %+v", chart.Series)
	}
}
