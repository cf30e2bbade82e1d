package main

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/gomlx/go-xla/installer"
)

// accelerator is a kind of XLA backend that install can add: a PJRT plugin, which
// is a shared library, in a folder of its own.
type accelerator struct {
	name    string   // of the step, of its folder in .ctnas, and of install's flag
	title   string   // for the reader
	backend string   // what $GOMLX_BACKEND calls it in the proof
	dirs    []string // where in the folder the plugin may lie
	wheels  string   // the Python packages to take it from, with the plugin's hash
	sources []source // to be tried in this order
}

// source is a place to get a plugin from.
type source struct {
	name  string
	fetch func(ctx context.Context, s *setup, a *accelerator, dir string) error
}

// Both speak the PJRT API of XLA in JAX 0.11.2, which go-xla v0.4.1 understands.
var (
	xlaCPU = &accelerator{
		name: "xla", title: "XLA on CPU", backend: "xla:cpu", dirs: []string{"."},
		wheels: "lammps-jax-pjrt-cpu==0.11.2 --hash=sha256:1319390d948b39f69f7dade496b7c385149d9ca6097a6b62114da113216d9ad1\n",
		sources: []source{
			{"GoMLX's installer", func(_ context.Context, _ *setup, _ *accelerator, dir string) error {
				return installer.CPUAutoInstall(dir, false, installer.Quiet)
			}},
			{"the Python package index", unpackWheel},
		},
	}
	xlaCUDA = &accelerator{
		// TensorFloat-32, which GPUs round to by default, would not give the same numbers.
		name: "cuda", title: "XLA on CUDA", backend: "xla:cuda,tf32=false", dirs: []string{cudas[0].dir, cudas[1].dir},
		wheels:  cudas[0].plugin + cudas[0].libraries + cudas[1].plugin + cudas[1].libraries,
		sources: []source{{"the Python package index", unpackCUDA}},
	}
	accelerators = []*accelerator{xlaCUDA, xlaCPU} // the better one first
)

// key is the digest of what a proven plugin depends on.
func (a *accelerator) key(r repo) string {
	mod, _ := os.ReadFile(r.path("go.mod"))
	return hash(a.wheels, string(goXLALine.Find(mod)), string(r))
}

var goXLALine = regexp.MustCompile(`github\.com/gomlx/go-xla \S+`)

// proven says whether the plugin was installed and proved itself.
func (a *accelerator) proven(r repo) bool {
	stamp, err := os.ReadFile(r.private("stamps", a.name))
	return err == nil && string(stamp) == a.key(r)
}

// path is where GoMLX finds the plugin, in the form of $PJRT_PLUGIN_LIBRARY_PATH.
func (a *accelerator) path(r repo) string {
	var dirs []string
	for _, dir := range a.dirs {
		dirs = append(dirs, r.private(a.name, dir))
	}
	return strings.Join(dirs, string(os.PathListSeparator))
}

// pluginPath is the value of $PJRT_PLUGIN_LIBRARY_PATH for notebooks: the user's
// own, else that of the plugins that proved themselves; "" leaves GoMLX its default.
func pluginPath(r repo) string {
	if own, ok := os.LookupEnv(pluginVariable); ok {
		return own
	}
	var paths []string
	for _, a := range accelerators {
		if a.proven(r) {
			paths = append(paths, a.path(r))
		}
	}
	return strings.Join(paths, string(os.PathListSeparator))
}

const pluginVariable = "PJRT_PLUGIN_LIBRARY_PATH"

// environ is the environment for a program that is to use just this plugin.
func (a *accelerator) environ(r repo) []string {
	env := append(os.Environ(), pluginVariable+"="+a.path(r))
	if a == xlaCUDA {
		env = append(env, cudaVariables(r)...)
	}
	return env
}

// accelerate is the step that installs a plugin and makes it prove itself.
func (s *setup) accelerate(a *accelerator) step {
	return step{name: a.name, key: a.key(s.repo), leave: s.repo.private(a.name), do: func(ctx context.Context, dir string) error {
		if a == xlaCUDA {
			found, ok := findGPU(ctx)
			if !ok {
				return errNoGPU
			}
			if _, err := found.release(); err != nil {
				return err
			}
		}
		var failed []string
		for _, src := range a.sources {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
			err := src.fetch(ctx, s, a, dir)
			if err == nil {
				err = s.prove(ctx, a)
			}
			if err == nil {
				return nil
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			failed = append(failed, fmt.Sprintf("from %s: %s", src.name, firstLine([]byte(err.Error()))))
		}
		os.RemoveAll(dir)
		return fmt.Errorf("no usable plugin for %s, so notebooks go on with the backend that they have (%s)", a.title, strings.Join(failed, "; "))
	}}
}

// proveLimit is far more than a step of training takes, with compiling.
const proveLimit = 5 * time.Minute

// prove trains a comparator for a few steps on a plugin and on the pure Go backend
// and compares the losses, in a process of its own, which a bad plugin may end.
func (s *setup) prove(ctx context.Context, a *accelerator) error {
	program, err := s.buildBackends(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, proveLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-backend", a.backend)
	cmd.Env = a.environ(s.repo)
	out, err := s.output(cmd)
	if ctx.Err() == context.DeadlineExceeded {
		return fmt.Errorf("the plugin hangs: no step of training ended within %v", proveLimit)
	}
	if err != nil {
		return fmt.Errorf("the plugin does not work with this GoMLX: %s", testimony(out, err))
	}
	return nil
}

// testimony is what the program backends said about its end.
func testimony(out []byte, err error) string {
	for line := range strings.Lines(string(out)) {
		if said, ok := strings.CutPrefix(strings.TrimSpace(line), "backends: "); ok {
			return said
		}
	}
	if crash := crashText.Find(out); crash != nil {
		return fmt.Sprintf("it crashes (%s)", crash)
	}
	return fmt.Sprintf("it crashes (%v)", err)
}

var crashText = regexp.MustCompile(`(?m)^(?:panic|fatal error|SIG[A-Z]+): .+$`)

// buildBackends compiles the program in kernel-setup/backends.
func (s *setup) buildBackends(ctx context.Context) (program string, err error) {
	program = s.repo.private("bin", "backends")
	return program, s.buildTool("./kernel-setup/backends")(ctx, program)
}

// unpackWheel takes the one shared library out of a wheel.
func unpackWheel(ctx context.Context, s *setup, a *accelerator, dir string) error {
	part := s.repo.private(a.name + ".part")
	defer os.RemoveAll(part)
	if err := s.pip(ctx, a.name, a.wheels, "download", "--no-deps", "--require-hashes", "--dest", part); err != nil {
		return err
	}
	wheels, _ := filepath.Glob(filepath.Join(part, "*.whl"))
	if len(wheels) != 1 {
		return fmt.Errorf("pip left %d wheels, not one", len(wheels))
	}
	archive, err := zip.OpenReader(wheels[0])
	if err != nil {
		return err
	}
	defer archive.Close()
	for _, f := range archive.File {
		if name := filepath.Base(f.Name); strings.HasPrefix(name, "pjrt_c_api_") && filepath.Ext(name) == ".so" {
			return unpack(f, filepath.Join(dir, name))
		}
	}
	return fmt.Errorf("%s holds no PJRT plugin", filepath.Base(wheels[0]))
}

func unpack(f *zip.File, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// pip runs pip on a list of wheels, which lies in a file of this name meanwhile.
func (s *setup) pip(ctx context.Context, name, wheels string, args ...string) error {
	list := s.repo.private(name + ".txt")
	if err := writeFile(list, []byte(wheels)); err != nil {
		return err
	}
	defer os.Remove(list)
	args = append([]string{"-m", "pip"}, append(args, "--disable-pip-version-check", "--retries", "2", "--only-binary", ":all:", "-r", list)...)
	out, err := s.command(ctx, s.python, args...)
	switch {
	case err == nil:
		return nil
	case noNetwork.Match(out):
		return errors.New("the Python package index is not reachable: connect to the network, then run this again")
	case strings.Contains(string(out), "No matching distribution"):
		return errors.New("it has no plugin for this kind of machine")
	}
	return fmt.Errorf("pip failed: %s (all of it in %s)", lastLine(out), s.repo.rel(s.log.Name()))
}
