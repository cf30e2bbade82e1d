package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/ctnas"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/experiment"
	"github.com/ctnas/ctnas/ctnaslib/internal/toy"
)

// planned is a small experiment, of two methods that share a comparator, with two seeds: six units.
func planned(t *testing.T) *experiment.Plan {
	t.Helper()
	backend, err := engine.OpenConfig("go")
	if err != nil {
		t.Fatal(err)
	}
	c := ctnas.Quick()
	c.Labels, c.Iterations, c.PolicySteps, c.PolicyBatch, c.Samples, c.TopK, c.BaselineSamples = 10, 1, 1, 2, 8, 4, 4
	c.NAC.Width, c.NAC.Epochs, c.Controller.Hidden = 8, 2, 8
	other := c
	other.Baseline = ctnas.FixedBaseline
	e := experiment.Experiment{ID: "small", Seeds: 2, Methods: []experiment.Method{experiment.CTNAS("A", c, nil), experiment.CTNAS("B", other, nil)}}
	plan, err := e.Plan(t.TempDir(), experiment.Data{Benchmark: toy.Benchmark{}}, backend, nil)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// fakeSlurm puts programs in the place of Slurm's: sbatch numbers jobs from 101 on and notes its arguments, squeue shows
// what is in the file "queue".
func fakeSlurm(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range map[string]string{
		"sbatch": `echo "$@" >>` + dir + `/asked; n=$(wc -l <` + dir + `/asked); echo $((100 + n))`,
		"squeue": `grep "^$6[_ ]" ` + dir + `/queue; true`,
		"sinfo":  "true",
		"sacct":  "echo 'Slurm accounting storage is disabled' >&2; exit 1",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return dir
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What others share is submitted first, then the rest, then what collects; the queue and the run directories say how far
// it is; and only what is missing is submitted again.
func TestSubmitAndStatus(t *testing.T) {
	fake, plan, folder := fakeSlurm(t), planned(t), filepath.Join(t.TempDir(), "with space")
	o := Options{
		Name: "ctnas-small", Folder: folder, Program: "/bin/it's", Args: []string{"-runs", "a b", "small"}, Partition: "gpu", Account: "nas",
		GPUs: 2, CPUs: 4, MemoryMB: 900, Time: 89 * time.Second, Limit: 3, Tasks: 3, Lines: []string{"--constraint=a100"},
	}
	s, err := Submit(t.Context(), plan, o)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(s.Arrays, " ", s.Collect); got != "[{101 [[1] [2]]} {102 [[3 6] [4] [5]]}] 103" {
		t.Errorf("submitted %s", got)
	}
	script := folder + "/units-2.sh"
	want := fmt.Sprintf("--parsable %s/units-1.sh\n--parsable --dependency=afterany:101 %s\n--parsable --dependency=afterany:102 %s/collect.sh\n", folder, script, folder)
	if got := read(t, fake, "asked"); got != want {
		t.Errorf("sbatch was asked for\n%s\nwant\n%s", got, want)
	}
	for _, line := range []string{
		"#SBATCH --job-name='ctnas-small'", "#SBATCH --time=2", "#SBATCH --array=1-3%3", "#SBATCH --signal=B:USR1@60", "#SBATCH --requeue", "#SBATCH --partition='gpu'",
		"#SBATCH --account='nas'", "#SBATCH --gres=gpu:2", "#SBATCH --cpus-per-task=4", "#SBATCH --mem=900M", "#SBATCH --constraint=a100",
		`'/bin/it'\''s' -only "$units" '-runs' 'a b' 'small' &`,
	} {
		if !strings.Contains(read(t, script), line+"\n") {
			t.Errorf("there is no line %s in\n%s", line, read(t, script))
		}
	}
	if got := read(t, folder, "units-2.txt"); got != "3,6\n4\n5\n" {
		t.Errorf("the tasks are %q", got)
	}
	if collect := read(t, folder, "collect.sh"); strings.Contains(collect, "--array") || !strings.Contains(collect, `exec '/bin/it'\''s' -collect '-runs' 'a b' 'small'`) || !strings.Contains(collect, "--gres=gpu:2") {
		t.Errorf("the job that collects is\n%s", collect)
	}
	for _, name := range []string{"units-1.sh", "units-2.sh", "collect.sh"} {
		if out, err := exec.Command("bash", "-n", filepath.Join(folder, name)).CombinedOutput(); err != nil {
			t.Errorf("%s is no script: %s", name, out)
		}
	}

	for i := range 2 { // the comparators, and A with seed 1, which is task 1's first
		if err := plan.Run(t.Context(), []int{i, i + 2}); err != nil {
			t.Fatal(err)
		}
	}
	queue := "101_1 COMPLETED\n101_2 COMPLETED\n102_1 RUNNING\n102_2 COMPLETED\n102_3 TIMEOUT\n103 PENDING\n"
	if err := os.WriteFile(filepath.Join(fake, "queue"), []byte(queue), 0o644); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(folder); err != nil {
		t.Fatal(err)
	}
	status, err := s.Status(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, u := range status.Units {
		words = append(words, u.Word())
	}
	if got := strings.Join(words, ", "); got != "finished, finished, finished, finished, failed, running" || status.Done() {
		t.Errorf("the units are %s", got)
	}
	if table := status.Table().Markdown(); !strings.Contains(table, "6 units: 4 finished, 1 running, 1 failed.") || !strings.Contains(table, "| 5 | A, seed 2 | failed | 102_3 TIMEOUT |  |") {
		t.Errorf("the table is\n%s", table)
	}
	if _, err := Submit(t.Context(), plan, o); err == nil || !strings.Contains(err.Error(), "scancel 101 102 103") {
		t.Errorf("submitted twice: %v", err)
	}
	if err := os.WriteFile(filepath.Join(fake, "queue"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if s, err = Submit(t.Context(), plan, o); err != nil || fmt.Sprint(s.Arrays) != "[{104 [[5] [6]]}]" {
		t.Errorf("submitted again: %+v, %v", s, err)
	}
}

// The time limit comes from the estimates, and is never too short to be told of.
func TestLimit(t *testing.T) {
	for _, c := range []struct {
		asked   time.Duration
		longest float64
		each    int
		want    time.Duration
	}{
		{0, 0, 1, time.Hour}, {0, 10, 1, 10 * time.Minute}, {0, 1000, 3, 100 * time.Minute}, {30 * time.Second, 1000, 1, time.Minute}, {61 * time.Second, 0, 1, 2 * time.Minute},
	} {
		if got := (Options{Time: c.asked}).limit(c.longest, [][]int{make([]int, c.each)}); got != c.want {
			t.Errorf("%+v: the limit is %v", c, got)
		}
	}
}

// Each failure is a sentence.
func TestSubmitErrors(t *testing.T) {
	plan := planned(t)
	fake := fakeSlurm(t)
	o := Options{Folder: t.TempDir()}
	if err := os.WriteFile(filepath.Join(fake, "sbatch"), []byte("#!/bin/sh\necho 'sbatch: error: invalid partition specified: gpu' >&2; exit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Submit(t.Context(), plan, o); err == nil || !strings.Contains(err.Error(), "invalid partition specified: gpu") {
		t.Errorf("error %v", err)
	}
	if err := os.WriteFile(filepath.Join(fake, "sbatch"), []byte("#!/bin/sh\necho hello\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Submit(t.Context(), plan, o); err == nil || !strings.Contains(err.Error(), "not the number of a job") {
		t.Errorf("error %v", err)
	}
	for _, wrong := range []Options{{Folder: o.Folder, Lines: []string{"--x\n#SBATCH --y"}}, {Folder: o.Folder, GPUs: -1}} {
		if _, err := Submit(t.Context(), plan, wrong); err == nil {
			t.Errorf("%+v is no error", wrong)
		}
	}
	if err := os.WriteFile(filepath.Join(o.Folder, submissionFile), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(o.Folder); err == nil || !strings.Contains(err.Error(), "delete it") {
		t.Errorf("error %v", err)
	}
	if err := os.WriteFile(filepath.Join(fake, "sinfo"), []byte("#!/bin/sh\necho 'Unable to contact slurm controller' >&2; exit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Here(t.Context()); !errors.Is(err, ErrNoSlurm) || !strings.Contains(err.Error(), "Unable to contact") {
		t.Errorf("Slurm does not answer: %v", err)
	}
	t.Setenv("PATH", "/nowhere")
	if _, err := Submit(t.Context(), plan, o); !errors.Is(err, ErrNoSlurm) || strings.Contains(err.Error(), "\n") {
		t.Errorf("without Slurm: %v", err)
	}
}

// A program is kept under a name of its own for each content.
func TestKeep(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	var kept []string
	for _, text := range []string{"one", "two", "one"} {
		if err := os.WriteFile(program, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		path, err := Keep(program, filepath.Join(dir, "kept"))
		if err != nil || read(t, path) != text {
			t.Fatalf("%s: %v", path, err)
		}
		kept = append(kept, path)
	}
	if kept[0] != kept[2] || kept[0] == kept[1] {
		t.Errorf("kept as %v", kept)
	}
	if _, err := Keep(filepath.Join(dir, "missing"), dir); err == nil {
		t.Error("no program is no error")
	}
}
