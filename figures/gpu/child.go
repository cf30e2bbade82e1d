package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
)

// message is what a part's process tells, a line of JSON each.
type message struct {
	Machine map[string]string `json:"machine,omitempty"` // what computes, by name
	Row     *row              `json:"row,omitempty"`     // a number; it takes the place of one of the same name
	Error   string            `json:"error,omitempty"`   // why the part failed
}

// grace is how long a process may take to end when its time is over, before it is killed.
const grace = 3 * time.Second

// child does a part in a process of its own, because a compilation cannot be stopped and a
// plugin can end the process that loads it, and puts its rows into the result.
func (o options) child(ctx context.Context, p plan, limit time.Duration, r *result) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	timed, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	rate, begin := r.rate(p.rateOf)
	planned := rate * room * max(0, limit.Seconds()-begin)
	args := []string{"-part", p.name, "-o", o.out, "-runs", o.runs, "-limit", limit.String(), "-planned", fmt.Sprint(planned)}
	if o.rehearse {
		args = append(args, "-rehearse")
	}
	cmd := exec.CommandContext(timed, program, args...)
	cmd.Env = append(os.Environ(), p.environ(o.runs)...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = grace
	for _, precision := range []string{"tf32", "float32"} {
		if err := os.MkdirAll(filepath.Join(o.runs, "autotune-"+precision), 0o755); err != nil {
			return err
		}
	}
	told, tell, err := os.Pipe()
	if err != nil {
		return err
	}
	defer told.Close()
	cmd.ExtraFiles = []*os.File{tell}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		tell.Close()
		return err
	}
	tell.Close()
	done := &r.Parts[len(r.Parts)-1]
	done.Limit, done.Ended = limit.Seconds(), endedCut // as long as nothing else is known
	listened := make(chan error, 1)
	go func() { listened <- r.listen(told, done, o.out) }()
	err = cmd.Wait()
	listenErr := <-listened
	done.Seconds = time.Since(start).Seconds()
	switch {
	case timed.Err() != nil:
		done.Ended = endedCut
		return listenErr
	case err != nil:
		done.Ended = endedFailed
		return errors.Join(err, listenErr)
	}
	done.Ended = endedDone
	return listenErr
}

// listen puts what a part's process tells into the result, and writes that each time.
func (r *result) listen(from io.Reader, p *part, out string) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var m message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return fmt.Errorf("a part told %q: %w", lines.Text(), err)
		}
		for name, value := range m.Machine {
			r.Machine[name] = value
		}
		if m.Error != "" {
			p.Why = m.Error
		}
		if m.Row != nil {
			r.share(p, m.Row)
			if i := slices.IndexFunc(p.Rows, func(old row) bool { return old.Name == m.Row.Name }); i >= 0 {
				p.Rows[i] = *m.Row
			} else {
				p.Rows = append(p.Rows, *m.Row)
			}
		}
		if err := r.write(out); err != nil {
			return err
		}
	}
	return lines.Err()
}

// environ are the settings under which a part computes, with the run directories under root.
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
		env = append(env, "XLA_FLAGS="+strings.TrimSpace(os.Getenv("XLA_FLAGS")+" --xla_gpu_per_fusion_autotune_cache_dir="+filepath.Join(root, "autotune-"+precision)))
	}
	return append(env, compute.ConfigEnvVar+"="+backend)
}

// worker does a part, in its process.
type worker struct {
	backend compute.Backend
	options
	size
	planned float64 // images, which a training has time for

	mu   sync.Mutex
	tell *json.Encoder
}

// doPart does a part, and tells of it through the file that [options.child] opened.
func doPart(ctx context.Context, name string, o options, planned float64) (err error) {
	all := parts(o.rehearse)
	i := slices.IndexFunc(all, func(p plan) bool { return p.name == name })
	if i < 0 {
		return fmt.Errorf("there is no part %q", name)
	}
	const messages = 3 // the file's number
	syscall.CloseOnExec(messages)
	w := &worker{options: o, size: sizeOf(o.rehearse), planned: planned, tell: json.NewEncoder(os.NewFile(messages, "messages"))}
	defer func() {
		if err != nil {
			w.send(message{Error: err.Error()})
		}
	}()
	if w.backend, err = engine.Open(); err != nil {
		return err
	}
	machine := engine.Versions(w.backend)
	machine["backend"] = engine.Describe(w.backend) // without the precision, which is the part's
	machine["plugin"] = anyFolder.ReplaceAllString(w.backend.Description(), "")
	machine["device"] = w.backend.DeviceDescription(0)
	w.send(message{Machine: machine})
	return all[i].do(ctx, w)
}

func (w *worker) send(m message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	// Where nobody listens any more the process is about to be ended.
	_ = w.tell.Encode(m)
}

// row tells of a number, or several.
func (w *worker) row(name string, metrics map[string]float64, note string) {
	w.send(message{Row: &row{Name: name, Metrics: metrics, Note: note}})
}
