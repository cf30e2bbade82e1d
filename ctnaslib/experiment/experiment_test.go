package experiment

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/controller"
	"github.com/ctnas/ctnas/ctnaslib/ctnas"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/onceforall"
	"github.com/ctnas/ctnas/ctnaslib/relaxation"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/risk"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/supernet"
	"github.com/ctnas/ctnas/ctnaslib/train"
	"github.com/ctnas/ctnas/datasets"
)

func open(t testing.TB) (*datasets.NASBench101, compute.Backend) {
	t.Helper()
	table, err := datasets.OpenNASBench101(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	backend, err := engine.Open()
	if err != nil {
		t.Fatal(err)
	}
	return table, backend
}

// tiny compares two searches of a second with three seeds.
func tiny() Experiment {
	c := Small.sized(ctnas.Quick())
	c.Labels, c.Iterations = 30, 3
	c.NAC.Width, c.NAC.Epochs, c.Controller.Hidden = 16, 20, 16
	fixed := c
	fixed.Baseline = ctnas.FixedBaseline
	return Experiment{
		ID: "table4", Seeds: 3,
		Methods: []Method{
			CTNAS("curriculum", c, accuracy(93.92, 0.18)),
			{Name: "paper's alone", Paper: accuracy(90, 1)},
			CTNAS("fixed", fixed, nil),
		},
		Compare: [][2]string{{"curriculum", "fixed"}},
	}
}

// summary is all of a result but the time it took, and where.
func summary(t testing.TB, r report.Result) string {
	t.Helper()
	r.Elapsed, r.Wall, r.Units = 0, 0, nil
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestRun(t *testing.T) {
	table, backend := open(t)
	root := t.TempDir()
	stages := map[string]bool{}
	var steps []int
	result, err := tiny().Run(context.Background(), root, NASBench101(table), backend, func(step train.Progress) {
		if step.Stage != "" {
			stages[step.Stage] = true
			return
		}
		done, total := step.Done, step.Total

		if total != 6 {
			t.Errorf("%d searches in all, want 6", total)
		}
		steps = append(steps, done)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, stage := range []string{"curriculum, seed 1: labels", "fixed, seed 3: step", "curriculum, seed 2: comparator, epoch"} {
		if !stages[stage] {
			t.Errorf("nothing was said of the stage %q", stage)
		}
	}
	if !slices.Equal(steps, []int{1, 2, 3, 4, 5, 6}) {
		t.Errorf("progress %v", steps)
	}
	if len(result.Rows) != 3 || len(result.Tests) != 2 || result.Tests[1].Metric != "ktau" || result.Source != string(table.Source().Kind) || result.Seeds != 3 {
		t.Errorf("the result is %+v", result)
	}
	for i, row := range result.Rows {
		if i == 1 {
			if row.Metrics != nil || row.Paper["accuracy_mean"] != 90 {
				t.Errorf("the paper's row is %+v", row)
			}
			continue
		}
		if row.Metrics["queries"] != 30 || len(row.PerSeed["accuracy"]) != 3 || len(row.PerSeed["ktau"]) != 3 {
			t.Errorf("row %+v", row)
		}
		best := slices.Max(row.PerSeed["accuracy"])
		worse := 0
		for cell := range table.Report().Rows() {
			if 100*cell.Test > best+1e-9 {
				worse++
			}
		}
		if got, want := row.Metrics["best_rank_percent"], 100*float64(worse+1)/float64(table.Report().Len()); got < want-1e-9 || got > want+1e-9 {
			t.Errorf("%s: best rank %g %%, counted %g %%", row.Method, got, want)
		}
	}
	again, err := tiny().Run(context.Background(), root, NASBench101(table), backend, nil)
	if err != nil || summary(t, again) != summary(t, result) || again.Elapsed != result.Elapsed {
		t.Errorf("the second run differs (error %v):\n%s", err, summary(t, again))
	}
}

func TestRunErrors(t *testing.T) {
	table, backend := open(t)
	e := tiny()
	e.Seeds = 0
	if _, err := e.Run(context.Background(), t.TempDir(), NASBench101(table), backend, nil); err == nil || !strings.Contains(err.Error(), "at least one seed") {
		t.Errorf("no seeds: error %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := tiny().Run(ctx, t.TempDir(), NASBench101(table), backend, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: error %v", err)
	}
}

// The children of TestKillAndResume run the experiment in the folder of this variable.
const childVariable = "CTNAS_EXPERIMENT_TEST_ROOT"

// A run that is killed over and over leaves the result of an untouched one, and does
// not repeat what was finished.
func TestKillAndResume(t *testing.T) {
	table, backend := open(t)
	if root := os.Getenv(childVariable); root != "" {
		if _, err := tiny().Run(context.Background(), root, NASBench101(table), backend, nil); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := tiny().Run(context.Background(), t.TempDir(), NASBench101(table), backend, nil)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	finished := map[string]time.Time{}
	for kill := range 4 {
		child := exec.Command(os.Args[0], "-test.run", "^TestKillAndResume$")
		child.Env = append(os.Environ(), childVariable+"="+root)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		// Kill it when one more search is done.
		for deadline := time.Now().Add(time.Minute); len(outcomes(t, root)) <= kill && time.Now().Before(deadline); {
			time.Sleep(5 * time.Millisecond)
		}
		child.Process.Kill()
		child.Wait()
		now := outcomes(t, root)
		for path, at := range finished {
			if !now[path].Equal(at) {
				t.Errorf("%s was written again", path)
			}
		}
		finished = now
	}
	if len(finished) == 0 {
		t.Fatal("no search was finished before the last kill")
	}
	got, err := tiny().Run(context.Background(), root, NASBench101(table), backend, nil)
	if err != nil {
		t.Fatal(err)
	}
	if summary(t, got) != summary(t, want) {
		t.Errorf("after kills:\n%s\nwithout:\n%s", summary(t, got), summary(t, want))
	}
}

// outcomes are the finished searches under root, and when they were written.
func outcomes(t testing.TB, root string) map[string]time.Time {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "outcome-*", "result.json"))
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]time.Time)
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		found[path] = info.ModTime()
	}
	return found
}

// Every experiment is whole at both sizes: names are not used twice, what is compared
// is there, and the paper's size is the paper's.
func TestPresets(t *testing.T) {
	for _, e := range []func(Preset) Experiment{Table1, Table2, Figure4, Table4, Table5, Figure5, Distance, AblateDepth, AblateMessages, AblatePairs, AblateHead, AblateLabels, AblateExploration, AblateSearch, AblatePolicy, MeasuredRankings} {
		for _, p := range []Preset{Small, Paper} {
			x := e(p)
			if _, ok := All[x.ID]; !ok {
				t.Errorf("%s is not in All", x.ID)
			}
			if p == Paper && x.Seeds != 10 {
				t.Errorf("%s has %d seeds at the paper's size", x.ID, x.Seeds)
			}
			configs := map[string]string{}
			names := map[string]bool{}
			for _, m := range x.Methods {
				if names[m.Name] {
					t.Errorf("%s, %s: two methods %q", x.ID, p, m.Name)
				}
				names[m.Name] = m.runs()
				if !m.runs() {
					continue
				}
				config, err := json.Marshal(map[string]any{"config": m.Config, "epochs": m.Epochs})
				if err != nil {
					t.Fatal(err)
				}
				if other, ok := configs[string(config)]; ok {
					t.Errorf("%s, %s: %q and %q are the same", x.ID, p, m.Name, other)
				}
				configs[string(config)] = m.Name
			}
			for _, pair := range x.Compare {
				if !names[pair[0]] || !names[pair[1]] {
					t.Errorf("%s, %s: cannot compare %q", x.ID, p, pair)
				}
			}
		}
	}
	for _, m := range Table4(Paper).Methods {
		c := m.Config.(ctnas.Config)
		if steps := c.Iterations * c.PolicySteps; c.Labels != 423 || steps != 10_000 || c.PolicyBatch != 1 {
			t.Errorf("%s: %d labels and %d steps of batch %d", m.Name, c.Labels, steps, c.PolicyBatch)
		}
	}
}

var update = flag.Bool("update", false, "make the tables and pictures in figures again from their results")

// indented is a configuration as JSON with its names in order.
func indented(t *testing.T, config any) string {
	t.Helper()
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	var plain any
	if err := json.Unmarshal(text, &plain); err != nil {
		t.Fatal(err)
	}
	text, err = json.MarshalIndent(plain, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every preset is as it is written down: who changes one, changes the file too, and says so.
func TestPresetsAreGolden(t *testing.T) {
	presets := map[string]any{
		"comparator.Paper": comparator.Paper(), "comparator.Released": comparator.Released(),
		"comparator.Quick": comparator.Quick(), "comparator.TwoWay": comparator.TwoWay(),
		"controller.Default":              controller.Default(),
		"search.PaperRegressionPredictor": search.PaperRegressionPredictor(), "search.ReleasedRegressionPredictor": search.ReleasedRegressionPredictor(),
		"search.QuickRegressionPredictor": search.QuickRegressionPredictor(),
		"search.ReleasedReNASPredictor":   search.ReleasedReNASPredictor(), "search.QuickReNASPredictor": search.QuickReNASPredictor(),
		"ctnas.Paper": ctnas.Paper(), "ctnas.Released": ctnas.Released(), "ctnas.Quick": ctnas.Quick(),
		"search.PaperRegression": search.PaperRegression(), "search.ReleasedRegression": search.ReleasedRegression(),
		"search.QuickRegression": search.QuickRegression(), "search.PaperReNAS": search.PaperReNAS(), "search.QuickReNAS": search.QuickReNAS(),
		"search.DefaultThompson(423)": search.DefaultThompson(423), "search.OFAGenetic(1000)": search.OFAGenetic(1000),
		"supernet.BenchmarkScratch": supernet.BenchmarkScratch(), "supernet.ProxyScratch": supernet.ProxyScratch(), "supernet.SmallScratch(10)": supernet.SmallScratch(10),
		"onceforall.Proxy": onceforall.Proxy(), "onceforall.Paper": onceforall.Paper(), "onceforall.Small(10)": onceforall.Small(10),
		"relaxation.Paper": relaxation.Paper(), "relaxation.Small(10)": relaxation.Small(10),
	}
	for _, m := range sharingMethods {
		presets[fmt.Sprintf("supernet.Paper(%s)", m)] = supernet.Paper(m)
	}
	for id, entry := range All {
		for _, p := range []Preset{Small, Paper} {
			config, seeds := entry.Settings(p)
			presets[fmt.Sprintf("%s, %s", id, p)] = map[string]any{"config": config, "seeds": seeds}
		}
	}
	const path = "testdata/presets.json"
	got := indented(t, presets) + "\n"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	mine, theirs := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range min(len(mine), len(theirs)) {
		if mine[i] != theirs[i] {
			t.Fatalf("the presets differ from line %d of %s on: %q, there %q; if that is meant, make it again with -update", i+1, path, mine[i], theirs[i])
		}
	}
	t.Fatalf("the presets have %d lines, %s has %d", len(mine), path, len(theirs))
}

// The results that are kept in figures are whole and honest: where they come from,
// with how many seeds, on what configuration, which is the code's unless they say that they are outdated; and of the
// paper's size. Their tables and pictures
// are what the results look like: after a change of looks, make them again with
//
//	go test ./ctnaslib/experiment -run TestStoredResults -update
func TestStoredResults(t *testing.T) {
	paths, err := filepath.Glob("../../figures/*/result.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		id := filepath.Base(filepath.Dir(path))
		entry, ok := All[id]
		if !ok {
			continue // of the programs measure and figures/gpu
		}
		result, err := report.ReadResult(path)
		if err != nil {
			t.Error(err)
			continue
		}
		if result.Outdated == "" {
			result = completed(t, entry, path, result)
		}
		result = annotated(t, entry, path, result)
		source := datasets.Real
		if id == "weightsharing" || id == "mobilenet-supernet" {
			source = datasets.Proxy // small networks
		}
		if entry.beside != "" && result.Outdated == "" {
			source = datasets.Surrogate // a model of measured networks, which there is nothing beyond
		}
		if result.ID != id || result.Source != string(source) || result.Elapsed <= 0 || !entry.Keeps(result) {
			t.Errorf("%s is of %s, on the %s table, in %g s", path, result.ID, result.Source, result.Elapsed)
		}
		config, seeds := entry.Settings(Paper)
		stored := result.Config
		if parts, ok := stored.(map[string]any); ok && parts["experiment"] != nil {
			stored = parts["experiment"] // beside the descriptions of the data
		}
		want, got := indented(t, config), indented(t, stored)
		if result.Outdated != "" { // until it is made again, which drops the sentence
			if want == got {
				t.Errorf("%s is said to be outdated, but has the code's configuration", path)
			}
		} else if want != got || seeds != result.Seeds {
			t.Errorf("%s was made with %d seeds and %s\nbut the code has %d and %s", path, result.Seeds, got, seeds, want)
		}
		figures := entry.Figures(result)
		if id == "proposition1" { // as its notebook makes the toy's
			toy := risk.Toy{Quality: []float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, Noise: 2, Seed: 1}
			_, path := toy.Minimise(20_000)
			figures = append(figures, risk.Figure(path))
		}
		files := map[string]string{"table.md": report.Page(result.Table(entry.Columns...), figures...)}
		for _, f := range figures {
			svg, err := f.Chart.SVG()
			if err != nil {
				t.Fatal(err)
			}
			files[f.Name+".svg"] = svg
		}
		pictures, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*.svg"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range pictures {
			if _, ok := files[filepath.Base(path)]; ok {
				continue
			}
			if !*update {
				t.Errorf("%s is not a picture of the result", path)
			} else if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
		for name, made := range files {
			path := filepath.Join(filepath.Dir(path), name)
			if *update {
				if err := os.WriteFile(path, []byte(made), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if stored, err := os.ReadFile(path); err != nil || string(stored) != made {
				t.Errorf("%s is not made from the result beside it (error %v)", path, err)
			}
		}
	}
}

// annotated returns a stored result whose rows have the notes that today's code gives them.
func annotated(t *testing.T, entry Entry, path string, stored report.Result) report.Result {
	t.Helper()
	notes := make(map[string]string)
	if entry.compare != nil {
		for _, m := range entry.of(Paper).Methods {
			notes[m.Name] = m.Note
		}
	}
	old := summary(t, stored)
	for i, row := range stored.Rows {
		if note, ok := notes[row.Method]; ok && (row.Source == "" || row.Source == stored.Source) {
			stored.Rows[i].Note = note
		}
		if entry.images && aboutShrunk(row.Method) != "" && stored.ID == "mobilenet-supernet" {
			stored.Rows[i].Note = aboutShrunk(row.Method)
		}
	}
	switch {
	case summary(t, stored) == old:
	case !*update:
		t.Errorf("%s has other notes than the code", path)
	default:
		if err := stored.WriteFiles(filepath.Dir(path), stored.Table(entry.Columns...)); err != nil {
			t.Error(err)
		}
	}
	return stored
}

// completed returns a stored result with the rows of the results beside it, which it should have.
func completed(t *testing.T, entry Entry, path string, stored report.Result) report.Result {
	t.Helper()
	whole, err := entry.Complete(os.DirFS("../../figures"), stored)
	if err != nil {
		t.Error(err)
		return stored
	}
	if summary(t, whole) == summary(t, stored) {
		return stored
	}
	if !*update {
		t.Errorf("%s lacks rows of the results beside it", path)
		return stored
	}
	if err := whole.WriteFiles(filepath.Dir(path), whole.Table(entry.Columns...)); err != nil {
		t.Error(err)
	}
	return whole
}

// Searches at their small size compute in pure Go, whatever plugin there is; the user's choice goes before that.
func TestEntryOpen(t *testing.T) {
	t.Setenv("GOMLX_BACKEND", "")
	for _, id := range []string{"table4", "darts", "ablation-head", "weightsharing", "mobilenet-supernet"} {
		backend, err := All[id].Open(Small)
		if short, _ := engine.OpenShort(); err != nil || backend != short {
			t.Errorf("%s takes %v at its small size (%v)", id, backend, err)
		}
	}
	long, err := engine.Open()
	if err != nil {
		t.Fatal(err)
	}
	for id, preset := range map[string]Preset{"table4": Paper, "weightsharing": Paper, "mobilenet-supernet": Paper} {
		if backend, err := All[id].Open(preset); err != nil || backend != long {
			t.Errorf("%s takes %v at the size %s (%v)", id, backend, preset, err)
		}
	}
}
