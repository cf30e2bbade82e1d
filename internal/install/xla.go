package install

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gomlx/go-xla/installer"
)

// Accelerator is a kind of XLA backend that [Install] adds: a PJRT plugin, which is a shared library, in a folder of
// its own. That for the CPU is installed unasked where it can be had, that for CUDA by [Extent.CUDA].
type Accelerator struct {
	Name    string // of the step and of its folder in .ctnas
	Title   string // for the reader
	Backend string // what $GOMLX_BACKEND calls it in the proof

	dirs    []string // where in the folder the plugin may lie
	wheels  string   // the Python packages to take it from, with the plugin's hash
	sources []source // to be tried in this order
}

// source is a place to get a plugin from.
type source struct {
	name  string
	fetch func(ctx context.Context, s *setup, a *Accelerator, dir string) error
}

// Both speak the PJRT API of XLA in JAX 0.11.2, which go-xla v0.4.1 understands.
var (
	xlaCPU = &Accelerator{
		Name: "xla", Title: "XLA on CPU", Backend: "xla:cpu", dirs: []string{"."},
		wheels: "lammps-jax-pjrt-cpu==0.11.2 --hash=sha256:1319390d948b39f69f7dade496b7c385149d9ca6097a6b62114da113216d9ad1\n",
		sources: []source{
			{"the Python package index", unpackWheel},
			{"GoMLX's installer", installGoMLX}, // It has plugins for more kinds of machines, but no hashes of them.
		},
	}
	xlaCUDA = &Accelerator{
		// TensorFloat-32, which GPUs round to by default, would not give the same numbers.
		Name: "cuda", Title: "XLA on CUDA", Backend: "xla:cuda,tf32=false", dirs: []string{cudas[0].dir, cudas[1].dir},
		wheels:  cudas[0].plugin + cudas[0].libraries + cudas[1].plugin + cudas[1].libraries,
		sources: []source{{"the Python package index", unpackCUDA}},
	}
)

// Accelerators are all of them, the better one first.
var Accelerators = []*Accelerator{xlaCUDA, xlaCPU}

// key returns the digest of what a proven plugin depends on.
func (a *Accelerator) key(r Repo) string {
	mod, _ := os.ReadFile(r.Path("go.mod"))
	return hash(a.wheels, string(goXLALine.Find(mod)), string(r))
}

var goXLALine = regexp.MustCompile(`github\.com/gomlx/go-xla \S+`)

// Proven says whether the plugin was installed and proved itself.
func (a *Accelerator) Proven(r Repo) bool {
	stamp, err := os.ReadFile(r.Private("stamps", a.Name))
	return err == nil && string(stamp) == a.key(r)
}

// path says where GoMLX finds the plugin, in the form of $PJRT_PLUGIN_LIBRARY_PATH.
func (a *Accelerator) path(r Repo) string {
	var dirs []string
	for _, dir := range a.dirs {
		dirs = append(dirs, r.Private(a.Name, dir))
	}
	return strings.Join(dirs, string(os.PathListSeparator))
}

// pluginPath returns the value of $PJRT_PLUGIN_LIBRARY_PATH for notebooks: the user's
// own, else that of the plugins that proved themselves; "" leaves GoMLX its default.
func pluginPath(r Repo) string {
	if own, ok := os.LookupEnv(pluginVariable); ok {
		return own
	}
	var paths []string
	for _, a := range Accelerators {
		if a.Proven(r) {
			paths = append(paths, a.path(r))
		}
	}
	return strings.Join(paths, string(os.PathListSeparator))
}

const pluginVariable = "PJRT_PLUGIN_LIBRARY_PATH"

const memoryVariable = "GLIBC_TUNABLES"

// hugePages makes glibc ask for huge pages of memory, on Linux. XLA's CPU plugin gets its buffers anew in each step: with
// pages of 4 KiB, a quarter of the time in which a convolutional network trains there is page faults.
func hugePages() []string {
	if runtime.GOOS != "linux" {
		return nil
	}
	return []string{memoryVariable + "=glibc.malloc.hugetlb=1"}
}

// memoryVariables returns hugePages, unless the user has settings of glibc's memory.
func memoryVariables() []string {
	if _, own := os.LookupEnv(memoryVariable); own {
		return nil
	}
	return hugePages()
}

// UsePlugins makes this program compute on the plugins that notebooks use: it starts it again with what they need in
// its environment, because go-xla reads that before main. Outside the repository it does nothing.
func UsePlugins() error {
	r, err := FindRepo(".")
	if err != nil {
		return nil
	}
	return StartWith(append(pluginVariables(r), memoryVariables()...))
}

// StartWith starts this program again with these variables in its environment, unless it has them.
func StartWith(variables []string) error {
	has := func(v string) bool { return slices.Contains(os.Environ(), v) }
	if variables = slices.DeleteFunc(variables, has); len(variables) == 0 {
		return nil
	}
	for _, v := range variables {
		name, value, _ := strings.Cut(v, "=")
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(program, os.Args, os.Environ())
}

// pluginVariables returns what programs need in their environment to compute on the plugins that proved themselves.
func pluginVariables(r Repo) (set []string) {
	if plugins := pluginPath(r); plugins != "" {
		set = append(set, pluginVariable+"="+plugins)
	}
	if xlaCUDA.Proven(r) {
		set = append(set, cudaVariables(r)...)
	}
	return set
}

// Variables returns what must be in the environment of a program that is to use just this plugin.
func (a *Accelerator) Variables(r Repo) []string {
	set := append(memoryVariables(), pluginVariable+"="+a.path(r))
	if a == xlaCUDA {
		set = append(set, cudaVariables(r)...)
	}
	return set
}

// accelerate returns the step that installs a plugin and makes it prove itself.
func (s *setup) accelerate(a *Accelerator) step {
	st := step{name: a.Name, key: a.key(s.repo), leave: s.repo.Private(a.Name)}
	if a == xlaCUDA {
		st.needs = func(ctx context.Context) error {
			_, err := cudaRelease(ctx)
			return err
		}
	}
	st.do = func(ctx context.Context, dir string) error {
		if st.needs != nil {
			if err := st.needs(ctx); err != nil {
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
				os.RemoveAll(dir)
				return ctx.Err()
			}
			failed = append(failed, fmt.Sprintf("from %s: %s", src.name, firstLine([]byte(err.Error()))))
		}
		os.RemoveAll(dir)
		return fmt.Errorf("no usable plugin for %s, so notebooks go on with the backend that they have (%s)", a.Title, strings.Join(failed, "; "))
	}
	return st
}

// offer installs the plugin for the CPU where it can be had, and says in one line where it cannot. Then it is tried
// again only if that is asked for: run and lab do not wait for a network that is not there each time.
func (s *setup) offer(ctx context.Context, again bool) error {
	a := xlaCPU
	st := s.accelerate(a)
	if failed := a.failure(s.repo); failed != "" && !again && !s.done(st) {
		fmt.Fprintf(s.out, "  %-12s none: %s; %q tries again\n", st.name, failed, runInstall)
		return nil
	}
	install := st.do
	st.do = func(ctx context.Context, dir string) error {
		err := install(ctx, dir)
		if err == nil || ctx.Err() != nil {
			return err
		}
		return errors.Join(err, writeFile(s.repo.Private("stamps", a.Name+".failed"), []byte(a.key(s.repo)+"\n"+err.Error())))
	}
	st.optional = fmt.Sprintf("%q tries again", runInstall)
	return s.step(ctx, st)
}

// failure says why the plugin could not be installed when that was last tried; "" if it was not.
func (a *Accelerator) failure(r Repo) string {
	text, _ := os.ReadFile(r.Private("stamps", a.Name+".failed"))
	key, why, _ := strings.Cut(string(text), "\n")
	if key != a.key(r) {
		return ""
	}
	return why
}

// gomlxLimit bounds GoMLX's installer, which waits for minutes where a firewall drops what it sends.
const gomlxLimit = time.Minute

// installGoMLX runs GoMLX's own installer, which cannot be stopped: where it is not done in time, what it does is lost.
func installGoMLX(ctx context.Context, _ *setup, _ *Accelerator, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, gomlxLimit)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- installer.CPUAutoInstall(dir, false, installer.Quiet) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// proveLimit is far more than a step of training takes, with compiling.
const proveLimit = 5 * time.Minute

// errNotTried is wrapped by an error that says nothing about the plugin.
var errNotTried = errors.New("the plugin cannot be tried")

// prove trains a comparator for a few steps on a plugin and on the pure Go backend
// and compares the losses, in a process of its own, which a bad plugin may end.
func (s *setup) prove(ctx context.Context, a *Accelerator) error {
	program := s.repo.Private("bin", "prove")
	if canMake(filepath.Dir(program)) != nil { // another's installation
		dir, err := os.MkdirTemp("", "ctnas-prove")
		if err != nil {
			return fmt.Errorf("%w: %w", errNotTried, err)
		}
		defer os.RemoveAll(dir)
		program = filepath.Join(dir, "prove")
	}
	if err := s.buildTool("./kernel-setup/prove")(ctx, program); err != nil {
		return fmt.Errorf("%w: %w", errNotTried, err)
	}
	ctx, cancel := context.WithTimeout(ctx, proveLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-backend", a.Backend)
	cmd.Env = append(os.Environ(), a.Variables(s.repo)...)
	out, err := s.output(cmd)
	if ctx.Err() == context.DeadlineExceeded {
		return fmt.Errorf("the plugin hangs: no step of training ended within %v", proveLimit)
	}
	if err != nil {
		return fmt.Errorf("the plugin does not work with this GoMLX: %s", testimony(out, err))
	}
	return nil
}

// testimony returns what the program prove said about its end.
func testimony(out []byte, err error) string {
	for line := range strings.Lines(string(out)) {
		if said, ok := strings.CutPrefix(strings.TrimSpace(line), "prove: "); ok {
			return said
		}
	}
	if crash := crashText.Find(out); crash != nil {
		return fmt.Sprintf("it crashes (%s)", crash)
	}
	return fmt.Sprintf("it crashes (%v)", err)
}

var crashText = regexp.MustCompile(`(?m)^(?:panic|fatal error|SIG[A-Z]+): .+$`)

// unpackWheel takes the one shared library out of a wheel.
func unpackWheel(ctx context.Context, s *setup, a *Accelerator, dir string) error {
	part := s.repo.Private(a.Name + ".part")
	defer os.RemoveAll(part)
	if err := s.pip(ctx, s.python, a.Name, a.wheels, "download", "--only-binary", ":all:", "--no-deps", "--require-hashes", "--dest", part); err != nil {
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
		name := path.Base(f.Name)
		if !strings.HasPrefix(name, "pjrt_c_api_") || path.Ext(name) != ".so" {
			continue
		}
		plugin, err := fs.ReadFile(archive, f.Name)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name), plugin, 0o755)
	}
	return fmt.Errorf("%s holds no PJRT plugin", filepath.Base(wheels[0]))
}
