package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/internal/install"
	"github.com/ctnas/ctnas/measure/steps"
)

// grace is how long a process may take to end when its time is over, before it is killed.
const grace = 3 * time.Second

// child does a part in a process of its own, because a compilation cannot be stopped and a plugin can end the process
// that loads it. That process writes its numbers into the result in o.out; child returns the result then, which also
// says how the part ended.
func (o options) child(ctx context.Context, p plan, limit time.Duration, r *result) (*result, error) {
	r.Parts = append(r.Parts, part{Name: p.name, Date: r.Date, Limit: limit.Seconds(), Ended: endedCut}) // as long as nothing else is known
	if err := r.write(o.out); err != nil {
		return r, err
	}
	program, err := os.Executable()
	if err != nil {
		return r, err
	}
	timed, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(timed, program, "-part", p.name, "-o", o.out, "-runs", o.runs, fmt.Sprintf("-rehearse=%t", o.rehearse), fmt.Sprintf("-steps=%d", o.timed))
	cmd.Env = append(os.Environ(), p.environ(o.runs)...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = grace
	for _, precision := range []string{"tf32", "float32"} {
		if err := os.MkdirAll(filepath.Join(o.runs, "autotune-"+precision), 0o755); err != nil {
			return r, err
		}
	}
	start := time.Now()
	runErr := cmd.Run()
	told, err := readResult(filepath.Join(o.out, "result.json"))
	if err != nil {
		return r, errors.Join(runErr, err)
	}
	done := &told.Parts[len(told.Parts)-1]
	done.Seconds = time.Since(start).Seconds()
	switch {
	case timed.Err() != nil:
		return told, nil // cut
	case runErr != nil:
		done.Ended = endedFailed
	default:
		done.Ended = endedDone
	}
	return told, runErr
}

// environ returns the settings under which a part computes, with the run directories under root.
func (p plan) environ(root string) []string {
	backend := os.Getenv(compute.ConfigEnvVar)
	if !strings.HasPrefix(backend, "xla:") {
		return nil
	}
	var env []string
	precision := "tf32"
	if p.exact {
		// go-xla's option is for products of matrices; NVIDIA's variable also keeps cuDNN, which
		// convolves, from rounding to TF32.
		backend, precision = backend+",tf32=false", "float32"
		env = append(env, "NVIDIA_TF32_OVERRIDE=0")
	}
	if strings.Contains(backend, "cuda") {
		if p.plainMemory {
			backend += ",allocator=platform"
		}
		// What one process found out about the fastest kernels of a precision, the next need not.
		flags := append([]string{os.Getenv("XLA_FLAGS")}, install.CUDAFlags(filepath.Join(root, "autotune-"+precision))...)
		env = append(env, "XLA_FLAGS="+strings.TrimSpace(strings.Join(flags, " ")))
	}
	return append(env, compute.ConfigEnvVar+"="+backend)
}

// worker does a part, in its process. Its methods are safe for concurrent use.
type worker struct {
	backend compute.Backend
	options
	size
	planned float64 // images, which a training has time for

	mu        sync.Mutex
	result    *result // its last part is this one
	unwritten error   // why it could not be written last
}

// doPart does the part that [options.child] has begun.
func doPart(ctx context.Context, name string, o options) (err error) {
	all := parts(o.rehearse)
	i := slices.IndexFunc(all, func(p plan) bool { return p.name == name })
	if i < 0 {
		return fmt.Errorf("there is no part %q", name)
	}
	r, err := readResult(filepath.Join(o.out, "result.json"))
	if err != nil {
		return err
	}
	if len(r.Parts) == 0 || r.Parts[len(r.Parts)-1].Name != name {
		return fmt.Errorf("the part %q was not begun in %s", name, o.out)
	}
	own := &r.Parts[len(r.Parts)-1]
	size := sizeOf(o.rehearse)
	if o.timed > 0 {
		size.steps = o.timed
	}
	rate, begin := r.rate(all[i].rateOf)
	w := &worker{options: o, size: size, planned: rate * room * max(0, own.Limit-begin), result: r}
	defer func() {
		if err != nil {
			own.Why = err.Error()
			err = errors.Join(err, r.write(o.out))
		}
	}()
	if w.backend, err = engine.Open(); err != nil {
		return err
	}
	maps.Copy(r.Machine, engine.Versions(w.backend))
	r.Machine["backend"] = engine.Describe(w.backend) // without the precision, which is the part's
	r.Machine["plugin"] = steps.Plugin(w.backend)
	r.Machine["device"] = w.backend.DeviceDescription(0)
	return errors.Join(all[i].do(ctx, w), w.unwritten)
}

// row puts numbers into the result, in the place of a row of the same name, and writes it.
func (w *worker) row(name string, metrics map[string]float64, note string) {
	w.put(row{Name: name, Metrics: metrics, Note: note})
}

func (w *worker) put(told row) {
	if _, err := json.Marshal(told); err != nil {
		told = row{Name: told.Name, Note: "some of its numbers are not finite"}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	p := &w.result.Parts[len(w.result.Parts)-1]
	if i := slices.IndexFunc(p.Rows, func(old row) bool { return old.Name == told.Name }); i >= 0 {
		p.Rows[i] = told
	} else {
		p.Rows = append(p.Rows, told)
	}
	w.unwritten = w.result.write(w.out)
}
