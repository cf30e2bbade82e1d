package install

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// What Jupyter and the reader call the kernel.
const (
	KernelName    = "ctnas"
	KernelDisplay = "Go (CTNAS)"
)

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
	// Cells run in the folder of their notebook.
	for _, name := range []string{"CTNAS_DATA", "CTNAS_CACHE", "CTNAS_RUNS"} {
		folder := os.Getenv(name)
		if folder == "" {
			continue
		}
		abs, err := filepath.Abs(folder)
		if err != nil {
			return nil, fmt.Errorf("%s is %q: %w", name, folder, err)
		}
		set(name, abs)
	}
	// GoMLX downloads XLA on first use unless told not to.
	if _, ok := os.LookupEnv("GOMLX_NO_AUTO_INSTALL"); !ok {
		set("GOMLX_NO_AUTO_INSTALL", "1")
	}
	return env, nil
}

// kernelSpec is the content of a kernel.json.
// See https://jupyter-client.readthedocs.io/en/stable/kernels.html#kernel-specs.
type kernelSpec struct {
	Argv          []string          `json:"argv"`
	DisplayName   string            `json:"display_name"`
	Language      string            `json:"language"`
	InterruptMode string            `json:"interrupt_mode"`
	Env           map[string]string `json:"env"`
}

// newKernelSpec describes our kernel. What can differ between two runs, such
// as CTNAS_DATA, is not in it: the kernel inherits that from Jupyter, so that
// two runs at once do not disturb each other.
func newKernelSpec(r Repo, g goTool) kernelSpec {
	env := g.settings()
	env["PATH"] = g.path(r, "${PATH}")
	return kernelSpec{
		Argv: []string{
			r.Private("bin", "gonb"),
			"--kernel", "{connection_file}",
			"-go_work=" + string(r), // Cells import this module from here.
			"-raw_error",            // Compile errors as text, which every viewer shows.
		},
		DisplayName:   KernelDisplay,
		Language:      "go",
		InterruptMode: "message",
		Env:           env,
	}
}

// echarts is Apache ECharts 5.4.3, which draws the interactive charts. Jupyter serves it from the folder of the kernel, so that they need no
// network, at the address that package nb knows. Its licence is beside it.
//
//go:embed echarts/echarts.min.js
var echarts []byte

// writeKernelSpec installs our kernel in our own Jupyter data folder.
func writeKernelSpec(r Repo, g goTool) error {
	if strings.Contains(string(r), ",") {
		return fmt.Errorf("the folder %s has a comma in its name, which GoNB cannot handle: move the repository", r)
	}
	spec, err := json.MarshalIndent(newKernelSpec(r, g), "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(r.Private("jupyter", "kernels", KernelName, "echarts.min.js"), echarts); err != nil {
		return err
	}
	return writeFile(r.Private("jupyter", "kernels", KernelName, "kernel.json"), append(spec, '\n'))
}

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
