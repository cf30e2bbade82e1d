package install

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// OldestPython is what the versions in requirements.txt need.
const OldestPython = "3.10"

// requirements pins every Python package of the private environment.
//
//go:embed requirements.txt
var requirements string

// jupyter is a Python interpreter that has JupyterLab and nbclient.
type jupyter struct {
	python  string
	private bool // in our own environment, not the machine's
}

// probe prints the interpreter's path if it has what we need.
const probe = `
import sys
from importlib.metadata import version
if int(version("jupyterlab").split(".")[0]) < 4:
    sys.exit("JupyterLab is too old")
version("nbclient")
print(sys.executable)
`

// usable returns the path of the interpreter behind command, or "" if it lacks JupyterLab 4 or nbclient.
func usable(ctx context.Context, command string) string {
	out, err := exec.CommandContext(ctx, command, "-c", probe).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// machineJupyter looks for a Jupyter on the PATH: of python3, or of the
// interpreter that a jupyter-lab script names in its first line.
func machineJupyter(ctx context.Context) (jupyter, bool) {
	candidates := []string{"python3"}
	if script, err := exec.LookPath("jupyter-lab"); err == nil {
		if content, err := os.ReadFile(script); err == nil && bytes.HasPrefix(content, []byte("#!/")) {
			candidates = append(candidates, strings.TrimSpace(strings.TrimPrefix(firstLine(content), "#!")))
		}
	}
	for _, c := range candidates {
		if python := usable(ctx, c); python != "" {
			return jupyter{python: python}, true
		}
	}
	return jupyter{}, false
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
		needs: checkPython,
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

const again = ", then run this again"

// checkPython says what is wrong with the Python to make the private environment from.
func checkPython(ctx context.Context) error {
	if _, err := exec.LookPath("python3"); err != nil {
		return fmt.Errorf("python3 is not on the PATH: install Python %s or newer (on Debian and Ubuntu: apt install python3 python3-venv)"+again, OldestPython)
	}
	check := fmt.Sprintf("import sys; print('%%d.%%d' %% sys.version_info[:2]); sys.exit(sys.version_info < (%s))",
		strings.ReplaceAll(OldestPython, ".", ", "))
	if out, err := exec.CommandContext(ctx, "python3", "-c", check).CombinedOutput(); err != nil {
		return fmt.Errorf("python3 is version %s, but JupyterLab needs %s or newer: put a newer one first on the PATH"+again, LastLine(out), OldestPython)
	}
	return nil
}

// makeVenv builds the private Python environment from nothing, and leaves nothing of one that it cannot finish.
func (s *setup) makeVenv(ctx context.Context) (err error) {
	if err := checkPython(ctx); err != nil {
		return err
	}
	venv := s.repo.Private("venv")
	defer func() {
		if err != nil {
			os.RemoveAll(venv)
		}
	}()
	if out, err := s.output(exec.CommandContext(ctx, "python3", "-m", "venv", "--clear", venv)); err != nil {
		if bytes.Contains(out, []byte("ensurepip")) || bytes.Contains(out, []byte("No module named venv")) {
			return fmt.Errorf("python3 cannot make an environment because its venv module is incomplete: install it (on Debian and Ubuntu: apt install python3-venv)" + again)
		}
		return fmt.Errorf("python3 cannot make an environment in %s (%s): %w", venv, LastLine(out), err)
	}
	err = s.pip(ctx, venvPython(s.repo), "requirements", requirements, "install")
	switch {
	case errors.Is(err, errNoIndex):
		return fmt.Errorf("cannot download JupyterLab: %w, or install it by hand (python3 -m pip install jupyterlab nbclient)"+again, err)
	case err != nil:
		return fmt.Errorf("cannot install JupyterLab: %w", err)
	}
	return nil
}

var errNoIndex = errors.New("the Python package index is not reachable: connect to the network")

// pip runs pip, of this interpreter, on a list of packages, which lies in a file of this name meanwhile.
func (s *setup) pip(ctx context.Context, python, name, packages string, args ...string) error {
	list := s.repo.Private(name + ".txt")
	if err := writeFile(list, []byte(packages)); err != nil {
		return err
	}
	defer os.Remove(list)
	args = slices.Concat([]string{"-m", "pip"}, args, []string{"--disable-pip-version-check", "--retries", "2", "-r", list})
	out, err := s.output(exec.CommandContext(ctx, python, args...))
	switch {
	case err == nil:
		return nil
	case noNetwork.Match(out):
		return errNoIndex
	case bytes.Contains(out, []byte("No matching distribution")):
		return errors.New("there is no package for this kind of machine")
	}
	return fmt.Errorf("pip failed: %s (all of it in %s)", LastLine(out), s.repo.Rel(s.log.Name()))
}

// noNetwork recognises pip's ways of saying that it cannot reach the package index.
var noNetwork = regexp.MustCompile(`NewConnectionError|ConnectTimeoutError|ReadTimeoutError|ProxyError|SSLError|Temporary failure in name resolution|Network is unreachable`)

func venvPython(r Repo) string { return r.Private("venv", "bin", "python") }
