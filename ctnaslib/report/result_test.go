package report

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
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
		"nan in a curve":   func(r *Result) { r.Rows[1].Curves = map[string][]float64{"loss": {1, math.NaN()}} },
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
	wantHeader := []string{"method", "test accuracy (%)", "paper", "best (%)", "paper", "queries"}
	if !slices.Equal(table.Header, wantHeader) {
		t.Errorf("header %q, want %q", table.Header, wantHeader)
	}
	for i, want := range [][]string{
		{"CTNAS", "94.00\u00a0±\u00a00.10", "93.92\u00a0±\u00a00.18", "94.10", "–", "423"},
		{"fixed | none †", "93.00", "–", "–", "–", "–"},
		{"ENAS ‡", "–", "91.83\u00a0±\u00a00.42", "–", "92.54", "–"},
	} {
		if !slices.Equal(table.Rows[i], want) {
			t.Errorf("row %q, want %q", table.Rows[i], want)
		}
	}
	wantMarkdown := `Table 4. Measured on nasbench101 (real), backend xla:cpu, 3 seeds, in 1m2s.

| method | test accuracy (%) | paper | best (%) | paper | queries |
| --- | ---: | ---: | ---: | ---: | ---: |
| CTNAS | 94.00 ± 0.10 | **93.92 ± 0.18** | 94.10 | – | 423 |
| fixed \| none † | 93.00 | – | – | – | – |
| ENAS ‡ | – | 91.83 ± 0.42 | – | 92.54 | – |

- † source: surrogate.
- ‡ from the paper, not measured here.
- fixed | none: One of two.
- test accuracy: of the cell found; mean ± standard deviation over the seeds.
- best: the highest of all seeds.
- queries: architectures whose accuracy one search asks for.
- paper: the paper's number for the column to its left.
- surrogate: the accuracies are predictions of a model that was fitted to measured ones.
`
	if got := strings.ReplaceAll(table.Markdown(), "\u00a0", " "); got != wantMarkdown {
		t.Errorf("Markdown\n%s\nwant\n%s", got, wantMarkdown)
	}
}

// The best number of each column is in bold, of those that were measured on the same.
func TestBest(t *testing.T) {
	row := func(method, source string, accuracy, rank float64) Row {
		return Row{Method: method, Source: source, Metrics: map[string]float64{"accuracy_mean": accuracy, "best_rank_percent": rank}}
	}
	r := Result{ID: "table1", Source: "real", Seeds: 1, Rows: []Row{
		row("a", "", 93.904, 2), row("b", "", 93.896, 1), row("c", "", 90, 3), row("d", "proxy", 99, 0.5),
	}}
	table := r.Table(Accuracy, Rank)
	want := [][]bool{{false, true, false}, {false, true, true}, {false, false, false}, {false, false, false}} // 93.90 is 93.90
	if !reflect.DeepEqual(table.Bold, want) {
		t.Errorf("in bold is %v, want %v", table.Bold, want)
	}
	if text := table.HTML(); strings.Count(text, "<b>") != 3 {
		t.Errorf("in bold is\n%s", text)
	}
}

// No table is wider than eight columns; a further table has the rows that have numbers there.
func TestWideTable(t *testing.T) {
	r := exampleResult(t)
	var columns []Column
	for i := range 8 {
		c := Column{Header: fmt.Sprint("c", i), Value: fmt.Sprint("m", i)}
		columns = append(columns, c)
		r.Rows[0].Metrics[c.Value] = float64(1000 * i)
	}
	table := r.Table(columns...)
	if len(table.Header) != widest || len(table.Rows) != 3 || len(table.More) != 1 {
		t.Fatalf("tables %+v", table)
	}
	if rest := table.More[0]; !slices.Equal(rest.Header, []string{"method", "c7"}) || len(rest.Rows) != 1 || rest.Rows[0][1] != "7,000" {
		t.Errorf("the rest is %+v", rest)
	}
}

// A table of one's own is paged where one asks for it, also if its rows differ in length.
func TestPaged(t *testing.T) {
	table := Table{Header: strings.Split("abcdefghij", ""), Rows: [][]string{strings.Split("0123456789", ""), {"short", "1"}}, Notes: []string{"note"}}
	got := table.Paged()
	if strings.Join(got.Header, "") != "abcdefgh" || len(got.Rows) != 2 || len(got.More) != 1 || len(got.Notes) != 1 {
		t.Fatalf("%+v", got)
	}
	if rest := got.More[0]; strings.Join(rest.Header, "") != "aij" || len(rest.Rows) != 1 || strings.Join(rest.Rows[0], "") != "089" {
		t.Errorf("the rest is %+v", rest)
	}
	if narrow := got.More[0].Paged(); len(narrow.More) != 0 {
		t.Errorf("a narrow table is paged: %+v", narrow)
	}
}

// What several rows have to say is said once.
func TestNotesOnce(t *testing.T) {
	r := exampleResult(t)
	r.Rows[0].Note, r.Rows[2].Note = "Measured elsewhere.", "Measured elsewhere."
	if got := r.notes(); !slices.Equal(got, []string{"CTNAS; ENAS: Measured elsewhere.", "fixed | none: One of two."}) {
		t.Errorf("notes %q", got)
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
	tests := r.Table(Accuracy).More[0]
	for i, want := range [][]string{{"accuracy (%)", "0.030"}, {"KTau", "< 0.001"}, {"accuracy (%)", "0.060"}, {"accuracy (%)", "0.060"}, {"KTau", "0.200"}, {"accuracy (%)", "0.020"}} {
		row := tests.Rows[i]
		if significant := want[1] < "0.05" || want[1][0] == '<'; row[0] != "A − B" || row[1] != want[0] || row[4] != want[1] || tests.Bold[i][4] != significant {
			t.Errorf("test %d is %q, bold %v; want %q", i, row, tests.Bold[i], want)
		}
	}
	if !strings.Contains(tests.Caption, "(4 of accuracy, 2 of KTau)") {
		t.Errorf("the caption is %q", tests.Caption)
	}
	if len(exampleResult(t).Holm()) != 0 || len(exampleResult(t).Table(Accuracy).More) != 0 {
		t.Error("a result without tests has a table of them")
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
	if cells != 4*3 {
		t.Errorf("%d cells, want 12", cells)
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
	each, ours, papers := c.Series[0], c.Series[1], c.Series[2]
	if !slices.Equal(each.X, []float64{0, 0, 0}) || !slices.Equal(each.Y, exampleResult(t).Rows[0].PerSeed["accuracy"]) {
		t.Errorf("the seeds are %+v", each)
	}
	if !slices.Equal(ours.X, []float64{0, 1}) || !slices.Equal(ours.Y, []float64{94, 93}) {
		t.Errorf("the means are %+v", ours)
	}
	if !slices.Equal(papers.X, []float64{0, 2}) || !papers.Reference {
		t.Errorf("the paper's %+v", papers)
	}
	if c.Title != "Table 4: accuracy of the cell found" || !c.Rows {
		t.Errorf("the chart is %q, rows %v", c.Title, c.Rows)
	}
	if best := exampleResult(t).Chart(Best); len(best.Categories) != 2 || len(best.Series) != 2 {
		t.Errorf("chart of the best %+v, want two methods, without their seeds", best)
	}
}

// One value far below all others does not press them together: its number is at the edge.
func TestOutliers(t *testing.T) {
	rows := []Row{NewRow("a", map[string][]float64{"accuracy": {93.1, 93.2, 93.3, 93.4}}), NewRow("b", map[string][]float64{"accuracy": {93.2, 93.3, 93.4, 83.77}})}
	r := Result{ID: "table1", Rows: rows}
	c := r.Chart(Accuracy)
	if c.from < 90 || c.frame(true).y.min < 90 {
		t.Errorf("the axis begins at %g", c.frame(true).y.min)
	}
	if _, texts := shapes(t, svgOf(t, c)); !slices.Contains(texts, "◄ 83.8, 90.8") && !slices.Contains(texts, "◄ 83.8") {
		t.Errorf("the texts are %q", texts)
	}
	r.Rows = rows[:1]
	if c := r.Chart(Accuracy); c.from != 0 {
		t.Errorf("without outliers, the axis begins at %g", c.from)
	}
	several := NewRow("c", map[string][]float64{"accuracy": {90, 80, 81, 82}})
	r.Rows = append(slices.Repeat(rows[:1], 5), several)
	if c := r.Chart(Accuracy); c.from != 0 {
		t.Errorf("a method with several outliers is cut at %g", c.from)
	}
}

func TestTitle(t *testing.T) {
	for id, want := range map[string]string{
		"table1": "Table 1", "proposition1": "Proposition 1", "ablation-depth": "Ablation (depth)", "weightsharing": "Weight sharing", "x": "X", "own-benchmark": "Own benchmark", "12": "12", "": "",
	} {
		if got := Title(id); got != want {
			t.Errorf("%q is %q, want %q", id, got, want)
		}
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
	if text, err := os.ReadFile(filepath.Join(dir, "table.md")); err != nil || !strings.Contains(string(text), "\n\n![Table 4: accuracy of the cell found](accuracy.svg)\n\n| method |") || string(text) != Page(table, Figure{"accuracy", r.Chart(Accuracy)}) {
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
