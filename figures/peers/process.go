package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/internal/install"
	"github.com/ctnas/ctnas/internal/install/jpyexec"
)

// grace is how long a process may take to end when it is told to, before it is killed.
const grace = 5 * time.Second

// peer is someone to measure: this program on a backend, or the authors' code.
type peer struct {
	name      string
	encodings float64                                                     // how often each labelled architecture is encoded in an epoch
	versions  map[string]string                                           // that its process does not know
	command   func(ctx context.Context, folder string) (*exec.Cmd, error) // measures once, with a new folder to write in
}

// own returns this program on a backend as a peer, for a part.
func (o options) own(name, part string, environ []string) peer {
	return peer{name: name, encodings: 1, command: func(ctx context.Context, folder string) (*exec.Cmd, error) {
		program, err := os.Executable()
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(job{Part: part, Folder: folder, Rehearse: o.rehearse, Seeds: o.seeds, Methods: o.methods})
		if err != nil {
			return nil, err
		}
		cmd := exec.CommandContext(ctx, program, "-job", string(text))
		cmd.Env = append(os.Environ(), environ...)
		cmd.Stderr = os.Stderr
		return cmd, nil
	}}
}

// pureGo are the variables that choose the pure Go backend.
var pureGo = []string{compute.ConfigEnvVar + "=go"}

// xla returns the variables that choose XLA; none and why, if there is no plugin.
func xla() (environ []string, missing string) {
	if config := os.Getenv(compute.ConfigEnvVar); strings.HasPrefix(config, "xla") {
		return []string{compute.ConfigEnvVar + "=" + config}, ""
	}
	if r, err := install.FindRepo("."); err == nil {
		i := slices.IndexFunc(install.Accelerators, func(a *install.Accelerator) bool { return a.Backend == "xla:cpu" && a.Proven(r) })
		if i >= 0 {
			a := install.Accelerators[i]
			return append(a.Variables(r), compute.ConfigEnvVar+"="+a.Backend), ""
		}
	}
	return nil, fmt.Sprintf("XLA: no plugin was there (go run ./kernel-setup install, or $%s)", compute.ConfigEnvVar)
}

// measure runs a peer's process to its end. The error is what the process said last; ctx's, if that is done.
func (p peer) measure(ctx context.Context, folder string) (m measured, err error) {
	cmd, err := p.command(ctx, folder)
	if err != nil {
		return m, err
	}
	said := &last{also: cmd.Stderr}
	cmd.Stderr = said
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = grace
	defer jpyexec.Tie(cmd, syscall.SIGTERM)()
	answer, err := cmd.Output()
	switch {
	case ctx.Err() != nil:
		return m, fmt.Errorf("stopped measuring %s: %w", p.name, ctx.Err())
	case err != nil:
		return m, fmt.Errorf("%s failed: %s (%w)", p.name, install.LastLine(said.text), err)
	}
	if err := json.Unmarshal(answer, &m); err != nil {
		return m, fmt.Errorf("%s gave no measurement: %w", p.name, err)
	}
	if m.Versions == nil {
		return m, errors.New(p.name + " gave no measurement")
	}
	return m, nil
}

// last keeps the end of what a process says, and passes it on.
type last struct {
	also io.Writer // nil: nobody else listens
	text []byte
}

func (l *last) Write(p []byte) (int, error) {
	const most = 4096
	l.text = append(l.text, p...)
	l.text = l.text[max(0, len(l.text)-most):]
	if l.also != nil {
		return l.also.Write(p)
	}
	return len(p), nil
}
