package main

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

// oldestPython is what the versions in requirements.txt need.
const oldestPython = "3.10"

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
			candidates = append(candidates, strings.TrimSpace(string(firstLine(content)[2:])))
		}
	}
	for _, c := range candidates {
		if python := usable(ctx, c); python != "" {
			return jupyter{python: python}, true
		}
	}
	return jupyter{}, false
}

// makeVenv builds the private Python environment from nothing.
func (s *setup) makeVenv(ctx context.Context) error {
	const again = ", then run this again"
	if _, err := exec.LookPath("python3"); err != nil {
		return fmt.Errorf("python3 is not on the PATH: install Python %s or newer (on Debian and Ubuntu: apt install python3 python3-venv)"+again, oldestPython)
	}
	check := fmt.Sprintf("import sys; print('%%d.%%d' %% sys.version_info[:2]); sys.exit(sys.version_info < (%s))",
		strings.ReplaceAll(oldestPython, ".", ", "))
	if out, err := s.command(ctx, "python3", "-c", check); err != nil {
		return fmt.Errorf("python3 is version %s, but JupyterLab needs %s or newer: put a newer one first on the PATH"+again,
			lastLine(out), oldestPython)
	}
	venv := s.repo.private("venv")
	if out, err := s.command(ctx, "python3", "-m", "venv", "--clear", venv); err != nil {
		if bytes.Contains(out, []byte("ensurepip")) || bytes.Contains(out, []byte("No module named venv")) {
			return fmt.Errorf("python3 cannot make an environment because its venv module is incomplete: install it (on Debian and Ubuntu: apt install python3-venv)" + again)
		}
		return fmt.Errorf("python3 cannot make an environment in %s (%s): %w", venv, lastLine(out), err)
	}
	lock := s.repo.private("requirements.txt")
	if err := writeFile(lock, []byte(requirements)); err != nil {
		return err
	}
	out, err := s.command(ctx, venvPython(s.repo), "-m", "pip", "install", "--disable-pip-version-check", "--retries", "2", "-r", lock)
	switch {
	case err == nil:
		return nil
	case noNetwork.Match(out):
		return fmt.Errorf("JupyterLab cannot be downloaded because the Python package index is not reachable: " +
			"connect to the network, or install it by hand (python3 -m pip install jupyterlab nbclient)" + again)
	}
	return fmt.Errorf("pip cannot install JupyterLab (%s; all of it in %s): %w", lastLine(out), s.repo.rel(s.log.Name()), err)
}

// noNetwork recognises pip's ways of saying that it cannot reach the package index.
var noNetwork = regexp.MustCompile(`NewConnectionError|ConnectTimeoutError|ReadTimeoutError|ProxyError|SSLError|Temporary failure in name resolution|Network is unreachable`)

func venvPython(r repo) string { return r.private("venv", "bin", "python") }

// firstLine and lastLine pick the line of a program's output to show in an error.
func firstLine(out []byte) []byte {
	line, _, _ := bytes.Cut(bytes.TrimSpace(out), []byte("\n"))
	return bytes.TrimSpace(line)
}

func lastLine(out []byte) []byte {
	out = bytes.TrimSpace(out)
	return bytes.TrimSpace(out[bytes.LastIndexByte(out, '\n')+1:])
}
