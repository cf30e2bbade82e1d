package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ctnas/ctnas/ctnaslib/cluster"
	"github.com/ctnas/ctnas/ctnaslib/experiment"
)

// jobFlags are the flags of -slurm.
var jobFlags = []string{"partition", "account", "gpus", "cpus", "mem", "time", "limit", "tasks", "sbatch"}

// slurmFlags defines them.
func slurmFlags(flags *flag.FlagSet, o *cluster.Options) {
	flags.StringVar(&o.Partition, "partition", "", "of -slurm: the partition")
	flags.StringVar(&o.Account, "account", "", "of -slurm: the account")
	flags.IntVar(&o.GPUs, "gpus", 0, "of -slurm: GPUs of a task, which share each batch of images")
	flags.IntVar(&o.CPUs, "cpus", 0, "of -slurm: processors of a task")
	flags.IntVar(&o.MemoryMB, "mem", 0, "of -slurm: memory of a task, in MB; 0: half as much again as the estimate, at least 2000")
	flags.DurationVar(&o.Time, "time", 0, "of -slurm: time limit of a task, such as 2h30m, after which it goes on in another turn; 0: twice the estimate")
	flags.IntVar(&o.Limit, "limit", 0, "of -slurm: tasks at a time")
	flags.IntVar(&o.Tasks, "tasks", 0, "of -slurm: the most tasks of an array, which share the units; 0: 1000")
	flags.Func("sbatch", "of -slurm: a further option of sbatch, such as --constraint=a100, or @FILE with one on each line; may be given several times", func(text string) error {
		lines, err := sbatchLines(text)
		o.Lines = append(o.Lines, lines...)
		return err
	})
}

// sbatchLines returns the options of sbatch in a text, or in the file whose name follows an @: with or without #SBATCH
// before them, without empty lines and comments.
func sbatchLines(text string) ([]string, error) {
	path, isFile := strings.CutPrefix(text, "@")
	if isFile {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		text = string(content)
	}
	var options []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		line = strings.TrimSpace(strings.TrimPrefix(line, "#SBATCH"))
		switch {
		case line == "", strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "-"):
			options = append(options, line)
		default:
			return nil, fmt.Errorf("%q is no option of sbatch; these begin with -", line)
		}
	}
	return options, nil
}

// leastMemory is how many MB a task asks for at least: one that has too little is killed, and killed again.
const leastMemory = 2000

// jobFolder is where the scripts and logs of an experiment's jobs are.
func (c choice) jobFolder(id string) string {
	return filepath.Join(c.runs, "slurm", string(c.preset)+"-"+id)
}

// submit submits an experiment to Slurm.
func (c choice) submit(ctx context.Context, id string, plan *experiment.Plan) error {
	o := c.jobs
	o.Name, o.Folder = "ctnas-"+id, c.jobFolder(id)
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("figures: cannot find this program: %w", err)
	}
	program, err := cluster.Keep(self, filepath.Join(c.runs, "slurm"))
	if err != nil {
		return err
	}
	o.Program, o.Args = program, c.again(id)
	if o.MemoryMB == 0 && !slices.ContainsFunc(o.Lines, func(line string) bool { return strings.HasPrefix(line, "--mem") }) {
		most := 0.0
		for _, u := range plan.Units {
			most = max(most, u.MemoryMB)
		}
		if most > 0 {
			o.MemoryMB = max(leastMemory, int(1.5*most))
		}
	}
	s, err := cluster.Submit(ctx, plan, o)
	if err != nil {
		return err
	}
	for _, array := range s.Arrays {
		fmt.Printf("%s: job %s, an array of %d tasks\n", id, array.Job, len(array.Tasks))
	}
	fmt.Printf("%s: job %s collects, when they have ended\nlogs in %s\ngo run ./figures -status %s says how far they are, scancel %s ends them\n",
		id, s.Collect, filepath.Join(o.Folder, "log"), shown(s.Args), strings.Join(s.Jobs(), " "))
	return nil
}

// shown returns arguments as they are typed into a shell.
func shown(args []string) string {
	quoted := make([]string, len(args))
	for i, arg := range args {
		if quoted[i] = arg; !plainArgument.MatchString(arg) {
			quoted[i] = cluster.Quote(arg)
		}
	}
	return strings.Join(quoted, " ")
}

var plainArgument = regexp.MustCompile(`^[-\w./=]+$`)

// again returns the arguments with which the program does parts of what it was asked for.
func (c choice) again(id string) []string {
	args := []string{"-preset", string(c.preset), "-runs", c.runs, "-seeds", strconv.Itoa(c.seeds), "-devices", strconv.Itoa(c.devices)}
	if c.methods != nil {
		args = append(args, "-methods", c.methods.String())
	}
	return append(args, id)
}

// showStatus says how far the units are that were submitted.
func (c choice) showStatus(ctx context.Context, id string, plan *experiment.Plan) error {
	s, err := cluster.Open(c.jobFolder(id))
	if err != nil {
		return err
	}
	// In the plan of other arguments, the numbers are those of other units.
	if s.Args != nil && !slices.Equal(units(s.Args), units(c.again(id))) { // nil of versions that kept none
		return fmt.Errorf("figures: the jobs of %s were submitted with other arguments; ask for those: go run ./figures -status %s", id, shown(s.Args))
	}
	status, err := s.Status(ctx, plan)
	if err != nil {
		return err
	}
	fmt.Println(status.Table().Markdown())
	return nil
}

// units returns those of the program's arguments that its units depend on: all but the folder, which may be named in
// many ways.
func units(args []string) []string {
	if at := slices.Index(args, "-runs"); at >= 0 && at+1 < len(args) {
		return slices.Delete(slices.Clone(args), at, at+2)
	}
	return args
}
