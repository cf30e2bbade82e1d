// Kernel-setup installs what the notebooks need, runs them, and fetches data.
//
//	go run ./kernel-setup run NOTEBOOK... [-o FILE.ipynb or FOLDER] [-timeout 30m]
//	go run ./kernel-setup lab [JupyterLab's own arguments]
//	go run ./kernel-setup install [-user] [-cuda] [-dry-run]
//	go run ./kernel-setup check
//	go run ./kernel-setup data [NAME...] [-to FOLDER]
//	go run ./kernel-setup data -export nas_bench.json -to FOLDER
//	go run ./kernel-setup reset [-edits] [-yes] [-dry-run]
//	go run ./kernel-setup uninstall [-yes] [-dry-run]
//
// Without a verb, or with -h, it explains the verbs; -h after a verb explains that one, and does nothing else. It works in the repository that the working directory lies in.
//
// Run and lab first install what is missing, as install does, each thing once: GoNB and its helpers, a private Python
// environment with JupyterLab where the machine has none, a kernel of our own named "ctnas", and XLA's plugin for the
// CPU where it can be had. They also fill the user's cache with the table that notebooks open. Install -user puts the
// kernel also into Jupyter's data folder of the user ($JUPYTER_DATA_DIR, else ~/.local/share/jupyter, on macOS
// ~/Library/Jupyter), where VS Code, the classic Notebook, nbconvert and papermill find it. All else lies in the folder
// .ctnas at the root of the repository. Uninstall removes both; a GoNB or a Jupyter of the user's own is left as it is. What the installing programs print is in .ctnas/setup.log, what a kernel prints in .ctnas/kernel.log.
//
// It fails with exit status 1 and one sentence that says what to do; with 130, and "interrupted", when it was stopped, by
// Ctrl-C for example, after it has ended what it started; lab with JupyterLab's own status. Check also fails where something is
// missing that notebooks cannot do without.
//
// CTNAS_DATA, CTNAS_CACHE, CTNAS_RUNS, CTNAS_SEED, CTNAS_PRESET and GOMLX_BACKEND reach the notebooks, also from papermill
// and nbconvert; CTNAS_MIRROR names a place that data asks
// first. A PJRT_PLUGIN_LIBRARY_PATH of the user's own goes before the plugins that were installed here.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ctnas/ctnas/internal/install"
)

const usage = `kernel-setup installs what the notebooks need, runs them, and fetches data.

Usage:
  go run ./kernel-setup run NOTEBOOK... [-o FILE.ipynb or FOLDER] [-timeout 30m]
        Runs a notebook from top to bottom and shows each cell's output and time.
        The executed copy goes to notebooks/executed/, or to the file or folder after
        -o. Of a cell that shows very much it keeps the start and the end, and says so.
        Ends with an error when a cell fails or takes longer than -timeout.
  go run ./kernel-setup lab [JupyterLab's own arguments]
        Opens JupyterLab in the browser, with the kernel "Go (CTNAS)" ready.
        Ctrl-C ends it. Installs first what is missing; --help-all shows JupyterLab's own.
  go run ./kernel-setup install [-user] [-cuda] [-dry-run]
        Only installs: 0.5 GB, of which 0.2 GB are JupyterLab, unless the machine has it,
        and 0.2 GB GoMLX's XLA backend, where there is a plugin for this machine that
        trains to the same numbers as pure Go here; notebooks then use it. The verbs run
        and lab do so as well, when something is missing. -user also puts the kernel
        where every Jupyter of yours finds it: VS Code, the classic Notebook, nbconvert,
        papermill. -cuda adds the plugin for NVIDIA GPUs. -dry-run only says what would
        be done, and what would fail.
  go run ./kernel-setup check
        Says what is installed and usable, and what to do where something is not.
  go run ./kernel-setup data [NAME...] [-to FOLDER]
        Lists the data that can be had: what it is, its size and licence, whether it
        is here. Fetches what is named, into the user's cache or the folder after -to;
        an interrupted download continues. CTNAS_MIRROR may name a place to ask first.
  go run ./kernel-setup data -export nas_bench.json -to FOLDER
        Writes the NAS-Bench-101 table that is here, whatever its format, as the file
        that the paper's authors' code reads.
  go run ./kernel-setup reset [-edits] [-yes] [-dry-run]
        Clears the notebooks' outputs and deletes their run directories, after asking.
        -edits also undoes every edit of the notebooks that came with the repository.
        -yes does not ask, -dry-run only says what would be done.
  go run ./kernel-setup uninstall [-yes] [-dry-run]
        Removes all that was installed, after asking: the folder .ctnas, and the kernel
        of install -user, if it is from this repository. -yes does not ask, -dry-run only
        says what would be done.

Needs Go and, unless JupyterLab is already installed, Python ` + install.OldestPython + ` or newer.
Everything it installs lies in the folder .ctnas, but for the kernel of install -user.
Each verb explains itself: go run ./kernel-setup VERB -h
`

func main() {
	runtime.LockOSThread() // For [jpyexec.Tie].
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup wants it
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	context.AfterFunc(ctx, stop) // A second Ctrl-C ends the program at once.
	ctx, cancel := context.WithCancelCause(ctx)
	if parent := os.Getppid(); isGo(parent) {
		go endWithParent(parent, cancel)
	}
	err := dispatch(ctx, os.Args[1:], os.Stdout)
	if err == nil {
		return
	}
	if ctx.Err() != nil {
		fmt.Fprintln(os.Stderr, "kernel-setup: interrupted")
		os.Exit(130)
	}
	var exit exitCode
	if errors.As(err, &exit) {
		os.Exit(int(exit))
	}
	fmt.Fprintln(os.Stderr, "kernel-setup:", err)
	os.Exit(1)
}

// isGo says whether a process is the go command, as far as /proc tells.
func isGo(pid int) bool {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		name, _ = exec.Command("ps", "-o", "comm=", "-p", strconv.Itoa(pid)).Output()
	}
	return filepath.Base(strings.TrimSpace(string(name))) == "go"
}

// endWithParent stops the program once "go run" is gone. That passes no signal on, and
// ignores Ctrl-C, so whoever ends it, as the command timeout does, would leave us running.
func endWithParent(parent int, stop context.CancelCauseFunc) {
	for os.Getppid() == parent {
		time.Sleep(200 * time.Millisecond)
	}
	stop(errors.New("the go command was ended"))
}

// exitCode is the exit status of a program that has already said what is wrong.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// dispatch runs the verb that args starts with. Asking for help shows the usage, after a verb its part of it.
func dispatch(ctx context.Context, args []string, out io.Writer) error {
	err := perform(ctx, args, out)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(out, help(args))
		return nil
	}
	return err
}

// help returns the part of the usage that is about the verb that args names first; all of it if they name none.
func help(args []string) string {
	var about strings.Builder
	inside := false
	for line := range strings.Lines(usage) {
		if words := strings.Fields(line); strings.HasPrefix(line, "  go run ") {
			inside = slices.Contains(args[:min(2, len(args))], words[3])
		} else if !strings.HasPrefix(line, "   ") {
			inside = false
		}
		if inside {
			about.WriteString(line)
		}
	}
	if about.Len() == 0 {
		return usage
	}
	return "Usage:\n" + about.String()
}

// helpWanted says whether somebody asks for help with this argument.
func helpWanted(arg string) bool { return slices.Contains([]string{"-h", "-help", "--help"}, arg) }

// interruptible is a reader that does not wait for input once its context is done, so that Ctrl-C ends a question.
type interruptible struct {
	ctx context.Context
	in  io.Reader
}

func (r interruptible) Read(p []byte) (int, error) {
	type answer struct {
		text []byte
		err  error
	}
	read := make(chan answer, 1)
	go func() {
		text := make([]byte, len(p))
		n, err := r.in.Read(text)
		read <- answer{text[:n], err}
	}()
	select {
	case a := <-read:
		return copy(p, a.text), a.err
	case <-r.ctx.Done():
		return 0, r.ctx.Err()
	}
}

// perform runs a verb. The error is [flag.ErrHelp] where args ask for help.
func perform(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return flag.ErrHelp
	}
	verb, args := args[0], args[1:]
	in := interruptible{ctx, os.Stdin}
	switch verb {
	case "help", "-h", "-help", "--help":
		return flag.ErrHelp
	case "run":
		return runVerb(ctx, args, out)
	case "lab":
		return labVerb(ctx, args, out)
	case "install":
		return installVerb(ctx, args, out)
	case "check":
		return checkVerb(ctx, args, out)
	case "reset":
		return resetVerb(ctx, args, in, out)
	case "uninstall":
		return uninstallVerb(args, in, out)
	case "data":
		return dataVerb(ctx, args, out)
	}
	return fmt.Errorf("unknown verb %q: use run, lab, install, check, data, reset or uninstall (\"go run ./kernel-setup\" explains them)", verb)
}

// newFlags makes the flags of a verb. What is wrong with them is in the error of
// their Parse, and nowhere else.
func newFlags(verb string) *flag.FlagSet {
	flags := flag.NewFlagSet(verb, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags
}

// parseAll parses the arguments of a verb that takes flags alone.
func parseAll(flags *flag.FlagSet, args []string) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%s takes no arguments, but got %q", flags.Name(), flags.Arg(0))
	}
	return nil
}

// installVerb only installs.
func installVerb(ctx context.Context, args []string, out io.Writer) error {
	what := install.Extent{Editor: true, Again: true}
	flags := newFlags("install")
	flags.BoolVar(&what.Dry, "dry-run", false, "only say what would be done")
	flags.BoolVar(&what.User, "user", false, "also the kernel where every Jupyter of the user finds it")
	flags.BoolVar(&what.CUDA, "cuda", false, "also XLA on CUDA")
	if err := parseAll(flags, args); err != nil {
		return err
	}
	_, err := install.Install(ctx, out, what)
	return err
}

// checkVerb says what is there, what is missing and what to do about it.
func checkVerb(ctx context.Context, args []string, out io.Writer) error {
	if err := parseAll(newFlags("check"), args); err != nil {
		return err
	}
	complete, err := install.Check(ctx, out)
	if err == nil && !complete {
		return exitCode(1)
	}
	return err
}

// parseAround parses flags that may come before, between and after other arguments, which it returns.
func parseAround(flags *flag.FlagSet, args []string) (rest []string, err error) {
	for err = flags.Parse(args); err == nil && flags.NArg() > 0; err = flags.Parse(flags.Args()[1:]) {
		rest = append(rest, flags.Arg(0))
	}
	return rest, err
}
