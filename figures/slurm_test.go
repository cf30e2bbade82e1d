package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/report"
)

// The least table1 that has more than one method and seed, in pure Go, whose numbers are the same each time.
var smallTable1 = []string{"-preset", "small", "-seeds", "2", "-methods", `^(Random|CTNAS .(paper|authors))`}

// program runs the program with arguments in the folder of this test, and returns what it printed and its error.
func program(t *testing.T, args ...string) (string, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, self, args...).CombinedOutput()
	return string(out), err
}

func mustProgram(t *testing.T, args ...string) string {
	t.Helper()
	out, err := program(t, args...)
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return out
}

// without returns what a result measured: all but when, where and how long.
func without(t *testing.T, path string) string {
	t.Helper()
	r, err := report.ReadResult(path)
	if err != nil {
		t.Fatal(err)
	}
	r.Elapsed, r.Wall, r.Units = 0, 0, nil
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func asProgram(t *testing.T) {
	t.Setenv(programVariable, "1")
	t.Setenv("GOMLX_BACKEND", "go")
	t.Setenv("CTNAS_DATA", "")
	t.Chdir(t.TempDir()) // away from stored results, and from what is installed beside
}

// Parts under any launcher make the table of one process, to the last digit.
func TestPartsMakeTheTable(t *testing.T) {
	asProgram(t)
	args := func(more ...string) []string { return append(more, append(smallTable1, "table1")...) }
	mustProgram(t, args("-runs", "whole")...)
	if out, err := program(t, args("-runs", "runs", "-collect")...); err == nil || !strings.Contains(out, "none of the 6 units of table1 is finished") {
		t.Errorf("nothing is there: %v\n%s", err, out)
	}
	if out := mustProgram(t, args("-runs", "runs", "-list")...); !strings.HasPrefix(out, "table1 on nasbench101 (") || !strings.Contains(out, "| 5 | CTNAS (paper's text), seed 2 |") {
		t.Errorf("the units are\n%s", out)
	}
	t.Setenv("SLURM_ARRAY_TASK_ID", "2")
	mustProgram(t, args("-runs", "runs", "-part", "SLURM_ARRAY_TASK_ID/2")...)
	mustProgram(t, args("-runs", "runs", "-only", "1,3")...)
	out, err := program(t, args("-runs", "runs", "-collect")...)
	if err == nil || !strings.Contains(out, "missing units: CTNAS (paper's text), seed 2") {
		t.Errorf("what is missing is not named: %v\n%s", err, out)
	}
	mustProgram(t, args("-runs", "runs", "-part", "1/2")...)
	mustProgram(t, args("-runs", "runs", "-collect")...)
	if got, want := without(t, "runs/small/table1/result.json"), without(t, "whole/small/table1/result.json"); got != want {
		t.Errorf("the parts make\n%s\none process made\n%s", got, want)
	}
	t.Setenv("PATH", "/nowhere")
	for _, verb := range []string{"-slurm", "-status"} {
		if out, err := program(t, args("-runs", "none", verb)...); err == nil || strings.Count(strings.TrimSpace(out), "\n") > 0 || !strings.Contains(out, map[string]string{"-slurm": "there is no Slurm here", "-status": "nothing was submitted"}[verb]) {
			t.Errorf("%s without Slurm: %v\n%s", verb, err, out)
		}
	}
}

// What a submission asks Slurm for, without a Slurm, and that its state is asked for with the same arguments.
func TestSubmission(t *testing.T) {
	asProgram(t)
	stubs := t.TempDir()
	for name, script := range map[string]string{"sbatch": "echo 101", "squeue": "", "sinfo": "echo idle", "scontrol": ""} {
		if err := os.WriteFile(filepath.Join(stubs, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", stubs)
	for _, c := range []struct{ args, has, hasNot string }{
		{"-gpus 2 weightsharing", "#SBATCH --gres=gpu:2\n|'-devices' '2'", ""},
		{"-gpus 2 -devices 1 weightsharing", "#SBATCH --gres=gpu:2\n|'-devices' '1'", ""},
		{"-gpus 2 -methods ^CTNAS.*(paper|authors) table1", "#SBATCH --gres=gpu:2\n|'-devices' '1'|#SBATCH --mem=", ""},
		{"-sbatch=--mem-per-cpu=2G table1", "#SBATCH --mem-per-cpu=2G\n", "--mem="},
	} {
		words := strings.Fields(c.args)
		id := words[len(words)-1]
		args := append([]string{"-slurm", "-preset", "small", "-seeds", "1"}, words...)
		runs := t.TempDir()
		out := mustProgram(t, append([]string{"-runs", runs}, args...)...)
		text, err := os.ReadFile(filepath.Join(runs, "slurm", "small-"+id, "units-1.sh"))
		if err != nil {
			text, err = os.ReadFile(filepath.Join(runs, "slurm", "small-"+id, "units-2.sh"))
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range strings.Split(c.has, "|") {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s: the script does not have %q:\n%s", c.args, want, text)
			}
		}
		if c.hasNot != "" && strings.Contains(string(text), c.hasNot) {
			t.Errorf("%s: the script has %q:\n%s", c.args, c.hasNot, text)
		}
		// The command that it tells, by a shell, and one that leaves out what was chosen.
		_, told, _ := strings.Cut(out, "go run ./figures -status ")
		told, _, _ = strings.Cut(told, " says how far")
		shell, err := exec.Command("/bin/sh", "-c", `for a in `+told+`; do echo "$a"; done`).Output()
		if err != nil {
			t.Fatal(err)
		}
		if out := mustProgram(t, append([]string{"-status"}, strings.Split(strings.TrimSpace(string(shell)), "\n")...)...); !strings.Contains(out, "to do") {
			t.Errorf("%s: the state is\n%s", told, out)
		}
		if out, err := program(t, "-status", "-preset", "small", "-runs", runs, id); err == nil || !strings.Contains(out, "with other arguments; ask for those: go run ./figures -status "+told) {
			t.Errorf("the state by other arguments: %v\n%s", err, out)
		}
		// Jobs of a version that kept no arguments can still be asked for.
		jobs := filepath.Join(runs, "slurm", "small-"+id, "jobs.json")
		var kept map[string]any
		if text, err = os.ReadFile(jobs); err == nil {
			err = json.Unmarshal(text, &kept)
		}
		if err != nil {
			t.Fatal(err)
		}
		delete(kept, "args")
		if text, err = json.Marshal(kept); err == nil {
			err = os.WriteFile(jobs, text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		mustProgram(t, "-status", "-preset", "small", "-runs", runs, id)
	}
}

// testCluster is a Slurm of one node with two slots.
type testCluster struct {
	dir    string
	node   *exec.Cmd // slurmd
	others []*exec.Cmd
}

// startSlurm starts one, or skips the test: $CTNAS_TEST_SLURM makes that a failure.
func startSlurm(t *testing.T) *testCluster {
	t.Helper()
	skip := func(reason string, err error) {
		if os.Getenv("CTNAS_TEST_SLURM") != "" {
			t.Fatalf("%s: %v", reason, err)
		}
		t.Skipf("NOT TESTED WITH SLURM: %s (%v). Debian has it: apt-get install slurm-wlm munge, and run the test as root", reason, err)
	}
	if testing.Short() {
		t.Skip("takes two minutes")
	}
	for _, name := range []string{"munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel"} {
		if _, err := exec.LookPath(name); err != nil {
			skip("Slurm and munge are not installed", err)
		}
	}
	if os.Geteuid() != 0 {
		skip("the daemons need root", os.ErrPermission)
	}
	dir, err := os.MkdirTemp("/tmp", "ctnas-slurm") // sockets need short paths
	if err != nil {
		t.Fatal(err)
	}
	c := &testCluster{dir: dir}
	t.Cleanup(func() { c.stop(t) })
	key := make([]byte, 128)
	rand.Read(key)
	config := strings.NewReplacer("@DIR@", dir, "@CTLD@", freePort(t), "@D@", freePort(t)).Replace(slurmConfig)
	for name, text := range map[string][]byte{"key": key, "slurm.conf": []byte(config)} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"ctld", "d", "log"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("SLURM_CONF", filepath.Join(dir, "slurm.conf"))
	in := func(name string) string { return filepath.Join(dir, name) }
	c.start(t, "munged", "--foreground", "--force", "--socket", in("munge"), "--key-file", in("key"), "--pid-file", in("munge.pid"), "--log-file", in("log/munge"), "--seed-file", in("seed"))
	if err := eventually(10*time.Second, func() bool { _, err := os.Stat(in("munge")); return err == nil }); err != nil {
		skip("munged does not start", err)
	}
	c.start(t, "slurmctld", "-D")
	c.startNode(t)
	if err := eventually(30*time.Second, func() bool {
		out, _ := exec.Command("sinfo", "-h", "-o", "%T").Output()
		return strings.TrimSpace(string(out)) == "idle"
	}); err != nil {
		skip("Slurm does not start", err)
	}
	return c
}

const slurmConfig = `ClusterName=ctnas
SlurmctldHost=localhost
SlurmctldPort=@CTLD@
SlurmdPort=@D@
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=@DIR@/munge
StateSaveLocation=@DIR@/ctld
SlurmdSpoolDir=@DIR@/d
SlurmctldLogFile=@DIR@/log/ctld
SlurmdLogFile=@DIR@/log/d
SlurmctldPidFile=@DIR@/ctld.pid
SlurmdPidFile=@DIR@/d.pid
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
MailProg=/bin/true
NodeName=localhost NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=debug Nodes=localhost Default=YES MaxTime=INFINITE State=UP
`

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func (c *testCluster) start(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(name, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.others = append(c.others, cmd)
	return cmd
}

// startNode starts slurmd, the node.
func (c *testCluster) startNode(t *testing.T) {
	t.Helper()
	c.node = c.start(t, "slurmd", "-D", "-N", "localhost")
}

// stopNode ends slurmd alone; its tasks run on.
func (c *testCluster) stopNode() {
	c.node.Process.Kill()
	c.node.Wait()
}

func (c *testCluster) stop(t *testing.T) {
	exec.Command("scancel", "--full", "-u", "root").Run()
	eventually(15*time.Second, func() bool {
		out, err := exec.Command("squeue", "-h").Output()
		return err != nil || len(bytes.TrimSpace(out)) == 0
	})
	for i := len(c.others) - 1; i >= 0; i-- {
		c.others[i].Process.Kill()
		c.others[i].Wait()
	}
	if t.Failed() {
		for _, name := range []string{"ctld", "d"} {
			text, _ := os.ReadFile(filepath.Join(c.dir, "log", name))
			t.Logf("the log of slurm%s ends in\n%s", name, text[max(0, len(text)-3000):])
		}
	}
	os.RemoveAll(c.dir)
}

// eventually waits until something is so.
func eventually(limit time.Duration, so func() bool) error {
	for end := time.Now().Add(limit); !so(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("not within %v", limit)
		}
	}
	return nil
}

// processOf returns the process that runs a unit as a task, once it has begun to compute in the folder of runs.
func processOf(t *testing.T, runs string, unit int) int {
	t.Helper()
	pid := 0
	if err := eventually(time.Minute, func() bool {
		paths, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, path := range paths {
			text, _ := os.ReadFile(path)
			words := strings.Split(string(text), "\x00")
			if len(words) > 2 && strings.HasPrefix(words[0], runs) && words[1] == "-only" && words[2] == fmt.Sprint(unit) {
				fmt.Sscanf(path, "/proc/%d/", &pid)
				return true
			}
		}
		return false
	}); err != nil {
		t.Fatalf("unit %d does not begin: %v", unit, err)
	}
	return pid
}

// atWork waits until a process that runs a unit has trained for a while.
func atWork(t *testing.T, runs string, pid int) {
	t.Helper()
	if err := eventually(time.Minute, func() bool {
		paths, _ := filepath.Glob(filepath.Join(runs, "nac-*", "lock-*"))
		for _, path := range paths {
			text, _ := os.ReadFile(path)
			_, err := os.Stat(filepath.Join(filepath.Dir(path), "checkpoint"))
			if err == nil && strings.Contains(string(text), fmt.Sprintf(`"pid":%d,`, pid)) {
				return true
			}
		}
		return false
	}); err != nil {
		t.Fatalf("process %d has no checkpoint: %v", pid, err)
	}
}

func send(t *testing.T, pid int, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
}

func slurm(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// submitted submits the experiment, and returns the numbers of the array and of the job that collects.
func submitted(t *testing.T, args []string) (array, collect string) {
	t.Helper()
	out := mustProgram(t, args...)
	var tasks int
	lines := strings.Split(out, "\n")
	if _, err := fmt.Sscanf(lines[0]+" "+lines[1], "table1: job %s an array of %d tasks table1: job %s collects,", &array, &tasks, &collect); err != nil {
		t.Fatalf("it says %q: %v", out, err)
	}
	return strings.TrimSuffix(array, ","), collect
}

// ended waits until a job has ended. A task that was queued again need not wait for the two minutes that Slurm gives it,
// but must have ended before.
func ended(t *testing.T, job string) {
	t.Helper()
	queued := make(map[string]time.Time)
	if err := eventually(4*time.Minute, func() bool {
		out := slurm(t, "squeue", "-h", "-r", "-o", "%i %r")
		for line := range strings.Lines(out) {
			task, reason, _ := strings.Cut(strings.TrimSpace(line), " ")
			switch since, ok := queued[task]; {
			case reason != "BeginTime":
				delete(queued, task)
			case !ok:
				queued[task] = time.Now()
			case time.Since(since) > 3*time.Second:
				exec.Command("scontrol", "update", "JobId="+task, "StartTime=now").Run()
			}
		}
		return !strings.Contains("\n"+out+" ", "\n"+job+" ")
	}); err != nil {
		t.Fatalf("job %s does not end: %v\n%s", job, err, slurm(t, "squeue", "-r"))
	}
}

// A table as an array of tasks on one node with two slots, of which one is killed, one is cancelled, one hangs past its
// time limit, and whose node is stopped and started again, is in the end that of one process, to the last digit; and
// nothing is run twice.
func TestSlurm(t *testing.T) {
	asProgram(t)
	c := startSlurm(t)
	mustProgram(t, append(append([]string{"-runs", "whole"}, smallTable1...), "table1")...)
	runs, err := filepath.Abs("runs")
	if err != nil {
		t.Fatal(err)
	}
	args := func(more ...string) []string {
		return append(append([]string{"-runs", runs}, more...), append(smallTable1, "table1")...)
	}
	const killed, cancelled, hung = 2, 3, 5
	array, collect := submitted(t, args("-slurm", "-limit", "2", "-time", "2m", "-sbatch=--comment=test"))
	if out, err := program(t, args("-slurm")...); err == nil || !strings.Contains(out, "is still") {
		t.Errorf("submitted twice: %v\n%s", err, out)
	}

	pid := processOf(t, runs, killed)
	atWork(t, runs, pid)
	send(t, pid, syscall.SIGKILL)
	pid = processOf(t, runs, cancelled)
	atWork(t, runs, pid)
	slurm(t, "scancel", fmt.Sprintf("%s_%d", array, cancelled))
	pid = processOf(t, runs, hung)
	atWork(t, runs, pid)
	send(t, pid, syscall.SIGSTOP)
	c.stopNode()
	if out := mustProgram(t, args("-status")...); !strings.Contains(out, "6 units: ") || !strings.Contains(out, " running") {
		t.Errorf("while the node is stopped:\n%s", out)
	}
	time.Sleep(2 * time.Second)
	c.startNode(t)
	finished := finishedUnits(t, runs)
	defer showLogs(t, runs)
	ended(t, collect)

	out := mustProgram(t, args("-status")...)
	if !strings.Contains(out, "6 units: 5 finished, 1 failed") || !strings.Contains(out, fmt.Sprintf("%s_%d CANCELLED", array, cancelled)) {
		t.Errorf("when all has ended:\n%s", out)
	}
	log, err := os.ReadFile(filepath.Join(runs, "slurm", "small-table1", "log", collect+".txt"))
	if err != nil || !strings.Contains(string(log), "figures: table1 is not complete; missing units: CTNAS (authors' code), seed 1") {
		t.Errorf("the job that collects says (%v)\n%s", err, log)
	}

	for unit, words := range map[int][]string{
		killed: {"is queued again: it was killed (status 137)", "restart 1: units 2,"}, cancelled: {"stopped after step", "was cancelled"}, hung: {"is queued again: its time is over", "restart 1: units 5,"},
	} {
		text, err := os.ReadFile(filepath.Join(runs, "slurm", "small-table1", "log", fmt.Sprintf("%s_%d.txt", array, unit)))
		for _, word := range words {
			if err != nil || !strings.Contains(string(text), word) {
				t.Errorf("the log of unit %d does not say %q (%v):\n%s", unit, word, err, text)
			}
		}
	}

	again, collect := submitted(t, args("-slurm"))
	ended(t, collect)
	if out := slurm(t, "squeue", "-h", "-r", "-t", "all", "-j", again, "-o", "%i %T"); out != again+"_1 COMPLETED" {
		t.Errorf("the second array has other tasks than that of the unit that was missing: %s", out)
	}
	if got, want := without(t, filepath.Join(runs, "small/table1/result.json")), without(t, "whole/small/table1/result.json"); got != want {
		t.Errorf("the tasks make\n%s\none process made\n%s", got, want)
	}
	for path, before := range finished {
		if now := finishedUnits(t, runs)[path]; now != before {
			t.Errorf("%s, which was finished, was written again", path)
		}
	}
	checkUnits(t, runs, array, killed, cancelled, hung)
}

// showLogs shows what the tasks wrote, if the test failed.
func showLogs(t *testing.T, runs string) {
	if !t.Failed() {
		return
	}
	paths, _ := filepath.Glob(filepath.Join(runs, "slurm", "*", "log", "*"))
	for _, path := range paths {
		text, _ := os.ReadFile(path)
		t.Logf("%s:\n%s", filepath.Base(path), text)
	}
}

// finishedUnits tells the stored outcomes from those that are written again.
func finishedUnits(t *testing.T, runs string) map[string]time.Time {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(runs, "outcome-*", "result.json"))
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]time.Time)
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		found[path] = info.ModTime()
	}
	return found
}

// checkUnits checks what the result says of its units: each was begun once for each time that its task began, those that
// were interrupted more than once.
func checkUnits(t *testing.T, runs, array string, interrupted ...int) {
	t.Helper()
	r, err := report.ReadResult(filepath.Join(runs, "small/table1/result.json"))
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for i, u := range r.Units {
		least := 1
		if slices.Contains(interrupted, i+1) {
			least = 2
		}
		begun := 0
		logs, _ := filepath.Glob(filepath.Join(runs, "slurm", "small-table1", "log", "*_*"))
		for _, path := range logs {
			text, _ := os.ReadFile(path)
			begun += strings.Count(string(text), fmt.Sprintf(": units %d,", i+1))
		}
		if u.Attempts < least || u.Attempts > begun || u.Host == "" || u.Device != "go" || u.Seconds <= 0 || u.Job == "" || least == 1 && !strings.HasPrefix(u.Job, array+"_") {
			t.Errorf("%s: %d attempts, at least %d and at most %d; job %q on %q, device %q, %g s", u, u.Attempts, least, begun, u.Job, u.Host, u.Device, u.Seconds)
		}
		sum += u.Seconds
	}
	if len(r.Units) != 6 || r.Elapsed != sum || r.Wall <= 0 {
		t.Errorf("%d units in %g s, elapsed %g, %g by the clock", len(r.Units), sum, r.Elapsed, r.Wall)
	}
}
