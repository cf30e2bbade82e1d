package experiment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gomlx/compute"
	"golang.org/x/sync/errgroup"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/train"
)

// task is a method with a seed, whose outcome is stored in the run directory of a key.
type task[Outcome any] struct {
	name   string
	seed   uint64
	key    rundir.Key
	shares string // the name of the shared task of the same seed that this one begins with; "" if there is none
	run    func(ctx context.Context, watch train.Watch) (Outcome, error)
}

// timed is an outcome as it is stored.
type timed[Outcome any] struct {
	Outcome Outcome      `json:"outcome"`
	Seconds float64      `json:"seconds"`
	Unit    *report.Unit `json:"unit,omitempty"` // nil of before there were units
}

// runner runs the tasks of an experiment.
type runner[Outcome any] struct {
	id       string // of the experiment
	data     string // [Plan.Data]
	root     string
	backend  compute.Backend // nil for tasks that compute nothing
	parallel int             // seeds side by side; the tasks of one seed come one after another
	watch    train.Watch
	values   func(Outcome) map[string]float64 // what the watch is told of

	// Tasks, and before them what several of one seed share. A shared task has no outcome: it only sees to it that
	// theirs find it done.
	shared, tasks []task[Outcome]
	assemble      func(ctx context.Context) (report.Result, error) // from outcomes, of which some may be missing

	waits bool // for other processes that work on the same; else they are an error

	mu       sync.Mutex
	done     int
	outcomes map[string][]Outcome // by name, in the order of the seeds
	units    []report.Unit
	missing  []string
}

// whole runs all tasks, and puts their outcomes together. What tasks share is made by the first that needs it.
func (r *runner[Outcome]) whole(ctx context.Context) (report.Result, error) {
	stored, err := r.run(ctx, r.tasks)
	if err != nil {
		return report.Result{}, err
	}
	if err := r.take(stored); err != nil {
		return report.Result{}, err
	}
	return r.assemble(ctx)
}

// run runs tasks. One that was finished before, in this experiment or another, is not run again; one
// that was interrupted continues. Watch, if set, is told of each finished task, and of the steps of
// those under way as stages.
func (r *runner[Outcome]) run(ctx context.Context, tasks []task[Outcome]) ([]*timed[Outcome], error) {
	stored := make([]*timed[Outcome], len(tasks))
	bySeed := make(map[uint64][]int)
	var order []uint64
	for i, t := range tasks {
		if bySeed[t.seed] == nil {
			order = append(order, t.seed)
		}
		bySeed[t.seed] = append(bySeed[t.seed], i)
	}
	seeds, ctx := errgroup.WithContext(ctx)
	seeds.SetLimit(r.parallel)
	for _, seed := range order {
		seeds.Go(func() error {
			for _, i := range bySeed[seed] {
				one, err := r.one(ctx, tasks[i])
				if err != nil {
					return fmt.Errorf("experiment: %s, %s with seed %d: %w", r.id, tasks[i].name, seed, err)
				}
				stored[i] = &one
				r.finished(one, len(tasks))
			}
			return nil
		})
	}
	return stored, seeds.Wait()
}

// one returns the outcome of a task from its run directory, or runs it.
func (r *runner[Outcome]) one(ctx context.Context, t task[Outcome]) (timed[Outcome], error) {
	watch := train.Watch(func(step train.Progress) {
		if step.Stage == "" {
			step.Stage = "step"
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.watch.Stage(fmt.Sprintf("%s, seed %d", t.name, t.seed)).Tell(step)
	})
	for turn := 1; ; turn++ {
		stored, err := rundir.Once(r.root, t.key, func(run *rundir.Run) (timed[Outcome], error) { return r.work(ctx, run, t, watch) })
		if !r.waits || !errors.Is(err, rundir.ErrInUse) {
			return stored, err
		}
		if err := wait(ctx, watch, turn); err != nil {
			return stored, err
		}
	}
}

// work runs a task in its run directory.
func (r *runner[Outcome]) work(ctx context.Context, run *rundir.Run, t task[Outcome], watch train.Watch) (timed[Outcome], error) {
	var waited time.Duration
	outcome, err := t.run(ctx, watch)
	for turn := 1; r.waits && errors.Is(err, rundir.ErrInUse); turn++ {
		start := time.Now()
		if err := wait(ctx, watch, turn); err != nil {
			return timed[Outcome]{}, err
		}
		waited += time.Since(start)
		outcome, err = t.run(ctx, watch)
	}
	attempts := run.Attempts()
	seconds := max(0, attempts.Seconds-waited.Seconds())
	host, _ := os.Hostname() // only for the reader
	unit := &report.Unit{
		Method: t.name, Seed: t.seed, Host: host, Job: rundir.Job(), Start: attempts.First, End: time.Now().UTC().Round(0),
		Seconds: seconds, Attempts: attempts.Number, MemoryMB: peakMemory(),
	}
	if r.backend != nil {
		unit.Device = deviceOf(r.backend)
	}
	return timed[Outcome]{outcome, seconds, unit}, err
}

// deviceOf names what a backend computes on, such as "go" or "xla:cuda, cuda:0 [processId=0], and 3 more".
func deviceOf(b compute.Backend) string {
	name := engine.Describe(b)
	if strings.HasPrefix(name, "xla") {
		name += ", " + b.DeviceDescription(0)
	}
	if n := b.NumDevices(); n > 1 {
		name += fmt.Sprintf(", and %d more", n-1)
	}
	return name
}

// wait waits a moment for another process.
func wait(ctx context.Context, watch train.Watch, turn int) error {
	watch.Tell(train.Progress{Stage: "waiting for another process that works on the same", Done: turn, Total: turn + 1})
	select {
	case <-ctx.Done():
		return fmt.Errorf("stopped while another process was working on the same; run it again to continue: %w", ctx.Err())
	case <-time.After(time.Second):
		return nil
	}
}

// peakMemory returns the most memory that this process held at a time, in MB, 0 where that cannot be found out.
func peakMemory() float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		var kB float64
		if n, _ := fmt.Sscanf(line, "VmHWM: %f kB", &kB); n == 1 {
			return float64(int(kB / 1000))
		}
	}
	return 0
}

// finished tells the watch of a task.
func (r *runner[Outcome]) finished(one timed[Outcome], total int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done++
	r.watch.Tell(train.Progress{Done: r.done, Total: total, Values: r.values(one.Outcome)})
}

// take takes the outcomes of the tasks, nil for those that are missing, and what is stored of the shared tasks.
func (r *runner[Outcome]) take(stored []*timed[Outcome]) error {
	r.outcomes, r.units, r.missing = make(map[string][]Outcome), nil, nil
	add := func(t task[Outcome], one timed[Outcome]) {
		if one.Unit == nil {
			one.Unit = &report.Unit{Method: t.name, Seed: t.seed, Seconds: one.Seconds}
		}
		unit := *one.Unit
		unit.Method = t.name // that of an experiment that ran it before may be another
		r.units = append(r.units, unit)
	}
	for _, t := range r.shared {
		var one timed[Outcome]
		if done, err := rundir.Stored(r.root, t.key, &one); err != nil {
			return err
		} else if done {
			add(t, one)
		}
	}
	for i, t := range r.tasks {
		if stored[i] == nil {
			r.missing = append(r.missing, t.unit().String())
			continue
		}
		r.outcomes[t.name] = append(r.outcomes[t.name], stored[i].Outcome)
		add(t, *stored[i])
	}
	return nil
}

func (t task[Outcome]) unit() Unit { return Unit{Method: t.name, Seed: t.seed, Shares: t.shares} }

// account says in a result what was run where.
func (r *runner[Outcome]) account(result *report.Result) {
	result.Units, result.Wall, result.Missing = r.units, report.Wall(r.units), r.missing
	for _, u := range r.units {
		result.Elapsed += u.Seconds
	}
}

// seedsOf returns what [report.Row.Seeds] is of a method in a result with so many seeds.
func (r *runner[Outcome]) seedsOf(name string, seeds int) int {
	if n := len(r.outcomes[name]); n != seeds {
		return n
	}
	return 0
}

// The methods of [planned].

func (r *runner[Outcome]) name() string { return r.id }

func (r *runner[Outcome]) about() string { return r.data }

func (r *runner[Outcome]) list() []Unit {
	var units []Unit
	for i, t := range r.all() {
		u := t.unit()
		u.Shared = i < len(r.shared)
		units = append(units, u)
	}
	return units
}

// all returns the tasks in the order of the units.
func (r *runner[Outcome]) all() []task[Outcome] {
	return append(r.shared[:len(r.shared):len(r.shared)], r.tasks...)
}

func (r *runner[Outcome]) some(ctx context.Context, which []int) error {
	all := r.all()
	var tasks []task[Outcome]
	for _, i := range which {
		tasks = append(tasks, all[i])
	}
	r.waits, r.done = true, 0
	_, err := r.run(ctx, tasks)
	return err
}

func (r *runner[Outcome]) collect(ctx context.Context) (report.Result, error) {
	stored := make([]*timed[Outcome], len(r.tasks))
	finished := 0
	for i, t := range r.tasks {
		var one timed[Outcome]
		done, err := rundir.Stored(r.root, t.key, &one)
		if err != nil {
			return report.Result{}, err
		}
		if done {
			stored[i] = &one
			finished++
		}
	}
	if err := r.take(stored); err != nil {
		return report.Result{}, err
	}
	elsewhere := ""
	if len(r.missing) > 0 {
		var err error
		if elsewhere, err = r.elsewhere(stored); err != nil {
			return report.Result{}, err
		}
	}
	if finished == 0 {
		return report.Result{}, fmt.Errorf("experiment: none of the %d units of %s is finished in %s%s; run them first", len(r.tasks), r.id, r.root, elsewhere)
	}
	if elsewhere != "" {
		r.missing[len(r.missing)-1] += elsewhere
	}
	return r.assemble(ctx)
}

// elsewhere returns the end of a sentence if missing units are there from another backend.
func (r *runner[Outcome]) elsewhere(stored []*timed[Outcome]) (string, error) {
	states, err := r.states()
	if err != nil {
		return "", err
	}
	count, on := 0, ""
	for i, s := range states[len(r.shared):] {
		if stored[i] == nil && s.Status == Finished {
			count++
			on = s.Unit.Device
		}
	}
	if count == 0 {
		return "", nil
	}
	return fmt.Sprintf(" (%d are finished on another backend, %s; collect on that)", count, on), nil
}

func (r *runner[Outcome]) states() ([]State, error) {
	found := make(map[string]map[string][]string) // by step
	var states []State
	needed := make(map[string]bool) // names and seeds of shared tasks that some unfinished task begins with
	all := r.all()
	for _, t := range all {
		if found[t.key.Step] == nil {
			var err error
			if found[t.key.Step], err = rundir.Find(r.root, t.key.Step); err != nil {
				return nil, err
			}
		}
		name, err := t.key.OnAny()
		if err != nil {
			return nil, err
		}
		state, err := stateOf[Outcome](found[t.key.Step][name])
		if err != nil {
			return nil, err
		}
		if state.Status != Finished {
			needed[fmt.Sprint(t.shares, t.seed)] = true
		}
		states = append(states, state)
	}
	for i, t := range r.shared {
		if !needed[fmt.Sprint(t.name, t.seed)] {
			states[i].Status = Finished
		}
	}
	return states, nil
}

// stateOf returns how far a task is whose run directories, on different backends, are dirs.
func stateOf[Outcome any](dirs []string) (State, error) {
	state := State{Status: NotBegun}
	for _, dir := range dirs {
		by, err := rundir.InUse(dir)
		if err != nil {
			return state, err
		}
		var one timed[Outcome]
		done, err := rundir.ResultIn(dir, &one)
		switch {
		case err != nil:
			return state, err
		case done:
			if one.Unit == nil {
				one.Unit = &report.Unit{Seconds: one.Seconds}
			}
			return State{Status: Finished, Unit: *one.Unit, Dir: filepath.Base(dir)}, nil
		case by != "":
			state = State{Status: Running, By: by, Dir: filepath.Base(dir)}
		case state.Status == NotBegun:
			state = State{Status: Interrupted, Dir: filepath.Base(dir)}
		}
	}
	return state, nil
}
