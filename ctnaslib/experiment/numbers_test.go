package experiment

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/ctnas"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/ctnaslib/supernet"
	"github.com/ctnas/ctnas/datasets/images"
)

// counted is a benchmark that needs no data: cells by their 3×3 convolutions and edges, networks by
// the size of their kernels.
type counted struct{ space space.Space }

func (c counted) Space() space.Space { return c.space }
func (c counted) Source() string     { return "proxy" }
func (c counted) Sample(rng *rand.Rand, n int) ([]space.Arch, error) {
	return space.Draw(rng, c.space, n, nil)
}

func (c counted) Validation(a space.Arch) (float64, error) {
	switch a := a.(type) {
	case nasbench101.Cell:
		q := float64(a.Edges()) / 100
		for v := 1; v < a.N()-1; v++ {
			if a.Op(v) == nasbench101.Conv3x3 {
				q += 0.1
			}
		}
		return q, nil
	case mobilenetv3.Net:
		q := 0.0
		for u := range mobilenetv3.Units {
			for i, b := range a.Blocks(u) {
				q += float64(b.Kernel*(i+1)) / 1000
			}
		}
		return q, nil
	}
	return 0, fmt.Errorf("%v is no cell and no network", a)
}

// numbers is what an algorithm led to, and the versions behind it.
type numbers struct {
	Versions rundir.Versions    `json:"versions"`
	Best     string             `json:"best,omitempty"`
	Values   map[string]float64 `json:"values"`
}

// The numbers that come out of each algorithm are those of its version. Whoever changes what an
// algorithm computes raises its version, so that no stored result of the old one is taken for the
// new one's, and makes the file again with -update.
func TestNumbersOfEachVersion(t *testing.T) {
	backend, err := engine.OpenConfig("go")
	if err != nil {
		t.Fatal(err)
	}
	if fingerprint := engine.Fingerprint(backend); runtime.GOARCH != "amd64" || !strings.Contains(fingerprint, "no simd") {
		t.Skipf("the stored numbers are those of the Go backend on amd64 without SIMD, not of %s", fingerprint)
	}
	cells := search.Problem{Backend: backend, Benchmark: counted{nasbench101.Space{}}}
	nets, err := mobilenetv3.New(mobilenetv3.OFA(), 500e6)
	if err != nil {
		t.Fatal(err)
	}
	networks := search.Problem{Backend: backend, Benchmark: counted{nets}}
	got := make(map[string]numbers)
	add := func(name string, versions rundir.Versions, found *search.Found, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		n := numbers{Versions: versions, Best: found.Best.String(), Values: map[string]float64{"queries": float64(found.Queries)}}
		if len(found.Metrics) > 0 {
			for value, v := range found.Metrics[len(found.Metrics)-1].Values {
				n.Values[value] = v
			}
		}
		if found.Ranker != nil {
			u, err := found.Ranker.Utilities([]space.Arch{found.Best, found.Labelled[0].Arch})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			n.Values["utility_best"], n.Values["utility_first"] = u[0], u[1]
		}
		got[name] = n
	}
	root, ctx := t.TempDir(), context.Background()

	random := search.RandomConfig{Labels: 20, Seed: 1}
	found, err := search.Random(ctx, root, cells, random)
	add("random", random.Versions(), found, err)
	for name, c := range map[string]ctnas.Config{"ctnas, paper": ctnas.Paper(), "ctnas, released": ctnas.Released()} {
		c.Labels, c.Iterations, c.PolicySteps, c.PolicyBatch, c.Samples, c.TopK, c.BaselineEvery, c.BaselineSamples = 20, 3, 3, 4, 12, 10, 2, 8
		c.NAC.Width, c.NAC.Epochs, c.NAC.BatchSize, c.Controller.Hidden, c.Seed = 8, 6, 10, 8, 1
		found, err := ctnas.Search(ctx, root, cells, c)
		add(name, c.Versions(), found, err)
	}
	regression := search.ReleasedRegression()
	regression.Labels, regression.Iterations, regression.PolicySteps, regression.PolicyBatch = 20, 2, 3, 4
	regression.Predictor.Width, regression.Predictor.Epochs, regression.Controller.Hidden, regression.Seed = 8, 6, 8, 1
	found, err = search.RegressionNAS(ctx, root, cells, regression)
	add("regression", regression.Versions(), found, err)
	renas := search.PaperReNAS()
	renas.Labels, renas.Predictor.Epochs, renas.Predictor.Channels, renas.Predictor.Hidden = 20, 4, [2]int{4, 4}, [2]int{8, 4}
	renas.Evolution, renas.Seed = search.EvolveConfig{Population: 10, Tournament: 4, Cycles: 50}, 1
	found, err = search.ReNAS(ctx, root, cells, renas)
	add("renas", renas.Versions(), found, err)
	ranking := search.RankingConfig{Labels: 20, Pool: 100, NAC: comparator.TwoWay(), Seed: 1}
	ranking.NAC.Width, ranking.NAC.Epochs = 8, 6
	found, err = search.Ranking(ctx, root, cells, ranking)
	add("ranking", ranking.Versions(), found, err)
	evolution := search.EvolutionConfig{Labels: 40, Population: 12, Tournament: 4, Seed: 1}
	found, err = search.Evolution(ctx, root, cells, evolution)
	add("evolution", evolution.Versions(), found, err)
	thompson := search.DefaultThompson(30)
	thompson.Random, thompson.Generations, thompson.Seed = 20, 3, 1
	found, err = search.Thompson(ctx, root, cells, thompson)
	add("thompson", thompson.Versions(), found, err)
	local := search.LocalConfig{Labels: 40, First: 12, Patience: 6, Seed: 1}
	found, err = search.Local(ctx, root, cells, local)
	add("local", local.Versions(), found, err)
	generations := search.OFAGenetic(60)
	generations.Population, generations.Parents, generations.Mutants, generations.Seed = 20, 5, 10, 1
	found, err = search.Genetic(ctx, root, networks, generations)
	add("generations", generations.Versions(), found, err)

	set := images.Shapes()
	data, err := someImages(set, 320, 64)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range sharingMethods {
		c := supernet.Small(m, len(set.Classes))
		c.Channels, c.Stacks, c.Side, c.BatchSize, c.Steps, c.CheckpointInterval, c.PolicySteps, c.PolicyBatch, c.Seed = 5, 1, 4, 8, 4, 2, 1, 2, 1
		trained, err := supernet.Train(ctx, root, supernet.Training{Backend: backend, Data: data, Config: c})
		if err != nil {
			t.Fatalf("%s: %v", m, err)
		}
		got["supernet, "+string(m)] = numbers{Versions: c.Versions(), Values: trained.Metrics[len(trained.Metrics)-1].Values}
	}

	const path = "testdata/numbers.json"
	if *update {
		text, err := json.MarshalIndent(got, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]numbers
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	if len(want) != len(got) {
		t.Errorf("%s has %d algorithms, want %d", path, len(want), len(got))
	}
	for name, n := range got {
		stored := want[name]
		if !reflect.DeepEqual(n.Versions, stored.Versions) {
			t.Errorf("%s has the versions %v, %s those of %v: make it again with -update", name, n.Versions, path, stored.Versions)
			continue
		}
		changed := n.Best != stored.Best || len(n.Values) != len(stored.Values)
		for value, v := range n.Values {
			w, ok := stored.Values[value]
			changed = changed || !ok || math.Abs(v-w) > 1e-4*(1+math.Abs(w))
		}
		if changed {
			t.Errorf("%s gave %s and %v, with version %v it gave %s and %v: raise the version of what changed, then make %s again with -update",
				name, n.Best, n.Values, n.Versions, stored.Best, stored.Values, path)
		}
	}
}
