package experiment

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ctnas/ctnas/ctnaslib/report"
)

// Plan is an experiment cut into units, which processes on one machine or many run in any order and at any time, in
// run directories that they share: whatever is run, killed and run again, [Plan.Collect] gives what
// [Experiment.Run] does.
//
//	plan, err := e.Plan("runs", data, backend, nil)
//	which, err := plan.Only("SLURM_ARRAY_TASK_ID")
//	err = plan.Run(ctx, which)
type Plan struct {
	ID    string // of the experiment
	Data  string // the benchmark and the source of its accuracies, such as "nasbench101 (surrogate)"
	Units []Unit // in an order in which what others share comes first
	work  planned
}

// Unit is a part of an experiment that is run by itself: a method with a seed, or what several of them share.
type Unit struct {
	Method string
	Seed   uint64
	Shared bool   // it makes what others share, and is run before them; those that do not find it make it
	Shares string // the Method of the shared unit, with the same seed, that it begins with; "" for none

	// From what was measured before: see [Plan.Estimate]. 0 is unknown.
	Seconds  float64 // that it takes
	MemoryMB float64 // that its process holds at most
}

// String names the unit, such as "CTNAS, seed 3".
func (u Unit) String() string { return report.Unit{Method: u.Method, Seed: u.Seed}.String() }

// Status says how far a unit is.
type Status string

// The statuses of units.
const (
	NotBegun    Status = "to do"
	Running     Status = "running"
	Interrupted Status = "interrupted" // it goes on from its last checkpoint
	Finished    Status = "finished"
)

// State is how far a unit is, as its run directory shows it.
type State struct {
	Status Status
	Unit   report.Unit // where it was run, if it is finished
	By     string      // the process that runs it
	Dir    string      // its run directory, under the root; "" before it begins
}

// planned is an experiment that can be run in parts: a [runner].
type planned interface {
	name() string
	about() string
	list() []Unit
	some(ctx context.Context, which []int) error
	collect(ctx context.Context) (report.Result, error)
	states() ([]State, error)
}

func newPlan(work planned) *Plan {
	return &Plan{ID: work.name(), Data: work.about(), Units: work.list(), work: work}
}

// Run runs units, by their positions in Units. One that was finished before is not run again, one that was interrupted
// continues, and for one that another process runs it waits. The errors are those of [Experiment.Run].
func (p *Plan) Run(ctx context.Context, which []int) error { return p.work.some(ctx, which) }

// Collect makes the result from the units that are finished; its Missing names the others. The error says that none
// is, or that what is stored is damaged.
func (p *Plan) Collect(ctx context.Context) (report.Result, error) { return p.work.collect(ctx) }

// States returns how far each unit is, on whatever backend it is run.
func (p *Plan) States() ([]State, error) { return p.work.states() }

// Only returns the positions of units by their numbers, from 1 on: "3", "3,5-7", or the name of an environment
// variable that holds such a text, as batch systems set it.
func (p *Plan) Only(text string) ([]int, error) {
	list, err := variable(text)
	if err != nil {
		return nil, err
	}
	var which []int
	for one := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(one, "-")
		if !isRange {
			last = first
		}
		from, err1 := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if err1 != nil || err2 != nil || from < 1 || to < from || to > len(p.Units) {
			return nil, fmt.Errorf("experiment: %q does not choose units of %s; give numbers from 1 to %d, such as 3 or 3,5-7", list, p.ID, len(p.Units))
		}
		for k := from; k <= to; k++ {
			if !slices.Contains(which, k-1) {
				which = append(which, k-1)
			}
		}
	}
	return which, nil
}

// Part returns the positions of every nth unit from the kth on: "k/n", where k, from 1 to n, may be the name of an
// environment variable.
func (p *Plan) Part(text string) ([]int, error) {
	part, parts, _ := strings.Cut(text, "/")
	part, err := variable(part)
	if err != nil {
		return nil, err
	}
	k, err1 := strconv.Atoi(part)
	n, err2 := strconv.Atoi(parts)
	if err1 != nil || err2 != nil || k < 1 || k > n {
		return nil, fmt.Errorf("experiment: %s/%s is no part of %s; give k/n with k from 1 to n, such as 1/10", part, parts, p.ID)
	}
	var which []int
	for i := k - 1; i < len(p.Units); i += n {
		which = append(which, i)
	}
	return which, nil
}

var variableName = regexp.MustCompile(`^[A-Za-z_]\w*$`)

// variable returns a text, or what the environment variable of this name holds.
func variable(text string) (string, error) {
	if !variableName.MatchString(text) {
		return text, nil
	}
	if value := os.Getenv(text); value != "" {
		return value, nil
	}
	return "", fmt.Errorf("experiment: the environment variable %s, which should hold a number, is not set", text)
}

// Estimate says of each unit how long it takes and how much memory: as those of the same method that are finished here,
// else as in a stored result of the experiment, the zero Result if there is none. What nothing says stays 0.
func (p *Plan) Estimate(stored report.Result) error {
	states, err := p.States()
	if err != nil {
		return err
	}
	var here []report.Unit
	for i, s := range states {
		if s.Status == Finished && s.Dir != "" {
			s.Unit.Method = p.Units[i].Method
			here = append(here, s.Unit)
		}
	}
	mean := 0.0
	if n := measuredUnits(stored); n > 0 {
		mean = stored.Elapsed / float64(n)
	}
	for i, u := range p.Units {
		for _, measured := range [][]report.Unit{here, stored.Units} {
			if seconds, memory, ok := typical(measured, u.Method); ok {
				u.Seconds, u.MemoryMB = seconds, memory
				break
			}
		}
		if u.Seconds == 0 && !u.Shared {
			u.Seconds = mean
		}
		p.Units[i] = u
	}
	return nil
}

// typical returns the mean time and the highest memory of the units of a method.
func typical(units []report.Unit, method string) (seconds, memory float64, ok bool) {
	n := 0.0
	for _, u := range units {
		if u.Method == method {
			seconds, memory, n = seconds+u.Seconds, max(memory, u.MemoryMB), n+1
		}
	}
	return seconds / max(1, n), memory, n > 0
}

// measuredUnits returns how many units a result was made of, without rows that other experiments measured.
func measuredUnits(r report.Result) int {
	n := 0
	for _, row := range r.Rows {
		switch {
		case len(row.Metrics) == 0 || row.Backend != "":
		case row.Seeds != 0:
			n += row.Seeds
		default:
			n += r.Seeds
		}
	}
	return n
}
