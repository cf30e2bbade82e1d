package rundir

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// elsewhere writes the lock's file of a process on another machine, touched so long ago, and returns its path.
func elsewhere(t *testing.T, dir string, number int, ago time.Duration) string {
	t.Helper()
	text, err := json.Marshal(holder{Host: "node7", Machine: "another", PID: os.Getpid(), Born: born(os.Getpid()), Job: "55_3", First: time.Now().Add(-2 * time.Hour), Start: time.Now().Add(-time.Hour), Before: 100})
	check(t, err)
	path := lockPath(dir, number)
	check(t, os.WriteFile(path, append(text, '\n'), 0o644))
	touched := time.Now().Add(-ago)
	check(t, os.Chtimes(path, touched, touched))
	return path
}

// Of many that lock a folder at a time one has it, on every occasion.
func TestLockIsExclusive(t *testing.T) {
	dir := t.TempDir()
	var holders, taken atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				l, err := LockFolder(dir)
				if errors.Is(err, ErrInUse) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if holders.Add(1) != 1 {
					t.Error("two hold the lock")
				}
				taken.Add(1)
				time.Sleep(time.Millisecond)
				if err := l.Check(); err != nil {
					t.Error(err)
				}
				holders.Add(-1)
				if err := l.Release(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if taken.Load() == 0 {
		t.Fatal("nobody had the lock")
	}
	if got := names(t, dir); strings.Count(got, lockPrefix) != 1 {
		t.Errorf("the folder holds %s", got)
	}
}

// lockVariable is the folder that a child of TestKilledHolder locks.
const lockVariable = "CTNAS_TEST_LOCK"

// A holder that is killed has the lock no more, not even as long as its parent has not heard of it.
func TestKilledHolder(t *testing.T) {
	if dir := os.Getenv(lockVariable); dir != "" {
		_, err := LockFolder(dir)
		fmt.Println("locked", err)
		time.Sleep(time.Minute)
	}
	dir := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run", "^TestKilledHolder$")
	child.Env = append(os.Environ(), lockVariable+"="+dir)
	output, err := child.StdoutPipe()
	check(t, err)
	check(t, child.Start())
	if _, err := output.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := LockFolder(dir); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "process "+strconv.Itoa(child.Process.Pid)) {
		t.Errorf("error %v, want one that names the process", err)
	}
	by, err := InUse(dir)
	check(t, err)
	if by == "" {
		t.Error("the folder is said to be free")
	}
	check(t, child.Process.Kill())
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		l, err := LockFolder(dir)
		if err == nil {
			if n := l.Attempts().Number; n != 2 || !l.over {
				t.Errorf("locked for the %d. time, %+v", n, l)
			}
			check(t, l.Release())
			break
		}
		if !errors.Is(err, ErrInUse) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	child.Wait()
}

// A process on another machine has the lock while it touches its file, and not long after.
func TestHolderOnAnotherMachine(t *testing.T) {
	for ago, free := range map[time.Duration]bool{0: false, deadAfter / 2: false, deadAfter + time.Second: true} {
		dir := t.TempDir()
		path := elsewhere(t, dir, 3, ago)
		l, err := LockFolder(dir)
		if !free {
			if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "on node7, job 55_3, last seen") {
				t.Errorf("touched %v ago: error %v", ago, err)
			}
			continue
		}
		check(t, err)
		if a := l.Attempts(); a.Number != 4 || a.Seconds < 3500 || a.Seconds > 3700 || time.Since(a.First) < 90*time.Minute {
			t.Errorf("locked so often: %+v", a)
		}
		if _, err := os.Stat(path); err == nil {
			t.Error("the file of the one before is still there")
		}
		check(t, l.Release())
	}
}

// A process that was taken for dead, and was not, writes nothing more into a run that another one goes on with.
func TestWokenUp(t *testing.T) {
	root := t.TempDir()
	slept := mustOpen(t, root, config{2})
	for step := range 3 {
		check(t, slept.Log(step, map[string]float64{"loss": float64(step)}))
		check(t, slept.Save(step+1, []byte{byte(step)}))
	}
	check(t, os.Remove(slept.lock.path))
	elsewhere(t, slept.Dir(), 1, time.Hour)
	r := mustOpen(t, root, config{2})
	// It had passed the check, and was about to write.
	_, err := slept.metrics.WriteString(`{"step":99,"values":{}}` + "\n")
	check(t, err)
	for name, err := range map[string]error{
		"a checkpoint": slept.Save(9, []byte("late")), "metrics": slept.Log(4, nil), "a result": slept.Finish("late"),
	} {
		if !errors.Is(err, ErrTaken) || !strings.Contains(err.Error(), slept.Dir()) {
			t.Errorf("it writes %s: error %v", name, err)
		}
	}
	check(t, slept.Close())
	check(t, r.Log(3, map[string]float64{"loss": 3}))
	check(t, r.Save(4, []byte{4}))
	metrics, err := r.Metrics()
	check(t, err)
	steps := []int{}
	for _, m := range metrics {
		steps = append(steps, m.Step)
	}
	if done, _, err := r.Checkpoint(); done != 4 || err != nil || !slices.Equal(steps, []int{0, 1, 2, 3}) {
		t.Errorf("a checkpoint of step %d (%v) and metrics of the steps %v", done, err, steps)
	}
	check(t, r.Finish("result"))
}

// A file that does not say who holds the lock is of a process that died at once, when it stays so: a process that is
// killed and started again need not be told to wait.
func TestHalfWrittenLock(t *testing.T) {
	for _, text := range []string{"", `{"host":"no`} {
		dir := t.TempDir()
		path := filepath.Join(dir, "lock-1")
		check(t, os.WriteFile(path, []byte(text), 0o644))
		if by, err := InUse(dir); by != beginner || err != nil {
			t.Errorf("%q, new, is held by %q (%v)", text, by, err)
		}
		age := namedAfter - time.Second
		written := time.Now().Add(-age)
		check(t, os.Chtimes(path, written, written))
		l, err := LockFolder(dir)
		check(t, err)
		if waited := time.Since(written); waited < namedAfter {
			t.Errorf("%q: taken over after %v", text, waited)
		}
		check(t, l.Release())
	}
}

// A process that has just created its file says a moment later who it is, and keeps the lock.
func TestHolderThatBegins(t *testing.T) {
	dir := t.TempDir()
	other := elsewhere(t, t.TempDir(), 1, 0)
	check(t, os.WriteFile(lockPath(dir, 1), nil, 0o644))
	go func() {
		time.Sleep(100 * time.Millisecond)
		os.Rename(other, lockPath(dir, 1))
	}()
	if _, err := LockFolder(dir); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "node7") {
		t.Errorf("error %v", err)
	}
}

// The second time that a run is open, it knows of the first.
func TestAttempts(t *testing.T) {
	root, begin := t.TempDir(), time.Now()
	r := mustOpen(t, root, config{2})
	time.Sleep(20 * time.Millisecond)
	check(t, r.Close())
	r = mustOpen(t, root, config{2})
	if a := r.Attempts(); a.Number != 2 || a.Seconds < 0.02 || a.Seconds > 5 || a.First.After(begin.Add(10*time.Millisecond)) {
		t.Errorf("%+v", a)
	}
}

func FuzzLock(f *testing.F) {
	f.Add([]byte(""))
	f.Add([]byte(`{"host":"a","machine":"b","pid":1,"start":"2026-01-02T03:04:05Z"}` + "\n"))
	f.Add([]byte(`{"host":"a","machine":"b","pid":1,"start":"2026-01-02T03:04:05Z"}` + "\n\"2026"))
	f.Add([]byte("{}\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		check(t, os.WriteFile(lockPath(dir, 1), text, 0o644))
		l, err := LockFolder(dir)
		if err != nil {
			if !errors.Is(err, ErrInUse) {
				t.Fatal(err)
			}
			return
		}
		if a := l.Attempts(); !(a.Seconds >= 0) {
			t.Errorf("held for %g s", a.Seconds)
		}
		check(t, l.Release())
	})
}
