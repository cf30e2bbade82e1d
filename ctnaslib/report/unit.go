package report

import (
	"fmt"
	"strings"
	"time"
)

// Unit is a part of an experiment that was run by itself: a method with a seed, or what several of them share.
type Unit struct {
	Method   string    `json:"method"`
	Seed     uint64    `json:"seed"`
	Host     string    `json:"host"`             // that finished it
	Job      string    `json:"job,omitempty"`    // of the batch system
	Device   string    `json:"device,omitempty"` // that computed it
	Start    time.Time `json:"start"`
	End      time.Time `json:"end"`
	Seconds  float64   `json:"seconds"`             // of all attempts, without waiting for what others made
	Attempts int       `json:"attempts"`            // processes that worked on it
	MemoryMB float64   `json:"memory_mb,omitempty"` // the most that the process that finished it held at a time
}

// String names the unit, such as "CTNAS, seed 3".
func (u Unit) String() string { return fmt.Sprintf("%s, seed %d", u.Method, u.Seed) }

// Wall returns the seconds by the clock from the start of the first unit to the end of the last, with all pauses
// between them; 0 if no unit says when it was run.
func Wall(units []Unit) float64 {
	var first, last time.Time
	for _, u := range units {
		if u.Start.IsZero() {
			continue
		}
		if first.IsZero() || u.Start.Before(first) {
			first = u.Start
		}
		if u.End.After(last) {
			last = u.End
		}
	}
	return max(0, last.Sub(first).Seconds())
}

// incomplete returns a sentence on the units that are missing.
func (r Result) incomplete() string {
	const listed = 10
	names := r.Missing
	more := ""
	if len(names) > listed {
		names, more = names[:listed], fmt.Sprintf("; and %d more", len(names)-listed)
	}
	return fmt.Sprintf("Not complete: %s: %s%s.", counted(len(r.Missing), "missing unit"), strings.Join(names, "; "), more)
}
