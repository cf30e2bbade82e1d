// Program figures makes the results of the folders beside it, by running the paper's
// experiments:
//
//	go run ./figures table4                 # at the size of the paper
//	go run ./figures -preset small table4   # in minutes, into runs/small
//	go run ./figures -seeds 20 -methods 'CTNAS' table1   # of one's own choice, into runs/paper
//
// A run that was stopped continues. It computes on the plugin for XLA that kernel-setup has installed, where its size
// pays for that, else in pure Go, which GOEXPERIMENT=simd makes two to three times as fast.
//
// An experiment can be run in parts, by many processes on machines that share the folder of the runs:
//
//	go run ./figures -list table1           # its units: a method with a seed each
//	go run ./figures -only 3,5-7 table1     # some of them
//	go run ./figures -part 2/10 table1      # every tenth from the second on
//	go run ./figures -collect table1        # the result of those that are finished
//
// and by the batch system Slurm:
//
//	go run ./figures -slurm -limit 20 -sbatch=--constraint=icelake table1
//	go run ./figures -status table1
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/ctnas/ctnas/ctnaslib/cluster"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/experiment"
	"github.com/ctnas/ctnas/ctnaslib/nb"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/internal/install"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// choice is what the arguments ask for.
type choice struct {
	preset  experiment.Preset
	runs    string // folder of the run directories
	seeds   int    // 0: as the preset has it
	methods *regexp.Regexp
	devices int
	ids     []string

	// At most one of these: else the whole is run here.
	list, collect, slurm, status bool
	only, part                   string

	jobs cluster.Options // of slurm
}

func run(ctx context.Context, args []string) error {
	c, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err == nil {
		err = install.UsePlugins()
	}
	if err != nil {
		return fmt.Errorf("figures: %w", err)
	}
	for _, id := range c.ids {
		if err := c.do(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// do does with an experiment what the arguments ask for.
func (c choice) do(ctx context.Context, id string) error {
	e, err := experiment.All[id].With(c.seeds, c.methods)
	if c.devices == 0 {
		c.devices = c.shared(e)
	}
	if err == nil {
		e, err = e.OnDevices(c.devices)
	}
	if err != nil {
		return fmt.Errorf("figures: %s: %w", id, err)
	}
	switch {
	case c.list, c.slurm, c.status:
		return c.survey(ctx, id, e)
	case c.only != "", c.part != "":
		return c.someUnits(ctx, id, e)
	case c.collect:
		return c.collected(ctx, id, e)
	}
	return c.makeFigure(ctx, id, e)
}

// shared returns how many devices share each batch of images, if nothing is said: the GPUs of a task, where an experiment
// has networks on images.
func (c choice) shared(e experiment.Entry) int {
	if _, err := e.OnDevices(c.jobs.GPUs); err != nil {
		return 1
	}
	return c.jobs.GPUs
}

// parse reads the arguments.
func parse(args []string) (choice, error) {
	names := strings.Join(slices.Sorted(maps.Keys(experiment.All)), ", ")
	var c choice
	flags := flag.NewFlagSet("figures", flag.ContinueOnError)
	preset := flags.String("preset", string(experiment.Paper), "small or paper")
	methods := flags.String("methods", "", "a regular expression: only methods whose names match are run")
	flags.StringVar(&c.runs, "runs", "runs", "folder of the run directories")
	flags.IntVar(&c.seeds, "seeds", 0, "how many seeds each method is run with; 0: as the preset has it")
	flags.IntVar(&c.devices, "devices", 0, "devices of the backend, such as GPUs, that share each batch of images; 0: those of -gpus, or else one")
	flags.BoolVar(&c.list, "list", false, "list the units: their numbers, what they take, and how far they are")
	flags.StringVar(&c.only, "only", "", "run the units of these numbers: 3, or 3,5-7, or the name of an environment variable that holds that")
	flags.StringVar(&c.part, "part", "", "run every nth unit from the kth on: k/n, where k may be the name of an environment variable, as in SLURM_ARRAY_TASK_ID/10")
	flags.BoolVar(&c.collect, "collect", false, "make the result from the units that are finished, and name those that are missing")
	flags.BoolVar(&c.status, "status", false, "say how far the units are that -slurm submitted")
	flags.BoolVar(&c.slurm, "slurm", false, "submit the units that are not finished to Slurm, with a job that collects at the end")
	slurmFlags(flags, &c.jobs)
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), "usage: go run ./figures [flags] EXPERIMENT...\nexperiments: %s\n", names)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	c.preset, c.ids = experiment.Preset(*preset), flags.Args()
	if c.preset != experiment.Small && c.preset != experiment.Paper {
		return c, fmt.Errorf("unknown preset %q; use small or paper", *preset)
	}
	if *methods != "" {
		var err error
		if c.methods, err = regexp.Compile(*methods); err != nil {
			return c, fmt.Errorf("-methods is not a regular expression: %w", err)
		}
	}
	if len(c.ids) == 0 {
		return c, fmt.Errorf("name an experiment: %s", names)
	}
	for _, id := range c.ids {
		if _, ok := experiment.All[id]; !ok {
			return c, fmt.Errorf("unknown experiment %q; there are %s", id, names)
		}
	}
	return c, c.check(flags)
}

// check reports flags that do not go together.
func (c choice) check(flags *flag.FlagSet) error {
	given := func(names ...string) (found []string) {
		flags.Visit(func(f *flag.Flag) {
			if slices.Contains(names, f.Name) {
				found = append(found, "-"+f.Name)
			}
		})
		return found
	}
	if verbs := given("list", "only", "part", "collect", "status", "slurm"); len(verbs) > 1 {
		return fmt.Errorf("%s do not go together; give one of them", strings.Join(verbs, " and "))
	}
	if chosen := given("only", "part"); len(chosen) > 0 && len(c.ids) > 1 {
		return fmt.Errorf("%s is of one experiment, not of %d", chosen[0], len(c.ids))
	}
	for _, f := range []struct{ name, text string }{{"only", c.only}, {"part", c.part}} {
		if len(given(f.name)) > 0 && f.text == "" {
			return fmt.Errorf("-%s says nothing; give it units", f.name)
		}
	}
	if asked := given(jobFlags...); len(asked) > 0 && !c.slurm {
		return fmt.Errorf("%s is for jobs: it needs -slurm", asked[0])
	}
	return nil
}

// makeFigure runs an experiment and writes its folder.
func (c choice) makeFigure(ctx context.Context, id string, e experiment.Entry) error {
	backend, err := e.Open(c.preset)
	if err != nil {
		return err
	}
	fmt.Printf("%s, preset %s, backend %s\n", id, c.preset, engine.Describe(backend))
	result, err := e.Run(ctx, c.runs, backend, c.preset, nb.Progress(id))
	if err != nil {
		return err
	}
	return c.write(id, e, result)
}

// write writes the folder of a result, and shows its table.
func (c choice) write(id string, e experiment.Entry, result report.Result) error {
	// Only the paper's size, whole and on real data as far as there is any, is a result to keep beside this program.
	dir := filepath.Join("figures", id)
	if c.preset != experiment.Paper || c.seeds != 0 || c.methods != nil || c.devices > 1 || len(result.Missing) > 0 || !e.Keeps(result) {
		dir = filepath.Join(c.runs, string(c.preset), id)
	}
	result, err := e.Complete(os.DirFS(filepath.Dir(dir)), result)
	if err != nil {
		return fmt.Errorf("figures: %s: %w", id, err)
	}
	shown := result.Table(e.Columns...)
	if err := result.WriteFiles(dir, shown, e.Figures(result)...); err != nil {
		return err
	}
	fmt.Printf("%s\nwritten to %s\n", shown.Markdown(), dir)
	return nil
}
