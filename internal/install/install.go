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
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"github.com/ctnas/ctnas/internal/install/jpyexec"
)

// goplsVersion is the newest gopls that builds with Go 1.26.
const goplsVersion = "v0.21.0"

// setup installs, step by step, what notebooks need.
type setup struct {
	repo   Repo
	go_    goTool
	python string // to run pip with
	dry    bool   // only say what would be done
	out    io.Writer
	log    *os.File // what the installing programs print
}

// Extent says how much to install.
type Extent struct {
	Editor bool           // also gopls, which only the editor needs, for completion
	Add    []*Accelerator // also these; those that are there already stay
	Dry    bool           // nothing, only say what would be done
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
		return s.run(ctx, what)
	}
	if err := os.MkdirAll(r.Private(), 0o755); err != nil {
		return nil, fmt.Errorf("cannot install anything: %w (everything goes into that folder: make the repository writable, or copy it to where you may write)", err)
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

// lock keeps two set-ups of the same repository from running at once.
func lock(ctx context.Context, r Repo, out io.Writer) (unlock func() error, err error) {
	l := flock.New(r.Private("lock"))
	ok, err := l.TryLock()
	if err == nil && !ok {
		fmt.Fprintln(out, "  waiting for another set-up to end")
		_, err = l.TryLockContext(ctx, 200*time.Millisecond)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot lock %s: %w", l.Path(), err)
	}
	return l.Unlock, nil
}

// modules are this module's go.mod and go.sum.
func (s *setup) modules() (mod, sum []byte, err error) {
	if mod, err = os.ReadFile(s.repo.Path("go.mod")); err == nil {
		sum, err = os.ReadFile(s.repo.Path("go.sum"))
	}
	return mod, sum, err
}

// builds are the steps that compile the kernel and its helpers.
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
	if !s.dry {
		if err := writeKernelSpec(s.repo, s.go_); err != nil {
			return nil, fmt.Errorf("cannot write the kernel's description: %w", err)
		}
		if err := writeLabDefaults(s.repo); err != nil {
			return nil, fmt.Errorf("cannot write JupyterLab's settings: %w", err)
		}
	}
	// Cells start fast when everything that they import is compiled already.
	err = s.step(ctx, step{name: "build cache", do: s.warm, optional: "cells that import this package do not compile"})
	if err != nil {
		return nil, err
	}
	for _, a := range what.Add {
		if err := s.step(ctx, s.accelerate(a)); err != nil {
			return nil, err
		}
	}
	env, err := s.go_.environ(s.repo, j)
	if err != nil {
		return nil, err
	}
	return &Environment{Repo: s.repo, Python: j.python, Environ: env}, nil
}

// step is one part of the set-up.
type step struct {
	name     string
	key      string // digest of what the result depends on; empty: do it every time
	leave    string // the file that it leaves
	do       func(ctx context.Context, leave string) error
	optional string // a failure is only a warning, with this consequence
}

// step does one step unless its stamp says that it is done. The stamp is
// removed first and written last: what was interrupted is done again.
func (s *setup) step(ctx context.Context, st step) error {
	stamp := s.repo.Private("stamps", st.name)
	if s.done(st) {
		fmt.Fprintf(s.out, "  %-12s ok\n", st.name)
		return nil
	}
	if s.dry {
		fmt.Fprintf(s.out, "  %-12s to do\n", st.name)
		return nil
	}
	if err := os.Remove(stamp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	fmt.Fprintf(s.out, "  %-12s ", st.name)
	start := time.Now()
	err := st.do(ctx, st.leave)
	took := time.Since(start).Seconds()
	switch {
	case err != nil && st.optional != "" && ctx.Err() == nil:
		fmt.Fprintf(s.out, "warning: %v; %s\n", err, st.optional)
		return nil
	case err != nil:
		fmt.Fprintln(s.out, "failed")
		return err
	case st.key == "":
		fmt.Fprintf(s.out, "ready in %.1f s\n", took)
		return nil
	}
	fmt.Fprintf(s.out, "installed in %.1f s\n", took)
	return writeFile(stamp, []byte(st.key))
}

// done says whether a step's stamp and what it leaves are there.
func (s *setup) done(st step) bool {
	stamp, _ := os.ReadFile(s.repo.Private("stamps", st.name))
	_, err := os.Stat(st.leave)
	return st.key != "" && string(stamp) == st.key && err == nil
}

// buildTool compiles a tool of go.mod in the version pinned there, or a program of this module.
func (s *setup) buildTool(pkg string, flags ...string) func(context.Context, string) error {
	return func(ctx context.Context, leave string) error {
		part := leave + ".part"
		args := slices.Concat([]string{"build", "-o", part}, flags, []string{pkg})
		if _, err := s.goCommand(ctx, nil, args...); err != nil {
			return fmt.Errorf("cannot build %s: %w", filepath.Base(pkg), err)
		}
		return os.Rename(part, leave) // A running kernel keeps the old file.
	}
}

// goplsStart starts gopls within bounds. Without them it takes 1.7 GB for the first
// completion of a class, when its cache is empty, and keeps most of it. The cells'
// programs must not be bound, so this cannot be in the kernel's environment.
const goplsStart = `#!/bin/sh
GOMEMLIMIT=${GOMEMLIMIT:-300MiB} exec "${0%/*}/../gopls/gopls" "$@"
`

// installGopls compiles gopls, which the kernel asks for completions.
func (s *setup) installGopls(ctx context.Context, leave string) error {
	if _, err := s.goCommand(ctx, []string{"GOBIN=" + s.repo.Private("gopls")}, "install", "golang.org/x/tools/gopls@"+goplsVersion); err != nil {
		return fmt.Errorf("cannot build gopls: %w", err)
	}
	if err := writeFile(leave, []byte(goplsStart)); err != nil {
		return err
	}
	return os.Chmod(leave, 0o755)
}

// warm compiles this module, and with it what the notebooks import, into the
// build cache. Unlike "go build", "go list -export" links no programs.
func (s *setup) warm(ctx context.Context, _ string) error {
	_, err := s.goCommand(ctx, nil, "list", "-export", "./...")
	return err
}

// findJupyter returns the private environment if it is there, else the
// machine's Jupyter, else makes the private environment.
func (s *setup) findJupyter(ctx context.Context) (jupyter, error) {
	own := jupyter{python: venvPython(s.repo), private: true}
	st := step{
		name:  "jupyter",
		key:   hash(requirements, string(s.repo)),
		leave: own.python,
		do:    func(ctx context.Context, _ string) error { return s.makeVenv(ctx) },
	}
	if usable(ctx, own.python) == "" {
		st.leave = "" // There is none, or the Python that it was made from is gone.
		if j, ok := machineJupyter(ctx); ok {
			fmt.Fprintf(s.out, "  %-12s ok, that of %s\n", st.name, j.python)
			return j, nil
		}
	}
	return own, s.step(ctx, st)
}

// goCommand runs the go command in the repository, under the kernel's settings, and returns what it printed.
func (s *setup) goCommand(ctx context.Context, env []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = string(s.repo)
	cmd.Env = os.Environ()
	for name, value := range s.go_.settings() {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Env = append(cmd.Env, "GOWORK=off")
	cmd.Env = append(cmd.Env, env...)
	out, err := s.output(cmd)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		what := Complaint(string(out))
		return nil, fmt.Errorf("%s%s (all of it in %s)", what, remedy(what), s.repo.Rel(s.log.Name()))
	}
	return out, err
}

// remedy is what to do about the go command's commonest complaints.
func remedy(complaint string) string {
	for _, r := range []struct {
		pattern *regexp.Regexp
		text    string
	}{
		{noModules, ": connect to the network, or set GOPROXY to a place that has Go's modules, then run this again"},
		{noCache, ": set GOCACHE and GOMODCACHE to folders that you may write, then run this again"},
	} {
		if r.pattern.MatchString(complaint) {
			return r.text
		}
	}
	return ""
}

var (
	noModules = regexp.MustCompile(`dial tcp|no such host|i/o timeout|module lookup disabled`)
	noCache   = regexp.MustCompile(`GOCACHE|GOMODCACHE|build cache|module cache|read-only file system|permission denied`)
)

// Complaint is the line of the go command's output that says what is wrong:
// the first that is no heading and no progress.
func Complaint(out string) string {
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || strings.HasPrefix(line, "go: downloading") || strings.HasPrefix(line, "failed to run") {
			continue
		}
		return strings.TrimSuffix(line, "; to add it:")
	}
	return "it gives no reason"
}

// output runs cmd and returns what it printed, which also goes to the log.
func (s *setup) output(cmd *exec.Cmd) ([]byte, error) {
	fmt.Fprintf(s.log, "$ %s\n", cmd)
	defer jpyexec.Tie(cmd, syscall.SIGKILL)()
	out, err := cmd.CombinedOutput()
	s.log.Write(out)
	return out, err
}

// firstLine is the first line of what a program printed.
func firstLine(out []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return strings.TrimSpace(line)
}

// LastLine is the last line of what a program printed, where most say what went wrong.
func LastLine(out []byte) string {
	text := strings.TrimSpace(string(out))
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}
