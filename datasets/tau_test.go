package datasets_test

import (
	"math/rand/v2"
	"os"
	"testing"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/datasets"
)

// The README's table of Kendall's tau: NAC trained on 423 validation accuracies,
// against the mean test accuracy of 1,000 other cells, 5 seeds. It takes a quarter
// of an hour, so it runs only if CTNAS_LONG is set.
func TestKendallTauOnTheRealTable(t *testing.T) {
	if os.Getenv("CTNAS_LONG") == "" || os.Getenv("CTNAS_DATA") == "" {
		t.Skip("trains 15 comparators; set CTNAS_LONG=1 and CTNAS_DATA to run it")
	}
	table, err := datasets.OpenNASBench101(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	backend, err := engine.Open()
	if err != nil {
		t.Fatal(err)
	}
	const seeds = 5
	for _, preset := range []struct {
		name    string
		config  comparator.Config
		atLeast float64
	}{
		{"Quick", comparator.Quick(), 0.70},
		{"Paper", comparator.Paper(), 0.55},
		{"Released", comparator.Released(), 0.72},
	} {
		mean := 0.0
		for seed := range uint64(seeds) {
			config := preset.config
			config.Seed = seed
			tau := realTau(t, table, backend, config)
			t.Logf("%s, seed %d: tau %.4f", preset.name, seed, tau)
			mean += tau / seeds
		}
		t.Logf("%s: mean tau %.4f", preset.name, mean)
		if mean < preset.atLeast {
			t.Errorf("%s: mean tau %.4f, want at least %.2f", preset.name, mean, preset.atLeast)
		}
	}
}

// The comparator learns on the real table, where it is there: in some seconds, with few epochs of
// the network that hears both ways, it ranks cells that it has not seen with a Kendall's tau above 0.65.
func TestComparatorLearnsTheRealTable(t *testing.T) {
	if os.Getenv("CTNAS_DATA") == "" {
		t.Skip("needs the real table: set CTNAS_DATA")
	}
	table, err := datasets.OpenNASBench101(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if table.Source().Kind != datasets.Real {
		t.Skipf("needs the real table, not %s", table.Source().Description)
	}
	backend, err := engine.Open()
	if err != nil {
		t.Fatal(err)
	}
	config := comparator.TwoWay()
	config.Width, config.Epochs, config.LearningRate, config.Seed = 64, 60, 2e-3, 1
	tau := realTau(t, table, backend, config)
	t.Logf("tau %.3f", tau)
	if tau < 0.65 {
		t.Errorf("Kendall's tau is %.3f, want at least 0.65", tau)
	}
}

// realTau is the Kendall's tau, against the mean test accuracy of 1,000 other cells, of a comparator
// that is trained on 423 validation accuracies, both of the configuration's seed.
func realTau(t *testing.T, table *datasets.NASBench101, backend compute.Backend, config comparator.Config) float64 {
	t.Helper()
	labelled, err := search.Label(t.Context(), table.Benchmark(), 423, config.Seed)
	if err != nil {
		t.Fatal(err)
	}
	archs, tests, err := table.Report().HeldOut(rand.New(rand.NewPCG(config.Seed, 1)), 1000, space.Archs(labelled))
	if err != nil {
		t.Fatal(err)
	}
	trained, err := comparator.Train(t.Context(), t.TempDir(), comparator.Training{
		Backend: backend, Space: nasbench101.Space{}, Labelled: labelled, Config: config,
	})
	if err != nil {
		t.Fatal(err)
	}
	tau, err := trained.NAC.KendallTau(archs, tests)
	if err != nil {
		t.Fatal(err)
	}
	return tau
}
