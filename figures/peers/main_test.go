package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/experiment"
	"github.com/ctnas/ctnas/datasets"
)

// again makes this test program the program itself, as which it starts its processes.
const again = "PEERS_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(again) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// alone sets a folder that is no repository, without a plugin, and a new one for temporary files, which must be empty
// at the end.
func alone(t *testing.T) {
	t.Helper()
	t.Setenv("GOMLX_BACKEND", "go")
	t.Setenv(again, "1") // not for the workers of fuzz tests
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	t.Chdir(t.TempDir())
	t.Cleanup(func() {
		if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
			t.Errorf("%v were left behind (%v)", left, err)
		}
	})
}

// write writes a file and returns its path.
func write(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// fakes writes a program that stands for Python, and a folder that stands for the authors' checkout. Asked for a
// measurement, the program fails where the job has no table, and else does what the file "does" beside it says.
func fakes(t *testing.T) (python, checkout string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("a shell stands for Python")
	}
	folder := t.TempDir()
	python = write(t, filepath.Join(folder, "python"), `#!/bin/sh
touch "$TMPDIR/left behind"
case "$3" in
*'"only_versions":true'*) echo '{"versions": {"torch": "2"}}'; exit;;
esac
data=$(expr "$3" : '.*"data":"\([^"]*\)"')
grep -q '"validation_accuracy":0' "$data" || { echo "no table in $data" >&2; exit 1; }
. "$(dirname "$0")/does"
`, 0o755)
	write(t, filepath.Join(folder, "checkout", "ctnas", "train.py"), "", 0o644)
	return python, filepath.Join(folder, "checkout")
}

const fakeNumbers = `echo '{"versions": {"torch": "2"}, "nac_s": 28, "search_s": 300, "loss": 0.25, "evaluating_s": 7, "operations_ms": {"product": 0.5}}'`

// The rehearsal measures ours in pure Go and a program in the place of theirs, and then Table 1 beside it.
func TestRehearsal(t *testing.T) {
	if testing.Short() {
		t.Skip("trains and searches")
	}
	alone(t)
	python, checkout := fakes(t)
	write(t, filepath.Join(filepath.Dir(python), "does"), fakeNumbers, 0o644)
	out := t.TempDir()
	if err := run(t.Context(), []string{"-rehearse", "-o", out, "-python", python, "-authors", checkout}); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"-rehearse", "-o", out, "-table1", "1", "-methods", "Random search"}); err != nil {
		t.Fatal(err)
	}
	r, err := readResult(out)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Speed.Peers) != 2 || len(r.Speed.Missing) != 1 || !strings.HasPrefix(r.Speed.Missing[0], "XLA: ") || r.Speed.Source == "" {
		t.Fatalf("%+v", r.Speed)
	}
	ours, theirs := r.Speed.Peers[0], r.Speed.Peers[1]
	m := ours.Rounds[0]
	if m.NAC <= 0 || m.Search <= m.NAC || m.Loss <= 0 || m.Versions["device"] != "go" || len(m.Operations) != len(operations) {
		t.Errorf("ours: %+v", m)
	}
	if runtime.GOOS == "linux" && m.Memory < 10 {
		t.Errorf("the peak memory is %g MB", m.Memory)
	}
	if theirs.Rounds[0].NAC != 28 || theirs.Operations != 2*ours.Operations || !strings.HasPrefix(theirs.Rounds[0].Versions["authors' code"], "digest ") {
		t.Errorf("theirs: %+v", theirs)
	}
	if len(r.Table1) != 1 || r.Table1[0].All <= 0 || r.Table1[0].Seeds != 1 || len(r.Table1[0].Methods) != 1 || r.Table1[0].Source != r.Speed.Source {
		t.Errorf("Table 1: %+v", r.Table1)
	}
	table, err := os.ReadFile(filepath.Join(out, "table.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"**A rehearsal", "authors / ours, pure Go", "NAC, 3 epochs", "NAC and 10 steps", "| 28.0 |", "× (", "7.0 s of the whole search", "torch 2", "Not measured, XLA: ", "Random search, with 1 seed"} {
		if !strings.Contains(string(table), part) {
			t.Errorf("the table does not have %q:\n%s", part, table)
		}
	}
	if err := os.Remove(filepath.Join(out, "table.md")); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"-table", out}); err != nil {
		t.Fatal(err)
	}
	if made, err := os.ReadFile(filepath.Join(out, "table.md")); err != nil || !bytes.Equal(made, table) {
		t.Errorf("the table made again is another one (%v)", err)
	}
}

// The search goes on from the training that was measured before it: its time would count twice.
func TestTheSearchTakesTheTrainingOver(t *testing.T) {
	if testing.Short() {
		t.Skip("trains and searches")
	}
	alone(t)
	folder := t.TempDir()
	if _, err := measureSpeed(t.Context(), job{Folder: folder, Rehearse: true}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{"nac", "ctnas"} {
		if dirs, err := filepath.Glob(filepath.Join(folder, step+"-*")); err != nil || len(dirs) != 1 {
			t.Errorf("the run directories of %s are %v (%v)", step, dirs, err)
		}
	}
}

// What the authors' code says when it fails is in the error; when we are stopped, so is it.
func TestTheirs(t *testing.T) {
	if testing.Short() {
		t.Skip("opens the whole table")
	}
	alone(t)
	table, err := datasets.OpenNASBench101(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	o := options{rehearse: true}
	o.python, o.authors = fakes(t)
	p, err := o.theirs(t.Context(), t.TempDir(), sizeOf(true), table)
	if err != nil {
		t.Fatal(err)
	}
	measure := func(ctx context.Context, does string) error {
		write(t, filepath.Join(filepath.Dir(o.python), "does"), does, 0o644)
		_, err := p.measure(ctx, filepath.Join(t.TempDir(), "new"))
		return err
	}
	wantError(t, measure(t.Context(), "echo Traceback >&2; echo KeyError: 7 >&2; exit 1"), "authors, PyTorch failed: KeyError: 7")
	wantError(t, measure(t.Context(), "echo hello"), "no measurement")
	wantError(t, measure(t.Context(), "echo '{}'"), "no measurement")

	began := filepath.Join(t.TempDir(), "began")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for _, err := os.Stat(began); err != nil; _, err = os.Stat(began) {
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
	}()
	start := time.Now()
	err = measure(ctx, "touch "+began+"; exec sleep 600")
	wantError(t, err, "stopped measuring authors, PyTorch")
	if !errors.Is(err, context.Canceled) || time.Since(start) > time.Minute {
		t.Errorf("error %v after %v", err, time.Since(start))
	}
}

func TestArguments(t *testing.T) {
	alone(t)
	other := t.TempDir()
	write(t, filepath.Join(other, "result.json"), `{"id": "gpu"}`, 0o644)
	empty := t.TempDir()
	write(t, filepath.Join(empty, "ctnas", "train.py"), "", 0o644)
	for _, c := range []struct{ args, want string }{
		{"x", "no arguments"},
		{"-rehearse", "say with -o"},
		{"-rehearse -o out -python python3", "both -python"},
		{"-rehearse -o out -table1 -1", "-table1 -1"},
		{"-rehearse -o out -table1 1 -python p -authors a", "leave -python"},
		{"-rehearse -o " + other, `a result of "gpu"`},
		{"-table /nowhere", "/nowhere/result.json"},
		{"-job x", "for the program itself"},
		{`-job {"part":"x"}`, `no part "x"`},
	} {
		wantError(t, run(t.Context(), strings.Fields(c.args)), c.want)
	}
	o := options{python: "/nowhere/python", authors: empty}
	_, err := o.theirs(t.Context(), t.TempDir(), sizeOf(true), nil)
	wantError(t, err, "/nowhere/python", "torch")
	o.authors = t.TempDir()
	_, err = o.theirs(t.Context(), t.TempDir(), sizeOf(true), nil)
	wantError(t, err, o.authors, "not a checkout")
	_, err = runTable1(t.Context(), job{Methods: "("})
	wantError(t, err, "not a regular expression")
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v, want one with %q", err, part)
		}
	}
}

// The default of -methods is the paper's methods that need no images.
func TestFiveMethods(t *testing.T) {
	count := 0
	for _, m := range experiment.Table1(experiment.Paper).Methods {
		if m.Config != nil && regexp.MustCompile(fiveMethods).MatchString(m.Name) {
			count++
		}
	}
	if count != 5 {
		t.Errorf("%d methods match", count)
	}
}

// A step of the released comparator on 256 cells has 0.73 GFLOP: 0.70 for the products with weights, 0.03 for messages.
func TestTrainingOperations(t *testing.T) {
	c := comparator.Released()
	c.Epochs = 1
	weights, messages := 3*4*2*1792.*128*128, 2*4*2*256*7.*7*128
	if got := trainingOperations(c, 256); got != weights+messages || math.Abs(got-0.73e9) > 0.005e9 {
		t.Errorf("%g operations in a step, want %g", got, weights+messages)
	}
	if got := productOperations(c); got != 2*1792*128*128 {
		t.Errorf("%g operations in a product", got)
	}
}

// The driver measures the operations of the same names.
func TestOperationsOfTheDriver(t *testing.T) {
	names := regexp.MustCompile(`(?m)^        "([a-z ]+)": lambda: `).FindAllStringSubmatch(driverProgram, -1)
	if len(names) != len(operations) {
		t.Fatalf("the driver has %d operations, not %d", len(names), len(operations))
	}
	for i, name := range names {
		if operations[i].name != name[1] {
			t.Errorf("operation %d of the driver is %q, not %q", i, name[1], operations[i].name)
		}
	}
}

func TestTimeOperations(t *testing.T) {
	backend, err := engine.OpenConfig("go")
	if err != nil {
		t.Fatal(err)
	}
	c := comparator.Released()
	c.BatchSize, c.Width = 4, 8
	took, err := timeOperations(backend, c, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range operations {
		if !(took[o.name] > 0) {
			t.Errorf("%s took %g ms", o.title, took[o.name])
		}
	}
}

func TestMedian(t *testing.T) {
	for want, numbers := range map[float64][]float64{2: {3, 1, 2}, 2.5: {4, 1, 2, 3}, 7: {7}} {
		if got := median(numbers); got != want {
			t.Errorf("the median of %v is %g", numbers, got)
		}
	}
}

// Ratios are of the same rounds.
func TestRatios(t *testing.T) {
	rounds := func(seconds ...float64) peerMeasured {
		var p peerMeasured
		for _, s := range seconds {
			p.Rounds = append(p.Rounds, measured{NAC: s})
		}
		return p
	}
	got := ratios(rounds(10, 40, 12), rounds(5, 10, 3), func(m measured) float64 { return m.NAC })
	if got != "4.00× (2.00 to 4.00)" {
		t.Errorf("the ratios are %s", got)
	}
}

func FuzzResult(f *testing.F) {
	for _, speed := range []string{`null`, `{"peers":[]}`, `{"peers":[{"name":"authors, PyTorch","rounds":[{"nac_s":1}]},{"name":"ours","rounds":[{},{"versions":{"go":"1"}}]}]}`} {
		f.Add(fmt.Sprintf(`{"id":"peers","speed":%s,"table1":[{"date":"2026-01-02","all_s":7,"methods":["ReNAS"]}]}`, speed))
	}
	f.Add("{")
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := parseResult("result.json", []byte(text)); err == nil {
			r.table() // must not panic
		}
	})
}
