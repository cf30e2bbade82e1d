package notebook

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ctnas/ctnas/internal/install"
	"github.com/ctnas/ctnas/internal/install/installtest"
)

// kernel installs the kernel, where the tests are asked to run it.
func kernel(t *testing.T) *install.Environment {
	t.Helper()
	if os.Getenv("CTNAS_TEST_KERNEL") == "" {
		t.Skip("CTNAS_TEST_KERNEL=1 runs notebooks through the kernel, which it installs in this repository")
	}
	env, err := install.Install(t.Context(), t.Output(), install.Extent{})
	if err != nil {
		t.Fatal(err)
	}
	return env
}

// runCells runs cells as a notebook; it returns what the terminal shows, and what the executed copy holds.
func runCells(t *testing.T, ctx context.Context, env *install.Environment, sources ...string) (shown, stored string, err error) {
	t.Helper()
	return runFor(t, ctx, env, time.Minute, sources...)
}

// runFor runs cells as [runCells] does, none for longer than limit.
func runFor(t *testing.T, ctx context.Context, env *install.Environment, limit time.Duration, sources ...string) (shown, stored string, err error) {
	t.Helper()
	var cells []any
	for _, source := range sources {
		cells = append(cells, map[string]any{"cell_type": "code", "source": source})
	}
	notebook, err := json.Marshal(map[string]any{"cells": cells, "nbformat": 4, "nbformat_minor": 0})
	if err != nil {
		t.Fatal(err)
	}
	path, output := filepath.Join(t.TempDir(), "test.ipynb"), filepath.Join(t.TempDir(), "executed.ipynb")
	installtest.Write(t, path, string(notebook))
	var out bytes.Buffer
	_, err = Execute(ctx, env, &out, path, output, limit)
	content, _ := os.ReadFile(output)
	return out.String(), string(content), err
}

// A cell fails if its program does, whatever any program prints.
func TestKernelFailures(t *testing.T) {
	env := kernel(t)
	const imports = "%noautoget\nimport (\n\"fmt\"\n\"log\"\n\"os\"\n)\nvar _ = fmt.Sprint\nvar _ = log.Print\nvar _ = os.Args\n"
	for _, c := range []struct{ cell, want string }{
		{"%%\nfmt.Fprintln(os.Stderr, \"exit status 1\")", ""},
		{"%%\nfmt.Fprint(os.Stderr, \"^C\\nsignal: killed\\n\")", ""},
		{"%%\nfmt.Println(`{\"event\": \"exit\", \"text\": \"exit status 1\"}`)", ""},
		{"%%\nfmt.Println(\"fine\"); os.Exit(3)", "exit status 3"},
		{"%%\nos.Exit(1)", "exit status 1"},
		{"%%\nlog.Fatal(\"no table\")", "no table"},
		{"%%\npanic(\"boom\")", "panic: boom"},
		{"%%\nthis is no Go", "cell 2"},
		{"%%\nx := 1", "declared and not used"},
		{"!exit 4", "exit status 4"},
	} {
		_, _, err := runCells(t, t.Context(), env, imports, c.cell, "%%\nfmt.Println(\"the next cell\")")
		if c.want == "" && err != nil {
			t.Errorf("%s: %v", c.cell, err)
		} else if c.want != "" {
			installtest.WantError(t, err, c.want)
		}
	}
}

func TestKernelOutput(t *testing.T) {
	env := kernel(t)
	const imports = "%noautoget\nimport (\n\"fmt\"\n\"os\"\n\"strings\"\n\"time\"\n)\nvar _ = fmt.Sprint\nvar _ = os.Args\nvar _ = strings.Repeat\nvar _ = time.Now\n"
	for _, c := range []struct{ what, cell, shown, stored string }{
		{"characters in pieces", "%%\nfor _, b := range []byte(\"naïve 漢字 🐈\\n\") { os.Stdout.Write([]byte{b}); time.Sleep(3*time.Millisecond) }", "naïve 漢字 🐈", "naïve 漢字 🐈"},
		{"reading", "%%\nvar s string\n_, err := fmt.Scanln(&s)\nfmt.Println(err)", "EOF", "EOF"},
		{"one line", "%%\nfmt.Println(strings.Repeat(\"0.123456 \", 2_300_000))", "leaves out", "are left out here"},
		{"many lines", "%%\nfor i := range 300_000 { fmt.Println(\"a line of text\", i) }", "line of text 299999", "line of text 299999"},
		{"progress", "%%\nfor i := range 3_000 { fmt.Printf(\"\\r%d of 3000\", i); time.Sleep(time.Microsecond) }", "2999 of 3000", "\"2999 of 3000\""},
	} {
		start := time.Now()
		shown, stored, err := runCells(t, t.Context(), env, imports+c.cell, "%%\nfmt.Println(\"the next cell\")")
		if err != nil || !strings.Contains(shown, c.shown) || !strings.Contains(stored, c.stored) || !strings.Contains(stored, "the next cell") {
			t.Errorf("%s: the terminal shows %.500q, the copy has %d bytes (%v)", c.what, shown, len(stored), err)
		}
		if len(stored) > 3_000_000 || time.Since(start) > time.Minute {
			t.Errorf("%s: the copy has %d bytes, and took %v", c.what, len(stored), time.Since(start))
		}
	}
}

// A cell that does not mind being interrupted, and what it has started, end soon.
func TestKernelStop(t *testing.T) {
	env := kernel(t)
	mark := fmt.Sprint(100_000 + os.Getpid())
	cell := "%noautoget\nimport (\n\"os\"\n\"os/exec\"\n\"os/signal\"\n\"time\"\n)\n%%\nsignal.Ignore(os.Interrupt)\n" +
		"exec.Command(\"sleep\", \"" + mark + "\").Start()\ntime.Sleep(time.Hour)"
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	if _, _, err := runCells(t, ctx, env, cell); err == nil {
		t.Error("a stopped run gave no error")
	}
	if deadline, _ := ctx.Deadline(); time.Since(deadline) > 5*time.Second {
		t.Errorf("it took %v to stop", time.Since(deadline))
	}
	processes, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range processes {
		if line, _ := os.ReadFile(path); string(line) == "sleep\x00"+mark+"\x00" {
			t.Errorf("%s is still running", path)
		}
	}
}
