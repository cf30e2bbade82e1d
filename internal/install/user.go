package install

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// UserKernelDir returns the folder of our kernel where every Jupyter of this user finds it, and with it VS Code, the
// classic Notebook, nbconvert and papermill: by the rules of Jupyter's package jupyter_core, "kernels/ctnas" in
// $JUPYTER_DATA_DIR, else in the user's data folder of the platform. Jupyter's folder in .ctnas, which "lab" sets, is
// not the user's.
func UserKernelDir(r Repo) (string, error) {
	data := os.Getenv("JUPYTER_DATA_DIR")
	if data == "" || data == r.Private("jupyter") {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("cannot tell where Jupyter looks for kernels: set JUPYTER_DATA_DIR (%w)", err)
		}
		data = userDataDir(home, runtime.GOOS)
	}
	data, err := filepath.Abs(data)
	if err != nil {
		return "", err
	}
	return filepath.Join(data, "kernels", KernelName), nil
}

// userDataDir returns Jupyter's data folder below a home folder on an operating system.
func userDataDir(home, system string) string {
	if system == "darwin" {
		if isSet(os.Getenv("JUPYTER_PLATFORM_DIRS")) {
			return filepath.Join(home, "Library", "Application Support", "Jupyter")
		}
		return filepath.Join(home, "Library", "Jupyter")
	}
	if data := os.Getenv("XDG_DATA_HOME"); data != "" {
		return filepath.Join(data, "jupyter")
	}
	return filepath.Join(home, ".local", "share", "jupyter")
}

// isSet says whether Jupyter takes the value of a switch for yes.
func isSet(value string) bool {
	return value != "" && !slices.Contains([]string{"no", "n", "false", "off", "0", "0.0"}, strings.ToLower(value))
}

// errForeignKernel is the error of a folder that holds a kernel which is not from a repository of ours.
var errForeignKernel = errors.New("it is not from a repository of CTNAS")

// specOwner returns the repository that the kernel in a folder is from. The error is [fs.ErrNotExist] where there is no
// kernel, and [errForeignKernel] where it is somebody else's.
func specOwner(folder string) (Repo, error) {
	content, err := os.ReadFile(filepath.Join(folder, "kernel.json"))
	if err != nil {
		return "", err
	}
	var spec kernelSpec
	if json.Unmarshal(content, &spec) != nil || spec.Metadata.CTNAS.Repository == "" {
		return "", errForeignKernel
	}
	return Repo(spec.Metadata.CTNAS.Repository), nil
}

// OwnUserKernel returns the folder of [UserKernelDir] if it holds the kernel of this repository, else "".
func OwnUserKernel(r Repo) (string, error) {
	folder, err := UserKernelDir(r)
	if err != nil {
		return "", err
	}
	owner, err := specOwner(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errForeignKernel), err == nil && owner != r:
		return "", nil
	case err != nil:
		return "", err
	}
	return folder, nil
}

// userDefaults returns what the user's kernel has in its environment unless whoever starts it has something else there:
// what this environment has of the folders of data, runs and Go, as VS Code may be started from a menu, and the plugins.
func userDefaults(r Repo) ([]string, error) {
	defaults, err := folderVariables("CTNAS_DATA", "CTNAS_CACHE", "CTNAS_RUNS", "GOCACHE", "GOMODCACHE", "GOPATH")
	if err != nil {
		return nil, err
	}
	return append(append(defaults, pluginVariables(r)...), "GOMLX_NO_AUTO_INSTALL=1"), nil
}

// installUser puts our kernel where every Jupyter of this user finds it. In a dry run it says what it would do.
func (s *setup) installUser() error {
	const name = "user kernel"
	folder, err := UserKernelDir(s.repo)
	if err != nil {
		return err
	}
	owner, err := specOwner(folder)
	if errors.Is(err, errForeignKernel) {
		return fmt.Errorf("%s holds another kernel of that name, which stays: remove it (jupyter kernelspec remove %s), then run this again", folder, KernelName)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot install the kernel for this user: %w", err)
	}
	defaults, err := userDefaults(s.repo)
	if err != nil {
		return err
	}
	if err := s.kernel(name, folder, defaults); err != nil {
		return err
	}
	if owner != "" && owner != s.repo {
		fmt.Fprintf(s.out, "  %-12s note: it takes the place of that of %s\n", "", owner)
	}
	for _, set := range defaults {
		if strings.HasPrefix(set, "CTNAS_") {
			fmt.Fprintf(s.out, "  %-12s note: it has %s unless the environment has another\n", "", set)
		}
	}
	return nil
}
