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
	Better      Better // which number is the best, in bold
	Shows       string // what a chart of it shows, for its title; if empty, the header
	About       string // a sentence that explains it, under the table; may be empty
}

// Better is which of two numbers is the better one.
type Better int

// Which number of a column is the best.
const (
	Neither Better = iota // no number is better than another
	Higher
	Lower
)

// The columns of the paper's tables.
var (
	KTau = Column{Header: "KTau", Value: "ktau_mean", StdDev: "ktau_std", Digits: 3, Better: Higher, Shows: "how well held-out architectures are ranked",
		About: "Kendall's τ between the ranking of held-out architectures and their accuracy: 1 for the same order, 0 for none."}
	TopTau = Column{Header: "KTau, best tenth", Value: "ktau_top_mean", StdDev: "ktau_top_std", Digits: 3, Better: Higher,
		About: "Kendall's τ among the best tenth of the held-out architectures."}
	First10 = Column{Header: "best of first 10", Unit: "%", Value: "first_10_mean", StdDev: "first_10_std", Digits: 2, Better: Higher,
		About: "the best accuracy among the 10 held-out architectures that are ranked first."}
	First100 = Column{Header: "best of first 100", Unit: "%", Value: "first_100_mean", StdDev: "first_100_std", Digits: 2, Better: Higher,
		About: "the best accuracy among the 100 that are ranked first."}
	Authors = Column{Header: "KTau, authors' protocol", Value: "ktau_authors_mean", StdDev: "ktau_authors_std", Digits: 3, Better: Higher,
		About: "Kendall's τ as the authors' code measures it: against validation accuracies, each pair in one order."}
	Accuracy = Column{Header: "test accuracy", Unit: "%", Value: "accuracy_mean", StdDev: "accuracy_std", Digits: 2, Better: Higher, Shows: "accuracy of the cell found",
		About: "of the cell found; mean ± standard deviation over the seeds."}
	Best = Column{Header: "best", Unit: "%", Value: "accuracy_best", Digits: 2, Better: Higher,
		About: "the highest of all seeds."}
	Rank = Column{Header: "best rank", Unit: "%", Value: "best_rank_percent", Digits: 4, PaperDigits: 2, Better: Lower,
		About: "where the best cell of all seeds stands among all cells by test accuracy, from the top."}
	Queries = Column{Header: "queries", Value: "queries", About: "architectures whose accuracy one search asks for."}
	TimeMS  = Column{Header: "time", Unit: "ms", Value: "time_ms", Digits: 1, Better: Lower, About: "to rank 100 cells, from their graphs to their order; the median of many turns."}
	Speedup = Column{Header: "speed-up", Value: "speedup", Digits: 1, Better: Higher, About: "how many times as fast as the first row."}
	Network = Column{Header: "network", Unit: "%", Value: "network_mean", StdDev: "network_std", Digits: 1, Better: Higher, About: "accuracy on test images of the network that was trained here, or of the cell as a part of it."}
	Images  = Column{Header: "images/s", Value: "images_per_s", Better: Higher, About: "images that training takes in per second, forward and backward pass."}
	MAdds   = Column{Header: "multiply-adds", Unit: "M", Value: "madds_m", About: "multiplications and additions of a network for one image, in millions."}
	Top1    = Column{Header: "top-1", Unit: "%", Value: "top1_mean", StdDev: "top1_std", Digits: 1, Better: Higher, About: "accuracy on ImageNet."}
	Top5    = Column{Header: "top-5", Unit: "%", Value: "top5_mean", StdDev: "top5_std", Digits: 1, Better: Higher, About: "accuracy on ImageNet, where one of five answers has to be right."}
	Peak    = Column{Header: "of peak", Unit: "%", Value: "peak_percent", Digits: 1, About: "how many floating point operations training does per second, as a share of what multiplying two matrices of 1,024 rows does."}
)

func (c Column) title() string {
	if c.Unit == "" {
		return c.Header
	}
	return c.Header + " (" + c.Unit + ")"
}

// missing stands in a table for a number that there is not.
const missing = "–"

// text returns the number of a column with its spread, on one line, or "–" for none.
func (c Column) text(numbers map[string]float64, digits int) string {
	value, ok := numbers[c.Value]
	if !ok {
		return missing
	}
	text := fixed(value, digits)
	if spread, ok := numbers[c.StdDev]; ok {
		text += "\u00a0±\u00a0" + grouped(strconv.FormatFloat(spread, 'f', digits, 64))
	}
	return text
}

// best returns which of the rows have the best number of a column, as it is shown; none if there is only one number.
func (c Column) best(rows []map[string]float64, digits int) []bool {
	shown := func(numbers map[string]float64) (float64, bool) {
		value, ok := numbers[c.Value]
		rounded, err := strconv.ParseFloat(strconv.FormatFloat(value, 'f', digits, 64), 64)
		return rounded, ok && err == nil
	}
	var values []float64
	for _, numbers := range rows {
		if value, ok := shown(numbers); ok {
			values = append(values, value)
		}
	}
	best := make([]bool, len(rows))
	if c.Better == Neither || len(values) < 2 {
		return best
	}
	target := slices.Max(values)
	if c.Better == Lower {
		target = slices.Min(values)
	}
	for i, numbers := range rows {
		value, ok := shown(numbers)
		best[i] = ok && value == target
	}
	return best
}

// Table is a table as text, cell by cell. [Table.Markdown] and [Table.HTML] show every text as it is, on one line,
// with U+FFFD for control characters and invalid UTF-8.
type Table struct {
	Caption string // a sentence above it
	Header  []string
	Rows    [][]string
	Bold    [][]bool // which cells are in bold, such as the best; nil for none
	More    []Table  // further tables under it, such as its tests
	Notes   []string // sentences below all
}

// widest is the number of columns that have room on a page.
const widest = 8

// Table lays out the result: a row for each method; for each column what was measured, if anything was for any row, and beside
// it, in a column of its own, the paper's number, if the paper has one for any row; the best number of each in bold. What has no
// room in eight columns is in further tables under the first, and after them one of the tests, if there are any, with their p-values by
// [Result.Holm]. The caption says on what it was measured and with how many seeds, and a mark after a method what differs from that. The
// notes hold the marks, why the result is outdated, if it is, what the rows have to say, and what the columns are.
func (r Result) Table(columns ...Column) Table {
	marks, notes := r.marks()
	t := Table{Caption: r.caption(), Header: []string{"method"}, Rows: make([][]string, len(r.Rows)), Bold: make([][]bool, len(r.Rows))}
	for i, row := range r.Rows {
		t.Rows[i], t.Bold[i] = []string{row.Method + marks[i]}, []bool{false}
	}
	var about []string
	beside := false  // the paper's numbers are beside measured ones
	var groups []int // of columns that stay together
	for _, c := range columns {
		parts := r.parts(c)
		for _, p := range parts {
			t.Header = append(t.Header, p.header)
			for i := range t.Rows {
				t.Rows[i], t.Bold[i] = append(t.Rows[i], p.cells[i]), append(t.Bold[i], p.bold[i])
			}
		}
		if len(parts) > 0 && c.About != "" {
			about = append(about, c.Header+": "+c.About)
		}
		beside = beside || len(parts) > 1
		groups = append(groups, len(parts))
	}
	if beside {
		about = append(about, "paper: the paper's number for the column to its left.")
	}
	t = t.paged(groups)
	if len(r.Tests) > 0 {
		t.More = append(t.More, r.tests())
	}
	if len(r.Missing) > 0 {
		t.Notes = append(t.Notes, r.incomplete())
	}
	if r.Outdated != "" {
		t.Notes = append(t.Notes, "Outdated: "+r.Outdated)
	}
	t.Notes = slices.Concat(t.Notes, notes, r.notes(), about, r.sources())
	return t
}

// Paged returns the table with at most eight columns, which have room on a page, and the others in further tables under it: each with the
// first column, and the rows that have something in the others.
func (t Table) Paged() Table {
	if len(t.Header) <= widest {
		return t
	}
	return t.paged(slices.Repeat([]int{1}, len(t.Header)-1))
}

// paged is [Table.Paged] for groups of columns that stay together, given as how many each has, after the first column.
func (t Table) paged(groups []int) Table {
	var pages [][]int // the columns of each
	column := 1
	for _, n := range groups {
		if last := len(pages) - 1; last < 0 || len(pages[last])+n > widest {
			pages = append(pages, []int{0})
		}
		for range n {
			pages[len(pages)-1] = append(pages[len(pages)-1], column)
			column++
		}
	}
	if len(pages) < 2 {
		return t
	}
	first := t.choose(pages[0], true)
	first.Caption, first.Notes, first.More = t.Caption, t.Notes, t.More
	for _, columns := range pages[1:] {
		first.More = append(first.More, t.choose(columns, false))
	}
	return first
}

// choose returns the table with some of its columns, and the rows that have something in one of them beside the first, or all rows.
func (t Table) choose(columns []int, all bool) Table {
	var chosen Table
	for _, c := range columns {
		chosen.Header = append(chosen.Header, t.Header[c])
	}
	for i, row := range t.Rows {
		var cells []string
		var bold []bool
		for _, c := range columns {
			text := ""
			if c < len(row) {
				text = row[c]
			}
			cells, bold = append(cells, text), append(bold, t.IsBold(i, c))
		}
		if all || slices.ContainsFunc(cells[1:], func(text string) bool { return text != missing && text != "" }) {
			chosen.Rows, chosen.Bold = append(chosen.Rows, cells), append(chosen.Bold, bold)
		}
	}
	return chosen
}

// part is a column of a table.
type part struct {
	header string
	cells  []string
	bold   []bool
}

// parts returns the column of what was measured and that of the paper's numbers, without those that would be empty.
func (r Result) parts(c Column) []part {
	var all []part
	for _, of := range []struct {
		header  string
		numbers func(Row) map[string]float64
		digits  int
	}{
		{c.title(), func(row Row) map[string]float64 { return row.Metrics }, c.Digits},
		{"paper: " + c.title(), func(row Row) map[string]float64 { return row.Paper }, cmp.Or(c.PaperDigits, c.Digits)},
	} {
		comparable := make([]map[string]float64, len(r.Rows)) // without what was measured on something else
		p, any := part{header: of.header}, false
		for i, row := range r.Rows {
			numbers := of.numbers(row)
			_, ok := numbers[c.Value]
			any = any || ok
			p.cells = append(p.cells, c.text(numbers, of.digits))
			if r.sourceOf(row) == r.Source {
				comparable[i] = numbers
			}
		}
		if p.bold = c.best(comparable, of.digits); any {
			if len(all) > 0 {
				p.header = "paper" // beside what was measured
			}
			all = append(all, p)
		}
	}
	return all
}

// marks returns what stands after the method of each row, and what that means: on what it was measured, where that is not what the result
// was.
func (r Result) marks() (marks, notes []string) {
	marks = make([]string, len(r.Rows))
	signs := []string{" †", " ‡", " §", " ¶", " ††", " ‡‡", " §§", " ¶¶"}
	meaning := make(map[string]string)
	for i, row := range r.Rows {
		text := "from the paper, not measured here"
		if len(row.Metrics) > 0 {
			var parts []string
			if row.Source != "" && row.Source != r.Source {
				parts = append(parts, "source: "+row.Source)
			}
			if row.Seeds != 0 && row.Seeds != r.Seeds {
				parts = append(parts, counted(row.Seeds, "seed"))
			}
			if row.Backend != "" && row.Backend != r.Backend {
				parts = append(parts, "backend "+row.Backend)
			}
			text = strings.Join(parts, ", ")
		}
		if text == "" {
			continue
		}
		if meaning[text] == "" {
			sign := fmt.Sprintf(" (%d)", len(meaning)+1)
			if len(meaning) < len(signs) {
				sign = signs[len(meaning)]
			}
			meaning[text] = sign
			notes = append(notes, strings.TrimSpace(sign)+" "+text+".")
		}
		marks[i] = meaning[text]
	}
	return marks, notes
}

// sources returns what the sources of the numbers are, but for measured ones.
func (r Result) sources() []string {
	var of []string
	for _, row := range r.Rows {
		if len(row.Metrics) > 0 {
			of = append(of, r.sourceOf(row))
		}
	}
	var sentences []string
	if slices.Contains(of, "surrogate") {
		sentences = append(sentences, "surrogate: the accuracies are predictions of a model that was fitted to measured ones.")
	}
	if slices.Contains(of, "proxy") {
		sentences = append(sentences, "proxy: the networks are smaller than the paper's, and trained on smaller images for fewer steps.")
	}
	return sentences
}

// notes returns what the rows have to say, each sentence once.
func (r Result) notes() []string {
	var sentences []string
	methods := make(map[string][]string)
	for _, row := range r.Rows {
		if row.Note == "" {
			continue
		}
		if methods[row.Note] == nil {
			sentences = append(sentences, row.Note)
		}
		methods[row.Note] = append(methods[row.Note], row.Method)
	}
	for i, sentence := range sentences {
		sentences[i] = strings.Join(methods[sentence], "; ") + ": " + sentence
	}
	return sentences
}

// tests returns the table of the tests, with p-values by Holm's method, and what is significant in bold.
func (r Result) tests() Table {
	t := Table{Caption: "Differences over the seeds, by a paired t-test. " + r.families(), Header: []string{"difference", "of", "mean", "95 % interval", "p, by Holm's method"}}
	adjusted := r.Holm()
	for i, c := range r.Tests {
		t.Rows = append(t.Rows, []string{
			c.First + " − " + c.Second, metricName(c.Metric), signed(c.Difference), signed(c.Low) + " to " + signed(c.High), probability(adjusted[i]),
		})
		significant := adjusted[i] < significance
		t.Bold = append(t.Bold, []bool{false, false, significant, false, significant})
	}
	return t
}

// significance is the p-value, by Holm's method, below which a difference is significant.
const significance = 0.05

// signed returns a difference with its sign.
func signed(x float64) string {
	text := grouped(strconv.FormatFloat(x, 'f', 3, 64))
	switch {
	case strings.Trim(text, "−0.") == "":
		return "0.000"
	case x > 0:
		return "+" + text
	}
	return text
}

// metricName returns what readers call a metric of [Row.PerSeed].
func metricName(name string) string {
	switch name {
	case "accuracy":
		return "accuracy (%)"
	case "ktau":
		return "KTau"
	}
	return strings.ReplaceAll(name, "_", " ")
}

// families returns sentences on what Holm's method corrects the tests for.
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
		counts = append(counts, fmt.Sprintf("%d of %s", tests[m], strings.TrimSuffix(metricName(m), " (%)")))
	}
	return fmt.Sprintf("The p-values are corrected for all tests of the same metric here (%s); in bold is what is significant, with p below %.2f. The intervals are not corrected.",
		strings.Join(counts, ", "), significance)
}

// counted returns so many things.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func (r Result) caption() string {
	elapsed := "in " + rounded(r.Elapsed)
	if r.Wall > 0 {
		elapsed = rounded(r.Elapsed) + " in all, " + rounded(r.Wall) + " by the clock"
	}
	return fmt.Sprintf("%s. Measured on %s (%s), backend %s, %s, %s.", Title(r.ID), r.Benchmark, r.Source, r.Backend, counted(r.Seeds, "seed"), elapsed)
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
	return fmt.Sprintf("%s − %s, %s: %+.3g (95 %% interval %.3g to %.3g, p %s, paired t-test over the seeds)",
		c.First, c.Second, c.Metric, c.Difference, c.Low, c.High, equals(probability(c.P)))
}

// equals puts a sign of equality before a p-value without one.
func equals(p string) string {
	if strings.HasPrefix(p, "<") {
		return p
	}
	return "= " + p
}

// probability returns a p-value, such as "0.003".
func probability(p float64) string {
	if p < 0.001 {
		return "< 0.001"
	}
	return fmt.Sprintf("%.3f", p)
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
func (t Table) Markdown() string { return t.page("") }

// page returns the table as Markdown, with pictures after its caption.
func (t Table) page(pictures string) string {
	var s strings.Builder
	if t.Caption != "" {
		s.WriteString(escaped(t.Caption) + "\n\n")
	}
	s.WriteString(pictures)
	line := func(cells []string, bold []bool) {
		s.WriteByte('|')
		for i, cell := range cells {
			text := strings.ReplaceAll(escaped(cell), "|", `\|`)
			if i < len(bold) && bold[i] && strings.TrimSpace(text) == text && text != "" {
				text = "**" + text + "**"
			}
			s.WriteString(" " + text + " |")
		}
		s.WriteByte('\n')
	}
	line(t.Header, nil)
	rule := slices.Repeat([]string{"---:"}, len(t.Header))
	if len(rule) > 0 {
		rule[0] = "---"
	}
	line(rule, nil)
	for i, row := range t.Rows {
		line(row, t.boldOf(i))
	}
	for _, more := range t.More {
		s.WriteString("\n" + more.Markdown())
	}
	if len(t.Notes) > 0 {
		s.WriteByte('\n')
		for _, note := range t.Notes {
			s.WriteString("- " + escaped(note) + "\n")
		}
	}
	return s.String()
}

// boldOf returns which cells of a row are in bold.
func (t Table) boldOf(row int) []bool {
	if row < len(t.Bold) {
		return t.Bold[row]
	}
	return nil
}

// pageHTML is the HTML of a table whose texts are printable. Cells are on one line.
var pageHTML = template.Must(template.New("table").Parse(strings.ReplaceAll(`<table style="font-variant-numeric:tabular-nums">
{{with .Caption}}<caption style="text-align:left">{{.}}</caption>{{end}}
<thead><tr>{{range $i, $text := .Header}}<th style="text-align:{{if $i}}right{{else}}left{{end}}">{{$text}}</th>{{end}}</tr></thead>
<tbody>{{range $row, $cells := .Rows}}<tr>{{range $i, $text := $cells}}<td style="white-space:nowrap;text-align:{{if $i}}right{{else}}left{{end}}">
{{if $.IsBold $row $i}}<b>{{$text}}</b>{{else}}{{$text}}{{end}}</td>{{end}}</tr>{{end}}</tbody>
</table>`, "\n", "")))

// notesHTML is the HTML of what stands below a table.
var notesHTML = template.Must(template.New("notes").Parse(`<ul>{{range .}}<li>{{.}}</li>{{end}}</ul>`))

// IsBold says whether a cell is in bold.
func (t Table) IsBold(row, column int) bool {
	bold := t.boldOf(row)
	return column < len(bold) && bold[column]
}

// HTML returns the table for a page or a notebook.
func (t Table) HTML() string {
	t.Caption, t.Header = printable(t.Caption), printables(t.Header)
	t.Rows = slices.Clone(t.Rows)
	for i, row := range t.Rows {
		t.Rows[i] = printables(row)
	}
	var s strings.Builder
	if err := pageHTML.Execute(&s, t); err != nil {
		return html.EscapeString(err.Error()) // no table has one
	}
	for _, more := range t.More {
		s.WriteString(more.HTML())
	}
	if len(t.Notes) > 0 {
		if err := notesHTML.Execute(&s, printables(t.Notes)); err != nil {
			return html.EscapeString(err.Error())
		}
	}
	return s.String()
}
