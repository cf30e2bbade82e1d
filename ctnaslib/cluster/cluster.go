// Package cluster runs the units of an experiment as array jobs of the batch system Slurm. Slurm does the work: what is
// here writes its scripts, submits them and reads its queue. How far a unit is, its run directory says
// ([experiment.Plan.States]); so a job that is killed, cancelled or cut off by its time limit loses nothing, and
// submitting again runs what is missing.
//
//	s, err := cluster.Submit(ctx, plan, cluster.Options{Folder: "runs/slurm/table1", Program: program, Args: args, Limit: 20})
//	status, err := s.Status(ctx, plan)
//	status.Table() // of all units
package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/experiment"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
)

// ErrNoSlurm is wrapped by the error of a machine that cannot submit jobs.
var ErrNoSlurm = errors.New("there is no Slurm here")

// Options say what the jobs of an experiment run, and what they ask Slurm for. What is zero is left to the cluster's
// own defaults, unless something else is said.
type Options struct {
	Name    string   // of the jobs
	Folder  string   // for the scripts, the logs and what was submitted; the machines share it
	Dir     string   // that the program runs in; "" is that of this process
	Program string   // that runs units with the arguments "-only" and their numbers, and collects with "-collect"
	Args    []string // of the program, after those

	Partition, Account string
	GPUs, CPUs         int // of a task
	MemoryMB           int
	Time               time.Duration // the limit of a task, after which it goes on in another turn; 0 is twice the longest estimate, or an hour
	Limit              int           // tasks at a time; 0 is as many as there is room for
	Tasks              int           // the most tasks of an array, which share the units; 0 is 1,000
	Lines              []string      // further options of sbatch, such as "--constraint=a100"
}

// Submission is what was submitted of an experiment.
type Submission struct {
	Arrays    []Array   `json:"arrays"`
	Collect   string    `json:"collect"` // the job that makes the result at the end
	Args      []string  `json:"args"`    // of the program: the numbers of units are those of its plan
	Submitted time.Time `json:"submitted"`
}

// Array is an array job.
type Array struct {
	Job   string  `json:"job"`
	Tasks [][]int `json:"tasks"` // the numbers of the units, from 1 on, of each task, from task 1 on
}

// Jobs returns the numbers of all jobs, in the order in which they were submitted.
func (s *Submission) Jobs() []string {
	var jobs []string
	for _, a := range s.Arrays {
		jobs = append(jobs, a.Job)
	}
	return append(jobs, s.Collect)
}

const (
	submissionFile = "jobs.json"
	maxTasks       = 1000 // Slurm's own default is 1,001
)

// Submit submits the units of a plan that are not finished: those that others share in an array job, the others in one
// that begins after it, and a job that collects at the end. The plan's estimates set the time limit. The errors are
// Slurm's own, [ErrNoSlurm] where it is not there, and that jobs of before are still in the queue.
func Submit(ctx context.Context, plan *experiment.Plan, o Options) (*Submission, error) {
	if err := Here(ctx); err != nil {
		return nil, fmt.Errorf("%s cannot be submitted: %w; run its units here, or under another launcher with -part", plan.ID, err)
	}
	o, err := o.absolute()
	if err != nil {
		return nil, err
	}
	if err := idle(ctx, o.Folder); err != nil {
		return nil, err
	}
	states, err := plan.States()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(o.Folder, "log"), 0o755); err != nil {
		return nil, fmt.Errorf("cluster: cannot make the folder of the jobs: %w", err)
	}
	s := &Submission{Args: o.Args, Submitted: time.Now().UTC()}
	for stage, shared := range []bool{true, false} {
		var units []int
		longest := 0.0
		for i, u := range plan.Units {
			if u.Shared == shared && states[i].Status != experiment.Finished {
				units = append(units, i+1)
				longest = max(longest, u.Seconds)
			}
		}
		if len(units) == 0 {
			continue
		}
		array := Array{Tasks: o.split(units)}
		script := o.arrayScript(fmt.Sprintf("units-%d", stage+1), array.Tasks, o.limit(longest, array.Tasks))
		if array.Job, err = o.submit(ctx, script, s.after()); err != nil {
			return nil, err
		}
		s.Arrays = append(s.Arrays, array)
		if err := s.write(o.Folder); err != nil { // a job that nobody knows of would be lost
			return nil, err
		}
	}
	if s.Collect, err = o.submit(ctx, o.collectScript(), s.after()); err != nil {
		return nil, err
	}
	return s, s.write(o.Folder)
}

// Open returns what was submitted last with a folder. The error says that nothing was.
func Open(folder string) (*Submission, error) {
	path := filepath.Join(folder, submissionFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cluster: nothing was submitted from %s: %w", folder, err)
	}
	var s Submission
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		return nil, fmt.Errorf("cluster: cannot read %s, delete it to submit again: %w", path, err)
	}
	return &s, nil
}

func (s *Submission) write(folder string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err == nil {
		err = rundir.WriteFile(filepath.Join(folder, submissionFile), append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("cluster: cannot note what was submitted: %w", err)
	}
	return nil
}

// after returns the option that lets a job begin when the last one of before has ended, however that was.
func (s *Submission) after() []string {
	if len(s.Arrays) == 0 {
		return nil
	}
	return []string{"--dependency=afterany:" + s.Arrays[len(s.Arrays)-1].Job}
}

// idle reports jobs of before that are still in the queue.
func idle(ctx context.Context, folder string) error {
	before, err := Open(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	tasks, err := before.queue(ctx)
	if err != nil {
		return err
	}
	for job, state := range tasks {
		if state.waiting() || state.running() {
			return fmt.Errorf("cluster: job %s of before is still %s; wait for it, or end it by scancel %s", job, strings.ToLower(string(state)), strings.Join(before.Jobs(), " "))
		}
	}
	return nil
}

// absolute returns the options with paths that hold in any folder.
func (o Options) absolute() (Options, error) {
	for _, path := range []*string{&o.Folder, &o.Dir, &o.Program} {
		abs, err := filepath.Abs(*path)
		if err != nil {
			return o, fmt.Errorf("cluster: %w", err)
		}
		*path = abs
	}
	for _, text := range append(slices.Clone(o.Lines), o.Partition, o.Account, o.Name, o.Folder, o.Dir) {
		if strings.ContainsAny(text, "\n\r") {
			return o, fmt.Errorf("cluster: the option %q of sbatch has more than one line; give each by itself", text)
		}
	}
	if o.GPUs < 0 || o.CPUs < 0 || o.MemoryMB < 0 || o.Time < 0 || o.Limit < 0 || o.Tasks < 0 {
		return o, fmt.Errorf("cluster: GPUs, CPUs, memory, time and limits of a job cannot be negative")
	}
	return o, nil
}

// split gives the units to tasks, in turns.
func (o Options) split(units []int) [][]int {
	most := o.Tasks
	if most == 0 {
		most = maxTasks
	}
	tasks := make([][]int, min(most, len(units)))
	for i, u := range units {
		tasks[i%len(tasks)] = append(tasks[i%len(tasks)], u)
	}
	return tasks
}

// limit returns the time limit of a task, in whole minutes.
func (o Options) limit(longest float64, tasks [][]int) time.Duration {
	limit := o.Time
	if limit == 0 {
		limit = time.Duration(2 * longest * float64(len(tasks[0])) * float64(time.Second))
		if limit == 0 {
			limit = time.Hour
		}
		limit = max(limit, 10*time.Minute)
	}
	return max(time.Minute, (limit + time.Minute - 1).Truncate(time.Minute))
}

// submit submits a script and returns the number of the job.
func (o Options) submit(ctx context.Context, s script, more []string) (string, error) {
	path := filepath.Join(o.Folder, s.Name+".sh")
	if s.Tasks != nil {
		var lines strings.Builder
		for _, units := range s.Tasks {
			lines.WriteString(join(units) + "\n")
		}
		if err := rundir.WriteFile(s.List, []byte(lines.String())); err != nil {
			return "", fmt.Errorf("cluster: %w", err)
		}
	}
	text, err := s.text()
	if err == nil {
		err = rundir.WriteFile(path, text)
	}
	if err != nil {
		return "", fmt.Errorf("cluster: %w", err)
	}
	out, err := command(ctx, "sbatch", append(append([]string{"--parsable"}, more...), path)...)
	if err != nil {
		return "", err
	}
	job, _, _ := strings.Cut(strings.TrimSpace(out), ";") // the cluster's name may follow
	if _, err := strconv.Atoi(job); err != nil {
		return "", fmt.Errorf("cluster: sbatch answers %q, which is not the number of a job", out)
	}
	return job, nil
}

// join writes numbers of units for -only.
func join(units []int) string {
	var texts []string
	for _, u := range units {
		texts = append(texts, strconv.Itoa(u))
	}
	return strings.Join(texts, ",")
}

// command returns what a program of Slurm prints. The error is what it says.
func command(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("cluster: %w", ErrNoSlurm)
	}
	if err != nil {
		said := strings.Join(strings.Fields(complaint.String()), " ")
		return "", fmt.Errorf("cluster: %s failed: %s (%w)", name, said, err)
	}
	return string(out), nil
}
