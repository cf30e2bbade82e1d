package notebook

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/ctnas/ctnas/internal/install"
)

// Outputs chooses where the executed copies of notebooks go: to where the user wants them, which is a folder unless it
// ends in .ipynb, or to notebooks/executed in the repository if wanted is "". None takes the place of its own notebook,
// or of a copy of another notebook in that folder. It makes the folders.
func Outputs(r install.Repo, notebooks []string, wanted string) ([]string, error) {
	folder := wanted
	if folder == "" {
		folder = r.Path("notebooks", "executed")
	}
	folder, err := filepath.Abs(folder)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(folder)
	file := filepath.Ext(folder) == ".ipynb" && !strings.HasSuffix(wanted, "/") && (err != nil || !info.IsDir())
	if file && len(notebooks) > 1 {
		return nil, fmt.Errorf("-o names the file %s, but %d notebooks leave as many copies: name a folder", wanted, len(notebooks))
	}
	var outputs []string
	for _, notebook := range notebooks {
		output := folder
		if !file {
			output = place(r, notebook, folder, outputs)
		}
		info, err := os.Stat(output)
		if own, ownErr := os.Stat(notebook); err == nil && ownErr == nil && os.SameFile(info, own) {
			return nil, fmt.Errorf("%s would be overwritten by its own executed copy: choose another place with -o", r.Rel(notebook))
		}
		if err == nil && !info.Mode().IsRegular() {
			return nil, fmt.Errorf("cannot write the executed copy: %s is there already, and is no file", r.Rel(output))
		}
		if err := os.MkdirAll(filepath.Dir(output), 0o755); err != nil {
			return nil, fmt.Errorf("cannot write the executed copy: %w", err)
		}
		outputs = append(outputs, output)
	}
	return outputs, nil
}

// place returns the notebook's path below the folder notebooks, elsewhere its name, and below as many of its own folders as
// it takes not to be the place of another's copy.
func place(r install.Repo, notebook, folder string, taken []string) string {
	name := filepath.Base(notebook)
	if rel, err := filepath.Rel(r.Path("notebooks"), notebook); err == nil && filepath.IsLocal(rel) {
		name = rel
	}
	for at := strings.TrimSuffix(notebook, name); ; at = filepath.Dir(at) {
		at = filepath.Clean(at)
		output := filepath.Join(folder, name)
		origin := origin(output)
		free := origin == "" || origin == portable(r, notebook)
		if free && !slices.Contains(taken, output) || at == filepath.Dir(at) {
			return output
		}
		name = filepath.Join(filepath.Base(at), name)
	}
}

// origin returns the notebook of which a file is an executed copy, if it says so.
func origin(path string) string {
	content, err := Read(path)
	if err != nil {
		return ""
	}
	var nb struct {
		Metadata struct {
			CTNAS struct{ Notebook string }
		}
	}
	if json.Unmarshal(content, &nb) != nil {
		return ""
	}
	return nb.Metadata.CTNAS.Notebook
}

// portable returns a path as an executed copy has it.
func portable(r install.Repo, path string) string {
	for _, folder := range [][2]string{{string(r), "."}, {home(), "~"}} {
		if rest, ok := strings.CutPrefix(path, folder[0]); ok && folder[0] != "" && (rest == "" || rest[0] == filepath.Separator) {
			return folder[1] + rest
		}
	}
	return path
}

// home returns the user's folder, "" if there is none but the root.
func home() string {
	home, err := os.UserHomeDir()
	if err != nil || home == "/" {
		return ""
	}
	return home
}

// nameEnds is where the name of a folder ends in a text, for Python: a folder beside it whose name goes on is another.
const nameEnds = `(?![-\w]|\.\w)`

// folders are the variables that name the user's folders, and what an executed copy has in their place.
var folders = [][2]string{{"CTNAS_RUNS", "runs"}, {"CTNAS_DATA", "$CTNAS_DATA"}, {"CTNAS_CACHE", "$CTNAS_CACHE"}}

// machinePaths returns the patterns, of Python, that make an executed copy the same on every machine, and what takes
// their place. Environ is the environment of the kernel.
func machinePaths(r install.Repo, environ []string) (hide [][2]string) {
	for _, folder := range folders {
		for _, v := range slices.Backward(environ) { // The last one counts.
			if path, ok := strings.CutPrefix(v, folder[0]+"="); ok {
				if path != "" {
					hide = append(hide, [2]string{regexp.QuoteMeta(filepath.Clean(path)) + nameEnds, folder[1]})
				}
				break
			}
		}
	}
	hide = append(hide,
		[2]string{regexp.QuoteMeta(filepath.Clean(os.TempDir())) + `/gonb_[0-9a-f]{8}`, "cell"},
		[2]string{`\bgonb_[0-9a-f]{8}\b`, "cell"},
		[2]string{regexp.QuoteMeta(string(r)) + nameEnds, "."},
	)
	if home := home(); home != "" {
		hide = append(hide, [2]string{regexp.QuoteMeta(home) + nameEnds, "~"})
	}
	return hide
}
