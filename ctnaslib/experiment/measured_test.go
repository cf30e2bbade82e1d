package experiment

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/datasets/ofa"
	"github.com/ctnas/ctnas/datasets/ofa/top1"
)

// measuredData is what stands in for the measured networks where there are none.
func measuredData(t *testing.T) Data {
	t.Helper()
	t.Setenv("CTNAS_DATA", "")
	t.Setenv("CTNAS_MIRROR", "")
	t.Setenv("CTNAS_CACHE", t.TempDir())
	m, err := ofa.OpenMeasured(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	return Measured(m, ofa.Embedded())
}

// The comparison at its small size, cut down: more labels order better, all rankings are of the networks without a label, and nothing that is
// not measured is called so.
func TestMeasuredRankings(t *testing.T) {
	backend, err := engine.OpenConfig("go")
	if err != nil {
		t.Fatal(err)
	}
	data := measuredData(t)
	e := MeasuredRankings(Small)
	e.Seeds = 2
	result, err := e.Run(t.Context(), t.TempDir(), data, backend, nil)
	if err != nil {
		t.Fatal(err)
	}
	if result.Source != "surrogate" || !strings.Contains(result.Data, ofa.Embedded().Source().Description) || measured.Keeps(result) {
		t.Errorf("source %s, data %q", result.Source, result.Data)
	}
	before := map[string]float64{}
	for _, row := range result.Rows {
		name, _, _ := strings.Cut(row.Method, ",")
		tau := row.Metrics["ktau_mean"]
		if tau <= before[name] {
			t.Errorf("%s: Kendall's tau is %g, with fewer labels %g", row.Method, tau, before[name])
		}
		before[name] = tau
		for _, metric := range []string{topTau + "_mean", tauOf100 + "_mean", bestOf10 + "_mean", bestOf100 + "_mean", "accuracy_mean"} {
			if _, ok := row.Metrics[metric]; !ok {
				t.Errorf("%s has no %s", row.Method, metric)
			}
		}
		if row.Metrics[bestOf10+"_mean"] < row.Metrics["accuracy_mean"]-1e-9 {
			t.Errorf("%s: the best of the first 10 has %g, the first has %g", row.Method, row.Metrics[bestOf10+"_mean"], row.Metrics["accuracy_mean"])
		}
	}
	if len(result.Tests) != 3*len(e.Compare) {
		t.Errorf("%d tests of %d pairs", len(result.Tests), len(e.Compare))
	}
	table := result.Table(measured.Columns...).Markdown()
	for _, words := range []string{"KTau of the 100 best", "best of first 10 (%)", "surrogate"} {
		if !strings.Contains(table, words) {
			t.Errorf("the table lacks %q", words)
		}
	}
	for _, f := range measured.Figures(result) {
		if len(f.Chart.Series) != 4 || len(f.Chart.Series[0].X) != 3 {
			t.Errorf("%s has %d series", f.Name, len(f.Chart.Series))
		}
	}
}

// What is held out is all that is not labelled, whatever number is asked for; and the ridge's order is that of its own fit.
func TestMeasuredOthers(t *testing.T) {
	data := measuredData(t)
	archs, err := data.Benchmark.Sample(rand.New(rand.NewPCG(1, 1)), 40)
	if err != nil {
		t.Fatal(err)
	}
	others, accuracies, err := data.HeldOut(nil, 3, archs)
	if err != nil || len(others) != 2162-40 || slices.ContainsFunc(others, func(a space.Arch) bool { return slices.Contains(archs, a) }) {
		t.Fatalf("%d are left, %v", len(others), err)
	}
	if v, err := data.Benchmark.Validation(others[7]); err != nil || v != accuracies[7] {
		t.Errorf("%v has %v, %v; want %v", others[7], v, err, accuracies[7])
	}
	ridge := top1.Default()
	found, err := orderNetworks(t.Context(), t.TempDir(), search.Problem{Benchmark: data.Benchmark}, OrderConfig{Labels: 60, Ridge: &ridge, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	others, _, err = data.HeldOut(nil, 0, space.Archs(found.Labelled))
	if err != nil {
		t.Fatal(err)
	}
	utilities, err := found.Ranker.Utilities(others)
	if err != nil || found.Queries != 60 {
		t.Fatalf("%d queries, %v", found.Queries, err)
	}
	if best := others[slices.Index(utilities, slices.Max(utilities))]; best != found.Best {
		t.Errorf("the answer is %v, the first of the order %v", found.Best, best)
	}
	tau, err := data.Metrics[0].Measure(&search.Found{Ranker: byAccuracy{ofa.EmbeddedTop1()}}, 1)
	if err != nil || math.Abs(tau-1) > 1e-12 {
		t.Errorf("the truth orders the 100 best with a tau of %v, %v", tau, err)
	}
}

func TestMeasuredErrors(t *testing.T) {
	data := measuredData(t)
	problem := search.Problem{Benchmark: data.Benchmark}
	if _, err := orderNetworks(t.Context(), t.TempDir(), problem, OrderConfig{Labels: 2162}); err == nil || !strings.Contains(err.Error(), "fewer labels") {
		t.Errorf("with all labels, the error is %v", err)
	}
	if _, err := orderNetworks(t.Context(), t.TempDir(), problem, OrderConfig{Labels: 2163}); err == nil || !strings.Contains(err.Error(), "2163") {
		t.Errorf("with more labels than networks, the error is %v", err)
	}
	if _, err := orderNetworks(t.Context(), t.TempDir(), search.Problem{Benchmark: mobileData(t).Benchmark}, OrderConfig{}); err == nil || !strings.Contains(err.Error(), "experiment.Measured") {
		t.Errorf("on other data, the error is %v", err)
	}
	if c := byLabels(report.Result{Rows: []report.Row{{Method: nameOrderPredictor}}}, "", "ktau", ""); len(c.Series) != 0 {
		t.Errorf("without labels, %v is drawn", c.Series)
	}
}
