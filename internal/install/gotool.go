package install

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/version"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// goTool is what the go command on the PATH says of itself.
type goTool struct {
	GOVERSION, GOROOT, GOFLAGS, GOEXPERIMENT string
}

// findGo asks the go command for its settings and checks that it is new enough for this module.
func findGo(ctx context.Context, r Repo) (goTool, error) {
	var g goTool
	mod, err := os.ReadFile(r.Path("go.mod"))
	if err != nil {
		return g, err
	}
	needed := goLine.FindSubmatch(mod)
	if needed == nil {
		return g, fmt.Errorf("%s has no go line", r.Path("go.mod"))
	}
	if _, err := exec.LookPath("go"); err != nil {
		return g, fmt.Errorf("the go command is not on the PATH: install Go %s or newer from https://go.dev/dl/", needed[1])
	}
	cmd := exec.CommandContext(ctx, "go", "env", "-json", "GOVERSION", "GOROOT", "GOFLAGS", "GOEXPERIMENT")
	cmd.Dir = string(r)
	answer, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%s: %w", firstLine(exit.Stderr), err)
		}
		return g, fmt.Errorf("\"go env\" does not work: %w", err)
	}
	if err := json.Unmarshal(answer, &g); err != nil {
		return g, fmt.Errorf("\"go env\" gave no JSON: %w", err)
	}
	if have := strings.Fields(g.GOVERSION); len(have) > 0 && version.Compare(have[0], "go"+string(needed[1])) < 0 {
		return g, fmt.Errorf("the go command is %s, but this project needs Go %s or newer: install it from https://go.dev/dl/, or unset GOTOOLCHAIN=local",
			have[0], needed[1])
	}
	return g, nil
}

// settings returns the environment variables, besides PATH, under which Go code
// is compiled and run here: by the set-up when it warms the build cache, and
// by the kernel. They must be the same in both, or the cache is of no use.
func (g goTool) settings() map[string]string {
	set := map[string]string{
		// GoMLX's Go backend multiplies matrices 2.5 times as fast with SIMD.
		"GOEXPERIMENT": g.GOEXPERIMENT,
		// GoNB makes a go.work of its own for each kernel.
		"GOWORK": "auto",
	}
	if !strings.Contains(g.GOEXPERIMENT, "simd") {
		set["GOEXPERIMENT"] = strings.TrimPrefix(g.GOEXPERIMENT+",simd", ",")
	}
	flags := strings.Fields(g.GOFLAGS)
	for i, f := range flags {
		if strings.HasPrefix(strings.TrimLeft(f, "-"), "mod=") {
			flags[i] = "-mod=readonly" // A go.work allows no other.
		}
	}
	if !strings.Contains(g.GOFLAGS, "ldflags") {
		flags = append(flags, linkFlags())
	}
	set["GOFLAGS"] = strings.Join(flags, " ")
	return set
}

// linkFlags make a cell link in half the time: no debug tables, and, where that was
// measured (figures/celltimes), Go's own linker instead of the one for C.
func linkFlags() string {
	if runtime.GOOS == "linux" && runtime.GOARCH == "amd64" {
		return `"-ldflags=-s -linkmode=internal"`
	}
	return "-ldflags=-s"
}

// path returns a PATH with our own tools first, then the go command in use, then rest.
func (g goTool) path(r Repo, rest string) string {
	return strings.Join([]string{r.Private("bin"), filepath.Join(g.GOROOT, "bin"), rest}, string(os.PathListSeparator))
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

// remedy says what to do about the go command's commonest complaints.
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

// Complaint returns the line of the go command's output that says what is wrong:
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

// goplsVersion is the newest gopls that builds with Go 1.26.
const goplsVersion = "v0.21.0"

// buildTool compiles a tool of go.mod in the version pinned there, or a program of this module.
func (s *setup) buildTool(pkg string, flags ...string) func(context.Context, string) error {
	return func(ctx context.Context, leave string) error {
		part := leave + ".part"
		args := slices.Concat([]string{"build", "-o", part}, flags, []string{pkg})
		defer os.Remove(part) // what an interrupted build leaves
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
	return writeProgram(leave, []byte(goplsStart))
}

// warm compiles this module, and with it what the notebooks import, into the
// build cache. Unlike "go build", "go list -export" links no programs. It does so in a
// go.work, as cells are compiled: then the go command reads the go.mod of modules that
// it leaves alone otherwise, and they are there when a cell runs without a network.
func (s *setup) warm(ctx context.Context, _ string) error {
	scratch, err := os.MkdirTemp("", "ctnas-warm-")
	if err != nil {
		return fmt.Errorf("cannot warm the build cache: %w", err)
	}
	defer os.RemoveAll(scratch)
	env := []string{"GOWORK=" + filepath.Join(scratch, "go.work")}
	if _, err := s.goCommand(ctx, env, "work", "init", string(s.repo)); err != nil {
		return err
	}
	_, err = s.goCommand(ctx, env, "list", "-export", "./...")
	return err
}
