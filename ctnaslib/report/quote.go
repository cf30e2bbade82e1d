package report

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Row returns the row of a method. The error lists the methods that there are.
func (r Result) Row(method string) (Row, error) {
	i := slices.IndexFunc(r.Rows, func(row Row) bool { return row.Method == method })
	if i < 0 {
		return Row{}, fmt.Errorf("report: %s has no row %q; its rows are %s", r.ID, method, quotedList(r.Rows, func(row Row) string { return row.Method }))
	}
	return r.Rows[i], nil
}

func quotedList[T any](all []T, name func(T) string) string {
	var names []string
	for _, one := range all {
		names = append(names, fmt.Sprintf("%q", name(one)))
	}
	return strings.Join(names, ", ")
}

// quoted is a number to fill in: {…}, in parts that | separates.
var quoted = regexp.MustCompile(`\{[^{}]*\}`)

// Quote returns a text with numbers of the result in the place of braces, each as its table has it, with its unit:
//
//	{METHOD | COLUMN}                  what the method has in the column of that header, such as 93.51 ± 0.33 %
//	{mean | METHOD | COLUMN}           the same without the spread: 93.51 %
//	{paper | METHOD | COLUMN}          the paper's
//	{difference | FIRST | SECOND | of} by how much the first method is above the second, of "accuracy (%)", "KTau", …
//	{p | FIRST | SECOND | of}          the p-value of that difference by Holm's method, such as p = 0.036
//
// So a sentence cannot say something else than the result. The error names what the result does not have.
func (r Result) Quote(text string, columns ...Column) (string, error) {
	var wrong error
	filled := quoted.ReplaceAllStringFunc(text, func(piece string) string {
		parts := strings.Split(piece[1:len(piece)-1], "|")
		for i := range parts {
			parts[i] = strings.Join(strings.Fields(parts[i]), " ")
		}
		number, err := r.quote(parts, columns)
		if err != nil && wrong == nil {
			wrong = fmt.Errorf("%w, asked for by %s", err, piece)
		}
		return number
	})
	if wrong != nil {
		return "", wrong
	}
	return filled, nil
}

// quote returns one number by the parts of its name.
func (r Result) quote(parts []string, columns []Column) (string, error) {
	switch {
	case len(parts) == 4 && (parts[0] == "p" || parts[0] == "difference"):
		return r.quoteTest(parts[0] == "p", parts[1], parts[2], parts[3])
	case len(parts) == 2:
		parts = []string{"", parts[0], parts[1]}
	case len(parts) != 3 || parts[0] != "mean" && parts[0] != "paper":
		return "", fmt.Errorf("report: a number of %s is {METHOD | COLUMN}, with mean, paper, p or difference before it", r.ID)
	}
	row, err := r.Row(parts[1])
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(columns, func(c Column) bool { return c.Header == parts[2] })
	if i < 0 {
		return "", fmt.Errorf("report: the table of %s has no column %q; its columns are %s", r.ID, parts[2], quotedList(columns, func(c Column) string { return c.Header }))
	}
	column, numbers, digits := columns[i], row.Metrics, columns[i].Digits
	switch parts[0] {
	case "mean":
		column.StdDev = ""
	case "paper":
		numbers = row.Paper
		if column.PaperDigits != 0 {
			digits = column.PaperDigits
		}
	}
	if _, ok := numbers[column.Value]; !ok {
		return "", fmt.Errorf("report: the row %q of %s has nothing in the column %q", parts[1], r.ID, parts[2])
	}
	return strings.TrimSpace(column.text(numbers, digits) + " " + column.Unit), nil
}

// quoteTest returns the p-value or the difference of a test.
func (r Result) quoteTest(p bool, first, second, of string) (string, error) {
	i := slices.IndexFunc(r.Tests, func(c Comparison) bool {
		return c.First == first && c.Second == second && metricName(c.Metric) == of
	})
	switch {
	case i < 0:
		return "", fmt.Errorf("report: %s has no test of %q against %q in %q; its tests are %s", r.ID, first, second, of,
			quotedList(r.Tests, func(c Comparison) string { return c.First + " | " + c.Second + " | " + metricName(c.Metric) }))
	case p:
		return "p " + equals(probability(r.Holm()[i])), nil
	case strings.HasSuffix(of, "(%)"):
		return signed(r.Tests[i].Difference) + " %", nil
	}
	return signed(r.Tests[i].Difference), nil
}
