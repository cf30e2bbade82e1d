package report

import (
	"cmp"
	"fmt"
	"html"
	"html/template"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Column says which metrics of a [Result] a column of its table shows.
type Column struct {
	Header      string // such as "accuracy"
	Unit        string // such as "%"; may be empty
	Value       string // a name of [Row.Metrics]
	StdDev      string // of its standard deviation, shown after ±; may be empty
	Digits      int    // after the decimal point
	PaperDigits int    // of the paper's numbers, if not Digits
}

// The columns of the paper's tables.
var (
	KTau     = Column{Header: "KTau", Value: "ktau_mean", StdDev: "ktau_std", Digits: 3}
	TopTau   = Column{Header: "KTau of the best tenth", Value: "ktau_top_mean", StdDev: "ktau_top_std", Digits: 3}
	First10  = Column{Header: "best of its first 10", Unit: "%", Value: "first_10_mean", StdDev: "first_10_std", Digits: 2}
	First100 = Column{Header: "best of its first 100", Unit: "%", Value: "first_100_mean", StdDev: "first_100_std", Digits: 2}
	Authors  = Column{Header: "KTau by the authors' protocol", Value: "ktau_authors_mean", StdDev: "ktau_authors_std", Digits: 3}
	Accuracy = Column{Header: "test accuracy", Unit: "%", Value: "accuracy_mean", StdDev: "accuracy_std", Digits: 2}
	Best     = Column{Header: "best", Unit: "%", Value: "accuracy_best", Digits: 2}
	Rank     = Column{Header: "best rank", Unit: "%", Value: "best_rank_percent", Digits: 4, PaperDigits: 2}
	Queries  = Column{Header: "queries", Value: "queries"}
	TimeMS   = Column{Header: "time", Unit: "ms", Value: "time_ms", Digits: 1}
	Speedup  = Column{Header: "speed-up", Value: "speedup", Digits: 1}
	Network  = Column{Header: "network", Unit: "%", Value: "network_mean", StdDev: "network_std", Digits: 1}
	Images   = Column{Header: "images/s", Value: "images_per_s"}
	MAdds    = Column{Header: "multiply-adds", Unit: "M", Value: "madds_m"}
	Top1     = Column{Header: "top-1", Unit: "%", Value: "top1_mean", StdDev: "top1_std", Digits: 1}
	Top5     = Column{Header: "top-5", Unit: "%", Value: "top5_mean", StdDev: "top5_std", Digits: 1}
	Peak     = Column{Header: "of peak", Unit: "%", Value: "peak_percent", Digits: 1}
)

func (c Column) title() string {
	if c.Unit == "" {
		return c.Header
	}
	return c.Header + " (" + c.Unit + ")"
}

// missing stands in a table for a number that there is not.
const missing = "–"

func (c Column) text(numbers map[string]float64, digits int) string {
	value, ok := numbers[c.Value]
	if !ok {
		return missing
	}
	text := strconv.FormatFloat(value, 'f', digits, 64)
	if value != 0 && strings.Trim(text, "-0.") == "" {
		text = strconv.FormatFloat(value, 'g', 2, 64) // small, but not zero
	}
	if spread, ok := numbers[c.StdDev]; ok {
		text += " ± " + strconv.FormatFloat(spread, 'f', digits, 64)
	}
	return text
}

// Table is a table as text, cell by cell. [Table.Markdown] and [Table.HTML] show every text as it is, on one line,
// with U+FFFD for control characters and invalid UTF-8.
type Table struct {
	Caption string // a sentence above it
	Header  []string
	Rows    [][]string
	Notes   []string // sentences below it
}

// Table lays out the result: a row for each method; for each column what was measured, if anything was for any row, and beside
// it, in a column of its own, the paper's number, if the paper has one for any row; then on what the row was measured
// and with how many seeds. The caption says the same of the whole, the notes hold why the result is outdated, if it is, the rows' notes, the tests with
// their p-values before and after [Result.Holm], and a sentence on what that corrects for.
func (r Result) Table(columns ...Column) Table {
	t := Table{Caption: r.caption(), Rows: make([][]string, len(r.Rows))}
	add := func(header string, cell func(Row) string) {
		t.Header = append(t.Header, header)
		for i, row := range r.Rows {
			t.Rows[i] = append(t.Rows[i], cell(row))
		}
	}
	measured := func(row Row, text string) string {
		if len(row.Metrics) == 0 {
			return missing
		}
		return text
	}
	add("method", func(row Row) string { return row.Method })
	for _, c := range columns {
		inPaper := slices.ContainsFunc(r.Rows, func(row Row) bool { _, ok := row.Paper[c.Value]; return ok })
		if slices.ContainsFunc(r.Rows, func(row Row) bool { _, ok := row.Metrics[c.Value]; return ok }) {
			add(c.title(), func(row Row) string { return c.text(row.Metrics, c.Digits) })
		}
		if inPaper {
			add("paper: "+c.title(), func(row Row) string { return c.text(row.Paper, cmp.Or(c.PaperDigits, c.Digits)) })
		}
	}
	add("source", func(row Row) string {
		if len(row.Metrics) == 0 {
			return "paper only"
		}
		return r.sourceOf(row)
	})
	add("seeds", func(row Row) string { return measured(row, strconv.Itoa(r.seedsOf(row))) })
	if slices.ContainsFunc(r.Rows, func(row Row) bool { return row.Backend != "" }) {
		add("backend", func(row Row) string { return measured(row, cmp.Or(row.Backend, r.Backend)) })
	}
	if len(r.Missing) > 0 {
		t.Notes = append(t.Notes, r.incomplete())
	}
	if r.Outdated != "" {
		t.Notes = append(t.Notes, "Outdated: "+r.Outdated)
	}
	for _, row := range r.Rows {
		if row.Note != "" {
			t.Notes = append(t.Notes, row.Method+": "+row.Note)
		}
	}
	for i, adjusted := range r.Holm() {
		t.Notes = append(t.Notes, fmt.Sprintf("%s; by Holm's method, %s", r.Tests[i], probability(adjusted)))
	}
	if len(r.Tests) > 0 {
		t.Notes = append(t.Notes, r.families())
	}
	return t
}

// families returns a sentence on what Holm's method corrects the tests for.
func (r Result) families() string {
	var metrics []string
	tests := make(map[string]int)
	for _, c := range r.Tests {
		if tests[c.Metric]++; tests[c.Metric] == 1 {
			metrics = append(metrics, c.Metric)
		}
	}
	var counts []string
	for _, m := range metrics {
		counts = append(counts, fmt.Sprintf("%d of %s", tests[m], m))
	}
	return fmt.Sprintf("Holm's method corrects a p-value for all the tests of the same metric in this table (%s). "+
		"A difference is significant if its p by Holm's method is below 0.05. The intervals are not corrected.", strings.Join(counts, ", "))
}

func (r Result) caption() string {
	seeds := fmt.Sprintf("%d seeds", r.Seeds)
	if r.Seeds == 1 {
		seeds = "1 seed"
	}
	elapsed := rounded(r.Elapsed) + " in all"
	if r.Wall > 0 {
		elapsed += ", " + rounded(r.Wall) + " by the clock"
	}
	return fmt.Sprintf("%s: %s (%s), backend %s, %s, %s.", r.ID, r.Benchmark, r.Source, r.Backend, seeds, elapsed)
}

// rounded writes seconds.
func rounded(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second)).Round(time.Millisecond)
	if d > 10*time.Second {
		d = d.Round(time.Second)
	}
	return d.String()
}

// String returns a sentence such as "A − B, accuracy: +0.39 (95 % interval 0.20 to 0.58, p = 0.003, paired t-test
// over the seeds)". It is of this one test: where there are several, [Result.Holm] has their p-values.
func (c Comparison) String() string {
	return fmt.Sprintf("%s − %s, %s: %+.3g (95 %% interval %.3g to %.3g, %s, paired t-test over the seeds)",
		c.First, c.Second, c.Metric, c.Difference, c.Low, c.High, probability(c.P))
}

// probability returns a p-value in a sentence, such as "p = 0.003".
func probability(p float64) string {
	if p < 0.001 {
		return "p < 0.001"
	}
	return fmt.Sprintf("p = %.3f", p)
}

// markup is what Markdown would not show as it is.
var markup = regexp.MustCompile(`[\\` + "`" + `*$~\[\]]|\b_+|_+\b|<[A-Za-z/!?]|&[A-Za-z#]`)

// escaped returns text with a backslash before each piece of markup.
func escaped(text string) string {
	return markup.ReplaceAllStringFunc(printable(text), func(piece string) string {
		if piece[0] == '_' {
			return strings.Repeat(`\_`, len(piece))
		}
		return `\` + piece
	})
}

// Markdown returns the table for a Markdown file or cell.
func (t Table) Markdown() string {
	var s strings.Builder
	if t.Caption != "" {
		s.WriteString(escaped(t.Caption) + "\n\n")
	}
	line := func(cells []string) {
		s.WriteByte('|')
		for _, cell := range cells {
			s.WriteString(" " + strings.ReplaceAll(escaped(cell), "|", `\|`) + " |")
		}
		s.WriteByte('\n')
	}
	line(t.Header)
	rule := slices.Repeat([]string{"---:"}, len(t.Header))
	if len(rule) > 0 {
		rule[0] = "---"
	}
	line(rule)
	for _, row := range t.Rows {
		line(row)
	}
	if len(t.Notes) > 0 {
		s.WriteByte('\n')
		for _, note := range t.Notes {
			s.WriteString("- " + escaped(note) + "\n")
		}
	}
	return s.String()
}

// page is the HTML of a table whose texts are printable.
var page = template.Must(template.New("table").Parse(strings.ReplaceAll(`<table>{{with .Caption}}<caption>{{.}}</caption>{{end}}
<thead><tr>{{range $i, $text := .Header}}<th style="text-align:{{if $i}}right{{else}}left{{end}}">{{$text}}</th>{{end}}</tr></thead>
<tbody>{{range .Rows}}<tr>{{range $i, $text := .}}<td style="text-align:{{if $i}}right{{else}}left{{end}}">{{$text}}</td>{{end}}</tr>{{end}}</tbody>
</table>{{if .Notes}}<ul>{{range .Notes}}<li>{{.}}</li>{{end}}</ul>{{end}}`, "\n", "")))

// HTML returns the table for a page or a notebook.
func (t Table) HTML() string {
	t.Caption, t.Header, t.Notes = printable(t.Caption), printables(t.Header), printables(t.Notes)
	t.Rows = slices.Clone(t.Rows)
	for i, row := range t.Rows {
		t.Rows[i] = printables(row)
	}
	var s strings.Builder
	if err := page.Execute(&s, t); err != nil {
		return html.EscapeString(err.Error()) // no table has one
	}
	return s.String()
}
