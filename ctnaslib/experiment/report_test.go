package experiment_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/experiment"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

func tableOf(t *testing.T, n int, accuracy func(i int) float64) *space.Table {
	t.Helper()
	archs, err := space.Draw(rand.New(rand.NewPCG(1, 1)), nasbench101.Space{}, n, nil)
	if err != nil {
		t.Fatal(err)
	}
	var labelled []space.Labelled
	for i, a := range archs {
		labelled = append(labelled, space.Labelled{Arch: a, Accuracy: accuracy(i)})
	}
	table, err := space.NewTable(nasbench101.Space{}, "proxy", labelled)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// What is reported has a name, in the keys of stored results.
func TestReportWithoutAName(t *testing.T) {
	backend, err := engine.Open()
	if err != nil {
		t.Fatal(err)
	}
	e := experiment.Experiment{ID: "mine", Seeds: 1, Methods: []experiment.Method{
		experiment.NewMethod("random search", search.RandomConfig{Labels: 20}, search.Random, func(c *search.RandomConfig) *uint64 { return &c.Seed }),
	}}
	data := experiment.Data{Benchmark: tableOf(t, 20, func(i int) float64 { return 0.9 + float64(i)/1000 }), Report: func(space.Arch) (float64, error) { return 0.5, nil }}
	root := t.TempDir()
	if _, err := e.Run(t.Context(), root, data, backend, nil); err == nil || !strings.Contains(err.Error(), "set ReportOf") {
		t.Errorf("error %v", err)
	}
	data.ReportOf = "a half of everything"
	if r, err := e.Run(t.Context(), root, data, backend, nil); err != nil || r.Rows[0].Metrics["accuracy_mean"] != 50 {
		t.Errorf("%+v, %v", r.Rows, err)
	}
}

// Two held-out architectures of one accuracy are no reason to lose a search.
func TestTiedHeldOut(t *testing.T) {
	backend, err := engine.Open()
	if err != nil {
		t.Fatal(err)
	}
	e := experiment.Experiment{ID: "tied", Seeds: 2, Methods: []experiment.Method{
		experiment.NewMethod("Thompson", search.DefaultThompson(20), search.Thompson, func(c *search.ThompsonConfig) *uint64 { return &c.Seed }),
	}}
	data := experiment.Data{Benchmark: tableOf(t, 22, func(i int) float64 { return float64(90+i%2) / 100 })}
	data.HeldOut = func(_ *rand.Rand, _ int, _ []space.Arch) ([]space.Arch, []float64, error) {
		archs := nasbench101.Space{}.All()[:2]
		return archs, []float64{0.9, 0.9}, nil
	}
	r, err := e.Run(t.Context(), t.TempDir(), data, backend, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := r.Rows[0].Metrics["accuracy_mean"]; !ok {
		t.Errorf("%+v", r.Rows)
	}
}
