package nb

import (
	"os"
	"path/filepath"
	"regexp"
)

// envRepository names the repository of this library; the kernel of kernel-setup sets it.
const envRepository = "CTNAS_REPO"

// ourModule matches the go.mod of this library.
var ourModule = regexp.MustCompile(`(?m)^module\s+github\.com/ctnas/ctnas\s*$`)

// Repository returns the folder of the repository that this library was compiled from, also for a notebook that was
// copied out of it: $CTNAS_REPO, which the kernel of kernel-setup sets, else the nearest folder above the working
// directory that holds the go.mod of this library, else "".
func Repository() string {
	if dir := os.Getenv(envRepository); dir != "" {
		return dir
	}
	at, err := os.Getwd()
	if err != nil {
		return ""
	}
	for ; ; at = filepath.Dir(at) {
		if mod, err := os.ReadFile(filepath.Join(at, "go.mod")); err == nil && ourModule.Match(mod) {
			return at
		}
		if at == filepath.Dir(at) {
			return ""
		}
	}
}

// Runs returns the folder of the run directories: $CTNAS_RUNS, or notebooks/runs in the [Repository], whichever folder
// the notebook is in, which git ignores and "kernel-setup reset" deletes. It is relative where that is shorter, as "runs"
// for a notebook in the folder notebooks. Where there is no repository it is "runs" in the working directory.
func Runs() string {
	if dir := os.Getenv("CTNAS_RUNS"); dir != "" {
		return dir
	}
	repo := Repository()
	if repo == "" {
		return "runs"
	}
	runs := filepath.Join(repo, "notebooks", "runs")
	if at, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(at, runs); err == nil && filepath.IsLocal(rel) {
			return rel
		}
	}
	return runs
}
