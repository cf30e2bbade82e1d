package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/report"
)

// result is figures/gpu/result.json.
type result struct {
	ID        string            `json:"id"`
	Rehearsal bool              `json:"rehearsal,omitempty"` // everything was small
	Date      string            `json:"date"`                // of the last part
	Machine   map[string]string `json:"machine"`             // what computed, by name
	Elapsed   float64           `json:"elapsed_s"`
	Parts     []part            `json:"parts"`
}

// part is what one process measured.
type part struct {
	Name    string  `json:"name"`
	Date    string  `json:"date,omitempty"`
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

// newResult returns a result without numbers, of this machine.
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

// readFile returns the content of a file of the system, nil where there is none.
func readFile(path string) []byte {
	text, _ := os.ReadFile(path)
	return text
}

// rate returns how many images per second a network trained, with reading them, and how many seconds
// went by before; 0 where that was not measured.
func (r *result) rate(network string) (rate, start float64) {
	paced := r.find(network + precisionTF32).Metrics
	rate, start = paced["images_per_s"], paced["first_s"]
	if reading := r.find(rowReading).Metrics["images_per_s"]; reading > 0 {
		rate = min(rate, reading)
	}
	return rate, start
}

// settled returns a part that need not be done again: it was done, or had its whole time.
func (r *result) settled(p plan) (part, bool) {
	for _, done := range r.Parts {
		if done.Name == p.name && (done.Ended == endedDone || done.Ended == endedCut && p.rest == 0 && done.Limit >= p.limit.Seconds()) {
			return done, true
		}
	}
	return part{}, false
}

// find returns the row of a name; one without metrics if there is none.
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

// write writes result.json and table.md into a folder, each whole or not at all.
func (r *result) write(dir string) error {
	// The same measured on a CPU stands beside it, where it was.
	beside, err := readResult(filepath.Join(dir, "cpu.json"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return report.WriteMeasured(dir, r, r.table(beside))
}
