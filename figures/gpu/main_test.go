package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/measure/steps"
)

var update = flag.Bool("update", false, "write proof.json again, from pure Go")

// again makes this test program the program itself, as which it starts its parts.
const again = "GPU_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(again) != "" {
		main()
		return
	}
	os.Setenv(again, "1")
	os.Exit(m.Run())
}

// The stored numbers are those of pure Go; they are what a GPU's are compared with.
func TestProof(t *testing.T) {
	backend, err := engine.OpenConfig("go")
	if err != nil {
		t.Fatal(err)
	}
	got := make(provedNumbers)
	for _, s := range proofSteps() {
		if got[s.Name], err = numbers(backend, s); err != nil {
			t.Fatal(err)
		}
	}
	if *update {
		text, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("proof.json", append(bytes.ReplaceAll(text, []byte(`,"`), []byte(",\n\"")), '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	var want provedNumbers
	if err := json.Unmarshal(proofJSON, &want); err != nil {
		t.Fatal(err)
	}
	if len(want) != len(got) {
		t.Errorf("%d steps are stored, but there are %d", len(want), len(got))
	}
	for name := range got {
		if difference, err := differ(want[name], got[name]); err != nil || !(difference <= 1e-5) {
			t.Errorf("%s differs from what is stored by %g (%v)", name, difference, err)
		}
	}
}

func TestDiffer(t *testing.T) {
	one := [][]float64{{1, 2}, {3}}
	for _, c := range []struct {
		got  [][]float64
		want float64
		bad  bool
	}{
		{[][]float64{{1, 2}, {3}}, 0, false},
		{[][]float64{{1.5, 2}, {3}}, 0.5, false},
		{[][]float64{{1, 3}, {3}}, 0.5, false}, // relative to 2
		{[][]float64{{1, 2}}, 0, true},
		{[][]float64{{1}, {3}}, 0, true},
		{nil, 0, true},
	} {
		got, err := differ(one, c.got)
		if got != c.want || (err != nil) != c.bad {
			t.Errorf("%v differs by %g (%v), want %g", c.got, got, err, c.want)
		}
	}
	if _, err := differ(nil, nil); err == nil {
		t.Error("a step without stored numbers passed")
	}
	nan, err := differ(one, [][]float64{{1, 2}, {zero / zero}})
	if err != nil || nan <= steps.Tolerance {
		t.Errorf("what is not a number differs by %g (%v)", nan, err)
	}
}

var zero = 0.0

// The rehearsal does every part, small, on the backend that there is, within two minutes.
func TestRehearsal(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	out := t.TempDir()
	start := time.Now()
	if err := run(t.Context(), []string{"-rehearse", "-limit", "110s", "-o", out}); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 2*time.Minute {
		t.Errorf("it took %v", took)
	}
	r, err := readResult(filepath.Join(out, "result.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Parts) != len(parts(true)) || !r.Rehearsal {
		t.Errorf("%d of %d parts are told of", len(r.Parts), len(parts(true)))
	}
	if r.Parts[0].Ended == endedCut {
		t.Skipf("the machine is too slow, or too busy, for a rehearsal: %+v", r.Parts[0])
	}
	if r.Parts[0].Name != "proof" || r.Parts[0].Ended != endedDone || len(r.Parts[0].Rows) != len(proofSteps()) {
		t.Errorf("the proof: %+v", r.Parts[0])
	}
	ended := map[string]int{}
	for _, p := range r.Parts {
		ended[p.Ended]++
		if p.Ended == endedDone && len(p.Rows) == 0 {
			t.Errorf("%s told nothing", p.Name)
		}
	}
	t.Logf("%v in %.0f s", ended, r.Elapsed)
	if ended[endedFailed] > 0 {
		t.Error("parts failed")
	}
	if ended[endedDone] < len(r.Parts) {
		return // a slow machine: what is missing was cut
	}
	table, err := os.ReadFile(filepath.Join(out, "table.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		"**A rehearsal", "cores: ", "## proof", "## peak", "TF32, product of matrices", "bfloat16", "## training, TF32", "## training, float32", "hours of the whole preset",
		"share of the measured peak", "MobileNetV3 supernet", "## search", "side by side", "## memory", "## real training", "training of one cell alone", "KTau",
	} {
		if !strings.Contains(string(table), part) {
			t.Errorf("the table does not have %q", part)
		}
	}
	for _, name := range []string{"training of SPOS", "training of " + rowAlone} {
		if curves := r.find(name).Curves; len(curves["loss"]) < 2 || len(curves["loss"]) != len(curves["accuracy"]) {
			t.Errorf("%s has the curves %v", name, curves)
		}
	}
	if rate, start := r.rate("SPOS"); rate <= 0 || start <= 0 {
		t.Error("the rate by which a training is planned is not known")
	}
}

// A part that takes too long is ended and the next one begins; a run that has no time left
// says so of the rest; what was measured before stays.
func TestLimits(t *testing.T) {
	out := t.TempDir()
	limited := []string{"-rehearse", "-only", "proof,search", "-limit", "400ms", "-o", out}
	if err := run(t.Context(), limited); err != nil {
		t.Error(err)
	}
	r, err := readResult(filepath.Join(out, "result.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Parts) != 3 || r.Parts[0].Ended != endedCut || r.Parts[2].Ended != endedSkipped {
		t.Errorf("the parts: %+v", r.Parts)
	}
	table, err := os.ReadFile(filepath.Join(out, "table.md"))
	if err != nil || !strings.Contains(string(table), endedSkipped) {
		t.Errorf("the table (error %v): %s", err, table)
	}
}

// A second run with the same run directories does what the first did not.
func TestGoesOn(t *testing.T) {
	out, runs := t.TempDir(), t.TempDir()
	const did = `{"name":"proof","limit_s":100,"elapsed_s":7,"ended":"done","rows":[{"name":"first"}]},
		{"name":"peak: float32","limit_s":40,"elapsed_s":40,"ended":"cut by its time limit"},
		{"name":"peak: TF32","limit_s":5,"elapsed_s":5,"ended":"cut by its time limit"},
		{"name":"peak: bfloat16","ended":"no time was left for it"}`
	if err := os.WriteFile(filepath.Join(runs, "result.json"), []byte(`{"id":"gpu","rehearsal":true,"elapsed_s":50,"machine":{"card":"a card"},"parts":[`+did+`]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"-rehearse", "-only", "proof,peak", "-o", out, "-runs", runs}); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{out, runs} {
		r, err := readResult(filepath.Join(dir, "result.json"))
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Parts) != 4 || r.Elapsed <= 50 || r.Machine["card"] != "a card" || r.find("first").Name == "" {
			t.Errorf("%+v", r)
		}
		for i, want := range []string{endedDone, endedCut, endedDone, endedDone} {
			if p := r.Parts[i]; p.Ended != want || (i < 2) != (p.Name == "proof" || p.Seconds == 40) {
				t.Errorf("%+v, want it %s", p, want)
			}
		}
	}
}

// A part that ends badly is told of, and the others are done.
func TestFailure(t *testing.T) {
	t.Setenv("GOMLX_BACKEND", "abacus")
	out := t.TempDir()
	if err := run(t.Context(), []string{"-rehearse", "-only", "proof,reading", "-o", out}); err == nil || !strings.Contains(err.Error(), "proof: exit status") {
		t.Errorf("error %v", err)
	}
	r, err := readResult(filepath.Join(out, "result.json"))
	if err != nil || len(r.Parts) != 2 || r.Parts[0].Ended != endedFailed || r.Parts[1].Ended != endedFailed || !strings.Contains(r.Parts[1].Why, `"abacus"`) {
		t.Errorf("the parts: %+v (%v)", r.Parts, err)
	}
}

// Numbers that JSON does not have are told of in words, and keep no other from being written.
func TestNotFinite(t *testing.T) {
	w := &worker{options: options{out: t.TempDir()}, result: &result{ID: "gpu", Parts: []part{{Name: "proof", Ended: endedDone}}}}
	w.row("first", map[string]float64{"difference": zero / zero}, "")
	w.row("second", map[string]float64{"difference": 1}, "")
	w.row("second", map[string]float64{"difference": 2}, "")
	r, err := readResult(filepath.Join(w.out, "result.json"))
	if err != nil || w.unwritten != nil {
		t.Fatal(err, w.unwritten)
	}
	if rows := r.Parts[0].Rows; len(rows) != 2 || rows[0].Note != "some of its numbers are not finite" || rows[1].Metrics["difference"] != 2 {
		t.Errorf("%+v", rows)
	}
	w.out = filepath.Join(w.out, "result.json", "folder")
	if w.row("third", nil, ""); w.unwritten == nil {
		t.Error("a result that cannot be written is no error")
	}
}

func TestArguments(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"", "say with -o"}, {"x", "no arguments"}, {"-part x", "no part \"x\""}, {"-part proof -o /nowhere", "/nowhere/result.json"}, {"-table /nowhere", "/nowhere/result.json"}, {"-only proof,nope -o /nowhere", "no part has \"nope\" in its name; there are proof; peak"}, {"-limit x", "limit"},
	} {
		if err := run(context.Background(), strings.Fields(c.args)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want one with %q", c.args, err, c.want)
		}
	}
}

// The script takes whole seconds, and says so before it does anything.
func TestScriptArguments(t *testing.T) {
	for _, seconds := range []string{"10m", "0", "", "-5"} {
		out, err := exec.Command("bash", "run", filepath.Join(t.TempDir(), "out"), seconds).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "give whole seconds") {
			t.Errorf("%q: %v, %s", seconds, err, out)
		}
	}
}

// On a GPU, what is compared with pure Go is not rounded to TF32, and memory that is measured is
// not kept.
func TestEnviron(t *testing.T) {
	t.Setenv("XLA_FLAGS", "")
	const plugin = "xla:/site/jax_plugins/xla_cuda13/xla_cuda_plugin.so"
	for _, p := range parts(false) {
		t.Setenv("GOMLX_BACKEND", plugin)
		got := strings.Join(p.environ("/runs"), " ")
		exact := strings.Contains(got, "NVIDIA_TF32_OVERRIDE=0") && strings.Contains(got, "GOMLX_BACKEND="+plugin+",tf32=false")
		cache := " --xla_gpu_per_fusion_autotune_cache_dir=/runs/autotune-"
		if !strings.Contains(got, cache+map[bool]string{true: "float32", false: "tf32"}[p.exact]) {
			t.Errorf("%s mixes up what is fastest in another precision: %s", p.name, got)
		}
		if exact != p.exact || strings.Contains(got, "allocator=platform") != p.plainMemory {
			t.Errorf("%s: %s", p.name, got)
		}
		t.Setenv("GOMLX_BACKEND", "go")
		if got := p.environ("/runs"); got != nil {
			t.Errorf("%s in pure Go: %v", p.name, got)
		}
	}
}

// What nvidia-smi listed on an H200 that four processes shared.
func TestMemoryOf(t *testing.T) {
	for line, want := range map[string]float64{"2067, 602": 602.0 / 1024, " 2067, 602": 0, "2069, 602": 0, "2067, [N/A]": 0, "2067": 0, "": 0} {
		if got := memoryOf(2067, line); got != want {
			t.Errorf("%q: %g GiB, want %g", line, got, want)
		}
	}
}

// The table of numbers that are known, beside those of a CPU.
func TestTable(t *testing.T) {
	out := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(out, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("result.json", `{"id":"gpu","date":"2026-01-03","elapsed_s":61,"machine":{"card":"NVIDIA H100","driver":"580.1","plugin":"PJRT v0.1","cores":"16"},"parts":[
		{"name":"comparator","date":"2026-01-02","limit_s":60,"ended":"done","rows":[{"name":"step","metrics":{"time_ms":1.5,"first_s":2}}]},
		{"name":"search: one","limit_s":60,"ended":"cut by its time limit","rows":[{"name":"search","metrics":{"seconds":30}, "note":"A note."}]}]}`)
	write("cpu.json", `{"id":"gpu","date":"2026-01-02","machine":{"backend":"xla:cpu","cores":"2","cpu":"Xeon"},"parts":[
		{"name":"comparator","ended":"done","rows":[{"name":"step","metrics":{"time_ms":40,"first_s":3}}]}]}`)
	if err := run(t.Context(), []string{"-table", out}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(out, "table.md"))
	if err != nil {
		t.Fatal(err)
	}
	const want = `card: NVIDIA H100; driver: 580.1; plugin: PJRT v0.1; cores: 16. 2026-01-02 to 2026-01-03, 61 s in all. Written by ` + "`figures/gpu/run`" + `.

Beside it, where it was measured, the same on a CPU: xla:cpu with 2 cores (Xeon).

## comparator

|  | time (ms) | time (ms), CPU | first call, with compiling (s) |
| --- | ---: | ---: | ---: |
| step | 1.5 | 40 | 2.0 |

## search

|  | time (s) |
| --- | ---: |
| search | 30.0 |

- search: A note.

search: one: cut by its time limit (60 s)
`
	if string(got) != want {
		t.Errorf("the table is\n%s\nwant\n%s", got, want)
	}
}

func FuzzResult(f *testing.F) {
	f.Add([]byte(`{"id":"gpu","parts":[{"name":"a: b","rows":[{"name":"x","metrics":{"time_ms":1}}]}]}`))
	f.Add([]byte(`{"id":"gpu","machine":null,"parts":null}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parseResult("result.json", text)
		if err != nil {
			return
		}
		r.table(r)
	})
}

// The scripts: what is packed runs from a read-only folder, and what comes back is stored.
func TestScripts(t *testing.T) {
	for _, name := range []string{"pack", "run", "store"} {
		if out, err := exec.Command("bash", "-n", name).CombinedOutput(); err != nil {
			var exit *exec.ExitError
			if !errors.As(err, &exit) {
				t.Skip("there is no bash")
			}
			t.Errorf("%s: %s", name, out)
		}
	}
}
