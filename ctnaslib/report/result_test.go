package report

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// example is the JSON of the project's design, with what it leaves open filled in.
const example = `{"id": "table4", "benchmark": "nasbench101", "source": "real", "backend": "xla:cpu", "seeds": 3, "elapsed_s": 61.5,
 "config": {"labels": 423}, "rows": [
 {"method": "CTNAS", "metrics": {"accuracy_mean": 94, "accuracy_std": 0.1, "accuracy_best": 94.1, "queries": 423},
  "paper": {"accuracy_mean": 93.92, "accuracy_std": 0.18}, "per_seed": {"accuracy": [93.9, 94, 94.1]}},
 {"method": "fixed | none", "source": "surrogate", "metrics": {"accuracy_mean": 93}, "note": "One of two."},
 {"method": "ENAS", "paper": {"accuracy_mean": 91.83, "accuracy_std": 0.42, "accuracy_best": 92.54}}]}`

func exampleResult(t *testing.T) Result {
	t.Helper()
	var r Result
	if err := json.Unmarshal([]byte(example), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// Every key of the design is a field, and no field adds a key of its own.
func TestResultIsTheDesignsJSON(t *testing.T) {
	written, err := json.Marshal(exampleResult(t))
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := json.Unmarshal(written, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(example), &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("written as\n%v\nwant\n%v", got, want)
	}
}

// statistics.mean and statistics.stdev of Python give 93.92 and 0.182345825 for
// these values (rounded).
func TestNewRow(t *testing.T) {
	row := NewRow("CTNAS", map[string][]float64{"accuracy": {93.7, 94.1, 93.75, 94.05, 94.0}, "ktau": {0.75}})
	want := map[string]float64{"accuracy_mean": 93.92, "accuracy_std": 0.182345825, "accuracy_best": 94.1, "ktau_mean": 0.75}
	if len(row.Metrics) != len(want) {
		t.Errorf("metrics %v, want %v", row.Metrics, want)
	}
	for name, value := range want {
		if math.Abs(row.Metrics[name]-value) > 1e-8 {
			t.Errorf("%s is %.9f, want %.9f", name, row.Metrics[name], value)
		}
	}
}

func TestCheck(t *testing.T) {
	if err := exampleResult(t).Check(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Result){
		"no id":            func(r *Result) { r.ID = "" },
		"no benchmark":     func(r *Result) { r.Benchmark = "" },
		"no backend":       func(r *Result) { r.Backend = "" },
		"no source":        func(r *Result) { r.Source = "" },
		"other source":     func(r *Result) { r.Rows[1].Source = "guessed" },
		"no seeds":         func(r *Result) { r.Seeds = 0 },
		"wrong seeds":      func(r *Result) { r.Rows[0].Seeds = 10 },
		"no config":        func(r *Result) { r.Config = nil },
		"empty config":     func(r *Result) { r.Config = struct{}{} },
		"no rows":          func(r *Result) { r.Rows = nil },
		"no method":        func(r *Result) { r.Rows[0].Method = "" },
		"twice":            func(r *Result) { r.Rows[2].Method = "CTNAS" },
		"unknown of paper": func(r *Result) { r.Rows[2].Paper["tau"] = 1 },
		"nan":              func(r *Result) { r.Rows[1].Metrics["accuracy_mean"] = math.NaN() },
		"another mean":     func(r *Result) { r.Rows[0].Metrics["accuracy_mean"] = 94.01 },
		"another std":      func(r *Result) { r.Rows[0].Metrics["accuracy_std"] = 0.0816 },
		"another best":     func(r *Result) { r.Rows[0].Metrics["accuracy_best"] = 94.22 },
		"seed too many":    func(r *Result) { r.Rows[0].PerSeed["accuracy"] = []float64{93.9, 93.9, 94.1, 94.1} },
		"values alone":     func(r *Result) { r.Rows[0].Metrics = nil },
		"made-up test":     func(r *Result) { r.Tests = []Comparison{{First: "CTNAS", Second: "ENAS", Metric: "accuracy"}} },
	} {
		r := exampleResult(t)
		spoil(&r)
		if err := r.Check(); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line", name, err)
		}
	}
}

func TestCompare(t *testing.T) {
	r := exampleResult(t)
	r.Rows[1] = NewRow("fixed", map[string][]float64{"accuracy": {93.5, 93.9, 93.7}})
	got, err := r.Compare("CTNAS", "fixed", "accuracy")
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(got.Difference-0.3) > 1e-9 || !(got.Low < 0.3 && 0.3 < got.High) {
		t.Errorf("comparison %+v, want the difference 0.3", got)
	}
	r.Tests = []Comparison{got}
	if err := r.Check(); err != nil {
		t.Error(err)
	}
	r.Tests[0].P /= 2
	if err := r.Check(); err == nil {
		t.Error("half the p is not noticed")
	}
	r.Rows[1].Source = "surrogate"
	if _, err := r.Compare("CTNAS", "fixed", "accuracy"); err == nil {
		t.Error("real and surrogate values are compared")
	}
}

func TestTable(t *testing.T) {
	table := exampleResult(t).Table(Accuracy, Best, Queries)
	wantHeader := []string{"method", "test accuracy (%)", "paper: test accuracy (%)", "best (%)", "paper: best (%)", "queries", "source", "seeds"}
	if !slices.Equal(table.Header, wantHeader) {
		t.Errorf("header %q, want %q", table.Header, wantHeader)
	}
	for i, want := range [][]string{
		{"CTNAS", "94.00 ± 0.10", "93.92 ± 0.18", "94.10", "–", "423", "real", "3"},
		{"fixed | none", "93.00", "–", "–", "–", "–", "surrogate", "3"},
		{"ENAS", "–", "91.83 ± 0.42", "–", "92.54", "–", "paper only", "–"},
	} {
		if !slices.Equal(table.Rows[i], want) {
			t.Errorf("row %q, want %q", table.Rows[i], want)
		}
	}
	wantMarkdown := `table4: nasbench101 (real), backend xla:cpu, 3 seeds, 1m2s in all.

| method | test accuracy (%) | paper: test accuracy (%) | best (%) | paper: best (%) | queries | source | seeds |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| CTNAS | 94.00 ± 0.10 | 93.92 ± 0.18 | 94.10 | – | 423 | real | 3 |
| fixed \| none | 93.00 | – | – | – | – | surrogate | 3 |
| ENAS | – | 91.83 ± 0.42 | – | 92.54 | – | paper only | – |

- fixed | none: One of two.
`
	if got := table.Markdown(); got != wantMarkdown {
		t.Errorf("Markdown\n%s\nwant\n%s", got, wantMarkdown)
	}
}

// Each metric is a family of tests of its own; the adjusted values are computed by hand.
func TestHolm(t *testing.T) {
	r := exampleResult(t)
	for _, c := range []Comparison{
		{Metric: "accuracy", P: 0.01}, {Metric: "ktau", P: 0.0004}, {Metric: "accuracy", P: 0.04}, {Metric: "accuracy", P: 0.03}, {Metric: "ktau", P: 0.2}, {Metric: "accuracy", P: 0.005},
	} {
		c.First, c.Second = "A", "B"
		r.Tests = append(r.Tests, c)
	}
	got, want := r.Holm(), []float64{0.03, 0.0008, 0.06, 0.06, 0.2, 0.02}
	for i := range want {
		if len(got) != len(want) || math.Abs(got[i]-want[i]) > 1e-12 {
			t.Fatalf("adjusted %g, want %g", got, want)
		}
	}
	notes := r.Table(Accuracy).Notes[1:] // after that of a row
	if len(notes) != 7 || !strings.Contains(notes[2], "p = 0.040, ") || !strings.HasSuffix(notes[2], "; by Holm's method, p = 0.060") || !strings.HasSuffix(notes[1], ", p < 0.001") {
		t.Errorf("notes %q", notes)
	}
	if !strings.Contains(notes[6], "(4 of accuracy, 2 of ktau)") {
		t.Errorf("the last note is %q", notes[6])
	}
	if len(exampleResult(t).Holm()) != 0 || len(exampleResult(t).Table(Accuracy).Notes) != 1 {
		t.Error("a result without tests has notes on them")
	}
}

func TestPaperDigits(t *testing.T) {
	r := exampleResult(t)
	r.Rows[0].Metrics["best_rank_percent"], r.Rows[0].Paper["best_rank_percent"] = 0.000236, 0.01
	table := r.Table(Rank)
	if got := table.Rows[0][1:3]; !slices.Equal(got, []string{"0.0002", "0.01"}) {
		t.Errorf("ranks %q", got)
	}
}

func TestTableHTML(t *testing.T) {
	table := exampleResult(t).Table(Accuracy)
	table.Rows[1][0] = "<b>&"
	text := table.HTML()
	cells := 0
	for decoder := xml.NewDecoder(strings.NewReader("<x>" + text + "</x>")); ; {
		token, err := decoder.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("the table is not well-formed: %v", err)
		}
		if start, ok := token.(xml.StartElement); ok && (start.Name.Local == "td" || start.Name.Local == "th") {
			cells++
		}
	}
	if cells != 4*5 {
		t.Errorf("%d cells, want 20", cells)
	}
	if !strings.Contains(text, "&lt;b&gt;&amp;") {
		t.Error("a method's name is not escaped")
	}
}

func TestResultChart(t *testing.T) {
	c := exampleResult(t).Chart(Accuracy)
	if want := []string{"CTNAS", "fixed | none", "ENAS"}; !slices.Equal(c.Categories, want) {
		t.Errorf("categories %q, want %q", c.Categories, want)
	}
	ours, papers := c.Series[0], c.Series[1]
	if !slices.Equal(ours.X, []float64{0, 1}) || !slices.Equal(ours.Y, []float64{94, 93}) || !slices.Equal(ours.Err, []float64{0.1, 0}) {
		t.Errorf("measured %+v", ours)
	}
	if !slices.Equal(papers.X, []float64{0, 2}) || !papers.Reference {
		t.Errorf("the paper's %+v", papers)
	}
	if best := exampleResult(t).Chart(Best); len(best.Categories) != 2 || best.Series[0].Err != nil {
		t.Errorf("chart of the best %+v, want two methods without error bars", best)
	}
}

func TestWriteFiles(t *testing.T) {
	r := exampleResult(t)
	dir := filepath.Join(t.TempDir(), "figures", "table4")
	table := r.Table(Accuracy)
	if err := r.WriteFiles(dir, table, Figure{"accuracy", r.Chart(Accuracy)}); err != nil {
		t.Fatal(err)
	}
	again, err := ReadResult(filepath.Join(dir, "result.json"))
	if err != nil || !reflect.DeepEqual(again, r) {
		t.Errorf("read back %+v, %v", again, err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "table.md")); err != nil || string(text) != table.Markdown() {
		t.Errorf("table.md: %v\n%s", err, text)
	}
	if svg, err := os.ReadFile(filepath.Join(dir, "accuracy.svg")); err != nil || !strings.Contains(string(svg), "<svg") {
		t.Errorf("accuracy.svg: %v", err)
	}
	if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) != 3 {
		t.Errorf("the folder holds %q", names)
	}
}

// A result that cannot be shown leaves the files before it alone.
func TestWriteFilesRefuses(t *testing.T) {
	dir := t.TempDir()
	r := exampleResult(t)
	if err := r.WriteFiles(dir, Table{Header: []string{"method"}}, Figure{"empty", Chart{}}); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("error %v, want one that names the figure", err)
	}
	r.Source = ""
	if err := r.WriteFiles(dir, Table{Header: []string{"method"}}); err == nil {
		t.Error("a result without a source is written")
	}
	if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) != 0 {
		t.Errorf("the folder holds %q", names)
	}
}

func TestReadResultErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "result.json")
	for name, text := range map[string]string{"cut off": example[:40], "empty": "{}"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadResult(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v, want one that names the file", name, err)
		}
	}
}

func TestOutsideTwoSigma(t *testing.T) {
	row := func(method string, ours, paper, spread float64) Row {
		r := Row{Method: method, Paper: map[string]float64{"accuracy_mean": paper, "accuracy_std": spread}}
		if ours != 0 {
			r.Metrics = map[string]float64{"accuracy_mean": ours}
		}
		return r
	}
	r := Result{Rows: []Row{
		row("just inside", 93.56, 93.92, 0.18),
		row("below", 93.50, 93.92, 0.18),
		row("above", 94.30, 93.92, 0.18),
		row("not run", 0, 93.92, 0.18),
		row("no spread", 50, 93.92, 0),
	}}
	got := strings.Join(r.OutsideTwoSigma(Accuracy), "\n")
	want := "below: the test accuracy of 93.50 % is below the paper's 93.92 ± 2 · 0.18.\n" +
		"above: the test accuracy of 94.30 % is above the paper's 93.92 ± 2 · 0.18."
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
