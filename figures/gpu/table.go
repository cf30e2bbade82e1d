package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ctnas/ctnas/ctnaslib/report"
)

// columns are the metrics, in the order in which tables have them.
var columns = []struct {
	metric, title, format string
	compared              bool // stands beside that of a CPU
}{
	{"difference", "largest difference from pure Go", "%.1e", false},
	{"tflops", "TFLOP/s", "%.1f", false},
	{"time_ms", "time (ms)", "%.3g", true},
	{"first_s", "first call, with compiling (s)", "%.1f", false},
	{"images_per_s", "images/s", "%.0f", true},
	{"peak_percent", "share of the measured peak (%)", "%.1f", false},
	{"hours", "hours of the whole preset", "%.2f", false},
	{"seconds", "time (s)", "%.1f", true},
	{"queries", "queries", "%.0f", false},
	{"memory_gib", "peak memory (GiB)", "%.2f", false},
	{"epochs", "epochs", "%.2f", false},
	{"loss", "loss", "%.3f", false},
	{"train_accuracy", "training images (%)", "%.2f", false},
	{"test_accuracy", "test images (%)", "%.2f", false},
	{"ktau", "KTau", "%.3f", false},
}

// table returns the result as Markdown, beside another of a CPU if that is not nil.
func (r *result) table(beside *result) string {
	var out strings.Builder
	if r.Rehearsal {
		out.WriteString("**A rehearsal: everything is small, and these numbers say nothing of a GPU.**\n\n")
	}
	var machine []string
	for _, name := range []string{"card", "card memory", "driver", "backend", "plugin", "device", "cores", "cpu", "go", "gomlx"} {
		if value := r.Machine[name]; value != "" {
			machine = append(machine, name+": "+value)
		}
	}
	fmt.Fprintf(&out, "%s. %s, %.0f s in all. Written by `figures/gpu/run`.\n", strings.Join(machine, "; "), r.dates(), r.Elapsed)
	if beside != nil {
		fmt.Fprintf(&out, "\nBeside it, where it was measured, the same on a CPU: %s with %s cores (%s).\n", beside.Machine["backend"], beside.Machine["cores"], beside.Machine["cpu"])
	}
	for i := 0; i < len(r.Parts); {
		group := groupOf(r.Parts[i].Name)
		fmt.Fprintf(&out, "\n## %s\n\n", group)
		var rows []row
		var ended strings.Builder // of parts that were not done
		for ; i < len(r.Parts) && groupOf(r.Parts[i].Name) == group; i++ {
			rows = append(rows, r.Parts[i].Rows...)
			ended.WriteString(r.Parts[i].failure())
		}
		if len(rows) > 0 {
			out.WriteString(tableOf(rows, beside).Paged().Markdown())
		}
		out.WriteString(ended.String())
	}
	return out.String()
}

// dates says on which days the parts were measured.
func (r *result) dates() string {
	first := r.Date
	for _, p := range r.Parts {
		if p.Date != "" {
			first = min(first, p.Date)
		}
	}
	if first < r.Date {
		return first + " to " + r.Date
	}
	return r.Date
}

// failure says how a part ended that was not done.
func (p part) failure() string {
	if p.Ended == endedDone {
		return ""
	}
	text := fmt.Sprintf("\n%s: %s", p.Name, p.Ended)
	if p.Limit > 0 {
		text += fmt.Sprintf(" (%.0f s)", p.Limit)
	}
	if p.Why != "" {
		text += ": " + p.Why
	}
	return text + "\n"
}

// groupOf returns the heading of a part: what stands before a colon in its name.
func groupOf(name string) string {
	group, _, _ := strings.Cut(name, ":")
	return group
}

// tableOf has a line for each row, and a column for each metric that one of them has.
func tableOf(rows []row, beside *result) report.Table {
	t := report.Table{Header: []string{""}, Rows: make([][]string, len(rows))}
	for i, row := range rows {
		t.Rows[i] = []string{row.Name}
		if row.Note != "" {
			t.Notes = append(t.Notes, row.Name+": "+row.Note)
		}
	}
	add := func(title string, text func(row) string) (added bool) {
		if !slices.ContainsFunc(rows, func(r row) bool { return text(r) != "" }) {
			return false
		}
		t.Header = append(t.Header, title)
		for i, row := range rows {
			t.Rows[i] = append(t.Rows[i], text(row))
		}
		return true
	}
	for _, c := range columns {
		value := func(r row) string {
			if v, ok := r.Metrics[c.metric]; ok {
				return fmt.Sprintf(c.format, v)
			}
			return ""
		}
		if add(c.title, value) && beside != nil && c.compared {
			add(c.title+", CPU", func(r row) string { return value(beside.find(r.Name)) })
		}
	}
	return t
}
