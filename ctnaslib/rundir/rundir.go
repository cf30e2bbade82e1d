// Package rundir keeps what a step of an experiment leaves on disk.
//
// A cell of a GoNB notebook is a fresh process, so a step's result must outlive
// it. A run directory belongs to one step and one key:
//
//	run, err := rundir.Open(root, rundir.Key{Step: "nac", …}) // root/nac-1f3c5e7a90b1d2e4
//	defer run.Close()
//	outcome, err := train.Do(ctx, run, training, train.Plan{Steps: epochs}) // what no process did before
//	run.Finish(result)
//
// The directory's name holds a hash of the [Key], which is everything that the result is a
// function of: with another configuration, other labels, another backend or a new version of
// an algorithm it is another directory, and running a step again is cheap and gives the same
// answer. Every file is written whole or not at all, so a process may be killed
// at any moment and the next one continues from the last checkpoint.
package rundir

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// The files of a run directory.
const (
	keyFile   = "key.json" // what the run is a function of
	probeFile = "probe"    // what was measured beside the work

	metricsFile    = "metrics.jsonl" // one line for each call of Log
	checkpointFile = "checkpoint"    // sealed: step, then the state
	resultFile     = "result.json"   // written last
)

// ErrInUse is wrapped by the error of [Open] while another process has the run open.
var ErrInUse = errors.New("another process is working in this run directory")

// Status says how a step came by its result.
type Status string

// The statuses.
const (
	Trained Status = "trained" // this process did all the work
	Resumed Status = "resumed" // this process continued from a checkpoint
	Loaded  Status = "loaded"  // the work was done before
)

// Run is an open run directory. It is not safe for concurrent use.
type Run struct {
	dir     string
	lock    *Lock
	metrics *os.File
}

// Open opens, or creates, the run directory of a key under root, and locks it until Close.
// Its errors say what the key lacks, that the directory cannot be written, that another
// process has it open ([ErrInUse]), or that it is damaged.
func Open(root string, key Key) (*Run, error) {
	text, err := key.text()
	if err != nil {
		return nil, err
	}
	dir := key.dir(root, text)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("rundir: cannot create the run directory: %w", err)
	}
	lock, err := LockFolder(dir)
	if err != nil {
		return nil, err
	}
	r := &Run{dir: dir, lock: lock}
	if err := r.open(text); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// open checks what is there, and clears away what a killed process left half-done.
func (r *Run) open(key []byte) error {
	stored, err := os.ReadFile(r.path(keyFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = r.writeFile(keyFile, key)
	case err == nil && !bytes.Equal(stored, key):
		err = fmt.Errorf("rundir: %s is damaged; delete the folder %s to start again", r.path(keyFile), r.dir)
	}
	if err != nil {
		return err
	}
	if err := removeUnfinished(r.dir, 0, keyFile, probeFile, metricsFile, checkpointFile, resultFile); err != nil {
		return fmt.Errorf("rundir: cannot clear %s: %w", r.dir, err)
	}
	step, _, err := r.Checkpoint()
	if err != nil {
		return err
	}
	if done, err := r.Result(&json.RawMessage{}); err != nil || done {
		return err
	}
	return r.dropMetricsFrom(step)
}

// Close unlocks the run directory.
func (r *Run) Close() error {
	var err error
	if r.metrics != nil {
		err = r.metrics.Close()
	}
	return errors.Join(err, r.lock.Release())
}

// Dir returns the path of the run directory.
func (r *Run) Dir() string { return r.dir }

func (r *Run) path(name string) string { return filepath.Join(r.dir, name) }

// Attempts returns how often the run was opened, with this time.
func (r *Run) Attempts() Attempts { return r.lock.Attempts() }

func (r *Run) writeFile(name string, data []byte) error {
	if err := r.lock.Check(); err != nil {
		return err
	}
	if err := replace(r.path(name), whole(data)); err != nil {
		return fmt.Errorf("rundir: cannot write %s: %w", r.path(name), err)
	}
	return nil
}

// Save stores a checkpoint: the state after the given number of steps. It replaces
// the checkpoint before.
func (r *Run) Save(steps int, state []byte) error {
	if err := r.lock.Check(); err != nil {
		return err
	}
	return WriteSealed(r.path(checkpointFile), append(binary.LittleEndian.AppendUint64(nil, uint64(steps)), state...))
}

// Checkpoint returns the last checkpoint: the number of steps done and the state
// after them, or 0 and nil for a run without one.
func (r *Run) Checkpoint() (steps int, state []byte, err error) {
	data, err := ReadSealed(r.path(checkpointFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil, nil
	}
	if err != nil {
		return 0, nil, err
	}
	if len(data) < 8 {
		return 0, nil, fmt.Errorf("rundir: cannot use %s, delete it to start again: %w", r.path(checkpointFile), ErrDamaged)
	}
	return int(binary.LittleEndian.Uint64(data)), data[8:], nil
}

// Begin returns what [Run.Checkpoint] returns, for work that goes on from there: what was logged after it, also since
// the run was opened, does not count any more.
func (r *Run) Begin() (steps int, state []byte, err error) {
	steps, state, err = r.Checkpoint()
	if err == nil {
		err = r.dropMetricsFrom(steps)
	}
	return steps, state, err
}

// Result reads the stored result into result, a pointer. It returns false if the
// run is not finished.
func (r *Run) Result(result any) (done bool, err error) {
	text, err := os.ReadFile(r.path(resultFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, result)
	}
	if err != nil {
		return false, fmt.Errorf("rundir: cannot use %s, delete it to start again: %w", r.path(resultFile), err)
	}
	return true, nil
}

// Finish stores the result, which marks the run as done. A result that is stored already is left
// alone.
func (r *Run) Finish(result any) error {
	text, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		return fmt.Errorf("rundir: cannot write the result as JSON: %w", err)
	}
	text = append(text, '\n')
	if stored, err := os.ReadFile(r.path(resultFile)); err == nil && bytes.Equal(stored, text) {
		return nil
	}
	return r.writeFile(resultFile, text)
}

// Metrics are the values logged at one step.
type Metrics struct {
	Step   int                `json:"step"`
	Values map[string]float64 `json:"values"`
}

// Log appends the values measured at a step, counted from 0. What was logged after
// the last checkpoint is dropped when the run is opened again, so a resumed run
// logs every step once.
func (r *Run) Log(step int, values map[string]float64) error {
	if err := r.lock.Check(); err != nil {
		return err
	}
	line, err := json.Marshal(Metrics{Step: step, Values: values})
	if err != nil {
		return fmt.Errorf("rundir: cannot log step %d: %w", step, err)
	}
	if r.metrics == nil {
		if r.metrics, err = os.OpenFile(r.path(metricsFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644); err != nil {
			return fmt.Errorf("rundir: cannot open the metrics: %w", err)
		}
	}
	if _, err := r.metrics.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("rundir: cannot log step %d: %w", step, err)
	}
	return nil
}

// Metrics returns all that was logged so far, in order.
func (r *Run) Metrics() ([]Metrics, error) { return ReadMetrics(r.dir) }

// ReadMetrics returns what was logged so far in a run directory, also while another
// process works in it. A run that logged nothing has no metrics.
func ReadMetrics(dir string) ([]Metrics, error) {
	file, err := os.Open(filepath.Join(dir, metricsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("rundir: cannot read the metrics: %w", err)
	}
	defer file.Close()
	var all []Metrics
	lines := bufio.NewReader(file)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return all, nil // a last line without its end is still being written
		}
		var m Metrics
		if err == nil {
			err = json.Unmarshal(line, &m)
		}
		if err != nil {
			return nil, fmt.Errorf("rundir: line %d of %s is damaged; delete the folder %s to start again: %w", len(all)+1, file.Name(), dir, err)
		}
		all = append(all, m)
	}
}

// dropMetricsFrom removes what was logged at the given step and later, and a last
// line that was cut off. It leaves a file alone that has neither, unless another process may still have it open.
func (r *Run) dropMetricsFrom(step int) error {
	stored, err := os.ReadFile(r.path(metricsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("rundir: cannot read the metrics: %w", err)
	}
	all, err := r.Metrics()
	if err != nil {
		return err
	}
	var kept bytes.Buffer
	for _, m := range all {
		if m.Step >= step {
			continue
		}
		line, err := json.Marshal(m)
		if err != nil {
			return fmt.Errorf("rundir: cannot rewrite the metrics: %w", err)
		}
		kept.Write(append(line, '\n'))
	}
	if bytes.Equal(stored, kept.Bytes()) && !r.lock.over {
		return nil
	}
	if r.metrics != nil { // the file that is replaced
		if err := r.metrics.Close(); err != nil {
			return fmt.Errorf("rundir: cannot rewrite the metrics: %w", err)
		}
		r.metrics = nil
	}
	return r.writeFile(metricsFile, kept.Bytes())
}

// Observe sees to it that the metrics of a run of so many steps hold what a probe measures,
// which the text identifies: a run that went on without it, or with another, begins again. An
// empty text is no probe, and suits a finished run whatever it was observed by.
func (r *Run) Observe(probe string, steps int) error {
	done, _, err := r.Checkpoint()
	if err != nil {
		return err
	}
	stored, err := os.ReadFile(r.path(probeFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("rundir: cannot read what was measured: %w", err)
	}
	if done > 0 && string(stored) == probe || done >= steps && probe == "" {
		return nil
	}
	if done > 0 && probe != "" {
		for _, name := range []string{resultFile, checkpointFile} {
			if err := os.Remove(r.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("rundir: cannot begin the run again: %w", err)
			}
		}
		if err := r.dropMetricsFrom(0); err != nil {
			return err
		}
	}
	return r.writeFile(probeFile, []byte(probe))
}
