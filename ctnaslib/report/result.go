package report

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"

	"github.com/ctnas/ctnas/ctnaslib/metric"
)

// Result is what an experiment measured: figures/<id>/result.json.
type Result struct {
	ID        string  `json:"id"`        // such as "table4"
	Benchmark string  `json:"benchmark"` // such as "nasbench101"
	Source    string  `json:"source"`    // of the numbers: "real", "surrogate" or "proxy"
	Backend   string  `json:"backend"`   // that computed them
	Seeds     int     `json:"seeds"`     // how often each method was run
	Elapsed   float64 `json:"elapsed_s"` // seconds for all of it: the sum of the units', where it has units
	Config    any     `json:"config"`    // what was run

	// With the configuration, what the result is a function of: the data, with its digest; the versions of "go",
	// "gomlx", the "backend" and of this module, "ctnas"; those of the algorithms. Results of before there were
	// versions have none.
	Data       string            `json:"data,omitempty"`
	Versions   map[string]string `json:"versions,omitempty"`
	Algorithms map[string]int    `json:"algorithms,omitempty"`

	Rows  []Row        `json:"rows"`
	Tests []Comparison `json:"tests,omitempty"`

	// Of an experiment in units: what was run where, the seconds from the first start to the last end, and the names
	// of the units that are not finished. Results of before there were units have none.
	Units   []Unit   `json:"units,omitempty"`
	Wall    float64  `json:"wall_s,omitempty"`
	Missing []string `json:"missing,omitempty"`

	// Of a result that is kept although the code has changed since: a sentence on what today's would compute otherwise.
	Outdated string `json:"outdated,omitempty"`
}

// Row is a method and its numbers. A method that was not run here has no Metrics, only the paper's.
type Row struct {
	Method  string               `json:"method"`
	Source  string               `json:"source,omitempty"`  // if it is not the result's
	Backend string               `json:"backend,omitempty"` // if it is not the result's
	Seeds   int                  `json:"seeds,omitempty"`   // if it is not the result's
	Metrics map[string]float64   `json:"metrics,omitempty"`
	Paper   map[string]float64   `json:"paper,omitempty"`    // the paper's, by the names of Metrics
	PerSeed map[string][]float64 `json:"per_seed,omitempty"` // what Metrics were computed from, in the order of the seeds
	Curves  map[string][]float64 `json:"curves,omitempty"`   // values to draw, by name
	Note    string               `json:"note,omitempty"`     // a sentence for the reader
}

// Comparison is a paired t-test of two rows over their seeds: [metric.Paired].
type Comparison struct {
	First      string  `json:"first"`  // a method
	Second     string  `json:"second"` // another
	Metric     string  `json:"metric"` // a name of [Row.PerSeed]
	Difference float64 `json:"difference"`
	Low        float64 `json:"low"`
	High       float64 `json:"high"`
	P          float64 `json:"p"`
}

// measured are the paper's metrics that are measured for each seed. In [Row.Metrics] they, and those of
// one's own, have the endings _mean and _std.
var measured = []string{
	"ktau",                  // Kendall's τ of the ranking of held-out architectures
	"ktau_top",              // the same among the best tenth: [metric.TopTau]
	"first_10", "first_100", // accuracy of the best of so many that are ranked first, in percent: [metric.BestOfFirst]
	"ktau_authors", // the same by the authors' protocol: [metric.AuthorsTau] against labels
	"accuracy",     // test accuracy, in percent; also with the ending _best
	"network",      // test accuracy of a network trained here, in percent
	"top1", "top5", // accuracy on ImageNet, in percent
	"bce_risk",     // mean binary cross-entropy of held-out pairs, in nats
	"ranking_risk", // share of held-out pairs in the wrong order, in percent
}

// single are the paper's metrics with one number for a method.
var single = []string{
	"best_rank_percent", // of the best architecture found, among all
	"queries",           // accuracies that a run bought
	"time_ms",
	"madds_m",      // multiplications and additions, in millions
	"speedup",      // a ratio to the first row
	"images_per_s", // that training takes in, forward and backward
	"peak_percent", // of the floating point operations that a matrix product does in a second
}

// sources are what numbers may have been measured on.
var sources = []string{"real", "surrogate", "proxy"}

// known says whether a name is that of one of the paper's metrics.
func known(name string) bool {
	if slices.Contains(single, name) || name == "accuracy_best" {
		return true
	}
	base := strings.TrimSuffix(strings.TrimSuffix(name, "_mean"), "_std")
	return base != name && slices.Contains(measured, base)
}

// NewRow makes the row of a method from what it reached with each seed: of every metric the mean, the sample standard
// deviation (with n−1, from two seeds on), and of "accuracy" the best.
func NewRow(method string, perSeed map[string][]float64) Row {
	return Row{Method: method, Metrics: summary(perSeed), PerSeed: perSeed}
}

func summary(perSeed map[string][]float64) map[string]float64 {
	metrics := make(map[string]float64)
	for name, values := range perSeed {
		if len(values) == 0 {
			continue
		}
		metrics[name+"_mean"] = stat.Mean(values, nil)
		if len(values) > 1 {
			metrics[name+"_std"] = stat.StdDev(values, nil)
		}
		if name == "accuracy" {
			metrics["accuracy_best"] = floats.Max(values)
		}
	}
	return metrics
}

// ReadResult reads and checks the result.json that [Result.WriteFiles] wrote. The error names the file.
func ReadResult(path string) (Result, error) {
	text, err := os.ReadFile(path)
	return parsed(path, text, err)
}

// ReadResultFS is [ReadResult] in a file system.
func ReadResultFS(files fs.FS, path string) (Result, error) {
	text, err := fs.ReadFile(files, path)
	return parsed(path, text, err)
}

// parsed returns the result in the text of a file, which reading gave with an error.
func parsed(path string, text []byte, err error) (Result, error) {
	if err != nil {
		return Result{}, fmt.Errorf("report: cannot read the result: %w", err)
	}
	var r Result
	if err := json.Unmarshal(text, &r); err != nil {
		return Result{}, fmt.Errorf("report: %s is not a result: %w", path, err)
	}
	if err := r.Check(); err != nil {
		return Result{}, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// tolerance is by how much a stored mean may differ from that of the stored values.
const tolerance = 1e-6

// Check says what keeps a result from being shown: a number without its source, one of the paper's
// that stands for nothing measured, a mean that is not that of its values.
func (r Result) Check() error {
	switch config, err := json.Marshal(r.Config); {
	case r.ID == "":
		return errors.New("report: the result has no id")
	case r.Benchmark == "":
		return fmt.Errorf("report: the result %s does not name its benchmark", r.ID)
	case !slices.Contains(sources, r.Source):
		return fmt.Errorf("report: the result %s has the source %q; it must be real, surrogate or proxy", r.ID, r.Source)
	case r.Seeds < 1:
		return fmt.Errorf("report: the result %s was measured with %d seeds; it takes at least one", r.ID, r.Seeds)
	case r.Backend == "":
		return fmt.Errorf("report: the result %s does not name its backend", r.ID)
	case err != nil:
		return fmt.Errorf("report: the configuration of %s cannot be written as JSON: %w", r.ID, err)
	case slices.Contains([]string{"null", "{}", `""`, "[]"}, string(config)):
		return fmt.Errorf("report: the result %s has no configuration", r.ID)
	case len(r.Rows) == 0:
		return fmt.Errorf("report: the result %s has no rows", r.ID)
	}
	methods := make(map[string]bool)
	for _, row := range r.Rows {
		if methods[row.Method] {
			return fmt.Errorf("report: two rows of %s have the method %q", r.ID, row.Method)
		}
		methods[row.Method] = true
		if err := r.checkRow(row); err != nil {
			return fmt.Errorf("report: row %q of %s %w", row.Method, r.ID, err)
		}
	}
	for _, stored := range r.Tests {
		again, err := r.Compare(stored.First, stored.Second, stored.Metric)
		if err != nil {
			return err
		}
		for _, d := range []float64{again.Difference - stored.Difference, again.Low - stored.Low, again.High - stored.High, again.P - stored.P} {
			if !(math.Abs(d) <= tolerance) {
				return fmt.Errorf("report: the test of %q against %q in %s is not that of their values", stored.First, stored.Second, r.ID)
			}
		}
	}
	return nil
}

// checkRow returns the rest of a sentence that begins with the row.
func (r Result) checkRow(row Row) error {
	for _, name := range slices.Sorted(maps.Keys(row.Paper)) {
		if !known(name) && !slices.ContainsFunc(r.Rows, func(other Row) bool { _, ok := other.Metrics[name]; return ok }) {
			return fmt.Errorf("has the paper's %q, which no row measures; name it as what is measured", name)
		}
	}
	for _, numbers := range []map[string]float64{row.Metrics, row.Paper} {
		for _, name := range slices.Sorted(maps.Keys(numbers)) {
			if v := numbers[name]; math.IsNaN(v) || math.IsInf(v, 0) {
				return fmt.Errorf("has no number for %s but %g; leave out what was not measured", name, v)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(row.Curves)) {
		for i, v := range row.Curves[name] {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return fmt.Errorf("has no number at %d of the curve %s but %g; end it before", i, name, v)
			}
		}
	}
	switch {
	case row.Method == "":
		return errors.New("names no method")
	case len(row.Metrics) == 0 && len(row.PerSeed) > 0:
		return errors.New("has values by seed but no metrics; make it with report.NewRow")
	case len(row.Metrics) == 0:
		return nil // the paper's numbers alone
	case !slices.Contains(sources, r.sourceOf(row)):
		return fmt.Errorf("has the source %q; it must be real, surrogate or proxy", r.sourceOf(row))
	case r.seedsOf(row) < 1:
		return fmt.Errorf("was measured with %d seeds; it takes at least one", r.seedsOf(row))
	}
	for _, name := range slices.Sorted(maps.Keys(row.PerSeed)) {
		if got := len(row.PerSeed[name]); got != r.seedsOf(row) {
			return fmt.Errorf("has %d values of %s for %d seeds", got, name, r.seedsOf(row))
		}
	}
	for name, want := range summary(row.PerSeed) {
		if got, ok := row.Metrics[name]; !ok || !(math.Abs(got-want) <= tolerance) {
			return fmt.Errorf("has %s %g, but the values by seed give %g", name, got, want)
		}
	}
	return nil
}

func (r Result) sourceOf(row Row) string { return cmp.Or(row.Source, r.Source) }

func (r Result) seedsOf(row Row) int { return cmp.Or(row.Seeds, r.Seeds) }

// Compare tests whether two methods of the result differ in a metric, seed by seed. The error says that a method or
// its values are not there, or that the two were not measured on the same source.
func (r Result) Compare(first, second, metricName string) (Comparison, error) {
	var values [2][]float64
	var sources [2]string
	for i, method := range []string{first, second} {
		at := slices.IndexFunc(r.Rows, func(row Row) bool { return row.Method == method })
		if at < 0 {
			return Comparison{}, fmt.Errorf("report: there is no row %q in %s to compare", method, r.ID)
		}
		values[i], sources[i] = r.Rows[at].PerSeed[metricName], r.sourceOf(r.Rows[at])
	}
	if sources[0] != sources[1] {
		return Comparison{}, fmt.Errorf("report: %q and %q of %s cannot be compared, their sources are %s and %s", first, second, r.ID, sources[0], sources[1])
	}
	test, err := metric.Paired(values[0], values[1])
	if err != nil {
		return Comparison{}, fmt.Errorf("report: cannot compare %s of %q and %q in %s: %w", metricName, first, second, r.ID, err)
	}
	return Comparison{
		First: first, Second: second, Metric: metricName,
		Difference: test.Difference, Low: test.Low, High: test.High, P: test.P,
	}, nil
}

// Holm returns the p-values of [Result.Tests], in their order, adjusted by [metric.Holm] for all the tests of the
// same metric in the result. These say whether a difference is significant.
func (r Result) Holm() []float64 {
	families := make(map[string][]float64)
	for _, c := range r.Tests {
		families[c.Metric] = append(families[c.Metric], c.P)
	}
	for name, p := range families {
		families[name] = metric.Holm(p)
	}
	adjusted := make([]float64, len(r.Tests))
	for i, c := range r.Tests {
		adjusted[i], families[c.Metric] = families[c.Metric][0], families[c.Metric][1:]
	}
	return adjusted
}

// OutsideTwoSigma says, in a sentence for each row, where what was measured in a column lies further than two of the
// paper's standard deviations from the paper's mean.
func (r Result) OutsideTwoSigma(c Column) []string {
	var sentences []string
	for _, row := range r.Rows {
		ours, measured := row.Metrics[c.Value]
		paper, given := row.Paper[c.Value]
		spread := row.Paper[c.StdDev]
		if !measured || !given || spread == 0 || math.Abs(ours-paper) <= 2*spread {
			continue
		}
		side := "above"
		if ours < paper {
			side = "below"
		}
		sentences = append(sentences, fmt.Sprintf("%s: the %s of %.*f %s is %s the paper's %.*f ± 2 · %.*f.",
			row.Method, c.Header, c.Digits, ours, c.Unit, side, c.Digits, paper, c.Digits, spread))
	}
	return sentences
}

// Chart draws a column of the result's table, a row for each method: what it reached with each seed and the mean, or the
// mean alone where there is no more, and the mean that the paper has. Values far below all others are at the edge, as numbers.
func (r Result) Chart(column Column) Chart {
	c := Chart{Title: Title(r.ID) + ": " + cmp.Or(column.Shows, column.Header), Y: strings.Replace(column.title(), "KTau", "Kendall's tau", 1), Rows: true}
	each := Series{Name: "one seed", Points: true, form: seeds}
	ours := Series{Name: "mean", Points: true, form: mean}
	papers := Series{Name: "the paper's mean", Points: true, Reference: true, form: paper}
	name, _ := strings.CutSuffix(column.Value, "_mean")
	for _, row := range r.Rows {
		at := float64(len(c.Categories))
		value, measured := row.Metrics[column.Value]
		reported, inPaper := row.Paper[column.Value]
		if !measured && !inPaper {
			continue
		}
		c.Categories = append(c.Categories, row.Method)
		if measured {
			ours.X, ours.Y = append(ours.X, at), append(ours.Y, value)
		}
		if inPaper {
			papers.X, papers.Y = append(papers.X, at), append(papers.Y, reported)
		}
		if values := row.PerSeed[name]; len(values) > 1 {
			each.X, each.Y = append(each.X, slices.Repeat([]float64{at}, len(values))...), append(each.Y, values...)
		}
	}
	for _, s := range []Series{each, ours, papers} {
		if len(s.X) > 0 {
			c.Series = append(c.Series, s)
		}
	}
	fence := lowerFence(slices.Concat(each.Y, ours.Y, papers.Y))
	outside := make([]int, len(c.Categories))
	for k, y := range each.Y {
		if y < fence {
			outside[int(each.X[k])]++
		}
	}
	if len(outside) > 0 && slices.Max(outside) <= 1 { // several are no exception, and have no room as numbers
		c.from = fence
	}
	return c
}

// lowerFence returns the smallest value that is no outlier: no further below the lower quartile than three times the distance between
// the quartiles. It returns 0 if none is further below.
func lowerFence(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	lower, upper := stat.Quantile(0.25, stat.Empirical, values, nil), stat.Quantile(0.75, stat.Empirical, values, nil)
	at := slices.IndexFunc(values, func(v float64) bool { return v >= lower-3*(upper-lower) })
	if at <= 0 {
		return 0
	}
	return values[at]
}

// titles are what readers call results whose id does not say it.
var titles = map[string]string{
	"darts":              "DARTS space",
	"distance":           "Distance to the paper",
	"measured":           "Measured networks",
	"mobilenet-supernet": "MobileNetV3 supernet",
	"rivals-darts":       "Searches, DARTS space",
	"rivals-mobilenetv3": "Searches, MobileNetV3 space",
	"rivals-nasbench101": "Searches, NAS-Bench-101",
	"weightsharing":      "Weight sharing",
}

// Title returns what readers call the result with an id, such as "Table 1" for "table1" and "Ablation (depth)" for
// "ablation-depth".
func Title(id string) string {
	if title, ok := titles[id]; ok {
		return title
	}
	if what, ok := strings.CutPrefix(id, "ablation-"); ok {
		return "Ablation (" + what + ")"
	}
	name := strings.TrimRight(id, "0123456789")
	if name == "" {
		return id
	}
	first, rest := utf8.DecodeRuneInString(name)
	return strings.TrimSpace(string(unicode.ToUpper(first)) + strings.ReplaceAll(name[rest:], "-", " ") + " " + id[len(name):])
}
