package install

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/ctnas/ctnas/datasets"
)

// Check says on out what is there, what is missing and what to do about it. It is true if notebooks can be run.
func Check(ctx context.Context, out io.Writer) (complete bool, err error) {
	r, err := FindRepo(".")
	if err != nil {
		return false, err
	}
	c := &checkup{setup: setup{repo: r, out: out}}
	c.tools(ctx)
	c.data(ctx)
	c.backends(ctx)
	return !c.missing, nil
}

// checkup looks at each part of a set-up.
type checkup struct {
	setup
	missing bool // something is that notebooks cannot do without
}

func (c *checkup) ok(name, format string, args ...any) {
	fmt.Fprintf(c.out, "  %-12s ok: %s\n", name, fmt.Sprintf(format, args...))
}

// no says what is wrong, in one sentence that ends with what to do.
func (c *checkup) no(needed bool, name, format string, args ...any) {
	c.missing = c.missing || needed
	mark := "no"
	if needed {
		mark = "MISSING"
	}
	fmt.Fprintf(c.out, "  %-12s %s: %s\n", name, mark, fmt.Sprintf(format, args...))
}

const (
	runInstall  = "go run ./kernel-setup install"
	notUpToDate = "not installed, or not in the version that is needed now: " + runInstall
)

// tools checks what runs a notebook.
func (c *checkup) tools(ctx context.Context) {
	var err error
	if c.go_, err = findGo(ctx, c.repo); err != nil {
		c.no(true, "Go", "%v", err)
		return // Nothing else can be said without it.
	}
	c.ok("Go", "%s in %s", c.go_.GOVERSION, c.go_.GOROOT)

	j := jupyter{python: venvPython(c.repo), private: true}
	have := usable(ctx, j.python) != ""
	if !have {
		j, have = machineJupyter(ctx)
	}
	version, err := exec.CommandContext(ctx, "python3", "-c", "import sys; print('%d.%d.%d in %s' % (*sys.version_info[:3], sys.executable))").Output()
	switch {
	case err == nil:
		c.ok("Python", "%s", firstLine(version))
	case have:
		c.no(false, "Python", "python3 is not on the PATH, but JupyterLab is there already: nothing to do")
	default:
		c.no(true, "Python", "python3 is not on the PATH: install Python %s or newer (on Debian and Ubuntu: apt install python3 python3-venv)", OldestPython)
	}
	if have {
		c.ok("JupyterLab", "that of %s", c.repo.Rel(j.python))
	} else {
		c.no(true, "JupyterLab", "not installed: %s", runInstall)
	}
	steps, err := c.builds(true)
	if err != nil {
		c.no(true, "go.mod", "%v", err)
		return
	}
	for _, st := range steps {
		if c.done(st) {
			c.ok(st.name, "%s", c.repo.Rel(st.leave))
		} else {
			c.no(st.optional == "", st.name, "%s", notUpToDate)
		}
	}
	c.kernel(ctx, j, have)
}

// listKernels prints where Jupyter finds kernels of a name, the one it takes first.
const listKernels = `
import sys
from pathlib import Path
from jupyter_client.kernelspec import KernelSpecManager
for folder in KernelSpecManager().kernel_dirs:
    kernel = Path(folder, sys.argv[1])
    if (kernel / "kernel.json").is_file():
        print(kernel)
`

// kernel checks that Jupyter takes our kernel, and tells of others of its name.
func (c *checkup) kernel(ctx context.Context, j jupyter, haveJupyter bool) {
	const name = "kernel"
	ours := c.repo.Private("jupyter", "kernels", KernelName)
	if _, err := os.Stat(ours); err != nil || !haveJupyter {
		c.no(true, name, "%q is not installed: %s", KernelDisplay, runInstall)
		return
	}
	cmd := exec.CommandContext(ctx, j.python, "-c", listKernels, KernelName)
	var err error
	if cmd.Env, err = c.go_.environ(c.repo, j); err != nil {
		c.no(true, name, "%v", err)
		return
	}
	list, err := cmd.Output()
	if err != nil {
		c.no(true, name, "%s cannot list its kernels (%v): go run ./kernel-setup uninstall, then install", j.python, err)
		return
	}
	c.ok(name, "%q in %s", KernelDisplay, c.repo.Rel(ours))
	for other := range strings.SplitSeq(strings.TrimSpace(string(list)), "\n") {
		if owner, err := specOwner(other); err == nil && owner == c.repo && other != ours {
			c.ok("user kernel", "every Jupyter of this user finds it, in %s", other)
		} else if other != ours && other != "" {
			fmt.Fprintf(c.out, "  %-12s note: another kernel is called %q too, in %s; run and lab take ours, other programs may not: jupyter kernelspec remove %s\n",
				"", KernelName, other, KernelName)
			break
		}
	}
}

// data says what the notebooks will run on.
func (c *checkup) data(ctx context.Context) {
	const name = "data"
	table, err := datasets.OpenNASBench101(ctx, "")
	if err != nil {
		c.no(true, name, "%v", err)
		return
	}
	source := table.Source()
	c.ok(name, "%s: %s", source.Kind, source.Description)
	for _, note := range source.Notes {
		fmt.Fprintf(c.out, "  %-12s note: %s\n", "", note)
	}
}

// backends says which backends can be used, and which one notebooks will use.
func (c *checkup) backends(ctx context.Context) {
	simd := ", with SIMD"
	if runtime.GOARCH != "amd64" {
		simd = ""
	}
	c.ok("pure Go", "everywhere%s", simd)
	if found, ok := findGPU(ctx); ok {
		if release, err := found.release(); err != nil {
			c.no(false, "NVIDIA", "%v", err)
		} else {
			c.ok("NVIDIA", "%v: %s", found, release.name)
		}
	}
	use := "pure Go"
	for i := len(Accelerators) - 1; i >= 0; i-- { // the better one last
		a := Accelerators[i]
		if why := c.unusable(ctx, a); why != nil {
			c.no(false, a.Title, "%v", why)
		} else {
			use = a.Title
			c.ok(a.Title, "trains a comparator to the same numbers as pure Go")
		}
	}
	if own := os.Getenv("GOMLX_BACKEND"); own != "" {
		use = fmt.Sprintf("what GOMLX_BACKEND=%s says", own)
	} else if own, ok := os.LookupEnv(pluginVariable); ok {
		use = fmt.Sprintf("a plugin in %s=%s if there is one, else pure Go", pluginVariable, own)
	}
	fmt.Fprintf(c.out, "Notebooks use %s.\n", use)
}

// unusable says why an accelerator cannot be used, and what to do; nil if it can.
func (c *checkup) unusable(ctx context.Context, a *Accelerator) error {
	install := runInstall
	if a == xlaCUDA {
		install += " -cuda"
		if _, err := cudaRelease(ctx); err != nil {
			return err
		}
	}
	if !a.Proven(c.repo) {
		if failed := a.failure(c.repo); failed != "" {
			return fmt.Errorf("%s; to try again: %s", failed, install)
		}
		return errors.New("no plugin is installed: " + install)
	}
	log, err := os.OpenFile(c.repo.Private("setup.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil { // another's installation
		log, err = os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	}
	if err != nil {
		return err
	}
	defer log.Close()
	c.log = log
	err = c.prove(ctx, a)
	if err != nil && !errors.Is(err, errNotTried) {
		return fmt.Errorf("%w: delete %s, then %s", err, c.repo.Rel(c.repo.Private(a.Name)), install)
	}
	return err
}
