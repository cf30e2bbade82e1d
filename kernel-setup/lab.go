package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

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
