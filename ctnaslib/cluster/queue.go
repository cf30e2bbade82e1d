package cluster

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/experiment"
	"github.com/ctnas/ctnas/ctnaslib/report"
)

// TaskState is Slurm's word for how far a job or a task is, such as "PENDING" or "NODE_FAIL".
type TaskState string

func (s TaskState) waiting() bool {
	return slices.Contains([]TaskState{"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD", "SPECIAL_EXIT"}, s)
}

func (s TaskState) running() bool {
	return slices.Contains([]TaskState{"RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING", "STAGE_OUT"}, s)
}

// failed says whether it ended otherwise than well.
func (s TaskState) failed() bool {
	return s != "" && s != "COMPLETED" && !s.waiting() && !s.running()
}

// queue returns the states of the jobs and tasks that Slurm still knows of, by names such as "12_3", of a job that is no
// array "12": those of its queue, and where it keeps accounts, those of before.
func (s *Submission) queue(ctx context.Context) (map[string]TaskState, error) {
	jobs := slices.DeleteFunc(s.Jobs(), func(job string) bool { return job == "" })
	states := make(map[string]TaskState)
	if len(jobs) == 0 {
		return states, nil
	}
	if _, err := exec.LookPath("sacct"); err == nil {
		out, err := command(ctx, "sacct", "-n", "-X", "-P", "-j", strings.Join(jobs, ","), "-o", "jobid,state")
		if err == nil { // else no accounts are kept
			note(states, out, "|")
		}
	}
	// squeue knows no job that ended some minutes ago, and complains if it knows none of a list.
	for _, job := range jobs {
		out, err := command(ctx, "squeue", "-h", "-r", "-t", "all", "-j", job, "-o", "%i %T")
		if err != nil && !strings.Contains(err.Error(), "Invalid job id") {
			return nil, err
		}
		note(states, out, " ")
	}
	return states, nil
}

// note notes the states in lines of a name and a state. Such as "12_[3-5]" are tasks that wait.
func note(states map[string]TaskState, lines, separator string) {
	for line := range strings.Lines(lines) {
		name, state, ok := strings.Cut(strings.TrimSpace(line), separator)
		state, _, _ = strings.Cut(state, " ") // "CANCELLED by 1000"
		if ok {
			states[name] = TaskState(state)
		}
	}
}

// Status says how far a submission is.
type Status struct {
	Units []UnitStatus
	Left  time.Duration // until all units are finished, with as many at a time as now; 0 is unknown, or nothing
}

// UnitStatus says how far a unit is.
type UnitStatus struct {
	experiment.Unit
	experiment.State
	Task  string    // of Slurm, such as "12_3"; "" if it was not submitted
	Slurm TaskState // of the task; "" if Slurm does not know it (any more)
}

// Status returns how far the units of a plan are, those of which the submission has tasks by what Slurm says of these.
func (s *Submission) Status(ctx context.Context, plan *experiment.Plan) (*Status, error) {
	states, err := plan.States()
	if err != nil {
		return nil, err
	}
	queue, err := s.queue(ctx)
	if err != nil {
		return nil, err
	}
	status := &Status{}
	for i, u := range plan.Units {
		status.Units = append(status.Units, UnitStatus{Unit: u, State: states[i]})
	}
	for _, array := range s.Arrays {
		for k, units := range array.Tasks {
			task := fmt.Sprintf("%s_%d", array.Job, k+1)
			for _, u := range units {
				if u >= 1 && u <= len(status.Units) { // else the plan is of another size
					status.Units[u-1].Task, status.Units[u-1].Slurm = task, queue[task]
				}
			}
		}
	}
	status.Left = status.left()
	return status, nil
}

// Word says how far the unit is: "finished", "running", "waiting", "failed", "interrupted" or "to do".
func (u UnitStatus) Word() string {
	switch {
	case u.Status == experiment.Finished, u.Status == experiment.Running:
		return string(u.Status)
	case u.Slurm.running():
		return string(experiment.Running)
	case u.Slurm.waiting():
		return "waiting"
	case u.Slurm.failed():
		return "failed"
	}
	return string(u.Status)
}

// left estimates the time until all is finished.
func (s *Status) left() time.Duration {
	seconds, running := 0.0, 0
	for _, u := range s.Units {
		if u.Word() == string(experiment.Finished) {
			continue
		}
		if u.Seconds == 0 && !u.Shared {
			return 0
		}
		seconds += u.Seconds
		if u.Word() == string(experiment.Running) {
			running++
		}
	}
	return time.Duration(seconds / float64(max(1, running)) * float64(time.Second)).Round(time.Second)
}

// Done says whether nothing runs or waits any more.
func (s *Status) Done() bool {
	return !slices.ContainsFunc(s.Units, func(u UnitStatus) bool { return u.Word() == string(experiment.Running) || u.Word() == "waiting" })
}

// Sentence counts the units by how far they are, and says how long it will still take.
func (s *Status) Sentence() string {
	var counts []string
	for _, word := range []string{"finished", "running", "waiting", "failed", "interrupted", "to do"} {
		n := 0
		for _, u := range s.Units {
			if u.Word() == word {
				n++
			}
		}
		if n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, word))
		}
	}
	text := fmt.Sprintf("%d units: %s", len(s.Units), strings.Join(counts, ", "))
	if s.Left > 0 {
		text += fmt.Sprintf("; %s left at this pace", s.Left)
	}
	return text
}

// Table shows the units.
func (s *Status) Table() report.Table {
	t := report.Table{Caption: s.Sentence() + ".", Header: []string{"", "unit", "state", "where", "time"}}
	for i, u := range s.Units {
		where, took := u.Task, ""
		switch {
		case u.Word() == "failed":
			where = strings.TrimSpace(u.Task + " " + string(u.Slurm))
		case u.By != "":
			where = u.By
		case u.State.Unit.Host != "":
			where = strings.TrimSuffix(u.State.Unit.Host+", job "+u.State.Unit.Job, ", job ")
			took = (time.Duration(u.State.Unit.Seconds * float64(time.Second))).Round(time.Second).String()
		}
		t.Rows = append(t.Rows, []string{strconv.Itoa(i + 1), u.Unit.String(), u.Word(), where, took})
	}
	return t
}
