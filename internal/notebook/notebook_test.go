package notebook

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ctnas/ctnas/internal/install"
	"github.com/ctnas/ctnas/internal/install/installtest"
)

// A cleared notebook is in normal form; one that was not run stays as it is.
func TestWithoutOutputs(t *testing.T) {
	const unusual = "\ufeff{ \"nbformat\":4, \"cells\": [ {\"outputs\":[ ], \"source\":\"\\u00fc\",\"cell_type\":\"code\"}, {\"cell_type\":\"markdown\",\"source\":[]} ], \"metadata\":{\"z\":NaN,\"a\":1.50}}"
	for _, c := range []struct{ dirty, clean string }{
		{installtest.DirtyNotebook, installtest.CleanNotebook},
		{installtest.CleanNotebook, installtest.CleanNotebook},
		{unusual, unusual},
		{strings.ReplaceAll(installtest.DirtyNotebook, "\n ", "\r\n\t"), installtest.CleanNotebook},
		{ // when it ran, and what made it
			strings.Replace(installtest.CleanNotebook, `"metadata": {},`, `"metadata": {"execution": {"a": NaN}, "ctnas": {"code": "1"}, "b": -Infinity},`, 1),
			strings.Replace(installtest.CleanNotebook, `"metadata": {},`, "\"metadata\": {\n    \"b\": null\n   },", 1),
		},
		{
			strings.Replace(installtest.CleanNotebook, `"metadata": {},`+"\n \"nbf", `"metadata": {"ctnas": {}},`+"\n \"nbf", 1),
			installtest.CleanNotebook,
		},
	} {
		got, err := WithoutOutputs([]byte(c.dirty))
		if err != nil || string(got) != c.clean {
			t.Errorf("%s\n became\n%s (%v)\nwant\n%s", c.dirty, got, err, c.clean)
		}
	}
}

// Whatever is cleared is still as valid as it was, and clean.
func FuzzWithoutOutputs(f *testing.F) {
	for _, seed := range []string{installtest.DirtyNotebook, installtest.CleanNotebook, "\ufeff" + installtest.DirtyNotebook, `{"nbformat":4,"cells":[{"cell_type":"code","outputs":NaN,"metadata":{"execution":-Infinity,"execution":2}}]}`,
		`{"nbformat":4,"cells":[],"cells":[{"cell_type":"code","cell_type":"markdown","outputs":[1],"outputs":[2]}]}`, `{"nbformat":3}`, `[]`, "", "{"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content string) {
		clean, err := WithoutOutputs([]byte(content))
		if err != nil {
			return
		}
		again, err := WithoutOutputs(clean)
		if err != nil || !bytes.Equal(again, clean) {
			t.Errorf("%q became %q, and then %q (%v)", content, clean, again, err)
		}
	})
}

func TestCheckNotebook(t *testing.T) {
	for content, want := range map[string]string{
		`{"nbformat": 4, "metadata": {"kernelspec": {"name": "ctnas", "language": "go"}}, "cells": []}`:                                             "",
		`{"nbformat": 4, "metadata": {}, "cells": []}`:                                                                                              "",
		`{"nbformat": 4, "nbformat_minor": 0, "cells": [{"cell_type": "code", "source": ["a\n", "b"]}, {"cell_type": "code", "source": "a\r\nb"}]}`: "",
		`{"nbformat": 4, "metadata": {"scale": NaN, "most": -Infinity, "text": "NaN \" Infinity"}, "cells": []}`:                                    "",
		"\ufeff" + `{"nbformat": 4, "metadata": null, "cells": []}`:                                                                                 "",
		`# A notebook`:                    "no valid JSON",
		`{"nbformat": 4, "cells": []`:     "no valid JSON",
		`{"nbformat": 4, "cells": []}}`:   "no valid JSON",
		" \n":                             "is empty",
		"\xff\xfe{}":                      "UTF-8",
		`[]`:                              "not a notebook",
		`{"cells": []}`:                   "does not say its format",
		`{"nbformat": 4, "metadata": {}}`: "no list of cells",
		`{"nbformat": 4, "cells": 3}`:     "Cells is a JSON number",
		`{"nbformat": 4, "cells": [{"source": "x"}]}`:                                                         "cell 1 has no type",
		`{"nbformat": 4, "cells": [{"cell_type": "code", "source": 3}]}`:                                      "the source of its cell 1",
		`{"nbformat": 4, "cells": [{"cell_type": "code", "source": ["x", 3]}]}`:                               "the source of its cell 1",
		`{"nbformat": 3, "metadata": {}, "worksheets": [{"cells": []}]}`:                                      "of format 3, not 4: open it in JupyterLab",
		`{"nbformat": 4, "metadata": {"kernelspec": {"name": "python3", "language": "python"}}, "cells": []}`: "in python",
	} {
		path := filepath.Join(t.TempDir(), "a.ipynb")
		installtest.Write(t, path, content)
		err := Check(path)
		if want == "" && err != nil {
			t.Errorf("%s: %v", content, err)
		} else if want != "" {
			installtest.WantError(t, err, want, "a.ipynb")
		}
	}
}

func TestTitle(t *testing.T) {
	for source, want := range map[string]string{
		"%noautoget":                           "%noautoget",
		"\n%%\n// Train the NAC\nnac.Train()":  "Train the NAC",
		"import \"fmt\"\n%%\nfmt.Println()":    "fmt.Println()",
		"import (\n\t\"fmt\"\n)\n%%\nx := 1\n": "x := 1",
		strings.Repeat("x", 100):               strings.Repeat("x", 71) + "…",
		"import \"fmt\"":                       "import \"fmt\"",
	} {
		if got := title(source); got != want {
			t.Errorf("title(%q) = %q, want %q", source, got, want)
		}
	}
}

// What the driver says becomes one readable block per cell.
func TestView(t *testing.T) {
	var out bytes.Buffer
	v := view{out: &out}
	err := v.read(strings.NewReader(`
{"event": "cell", "cell": 1, "cells": 10, "text": "%noautoget"}
{"event": "time", "seconds": 0.04}
{"event": "cell", "cell": 2, "cells": 10, "text": "%%\n// Train"}
{"event": "text", "stream": "stdout", "text": "10 %\r20"}
{"event": "text", "stream": "stdout", "text": " %\rtau 0.72\nhalf a line"}
{"event": "figure", "text": "image/png", "bytes": 2048}
{"event": "cut", "text": "7 characters are left out"}
{"event": "time", "seconds": 12.34}
{"event": "finished"}
`))
	if err != nil || v.end == nil || v.verdict() != nil {
		t.Fatalf("read: %v, end %v", err, v.end)
	}
	want := `[ 1/10] %noautoget  0.0 s
[ 2/10] Train
      tau 0.72
      half a line
      (image/png, 2048 bytes)
      (7 characters are left out)
      12.3 s
`
	if out.String() != want {
		t.Errorf("got:\n%swant:\n%s", &out, want)
	}
	if err := new(view).read(strings.NewReader("Traceback\n")); err == nil {
		t.Error("the driver's own crash was taken for an event")
	}
}

// The sentences about a failed cell; the texts are GoNB's own.
func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		end    event
		stderr string
		want   string
	}{
		{event{Event: "error", Text: "# cell\n./main.go:12:6: undefined: foo\n./main.go:13:1: more\n\n\x1b[31mCell[7]: Line 3\nfunc main() {\n"}, "",
			"cell 7 (line 3) does not compile: undefined: foo"},
		{event{Event: "error", Text: "main.go:5:2: no required module provides package a.b/c; to add it:\n\tgo get a.b/c\nCell[2]: Line 1\n"}, "",
			"cell 7 (line 1 of cell 2) does not compile: no required module provides package a.b/c"},
		{event{Event: "error", Text: "failed to run \"/go/bin/go get\": exit status 1\n\ngo: downloading x v1\ngo: module x: 403 Forbidden\n"}, "",
			`cell 7 failed in "go get", which the notebook's first cell should switch off with %noautoget: go: module x: 403 Forbidden`},
		{event{Event: "error", Text: "executing special commands in cell: unknown %foo\n"}, "",
			"cell 7 failed: executing special commands in cell: unknown %foo"},
		{event{Event: "exit", Text: "exit status 2"}, "panic: boom\n\ngoroutine 1 [running]:\n\t\x1b[7m[[ Cell Line 0 ]]\x1b[0m main.go:8\n\t\x1b[7m[[ Cell [7] Line 3 ]]\x1b[0m main.go:14\n",
			"cell 7 (line 3) failed: panic: boom"},
		{event{Event: "exit", Text: "exit status 1"}, "loading\nthe table is truncated\n",
			"cell 7 failed: the table is truncated (exit status 1)"},
		{event{Event: "exit", Text: "signal: killed"}, "",
			"cell 7 failed: its program ended with signal: killed"},
		{event{Event: "timeout"}, "",
			"cell 7 was stopped because it took longer than 1m0s: give it more time with -timeout"},
		{event{Event: "dead"}, "",
			"the kernel died in cell 7: .ctnas/kernel.log says why"},
	} {
		v := view{timeout: time.Minute, last: event{Cell: 7}, end: &c.end}
		v.stderr.add(c.stderr)
		if err := v.verdict(); err == nil || err.Error() != c.want {
			t.Errorf("%s:\n got %v\nwant %s", c.end.Event, err, c.want)
		}
	}
}

// A driver that ends without a verdict is an error that shows its last words;
// one that is asked to stop sees the end of its input.
func TestExecute(t *testing.T) {
	r := install.Repo(installtest.Repo(t))
	python := filepath.Join(t.TempDir(), "python")
	env := &install.Environment{Repo: r, Python: python}
	run := func(ctx context.Context, script string) (string, error) {
		installtest.Write(t, python, "#!/bin/sh\n"+script+"\n")
		var out bytes.Buffer
		_, err := Execute(ctx, env, &out, r.Path("notebooks", "a.ipynb"), r.Path("x.ipynb"), time.Minute)
		return out.String(), err
	}
	installtest.Write(t, r.Private("keep"), "")

	_, err := run(t.Context(), `echo "ModuleNotFoundError: No module named 'zmq'" >&2; exit 1`)
	installtest.WantError(t, err, "No module named 'zmq'", "kernel.log")

	_, err = run(t.Context(), `echo '{"event": "cell", "cell": 3, "cells": 4, "text": "x"}'; echo '{"event": "exit", "text": "exit status 3"}'`)
	installtest.WantError(t, err, "notebooks/a.ipynb: cell 3 failed", "exit status 3")

	out, err := run(t.Context(), `echo '{"event": "finished"}'`)
	if err != nil || !strings.Contains(out, "notebooks/a.ipynb") {
		t.Errorf("a good run gave %v, %q", err, out)
	}

	// The driver is killed, and what it has started holds its output open.
	_, err = run(t.Context(), `sleep 60 & echo $! >&2; kill -9 $$`)
	installtest.WantError(t, err, "could not be run to its end", "signal: killed")
	if started, err := os.ReadFile(r.Private("kernel.log")); err != nil {
		t.Error(err)
	} else if pid, err := strconv.Atoi(strings.TrimSpace(string(started))); err != nil || syscall.Kill(pid, syscall.SIGKILL) != nil {
		t.Errorf("the program %q was not running any more (%v)", started, err)
	}

	_, err = run(t.Context(), `echo '{"event": "stopped"}'`)
	installtest.WantError(t, err, "stopped")

	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	out, err = run(ctx, `read line; echo '{"event": "cell", "cell": 1, "cells": 1, "text": "the input was closed"}'`)
	if err == nil || !strings.Contains(out, "the input was closed") {
		t.Errorf("a stopped run gave %v, %q", err, out)
	}
}

// copies makes the executed copies of notebooks, as far as [Outputs] looks at them.
func copies(t *testing.T, r install.Repo, notebooks []string, wanted string) []string {
	t.Helper()
	outputs, err := Outputs(r, notebooks, wanted)
	if err != nil {
		t.Fatal(err)
	}
	for i, output := range outputs {
		content, _ := json.Marshal(map[string]any{"metadata": map[string]any{"ctnas": map[string]any{"notebook": portable(r, notebooks[i])}}})
		installtest.Write(t, output, string(content))
	}
	return outputs
}

// A folder beside the repository, or beside the user's, is none of theirs.
func TestPortable(t *testing.T) {
	t.Setenv("HOME", "/home/ada")
	const r = install.Repo("/home/ada/ctnas")
	texts := map[string]string{
		"/home/ada/ctnas": ".", "/home/ada/ctnas/notebooks/x.ipynb": "./notebooks/x.ipynb", "/home/ada/x.ipynb": "~/x.ipynb",
		"/home/ada/ctnas-2/x.ipynb": "~/ctnas-2/x.ipynb", "/home/ada/ctnas.old/x.ipynb": "~/ctnas.old/x.ipynb", "/home/ada2/x.ipynb": "/home/ada2/x.ipynb", "/home/ada-2": "/home/ada-2",
	}
	for text, want := range texts {
		if got := portable(r, text); got != want {
			t.Errorf("%s is %s in a copy, want %s", text, got, want)
		}
	}
	texts["It lies in /home/ada/ctnas, (/home/ada/ctnas) or \"/home/ada\"."] = "It lies in ., (.) or \"~\"."
	texts["Look in /home/ada/ctnas."] = "Look in .."
	texts["/data-2/a and /data/b"] = "/data-2/a and $CTNAS_DATA/b"
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("NOT TESTED: what outputs have in place of paths: there is no python3")
	}
	rules, err := json.Marshal(machinePaths(r, []string{"CTNAS_DATA=/data"}))
	if err != nil {
		t.Fatal(err)
	}
	const replace = "import json, re, sys\ntext = sys.argv[2]\nfor pattern, new in json.loads(sys.argv[1]):\n    text = re.sub(pattern, lambda _: new, text)\nprint(text)"
	for text, want := range texts {
		got, err := exec.Command(python, "-c", replace, string(rules), text).Output()
		if err != nil || strings.TrimSpace(string(got)) != want {
			t.Errorf("%q is %q in an output (%v), want %q", text, got, err, want)
		}
	}
}

// Executed copies of notebooks of one name lie side by side, also after a second run.
func TestOutputs(t *testing.T) {
	r := install.Repo(installtest.Repo(t))
	elsewhere, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	notebooks := []string{
		r.Path("notebooks", "x.ipynb"), r.Path("notebooks", "a", "x.ipynb"), r.Path("b", "x.ipynb"), filepath.Join(elsewhere, "b", "x.ipynb"), filepath.Join(elsewhere, "y.ipynb"),
	}
	for _, notebook := range notebooks {
		installtest.Write(t, notebook, installtest.CleanNotebook)
	}
	together := copies(t, r, notebooks, "")
	for i, want := range []string{"x.ipynb", "a/x.ipynb", "b/x.ipynb"} {
		if got := r.Rel(together[i]); got != "notebooks/executed/"+want {
			t.Errorf("the copy of %s goes to %s", notebooks[i], got)
		}
	}
	slices.Sort(together)
	if len(slices.Compact(together)) != len(notebooks) {
		t.Errorf("copies take each other's place: %v", together)
	}
	var apart []string
	for _, notebook := range notebooks {
		apart = append(apart, copies(t, r, []string{notebook}, "")...)
	}
	slices.Sort(apart)
	if !slices.Equal(apart, together) {
		t.Errorf("apart the copies go to %v, together to %v", apart, together)
	}
}

// Executed copies go to the file or the folder that the user wants.
func TestOutputsWanted(t *testing.T) {
	r := install.Repo(installtest.Repo(t))
	t.Chdir(string(r))
	notebooks := []string{r.Path("notebooks", "x.ipynb")}
	installtest.Write(t, notebooks[0], installtest.CleanNotebook)
	if got := copies(t, r, notebooks, "new.ipynb"); got[0] != r.Path("new.ipynb") {
		t.Errorf("-o new.ipynb is %v", got)
	}
	for _, folder := range []string{"new", "new/", "new.ipynb.d"} {
		if got := copies(t, r, notebooks, folder); got[0] != r.Path(folder, "x.ipynb") {
			t.Errorf("-o %s is %v", folder, got)
		}
	}
	_, err := Outputs(r, append(notebooks, "y.ipynb"), "one.ipynb")
	installtest.WantError(t, err, "one.ipynb", "name a folder")
	for _, own := range []string{"notebooks", "notebooks/x.ipynb"} {
		_, err = Outputs(r, notebooks, own)
		installtest.WantError(t, err, "overwritten by its own executed copy")
	}
	installtest.Write(t, r.Path("file"), "")
	_, err = Outputs(r, notebooks, "file")
	installtest.WantError(t, err, "cannot write the executed copy")
}

// A long stderr keeps its end, and does not take long.
func TestTail(t *testing.T) {
	var text tail
	for i := range 300_000 {
		text.add("line " + strconv.Itoa(i) + "\n")
	}
	if len(text) > 2<<20 || !strings.HasSuffix(string(text), "line 299999\n") {
		t.Errorf("%d bytes are left, and end in %q", len(text), text[len(text)-20:])
	}
}

// The driver's own functions, in Python.
func TestDriver(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not on the PATH")
	}
	cmd := exec.Command(python, "driver_test.py")
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}
