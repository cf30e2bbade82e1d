package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/report"
)

// result is figures/peers/result.json.
type result struct {
	ID     string   `json:"id"`
	Speed  *speed   `json:"speed,omitempty"`
	Table1 []table1 `json:"table1,omitempty"` // on one backend each
}

// header says when, where and on which data something was measured.
type header struct {
	Date      string            `json:"date"`
	Machine   map[string]string `json:"machine"`
	Source    string            `json:"source"`              // a [datasets.Kind]
	Rehearsal bool              `json:"rehearsal,omitempty"` // everything was small
}

// speed is what peers reached with the same training and search.
type speed struct {
	header
	Seed    int            `json:"seed"`
	Labels  int            `json:"labels"`
	Epochs  int            `json:"epochs"`
	Steps   int            `json:"steps"` // of policy gradient
	Peers   []peerMeasured `json:"peers"`
	Missing []string       `json:"missing,omitempty"` // what was not measured, and why

	Product float64 `json:"product_operations"` // floating-point operations of [nameProduct]
}

// peerMeasured is what a peer reached in each round.
type peerMeasured struct {
	Name       string     `json:"name"`
	Operations float64    `json:"training_operations"` // floating-point operations of the comparator's training
	Rounds     []measured `json:"rounds"`
}

// table1 is Table 1's cost on one backend.
type table1 struct {
	header
	Seeds int `json:"seeds"`
	measured
}

// measured are the numbers of one process. Of what a part does not measure there are none.
type measured struct {
	Versions map[string]string `json:"versions"`
	Data     string            `json:"data,omitempty"` // of Table 1, a [datasets.Kind]
	Memory   float64           `json:"peak_memory_mb,omitempty"`

	NAC           float64            `json:"nac_s,omitempty"`    // seconds of the comparator's training
	Search        float64            `json:"search_s,omitempty"` // seconds of the whole search, that training included
	Loss          float64            `json:"loss,omitempty"`     // of the training's last epoch
	EvaluatingNAC float64            `json:"evaluating_nac_s,omitempty"`
	Evaluating    float64            `json:"evaluating_s,omitempty"` // of these seconds, those in which the authors' code measures Kendall's tau
	Operations    map[string]float64 `json:"operations_ms,omitempty"`

	All     float64  `json:"all_s,omitempty"` // seconds of Table 1
	Methods []string `json:"methods,omitempty"`
}

func newHeader(o options, machine map[string]string, source string) header {
	return header{Date: time.Now().UTC().Format(time.DateOnly), Machine: machine, Source: source, Rehearsal: o.rehearse}
}

// machine says what this machine is, and what it did before the measurement.
func machine() map[string]string {
	m := map[string]string{"cores": fmt.Sprint(runtime.NumCPU())}
	if cpu, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if name := cpuName.FindSubmatch(cpu); name != nil {
			m["cpu"] = string(name[1])
		}
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		m["load average before"], _, _ = strings.Cut(string(load), " ")
	}
	return m
}

var cpuName = regexp.MustCompile(`(?m)^model name\s*: (.+)$`)

// String returns the header as a sentence.
func (h header) String() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(h.Machine)) {
		parts = append(parts, fmt.Sprintf("%s: %s", name, h.Machine[name]))
	}
	text := fmt.Sprintf("Measured on %s; %s. Data: %s.", h.Date, strings.Join(parts, "; "), h.Source)
	if h.Rehearsal {
		text = "**A rehearsal: everything is small, and these numbers say nothing.** " + text
	}
	return text
}

// readResult reads the result in a folder.
func readResult(folder string) (*result, error) {
	path := filepath.Join(folder, "result.json")
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read a result: %w", err)
	}
	return parseResult(path, text)
}

// parseResult reads the result that a file holds.
func parseResult(path string, text []byte) (*result, error) {
	var r result
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%s is not a result of this program, move it away: %w", path, err)
	}
	if r.ID != "peers" {
		return nil, fmt.Errorf("%s is a result of %q, not of this program; move it away", path, r.ID)
	}
	if r.Speed != nil && (len(r.Speed.Peers) == 0 || slices.ContainsFunc(r.Speed.Peers, func(p peerMeasured) bool { return len(p.Rounds) == 0 })) {
		return nil, fmt.Errorf("%s has a peer without a measurement; move it away", path)
	}
	return &r, nil
}

// earlier returns what was measured before into the same folder; an empty result where nothing was.
func (o options) earlier() (*result, error) {
	r, err := readResult(o.out)
	if errors.Is(err, os.ErrNotExist) {
		return &result{ID: "peers"}, nil
	}
	return r, err
}

// write writes result.json and table.md into a folder, each whole or not at all.
func (r *result) write(folder string) error {
	return report.WriteMeasured(folder, r, r.table())
}
