package rundir

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Lock is a folder's lock, which holds between processes and between machines that share the folder, whatever its
// file system makes of flock: it needs nothing but files that are created only if they are not there, as NFS has
// them too. It is safe for concurrent use.
//
// Who takes the lock for the nth time creates the file lock-n, and takes lock-m with m < n away; so there is always
// one with the highest number, which says who had the lock last. A process on this machine holds it as long as it
// lives; one on another machine, as long as it touches its file every so often. One that was taken for dead and
// wakes up finds its file gone, and writes no more.
type Lock struct {
	path   string
	number int     // how often the lock was taken, with this time
	before float64 // seconds that it was held, before this time
	first  time.Time
	start  time.Time
	over   bool // who had it before did not give it back, and may still believe to have it
	lost   atomic.Bool
	end    sync.Once
	done   chan struct{}
}

const (
	lockPrefix = "lock-"
	beatEvery  = 10 * time.Second // that a holder touches its file
	deadAfter  = 60 * time.Second // that a holder on another machine has not touched its file
	namedAfter = 5 * time.Second  // that a new file still does not say who holds it: its process died before it could
)

// ErrTaken is wrapped by the error of a process that writes to a folder that another one has locked since, because it
// took this one for dead.
var ErrTaken = errors.New("another process has taken over this folder")

// holder is the first line of a lock's file: who has it. A second line says when it was given back.
type holder struct {
	Host    string    `json:"host"`
	Machine string    `json:"machine"` // tells machines, and containers, from each other, also after they started again
	PID     int       `json:"pid"`
	Born    string    `json:"born"` // tells processes with the same PID from each other
	Job     string    `json:"job,omitempty"`
	First   time.Time `json:"first"` // when the lock was taken for the first time
	Start   time.Time `json:"start"`
	Before  float64   `json:"before"` // seconds that the lock was held before
}

func (h holder) String() string {
	text := fmt.Sprintf("process %d on %s", h.PID, h.Host)
	if h.Job != "" {
		text += ", job " + h.Job
	}
	return text
}

// LockFolder locks a folder. The error wraps [ErrInUse] while another process has it, and says which. It waits for one
// that has just taken it to say who it is, or to have died before it could.
func LockFolder(dir string) (*Lock, error) {
	const tries = 20 // others that lock it in the same moment
	for range tries {
		l, err := tryLock(dir)
		if l != nil || err != nil {
			return l, err
		}
	}
	return nil, fmt.Errorf("rundir: cannot lock %s: %w; many lock it at a time", dir, ErrInUse)
}

// tryLock returns nil if others lock the folder in the same moment.
func tryLock(dir string) (*Lock, error) {
	last, err := lastLock(dir)
	if err != nil {
		return nil, fmt.Errorf("rundir: cannot lock %s: %w", dir, err)
	}
	l := &Lock{path: lockPath(dir, last+1), number: last + 1, done: make(chan struct{})}
	if last > 0 {
		by, past, err := inspectNamed(lockPath(dir, last))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil // taken over meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("rundir: cannot lock %s: %w", dir, err)
		}
		if by != "" {
			return nil, fmt.Errorf("rundir: cannot open %s: %w (%s); wait until it is done, or work under another folder ($CTNAS_RUNS for notebooks)", dir, ErrInUse, by)
		}
		l.before, l.over, l.first = past.seconds, !past.released, past.first
	}
	l.start = time.Now()
	if l.first.IsZero() {
		l.first = l.start.UTC().Round(0)
	}
	if err := l.take(); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil, nil
		}
		return nil, fmt.Errorf("rundir: cannot lock %s: %w", dir, err)
	}
	if now, err := lastLock(dir); err != nil || now != l.number {
		os.Remove(l.path)
		return nil, err
	}
	for n := l.number - 1; n > 0 && os.Remove(lockPath(dir, n)) == nil; n-- {
	}
	go l.beat()
	return l, nil
}

func lockPath(dir string, n int) string {
	return filepath.Join(dir, lockPrefix+strconv.Itoa(n))
}

// lastLock returns the highest number of a lock's file in a folder, 0 if there is none.
func lastLock(dir string) (int, error) {
	entries, err := os.ReadDir(dir)
	last := 0
	for _, entry := range entries {
		digits, ok := strings.CutPrefix(entry.Name(), lockPrefix)
		if n, err := strconv.Atoi(digits); ok && err == nil {
			last = max(last, n)
		}
	}
	return last, err
}

// take creates the lock's file.
func (l *Lock) take() error {
	host, _ := os.Hostname() // only for the reader
	line, err := json.Marshal(holder{host, machine(), os.Getpid(), born(os.Getpid()), Job(), l.first, l.start, l.before})
	if err != nil {
		return err
	}
	file, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(append(line, '\n'))
	if err = errors.Join(err, file.Close()); err != nil {
		os.Remove(l.path)
	}
	return err
}

// past is what is known of those who had a lock.
type past struct {
	first    time.Time // that it was taken
	seconds  float64   // that it was held
	released bool      // the last of them gave it back
}

// beginner holds a lock whose file does not say who holds it.
const beginner = "a process that begins"

// inspect says who holds a lock that has this file, "" if nobody.
func inspect(path string) (by string, p past, err error) {
	text, touched, err := readTouched(path)
	if err != nil {
		return "", p, err
	}
	line, rest, whole := bytes.Cut(text, []byte{'\n'})
	var h holder
	if err := json.Unmarshal(line, &h); err != nil || !whole {
		if silent, err := silence(path, touched); err != nil || silent >= namedAfter {
			return "", p, err
		}
		return beginner, p, nil
	}
	var ended time.Time
	if json.Unmarshal(rest, &ended) == nil {
		touched = ended
	}
	p = past{h.First, h.Before + max(0, touched.Sub(h.Start).Seconds()), len(rest) > 0}
	switch {
	case p.released:
		return "", p, nil
	case h.Machine == machine():
		if !alive(h.PID, h.Born) {
			return "", p, nil
		}
		return h.String(), p, nil
	}
	silent, err := silence(path, touched)
	if err != nil || silent >= deadAfter {
		return "", p, err
	}
	return fmt.Sprintf("%s, last seen %s ago", h, silent.Round(time.Second)), p, nil
}

// inspectNamed is inspect once the file says who holds the lock, or its process must have died before it could.
func inspectNamed(path string) (by string, p past, err error) {
	const every = 20 * time.Millisecond
	for range (namedAfter + time.Second) / every {
		if by, p, err = inspect(path); by != beginner {
			break
		}
		time.Sleep(every)
	}
	return by, p, err
}

// readTouched returns what is in a file and when it was last written, by the clock of its file system.
func readTouched(path string) ([]byte, time.Time, error) {
	file, err := os.Open(path) // NFS looks at the server then
	if err != nil {
		return nil, time.Time{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, time.Time{}, err
	}
	var text bytes.Buffer
	_, err = text.ReadFrom(file)
	return text.Bytes(), info.ModTime(), err
}

// silence returns how long ago a time was, by the clock of the file system that path is on: clocks of machines differ.
func silence(path string, since time.Time) (time.Duration, error) {
	now, err := os.CreateTemp(filepath.Dir(path), "."+keyFile+"*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(now.Name())
	defer now.Close()
	if _, err := now.Write([]byte{'\n'}); err != nil {
		return 0, err
	}
	info, err := now.Stat()
	if err != nil {
		return 0, err
	}
	return max(0, info.ModTime().Sub(since)), nil
}

// beat touches the lock's file, so that other machines see that this process lives.
func (l *Lock) beat() {
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	for {
		select {
		case <-l.done:
			return
		case <-ticker.C:
			if l.touch() != nil && l.Check() != nil {
				return
			}
		}
	}
}

// touch writes the first byte of the file again: its time is the server's then.
func (l *Lock) touch() error {
	file, err := os.OpenFile(l.path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteAt([]byte{'{'}, 0)
	return errors.Join(err, file.Close())
}

// Check returns an error that wraps [ErrTaken] once another process has taken the lock over.
func (l *Lock) Check() error {
	if !l.lost.Load() {
		if _, err := os.Stat(l.path); !errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		l.lost.Store(true)
	}
	return fmt.Errorf("rundir: cannot go on in %s: %w, as this one did not answer for %s; run it again to continue", filepath.Dir(l.path), ErrTaken, deadAfter)
}

// Attempts say how often something was locked, with this time, for how many seconds in all, and since when.
type Attempts struct {
	Number  int
	Seconds float64
	First   time.Time
}

// Attempts returns how often the lock was taken.
func (l *Lock) Attempts() Attempts {
	return Attempts{l.number, l.before + time.Since(l.start).Seconds(), l.first}
}

// Release gives the lock back, once. One that another process has taken over is left alone.
func (l *Lock) Release() (err error) {
	l.end.Do(func() { err = l.release() })
	return err
}

func (l *Lock) release() error {
	close(l.done)
	ended, err := json.Marshal(time.Now())
	if err != nil {
		return err
	}
	file, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("rundir: cannot unlock %s: %w", filepath.Dir(l.path), err)
	}
	_, err = file.Write(append(ended, '\n'))
	return errors.Join(err, file.Close())
}

// Remove gives the lock back and takes the folder away, if there is nothing else in it.
func (l *Lock) Remove() error {
	l.end.Do(func() { close(l.done) })
	err := os.Remove(l.path)
	os.Remove(filepath.Dir(l.path)) // not if somebody locks it
	return err
}

// InUse says which process has a folder locked, "" if none has.
func InUse(dir string) (by string, err error) {
	last, err := lastLock(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && last == 0 {
		return "", nil
	}
	if err == nil {
		by, _, err = inspect(lockPath(dir, last))
		if errors.Is(err, fs.ErrNotExist) {
			return "another process", nil // which has just taken it
		}
	}
	if err != nil {
		return "", fmt.Errorf("rundir: cannot find out whether %s is in use: %w", dir, err)
	}
	return by, nil
}
