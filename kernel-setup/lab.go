package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/ctnas/ctnas/kernel-setup/internal/jpyexec"
)

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

// labDefaultsDir is the place of labDefaults on $JUPYTER_CONFIG_PATH.
func labDefaultsDir(r repo) string { return r.private("jupyter", "defaults") }

// writeLabDefaults writes them to where [goTool.environ] tells Jupyter to look.
func writeLabDefaults(r repo) error {
	for name, content := range labDefaults {
		if err := writeFile(filepath.Join(labDefaultsDir(r), "labconfig", name), []byte(content+"\n")); err != nil {
			return err
		}
	}
	return nil
}

// labVerb opens JupyterLab on the repository, showing the notebooks first, so
// that their links to the library's files work.
func labVerb(ctx context.Context, args []string, out io.Writer) error {
	env, err := install(ctx, out, extent{editor: true})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "JupyterLab: the kernel is called %q; Ctrl-C ends it\n", kernelDisplay)
	lab := []string{
		"-m", "jupyterlab",
		"--ServerApp.root_dir=" + string(env.repo),
		"--LabApp.default_url=/lab/tree/notebooks",
		"--MultiKernelManager.default_kernel_name=" + kernelName,
	}
	if os.Geteuid() == 0 {
		lab = append(lab, "--allow-root") // As in a container; JupyterLab refuses otherwise.
	}
	cmd := exec.CommandContext(ctx, env.jupyter.python, append(lab, args...)...)
	cmd.Dir = string(env.repo)
	cmd.Env = env.environ
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // It ends its kernels first.
	cmd.WaitDelay = 30 * time.Second
	defer jpyexec.Tie(cmd, syscall.SIGTERM)()
	err = cmd.Run()
	if ctx.Err() != nil {
		return nil // Ctrl-C is how one leaves.
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exitCode(exit.ExitCode())
	}
	return err
}
