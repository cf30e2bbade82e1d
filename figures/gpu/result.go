package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/google/renameio/v2"
)

// result is figures/gpu/result.json.
type result struct {
	ID        string            `json:"id"`
	Rehearsal bool              `json:"rehearsal,omitempty"` // everything was small
	Date      string            `json:"date"`
	Machine   map[string]string `json:"machine"` // what computed, by name
	Elapsed   float64           `json:"elapsed_s"`
	Parts     []part            `json:"parts"`
}

// part is what one process measured.
type part struct {
	Name    string  `json:"name"`
	Limit   float64 `json:"limit_s"`
	Seconds float64 `json:"elapsed_s"`
	Ended   string  `json:"ended"`
	Why     string  `json:"why,omitempty"` // it failed
	Rows    []row   `json:"rows,omitempty"`
}

// How a part ends.
const (
	endedDone    = "done"
	endedCut     = "cut by its time limit"
	endedFailed  = "failed"
	endedSkipped = "no time was left for it"
)

// row is something that was measured.
type row struct {
	Name    string               `json:"name"`
	Metrics map[string]float64   `json:"metrics,omitempty"`
	Curves  map[string][]float64 `json:"curves,omitempty"`
	Note    string               `json:"note,omitempty"`
}

// anyFolder matches the folder of a plugin, which is not the same on another machine.
var anyFolder = regexp.MustCompile(`[^\s("]*/`)

// newResult is a result without numbers, of this machine.
func newResult(ctx context.Context, o options) *result {
	r := &result{ID: "gpu", Rehearsal: o.rehearse, Date: time.Now().UTC().Format(time.DateOnly), Machine: map[string]string{"cores": fmt.Sprint(runtime.NumCPU())}}
	if name := cpuName.FindSubmatch(readFile("/proc/cpuinfo")); name != nil {
		r.Machine["cpu"] = string(name[1])
	}
	card, err := exec.CommandContext(ctx, "nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader").Output()
	if parts := strings.Split(strings.TrimSpace(string(card)), ", "); err == nil && len(parts) == 3 {
		r.Machine["card"], r.Machine["driver"], r.Machine["card memory"] = parts[0], parts[1], parts[2]
	} else if driver := readFile("/proc/driver/nvidia/version"); driver != nil {
		first, _, _ := strings.Cut(string(driver), "\n")
		r.Machine["driver"] = first
	}
	return r
}

var cpuName = regexp.MustCompile(`(?m)^model name\s*: (.+)$`)

// readFile is the content of a file of the system, nil where there is none.
func readFile(path string) []byte {
	text, _ := os.ReadFile(path)
	return text
}

// rate is how many images per second a network trained, with reading them, and how many seconds
// went by before; 0 where that was not measured.
func (r *result) rate(network string) (rate, start float64) {
	reading := 0.0
	for _, p := range r.Parts {
		for _, row := range p.Rows {
			switch row.Name {
			case network + precisionTF32:
				rate, start = row.Metrics["images_per_s"], row.Metrics["first_s"]
			case rowReading:
				reading = row.Metrics["images_per_s"]
			}
		}
	}
	if reading > 0 {
		rate = min(rate, reading)
	}
	return rate, start
}

// settled is a part that need not be done again: it was done, or had its whole time.
func (r *result) settled(p plan) (part, bool) {
	for _, done := range r.Parts {
		if done.Name == p.name && (done.Ended == endedDone || done.Ended == endedCut && p.rest == 0 && done.Limit >= p.limit.Seconds()) {
			return done, true
		}
	}
	return part{}, false
}

// keep takes over what is known of the machine, but for what is known anew.
func (r *result) keep(machine map[string]string) {
	for name, value := range machine {
		if _, ok := r.Machine[name]; !ok {
			r.Machine[name] = value
		}
	}
}

// share adds to a network's row what share of the measured peak of its precision it reaches.
func (r *result) share(p *part, network *row) {
	for _, precision := range []string{precisionTF32, precisionFloat32} {
		if groupOf(p.Name) != "training"+precision {
			continue
		}
		peak := r.find(strings.TrimPrefix(precision, ", ") + rowProduct).Metrics["tflops"]
		if tflops, ok := network.Metrics["tflops"]; ok && peak > 0 {
			network.Metrics["peak_percent"] = 100 * tflops / peak
		}
	}
}

// readResult reads what [result.write] wrote.
func readResult(path string) (*result, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read a result: %w", err)
	}
	return parseResult(path, text)
}

func parseResult(path string, text []byte) (*result, error) {
	var r result
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%s is not a result of this program: %w", path, err)
	}
	if r.ID != "gpu" {
		return nil, fmt.Errorf("%s is a result of %q, not of this program", path, r.ID)
	}
	return &r, nil
}

// write writes result.json and table.md into a folder, whole or not at all.
func (r *result) write(dir string) error {
	content, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return fmt.Errorf("cannot write the result: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cannot write the result: %w", err)
	}
	if err := renameio.WriteFile(filepath.Join(dir, "result.json"), append(content, '\n'), 0o644); err != nil {
		return fmt.Errorf("cannot write the result: %w", err)
	}
	// The same measured on a CPU stands beside it, where it was.
	var beside *result
	if text := readFile(filepath.Join(dir, "cpu.json")); text != nil {
		if beside, err = parseResult(filepath.Join(dir, "cpu.json"), text); err != nil {
			return err
		}
	}
	var table bytes.Buffer
	r.table(&table, beside)
	if err := renameio.WriteFile(filepath.Join(dir, "table.md"), table.Bytes(), 0o644); err != nil {
		return fmt.Errorf("cannot write the table: %w", err)
	}
	return nil
}

// columns are the metrics, in the order in which tables have them.
var columns = []struct{ metric, title, format string }{
	{"difference", "largest difference from pure Go", "%.1e"},
	{"tflops", "TFLOP/s", "%.1f"},
	{"time_ms", "time (ms)", "%.3g"},
	{"first_s", "first call, with compiling (s)", "%.1f"},
	{"images_per_s", "images/s", "%.0f"},
	{"peak_percent", "share of the measured peak (%)", "%.1f"},
	{"hours", "hours of the whole preset", "%.2f"},
	{"seconds", "time (s)", "%.1f"},
	{"queries", "queries", "%.0f"},
	{"speedup", "over one alone", "%.2f×"},
	{"memory_gib", "peak memory (GiB)", "%.2f"},
	{"epochs", "epochs", "%.2f"},
	{"loss", "loss", "%.3f"},
	{"train_accuracy", "training images (%)", "%.2f"},
	{"test_accuracy", "test images (%)", "%.2f"},
	{"ktau", "KTau", "%.3f"},
}

// compared are the metrics that stand beside those of a CPU.
var compared = map[string]bool{"time_ms": true, "images_per_s": true, "seconds": true}

// table writes the result as text, beside another of a CPU if that is not nil.
func (r *result) table(out *bytes.Buffer, beside *result) {
	if r.Rehearsal {
		out.WriteString("**A rehearsal: everything is small, and these numbers say nothing of a GPU.**\n\n")
	}
	list := func(names ...string) string {
		var all []string
		for _, name := range names {
			if value := r.Machine[name]; value != "" {
				all = append(all, name+": "+value)
			}
		}
		return strings.Join(all, "; ")
	}
	fmt.Fprintf(out, "%s. %s, %.0f s in all. Written by `figures/gpu/run`.\n", list("card", "card memory", "driver", "backend", "plugin", "device", "cores", "cpu", "go", "gomlx"), r.Date, r.Elapsed)
	if beside != nil {
		fmt.Fprintf(out, "\nBeside it, where it was measured, the same on a CPU: %s with %s cores (%s).\n", beside.Machine["backend"], beside.Machine["cores"], beside.Machine["cpu"])
	}
	for i := 0; i < len(r.Parts); {
		group := groupOf(r.Parts[i].Name)
		fmt.Fprintf(out, "\n## %s\n\n", group)
		var rows []row
		var told []string
		for ; i < len(r.Parts) && groupOf(r.Parts[i].Name) == group; i++ {
			p := r.Parts[i]
			rows = append(rows, p.Rows...)
			if p.Ended != endedDone {
				line := fmt.Sprintf("%s: %s", p.Name, p.Ended)
				if p.Limit > 0 {
					line += fmt.Sprintf(" (%.0f s)", p.Limit)
				}
				if p.Why != "" {
					line += ": " + p.Why
				}
				told = append(told, line)
			}
		}
		writeRows(out, rows, beside)
		for _, line := range told {
			fmt.Fprintf(out, "\n%s\n", line)
		}
	}
}

// groupOf is the heading of a part: what stands before a colon in its name.
func groupOf(name string) string {
	group, _, _ := strings.Cut(name, ":")
	return group
}

func writeRows(out *bytes.Buffer, rows []row, beside *result) {
	if len(rows) == 0 {
		return
	}
	type column struct {
		title string
		text  func(row) string
	}
	var shown []column
	for _, c := range columns {
		has := func(rows []row) bool {
			for _, row := range rows {
				if _, ok := row.Metrics[c.metric]; ok {
					return true
				}
			}
			return false
		}
		if !has(rows) {
			continue
		}
		value := func(row row) string {
			if v, ok := row.Metrics[c.metric]; ok {
				return fmt.Sprintf(c.format, v)
			}
			return ""
		}
		shown = append(shown, column{c.title, value})
		if beside == nil || !compared[c.metric] {
			continue
		}
		cpu := func(wanted row) string { return value(beside.find(wanted.Name)) }
		for _, row := range rows {
			if cpu(row) != "" {
				shown = append(shown, column{c.title + ", CPU", cpu})
				break
			}
		}
	}
	line := func(first string, text func(column) string) {
		fmt.Fprintf(out, "| %s |", first)
		for _, c := range shown {
			fmt.Fprintf(out, " %s |", text(c))
		}
		out.WriteString("\n")
	}
	line("", func(c column) string { return c.title })
	line("---", func(column) string { return "---:" })
	for _, row := range rows {
		line(row.Name, func(c column) string { return c.text(row) })
	}
	for _, row := range rows {
		if row.Note != "" {
			fmt.Fprintf(out, "\n%s: %s\n", row.Name, row.Note)
		}
	}
}

// find is a row by its name; without metrics if there is none.
func (r *result) find(name string) row {
	for _, p := range r.Parts {
		for _, row := range p.Rows {
			if row.Name == name {
				return row
			}
		}
	}
	return row{}
}
