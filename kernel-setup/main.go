// Kernel-setup installs what the notebooks need and runs them.
//
//	go run ./kernel-setup                  explains itself
//	go run ./kernel-setup run NOTEBOOK     runs a notebook without a browser
//	go run ./kernel-setup lab              opens JupyterLab with the Go kernel ready
//	go run ./kernel-setup install          only installs
//
// Everything it installs lies in the folder .ctnas at the root of the
// repository: GoNB and its helpers, a private Python environment with
// JupyterLab where the machine has none, and a kernel of our own named "ctnas".
// A GoNB or a Jupyter of the user's own is left as it is.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const usage = `kernel-setup installs what the notebooks need and runs them.

Usage:
  go run ./kernel-setup run NOTEBOOK [-o FILE] [-timeout 30m]
        Runs a notebook from top to bottom and shows each cell's output and time.
        The executed copy goes to notebooks/executed/, or to the file after -o.
        Ends with an error when a cell fails or takes longer than -timeout.
  go run ./kernel-setup lab [JupyterLab's own arguments]
        Opens JupyterLab in the browser, with the kernel "Go (CTNAS)" ready.
  go run ./kernel-setup install
        Only installs. The other two do so as well, when something is missing.

Needs Go and, unless JupyterLab is already installed, Python ` + oldestPython + ` or newer.
Everything it installs lies in the folder .ctnas; delete that to start afresh.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // A second Ctrl-C ends the program at once.
	err := dispatch(ctx, os.Args[1:], os.Stdout)
	if err == nil {
		return
	}
	if ctx.Err() != nil {
		fmt.Fprintln(os.Stderr, "kernel-setup: stopped")
		os.Exit(130)
	}
	var exit exitCode
	if errors.As(err, &exit) {
		os.Exit(int(exit))
	}
	fmt.Fprintln(os.Stderr, "kernel-setup:", err)
	os.Exit(1)
}

// exitCode is the exit status of a program that has already said what is wrong.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// dispatch runs the verb that args starts with.
func dispatch(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		args = []string{"help"}
	}
	verb, args := args[0], args[1:]
	switch verb {
	case "help", "-h", "-help", "--help":
		fmt.Fprint(out, usage)
		return nil
	case "run":
		return runVerb(ctx, args, out)
	case "lab":
		return labVerb(ctx, args, out)
	case "install":
		if len(args) > 0 {
			return fmt.Errorf("install takes no arguments, but got %q", args[0])
		}
		_, err := install(ctx, out, true)
		return err
	}
	return fmt.Errorf("unknown verb %q: use run, lab or install (\"go run ./kernel-setup\" explains them)", verb)
}
