package search

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// A label that took worthKeeping is kept on disk. What is cheaper, such as a row of a table, is
// asked for again: so it is right even if a benchmark without a version answers otherwise the next
// time. A benchmark that was quicker once is quick, and what took it longer was an interruption, or was
// really computed: its labels are kept and trusted from surelyComputed on.
const (
	worthKeeping   = 10 * time.Millisecond
	surelyComputed = 10 * time.Second
)

// keptLabels are the labels of a benchmark on disk: a file of lines that only grows, which many
// searches may share. It is safe for concurrent use.
type keptLabels struct {
	path   string
	header string // the first line, without its end

	mu    sync.Mutex
	known map[string]keptLabel // by ID
	quick bool                 // the benchmark was quicker than worthKeeping once
	wrote bool                 // this process has added a label
	read  int64                // bytes of the file that are in known
}

// keptLabel is a line of the file: a label, or that the benchmark is quick.
type keptLabel struct {
	ID       string   `json:"id,omitempty"`
	Arch     string   `json:"arch,omitempty"`
	Accuracy *float64 `json:"accuracy,omitempty"`
	Seconds  float64  `json:"seconds,omitempty"` // that the benchmark took
	Quick    bool     `json:"quick,omitempty"`
}

// whole says whether the line is one of the two.
func (l keptLabel) whole() bool { return l.Quick || l.ID != "" && l.Accuracy != nil }

// openKeptLabels reads the labels of a benchmark that are kept under root.
func openKeptLabels(root string, b space.Benchmark) (*keptLabels, error) {
	identity := space.Identity(b)
	header, err := json.Marshal(map[string]string{"benchmark": identity})
	if err != nil {
		return nil, fmt.Errorf("search: cannot keep labels: %w", err)
	}
	k := &keptLabels{
		path:   filepath.Join(root, "labels-"+rundir.Digest([]string{identity})[:16]+".jsonl"),
		header: string(header), known: make(map[string]keptLabel),
	}
	return k, k.refresh()
}

// find returns a label, also one that another search has bought meanwhile.
func (k *keptLabels) find(id string) (accuracy float64, ok bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if l, ok := k.trusted(id); ok {
		return *l.Accuracy, true, nil
	}
	if info, err := os.Stat(k.path); err != nil || info.Size() == k.read {
		return 0, false, nil // nothing was kept, or nothing new
	}
	if err := k.refresh(); err != nil {
		return 0, false, err
	}
	if l, ok := k.trusted(id); ok {
		return *l.Accuracy, true, nil
	}
	return 0, false, nil
}

// trusted returns a label that the benchmark need not be asked for again.
func (k *keptLabels) trusted(id string) (keptLabel, bool) {
	l, ok := k.known[id]
	return l, ok && (!k.quick || l.Seconds >= surelyComputed.Seconds())
}

// refresh reads what the file has gained. A last line without its end is still being written,
// or was cut off.
func (k *keptLabels) refresh() error {
	file, err := os.Open(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("search: cannot read the labels: %w", err)
	}
	defer file.Close()
	if _, err := file.Seek(k.read, io.SeekStart); err != nil {
		return fmt.Errorf("search: cannot read the labels: %w", err)
	}
	for lines := bufio.NewReader(file); ; {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("search: cannot read the labels: %w", err)
		}
		var l keptLabel
		switch first := k.read == 0; {
		case first && string(line) == k.header+"\n":
		case first || json.Unmarshal(line, &l) != nil || !l.whole():
			return fmt.Errorf("search: the line at byte %d of %s is damaged; take it out, or delete the file to buy its labels again", k.read, k.path)
		case l.Quick:
			k.quick = true
		default:
			k.known[l.ID] = l
		}
		k.read += int64(len(line))
	}
}

// add keeps a label that is worth it. It is on the disk when add returns. The first time that the
// benchmark is quick it is noted beside labels that were kept before.
func (k *keptLabels) add(id string, a space.Arch, accuracy float64, took time.Duration) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	kept := keptLabel{ID: id, Arch: a.String(), Accuracy: &accuracy, Seconds: took.Seconds()}
	switch {
	case took < worthKeeping && !k.quick:
		k.quick = true
		if k.wrote || k.read > 0 {
			kept = keptLabel{Quick: true}
			break
		}
		return nil
	case took < worthKeeping, k.quick && took < surelyComputed:
		return nil
	}
	k.wrote = true
	line, err := json.Marshal(kept)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(k.path), 0o755)
	}
	if err == nil {
		err = k.append(string(line))
	}
	if err != nil {
		return fmt.Errorf("search: the label of %s, %g, cannot be kept: %w", a, accuracy, err)
	}
	return nil
}

// append adds a line to the file, under a lock that all processes respect. A last line that was
// cut off, by a kill or a full disk, is written over.
func (k *keptLabels) append(line string) (err error) {
	lock, err := k.lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	file, err := os.OpenFile(k.path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	for last := [1]byte{}; size > 0; size-- {
		if _, err := file.ReadAt(last[:], size-1); err != nil {
			return err
		}
		if last[0] == '\n' {
			break
		}
	}
	text := line + "\n"
	if size == 0 {
		text = k.header + "\n" + text
	}
	if err := file.Truncate(size); err != nil {
		return err
	}
	if _, err := file.WriteAt([]byte(text), size); err != nil {
		return err
	}
	return file.Sync()
}

// lock waits for the lock that all processes respect, and takes it.
func (k *keptLabels) lock() (*rundir.Lock, error) {
	dir := k.path + ".locks"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for {
		lock, err := rundir.LockFolder(dir)
		if !errors.Is(err, rundir.ErrInUse) {
			return lock, err
		}
		time.Sleep(5 * time.Millisecond) // a line takes no longer
	}
}
