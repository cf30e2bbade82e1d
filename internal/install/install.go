// Package install puts what notebooks need into the folder .ctnas of the repository: GoNB, its helpers, JupyterLab
// where the machine has none, a kernel of our own, and XLA's plugins, each once it has proved itself. [Install] does
// what is missing, step by step, and [Check] says what there is. Two processes may install at once: one waits.
package install

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sys/unix"

	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/internal/install/jpyexec"
)

// setup installs, step by step, what notebooks need.
type setup struct {
	repo   Repo
	go_    goTool
	python string // to run pip with
	dry    bool   // only say what would be done
	out    io.Writer
	log    *os.File // what the installing programs print
}

// Extent says how much to install. Whatever is installed stays.
type Extent struct {
	Editor bool // also gopls, which only the editor needs, for completion
	User   bool // also the kernel where every Jupyter of this user finds it
	CUDA   bool // also the plugin for NVIDIA GPUs
	Again  bool // also the plugin for the CPU where it could not be had before
	Dry    bool // nothing, only say what would be done
}

// Environment is what a finished set-up gives to those who start Jupyter or a kernel.
type Environment struct {
	Repo    Repo
	Python  string   // the interpreter that has JupyterLab and nbclient
	Environ []string // for Jupyter, from which the kernel inherits it
}

// Install sets up what is missing in the repository that the working directory lies in, and tells out of each step. The
// error says what to do.
func Install(ctx context.Context, out io.Writer, what Extent) (*Environment, error) {
	if runtime.GOOS == "windows" {
		return nil, errors.New("the Go kernel does not run on Windows itself: use WSL or a container")
	}
	r, err := FindRepo(".")
	if err != nil {
		return nil, err
	}
	g, err := findGo(ctx, r)
	if err != nil {
		return nil, err
	}
	s := &setup{repo: r, go_: g, dry: what.Dry, out: out}
	if s.dry {
		if err := canMake(r.Private()); err != nil {
			return nil, cannotInstall(err)
		}
		return s.run(ctx, what)
	}
	if err := os.MkdirAll(r.Private(), 0o755); err != nil {
		return nil, cannotInstall(err)
	}
	unlock, err := lock(ctx, r, out)
	if err != nil {
		return nil, err
	}
	defer unlock()

	if s.log, err = os.Create(r.Private("setup.log")); err != nil {
		return nil, err
	}
	defer s.log.Close()
	return s.run(ctx, what)
}

// cannotInstall is the error of a repository that cannot be written.
func cannotInstall(err error) error {
	return fmt.Errorf("cannot install anything: %w (everything goes into that folder: make the repository writable, or copy it to where you may write)", err)
}

// canMake says, without doing it, whether a folder could be made, or is there and can be written.
func canMake(folder string) error {
	at := folder
	for {
		info, err := os.Stat(at)
		switch {
		case err == nil && !info.IsDir():
			return &os.PathError{Op: "mkdir", Path: at, Err: syscall.ENOTDIR}
		case err == nil:
			if err := unix.Access(at, unix.W_OK|unix.X_OK); err != nil {
				return &os.PathError{Op: "mkdir", Path: folder, Err: err}
			}
			return nil
		case !errors.Is(err, os.ErrNotExist) || at == filepath.Dir(at):
			return err
		}
		at = filepath.Dir(at)
	}
}

// lock keeps two set-ups of the same repository from running at once. The file that it locks does not stay behind.
func lock(ctx context.Context, r Repo, out io.Writer) (unlock func(), err error) {
	path, waiting := r.Private("lock"), false
	for {
		l := flock.New(path)
		ok, err := l.TryLock()
		if err == nil && !ok {
			if !waiting {
				fmt.Fprintln(out, "  waiting for another set-up to end")
				waiting = true
			}
			_, err = l.TryLockContext(ctx, 200*time.Millisecond)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot lock %s: %w", path, err)
		}
		// Whoever had the lock has taken its file away: another may have made one since.
		locked, err := l.Stat()
		there, thereErr := os.Stat(path)
		if err == nil && thereErr == nil && os.SameFile(locked, there) {
			return func() { os.Remove(path); l.Unlock() }, nil
		}
		l.Unlock()
	}
}

// modules returns the content of this module's go.mod and go.sum.
func (s *setup) modules() (mod, sum []byte, err error) {
	if mod, err = os.ReadFile(s.repo.Path("go.mod")); err == nil {
		sum, err = os.ReadFile(s.repo.Path("go.sum"))
	}
	return mod, sum, err
}

// builds returns the steps that compile the kernel and its helpers.
func (s *setup) builds(editor bool) ([]step, error) {
	mod, sum, err := s.modules()
	if err != nil {
		return nil, err
	}
	_, changes, err := gonbChanges()
	if err != nil {
		return nil, err
	}
	bin := func(name string) string { return s.repo.Private("bin", name) }
	steps := []step{{
		name:  "gonb",
		key:   hash(s.go_.GOVERSION, string(mod), string(sum), changes),
		leave: bin("gonb"),
		do:    s.buildGonb,
	}, {
		name:  "goimports",
		key:   hash(s.go_.GOVERSION, string(mod), string(sum)),
		leave: bin("goimports"),
		do:    s.buildTool("golang.org/x/tools/cmd/goimports"),
	}}
	if editor {
		steps = append(steps, step{
			name:     "gopls",
			key:      hash(s.go_.GOVERSION, goplsVersion, goplsStart),
			leave:    bin("gopls"),
			do:       s.installGopls,
			optional: "there is no completion in the notebook",
		})
	}
	return steps, nil
}

// run does all steps. In a dry run it only says which there are to do.
func (s *setup) run(ctx context.Context, what Extent) (*Environment, error) {
	steps, err := s.builds(what.Editor)
	if err != nil {
		return nil, err
	}
	for _, st := range steps {
		if err := s.step(ctx, st); err != nil {
			return nil, err
		}
	}
	j, err := s.findJupyter(ctx)
	if err != nil {
		return nil, err
	}
	s.python = j.python
	if err := s.kernel("kernel", kernelDir(s.repo), nil); err != nil {
		return nil, err
	}
	if !s.dry {
		if err := writeLabDefaults(s.repo); err != nil {
			return nil, fmt.Errorf("cannot write JupyterLab's settings: %w", err)
		}
	}
	// Cells start fast when everything that they import is compiled already, and the table is in the user's cache.
	for _, st := range []step{
		{name: "build cache", do: s.warm, optional: "cells that import this package do not compile"},
		{name: "table", do: openTable, optional: "cells that open it say the same"},
	} {
		if err := s.step(ctx, st); err != nil {
			return nil, err
		}
	}
	if err := s.offer(ctx, what.Again); err != nil {
		return nil, err
	}
	if what.CUDA {
		if err := s.step(ctx, s.accelerate(xlaCUDA)); err != nil {
			return nil, err
		}
	}
	if what.User {
		if err := s.installUser(); err != nil {
			return nil, err
		}
	}
	env, err := s.go_.environ(s.repo, j)
	if err != nil {
		return nil, err
	}
	return &Environment{Repo: s.repo, Python: j.python, Environ: env}, nil
}

// openTable opens the NAS-Bench-101 table, or what stands in for it, as the notebooks do. The first time that takes
// seconds, and leaves a copy that opens in a tenth of a second.
func openTable(ctx context.Context, _ string) error {
	_, err := datasets.OpenNASBench101(ctx, "")
	return err
}

// output runs cmd and returns what it printed, which also goes to the log.
func (s *setup) output(cmd *exec.Cmd) ([]byte, error) {
	fmt.Fprintf(s.log, "$ %s\n", cmd)
	defer jpyexec.Tie(cmd, syscall.SIGKILL)()
	out, err := cmd.CombinedOutput()
	s.log.Write(out)
	return out, err
}

// firstLine returns the first line of what a program printed.
func firstLine(out []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return strings.TrimSpace(line)
}

// LastLine returns the last line of what a program printed, where most say what went wrong.
func LastLine(out []byte) string {
	text := strings.TrimSpace(string(out))
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}
