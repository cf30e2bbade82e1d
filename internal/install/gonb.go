package install

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	gonbModule    = "github.com/janpfeifer/gonb"
	importJpyexec = "	\"" + gonbModule + "/internal/jpyexec\"\n"
	importUtil    = "	\"" + gonbModule + "/internal/util\"\n"
	importKernel  = "	\"" + gonbModule + "/internal/kernel\"\n"
)

// gonbFiles are added to GoNB's packages: jpyexec is also a package of ours, the files in _gonb can only be compiled there.
//
//go:embed jpyexec/child.go jpyexec/tie_linux.go jpyexec/tie_other.go _gonb/dispatcher/abort.go _gonb/goexec/interrupt.go _gonb/goexec/undefined.go
var gonbFiles embed.FS

// gonbEdits mend what GoNB v0.11.3 does wrong and nothing outside it can make good. A version
// that no longer has an old text does not build, so that somebody looks here.
var gonbEdits = []struct{ file, old, new string }{
	// A read that ends inside a character made two broken ones of it.
	{"internal/jpyexec/jpyexec.go", "_, err := io.Copy(exec.stdoutWriter, exec.cmdStdout)", "err := CopyText(exec.stdoutWriter, exec.cmdStdout)"},
	{"internal/jpyexec/jpyexec.go", "_, err := io.Copy(exec.stderrWriter, exec.cmdStderr)", "err := CopyText(exec.stderrWriter, exec.cmdStderr)"},
	// A cell's program went on when GoNB was killed.
	{"internal/jpyexec/jpyexec.go", "	exec.cmd = cmd\n", "	exec.cmd = cmd\n	defer Tie(cmd, syscall.SIGKILL)()\n"},
	// A program that reads its input waited for ever where there is nobody to ask.
	{"internal/jpyexec/jpyexec.go", "		exec.handleStaticInput()\n	}\n", `		exec.handleStaticInput()
	} else if content, _ := exec.Msg.ComposedMsg().Content.(map[string]any); content["allow_stdin"] == false {
		_ = exec.cmdStdin.Close()
	}
`},
	// A failed program was answered with "ok", and with a line on stderr that any program can print.
	{"internal/jpyexec/jpyexec.go", `	if err := cmd.Wait(); err != nil {
		errMsg := err.Error() + "\n"
		if exec.Msg.Kernel().Interrupted.Load() {
			errMsg = "^C\n" + errMsg
		}
		_ = kernel.PublishWriteStream(exec.Msg, kernel.StreamStderr, errMsg)
	}
`, `	var failed error
	if err := cmd.Wait(); err != nil {
		failed = ProgramError(err.Error())
	}
`},
	{"internal/jpyexec/jpyexec.go", "	// triggered by the deferred exec.done() that gets executed.\n	return nil\n", "	// triggered by the deferred exec.done() that gets executed.\n	return failed\n"},
	{"internal/goexec/errorpublish.go", `		return "ERROR", err.Error(), []string{err.Error()}
`, `		var failed jpyexec.ProgramError
		if errors.As(err, &failed) {
			return "ProgramError", failed.Error(), []string{failed.Error()}
		}
		return "ERROR", err.Error(), []string{err.Error()}
`},
	{"internal/goexec/errorpublish.go", importKernel, importJpyexec + importKernel},
	// The cells that wait behind a failed one were run, unlike in other kernels.
	{"internal/dispatcher/dispatcher.go", `	if err := msg.Reply("execute_reply", replyContent); err != nil {
`, `	if executionErr != nil && content["stop_on_error"] != false {
		defer abortCells(queued())
	}
	if err := msg.Reply("execute_reply", replyContent); err != nil {
`},
	// A cell that was interrupted while it was compiled was run all the same.
	{"internal/dispatcher/dispatcher.go", `			msg.Kernel().CallInterruptSubscribers()
			replyContent := make(map[string]any)
`, `			msg.Kernel().Interrupted.Store(true)
			msg.Kernel().CallInterruptSubscribers()
			replyContent := make(map[string]any)
`},
	{"internal/goexec/execcode.go", `	klog.V(2).Infof("ExecuteCell: after s.GoImports()")
`, `	if interrupted(msg) {
		return errInterrupted
	}
`},
	{"internal/goexec/execcode.go", `	if err := s.Compile(msg, fileToCellIdAndLine); err != nil {
`, `	if err := s.Compile(msg, fileToCellIdAndLine); interrupted(msg) {
		return errInterrupted
	} else if err != nil {
`},
	{"internal/goexec/execcode.go", "	output, err := cmd.CombinedOutput()\n", "	output, err := combinedOutput(msg, cmd)\n"},
	{"internal/goexec/execcode.go", `	cmd.Dir = s.TempDir
	var output []byte
	klog.V(2).Infof("Executing %s", cmd)
	output, err = cmd.CombinedOutput()
`, `	cmd.Dir = s.TempDir
	var output []byte
	klog.V(2).Infof("Executing %s", cmd)
	output, err = combinedOutput(msg, cmd)
`},
	{"internal/goexec/execcode.go", `	cmd = exec.Command("go", args...)
	cmd.Dir = s.TempDir
	klog.V(2).Infof("Executing %s", cmd)
	output, err = cmd.CombinedOutput()
`, `	cmd = exec.Command("go", args...)
	cmd.Dir = s.TempDir
	klog.V(2).Infof("Executing %s", cmd)
	output, err = combinedOutput(msg, cmd)
`},
	{"internal/jpyexec/jpyexec.go", `		// Sent interrupt to process.
		err := cmd.Process.Signal(os.Interrupt)
`, `		// Sent interrupt to process.
		select {
		case <-uninterrupted:
		default:
			return // It was sent already.
		}
		err := cmd.Process.Signal(os.Interrupt)
`},
	{"internal/jpyexec/jpyexec.go", `	var interruptId kernel.SubscriptionId
`, `	uninterrupted := make(chan struct{}, 1)
	uninterrupted <- struct{}{}
	var interruptId kernel.SubscriptionId
`},
	{"internal/jpyexec/jpyexec.go", `	if exec.stdinContent != nil {
		exec.handleStaticInput()
`, `	if exec.Msg.Kernel().Interrupted.Load() { // in the moment before
		exec.Msg.Kernel().CallInterruptSubscribers()
	}
	if exec.stdinContent != nil {
		exec.handleStaticInput()
`},
	// After a restart the compiler's "undefined" did not say what to do.
	{"internal/goexec/execcode.go", "s.DisplayErrorWithContext(msg, fileToCellIdAndLines, string(output), err)", "s.DisplayErrorWithContext(msg, fileToCellIdAndLines, explained(string(output)), err)"},
	// Each cell asked the module proxy for what it imports, before the first cell could forbid it: a class may be offline.
	{"internal/goexec/goexec.go", "		AutoGet:         true,\n", "		AutoGet:         false,\n"},
	// Gopls has a process group of its own. It starts once, on a thread that stays.
	{"internal/goexec/goplsclient/exec.go", "	c.goplsExec.Dir = c.dir\n", "	c.goplsExec.Dir = c.dir\n	defer jpyexec.Tie(c.goplsExec, syscall.SIGKILL)()\n"},
	{"internal/goexec/goplsclient/exec.go", importUtil, importJpyexec + importUtil},
	// GoNB went on when Jupyter was killed.
	{"main.go", "	k.HandleInterrupt()", "	go jpyexec.EndWithParent()\n	k.HandleInterrupt()"},
	{"main.go", importKernel, importJpyexec + importKernel},
}

// gonbChanges returns the files of GoNB that we add, and a digest of all that we change.
func gonbChanges() (files map[string]string, digest string, err error) {
	files = map[string]string{}
	parts := []string{fmt.Sprintf("%q", gonbEdits)}
	err = fs.WalkDir(gonbFiles, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := gonbFiles.ReadFile(name)
		files["internal/"+strings.TrimPrefix(name, "_gonb/")] = string(text)
		parts = append(parts, name, string(text))
		return err
	})
	return files, hash(parts...), err
}

// buildGonb compiles GoNB in the version of go.mod with our changes: from a copy of its source,
// which a go.mod of our own puts in its place.
func (s *setup) buildGonb(ctx context.Context, leave string) error {
	if _, err := s.goCommand(ctx, nil, "mod", "download", gonbModule); err != nil {
		return fmt.Errorf("cannot fetch gonb: %w", err)
	}
	source, err := s.goCommand(ctx, nil, "list", "-m", "-f", "{{.Dir}}", gonbModule)
	if err != nil {
		return fmt.Errorf("cannot find the source of gonb: %w", err)
	}
	copied, modfile := s.repo.Private("gonb"), s.repo.Private("gonb.mod")
	defer os.RemoveAll(copied)
	if err := copyGonb(LastLine(source), copied); err != nil {
		return fmt.Errorf("cannot change gonb: %w", err)
	}
	mod, sum, err := s.modules()
	if err != nil {
		return err
	}
	mod = fmt.Appendf(mod, "\nreplace %s => ./%s\n", gonbModule, filepath.ToSlash(s.repo.Rel(copied)))
	if err := errors.Join(writeFile(modfile, mod), writeFile(s.repo.Private("gonb.sum"), sum)); err != nil {
		return err
	}
	return s.buildTool(gonbModule, "-modfile="+modfile)(ctx, leave)
}

// copyGonb copies the source of GoNB to a new folder, with our changes.
func copyGonb(source, folder string) error {
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	if err := os.CopyFS(folder, os.DirFS(source)); err != nil {
		return err
	}
	files, _, err := gonbChanges()
	if err != nil {
		return err
	}
	for _, e := range gonbEdits {
		text, ok := files[e.file]
		if !ok {
			old, err := os.ReadFile(filepath.Join(folder, e.file))
			if err != nil {
				return err
			}
			text = string(old)
		}
		if n := strings.Count(text, e.old); n != 1 {
			return fmt.Errorf("%s has %d times, not once, the text %q: adapt internal/install/gonb.go to this version", e.file, n, e.old)
		}
		files[e.file] = strings.Replace(text, e.old, e.new, 1)
	}
	for name, text := range files {
		if err := writeFile(filepath.Join(folder, name), []byte(text)); err != nil {
			return err
		}
	}
	return nil
}
