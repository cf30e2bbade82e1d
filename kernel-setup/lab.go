package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"github.com/ctnas/ctnas/internal/install"
	"github.com/ctnas/ctnas/internal/install/jpyexec"
)

// labVerb opens JupyterLab on the repository, showing the notebooks first, so
// that their links to the library's files work.
func labVerb(ctx context.Context, args []string, out io.Writer) error {
	if slices.ContainsFunc(args, helpWanted) {
		return flag.ErrHelp
	}
	env, err := install.Install(ctx, out, install.Extent{Editor: true})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "JupyterLab: the kernel is called %q; Ctrl-C ends it\n", install.KernelDisplay)
	lab := []string{
		"-m", "jupyterlab",
		"--ServerApp.root_dir=" + string(env.Repo),
		"--LabApp.default_url=/lab/tree/notebooks",
		"--MultiKernelManager.default_kernel_name=" + install.KernelName,
	}
	if os.Geteuid() == 0 {
		lab = append(lab, "--allow-root") // As in a container; JupyterLab refuses otherwise.
	}
	cmd := exec.CommandContext(ctx, env.Python, append(lab, args...)...)
	cmd.Dir = string(env.Repo)
	cmd.Env = env.Environ
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
