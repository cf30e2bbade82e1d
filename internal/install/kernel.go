package install

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// What Jupyter and the reader call the kernel.
const (
	KernelName    = "ctnas"
	KernelDisplay = "Go (CTNAS)"
)

// languageVersion is the version of Go that the kernel says, on every machine the same.
const languageVersion = "go1.26"

// LanguageInfo is what the kernel says of its language, and what JupyterLab writes into a notebook that it has opened.
var LanguageInfo = map[string]any{
	"codemirror_mode": "", "file_extension": ".go", "mimetype": "text/x-go", "name": "go", "nbconvert_exporter": "", "pygments_lexer": "go", "version": languageVersion,
}

// environ returns the environment in which Jupyter is started; the kernel inherits it.
func (g goTool) environ(r Repo, j jupyter) ([]string, error) {
	env := os.Environ()
	set := func(name, value string) { env = append(env, name+"="+value) }
	for name, value := range g.settings() {
		set(name, value)
	}
	set("PATH", g.path(r, os.Getenv("PATH")))
	set("JUPYTER_DATA_DIR", r.Private("jupyter"))
	first := func(name, folder string) {
		if rest := os.Getenv(name); rest != "" {
			folder += string(os.PathListSeparator) + rest
		}
		set(name, folder)
	}
	// Here Jupyter looks first: another kernel of our name, wherever it is, cannot take its place.
	first("JUPYTER_PATH", r.Private("jupyter"))
	first("JUPYTER_CONFIG_PATH", labDefaultsDir(r))
	env = append(env, pluginVariables(r)...)
	if j.private {
		set("JUPYTER_CONFIG_DIR", r.Private("jupyter", "config"))
	}
	folders, err := folderVariables("CTNAS_DATA", "CTNAS_CACHE", "CTNAS_RUNS")
	if err != nil {
		return nil, err
	}
	env = append(env, folders...)
	// GoMLX downloads XLA on first use unless told not to.
	if _, ok := os.LookupEnv("GOMLX_NO_AUTO_INSTALL"); !ok {
		set("GOMLX_NO_AUTO_INSTALL", "1")
	}
	return env, nil
}

// folderVariables returns those of these variables that are set, with the absolute paths of their folders: cells run in
// the folder of their notebook.
func folderVariables(names ...string) (set []string, err error) {
	for _, name := range names {
		folder := os.Getenv(name)
		if folder == "" {
			continue
		}
		abs, err := filepath.Abs(folder)
		if err != nil {
			return nil, fmt.Errorf("%s is %q: %w", name, folder, err)
		}
		set = append(set, name+"="+abs)
	}
	return set, nil
}

// kernelSpec is the content of a kernel.json.
// See https://jupyter-client.readthedocs.io/en/stable/kernels.html#kernel-specs.
type kernelSpec struct {
	Argv          []string     `json:"argv"`
	DisplayName   string       `json:"display_name"`
	Language      string       `json:"language"`
	InterruptMode string       `json:"interrupt_mode"`
	Metadata      specMetadata `json:"metadata"`
}

// specMetadata says whose a kernel is.
type specMetadata struct {
	CTNAS struct {
		Repository string `json:"repository"`
	} `json:"ctnas"`
}

// newKernelSpec describes our kernel, in this folder.
func newKernelSpec(r Repo, folder string) kernelSpec {
	spec := kernelSpec{
		Argv: []string{
			filepath.Join(folder, starterName),
			"--kernel", "{connection_file}",
			"-go_work=" + string(r), // Cells import this module from here.
			"-raw_error",            // Compile errors as text, which every viewer shows.
		},
		DisplayName:   KernelDisplay,
		Language:      "go",
		InterruptMode: "message",
	}
	spec.Metadata.CTNAS.Repository = string(r)
	return spec
}

// starterName is the script beside a kernel.json that starts the kernel: who starts kernels may know nothing of shells,
// of PATH, or of the variables that a kernel.json can set only whether or not the user has.
const starterName = "start"

// starter returns that script. What can differ between two runs, such as CTNAS_DATA, it sets only where the environment
// that the kernel inherits does not: defaults is a list of NAME=VALUE.
func starter(r Repo, g goTool, defaults []string) string {
	var s strings.Builder
	fmt.Fprintf(&s, "#!/bin/sh\n# Starts the kernel %q. Written by kernel-setup in %s.\n", KernelDisplay, r)
	settings := g.settings()
	settings["CTNAS_REPO"] = string(r)
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&s, "export %s=%s\n", name, quoted(settings[name]))
	}
	fmt.Fprintf(&s, "export PATH=%s\"$PATH\"\n", quoted(g.path(r, "")))
	for _, set := range append(hugePages(), defaults...) {
		name, value, _ := strings.Cut(set, "=")
		fmt.Fprintf(&s, "[ -n \"${%s+set}\" ] || export %s=%s\n", name, name, quoted(value))
	}
	gonb := quoted(r.Private("bin", "gonb"))
	fmt.Fprintf(&s, "[ -x %s ] || { echo %s >&2; exit 1; }\n", gonb, quoted(fmt.Sprintf("The kernel %q is not in %s any more: go run ./kernel-setup install -user in its repository.", KernelDisplay, r)))
	fmt.Fprintf(&s, "exec %s \"$@\"\n", gonb)
	return s.String()
}

// quoted returns a text as a word of the shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// echarts is Apache ECharts 5.4.3, which draws the interactive charts. Jupyter serves it from the folder of the kernel, so that they need no
// network, at the address that package nb knows. Its licence is beside it.
//
//go:embed echarts/echarts.min.js
var echarts []byte

// kernelFiles returns the files of our kernel in this folder, by name: its description last, so that Jupyter finds it only
// when all is there.
func kernelFiles(r Repo, g goTool, folder string, defaults []string) ([]kernelFile, error) {
	if strings.Contains(string(r), ",") {
		return nil, fmt.Errorf("the folder %s has a comma in its name, which GoNB cannot handle: move the repository", r)
	}
	spec, err := json.MarshalIndent(newKernelSpec(r, folder), "", "  ")
	if err != nil {
		return nil, err
	}
	return []kernelFile{
		{"echarts.min.js", echarts, writeFile},
		{starterName, []byte(starter(r, g, defaults)), writeProgram},
		{"kernel.json", append(spec, '\n'), writeFile},
	}, nil
}

// kernelFile is a file in the folder of a kernel.
type kernelFile struct {
	name    string
	content []byte
	write   func(path string, content []byte) error
}

// writeKernelSpec writes our kernel into a folder.
func writeKernelSpec(r Repo, g goTool, folder string, defaults []string) error {
	files, err := kernelFiles(r, g, folder, defaults)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := f.write(filepath.Join(folder, f.name), f.content); err != nil {
			return err
		}
	}
	return nil
}

// hasKernelSpec says whether a folder holds just what [writeKernelSpec] would write.
func hasKernelSpec(r Repo, g goTool, folder string, defaults []string) bool {
	files, err := kernelFiles(r, g, folder, defaults)
	if err != nil {
		return false
	}
	return !slices.ContainsFunc(files, func(f kernelFile) bool {
		content, err := os.ReadFile(filepath.Join(folder, f.name))
		return err != nil || !bytes.Equal(content, f.content)
	})
}

// kernel writes our kernel into a folder, unless it is there; in a dry run it only says so.
func (s *setup) kernel(name, folder string, defaults []string) error {
	switch {
	case hasKernelSpec(s.repo, s.go_, folder, defaults):
		fmt.Fprintf(s.out, "  %-12s ok\n", name)
		return nil
	case s.dry:
		fmt.Fprintf(s.out, "  %-12s to install in %s\n", name, s.repo.Rel(folder))
		return nil
	}
	if err := writeKernelSpec(s.repo, s.go_, folder, defaults); err != nil {
		return fmt.Errorf("cannot write the kernel's description: %w", err)
	}
	fmt.Fprintf(s.out, "  %-12s installed in %s\n", name, s.repo.Rel(folder))
	return nil
}

// kernelDir returns the folder of the kernel that "run" and "lab" take.
func kernelDir(r Repo) string { return r.Private("jupyter", "kernels", KernelName) }

// labDefaults are settings for JupyterLab, as files in a folder of its configuration.
// The user's own settings go before them.
var labDefaults = map[string]string{
	// No pop-up asks whether news may be fetched, and a class may be offline.
	"default_setting_overrides.json": `{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}`,
	// GoNB tells its state only when it is asked for something. JupyterLab first asks who
	// it is, and would not count that answer: the status bar would say "Unknown", not
	// "Idle", until a cell has run.
	"page_config.json": `{"untracked_message_types": []}`,
}

// labDefaultsDir returns the place of labDefaults on $JUPYTER_CONFIG_PATH.
func labDefaultsDir(r Repo) string { return r.Private("jupyter", "defaults") }

// writeLabDefaults writes them to where [goTool.environ] tells Jupyter to look.
func writeLabDefaults(r Repo) error {
	for name, content := range labDefaults {
		if err := writeFile(filepath.Join(labDefaultsDir(r), "labconfig", name), []byte(content+"\n")); err != nil {
			return err
		}
	}
	return nil
}
