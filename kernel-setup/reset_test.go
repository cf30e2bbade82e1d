package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gofrs/flock"
)

const cleanNotebook = `{
 "cells": [
  {
   "cell_type": "code",
   "execution_count": null,
   "id": "a",
   "metadata": {},
   "outputs": [],
   "source": [
    "%%\n",
    "x := 1 < 2 && 'ü' > 0.50"
   ]
  }
 ],
 "metadata": {},
 "nbformat": 4,
 "nbformat_minor": 5
}
`

var dirtyNotebook = strings.NewReplacer(
	`"execution_count": null`, `"execution_count": 3`,
	`"outputs": []`, `"outputs": [{"name": "stdout", "output_type": "stream", "text": ["hello"]}]`,
).Replace(cleanNotebook)

func TestReset(t *testing.T) {
	r := newRepo(t)
	t.Chdir(string(r))
	notebook := r.path("notebooks", "a.ipynb")
	run := r.path("notebooks", "runs", "nac-1", "checkpoint")
	elsewhere := filepath.Join(t.TempDir(), "mine")
	t.Setenv("CTNAS_RUNS", elsewhere)
	write(t, filepath.Join(elsewhere, "run"), "")
	write(t, run, "")
	write(t, notebook, dirtyNotebook)
	var out bytes.Buffer
	reset := func(answer string, args ...string) error {
		out.Reset()
		return resetVerb(t.Context(), args, strings.NewReader(answer), &out)
	}
	untouched := func() {
		t.Helper()
		if got, _ := os.ReadFile(notebook); string(got) != dirtyNotebook {
			t.Error("the notebook was changed")
		}
		if _, err := os.Stat(run); err != nil {
			t.Error(err)
		}
	}
	if err := reset("", "--dry-run"); err != nil {
		t.Error(err)
	}
	for _, part := range []string{"delete notebooks/runs", "clear the outputs of notebooks/a.ipynb", elsewhere} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("%q does not mention %q", &out, part)
		}
	}
	untouched()
	for _, answer := range []string{"", "n\n", "\n"} {
		wantError(t, reset(answer), "nothing was changed")
		untouched()
	}
	lock := flock.New(r.path("notebooks", "runs", "nac-1", "lock"))
	if ok, err := lock.TryLock(); !ok || err != nil {
		t.Fatal(err)
	}
	wantError(t, reset("", "-yes"), "a cell is running in notebooks/runs/nac-1")
	untouched()
	lock.Unlock()

	if err := reset("y\n"); err != nil {
		t.Error(err)
	}
	if got, _ := os.ReadFile(notebook); string(got) != cleanNotebook {
		t.Errorf("the notebook is now\n%s\nwant\n%s", got, cleanNotebook)
	}
	if _, err := os.Stat(r.path("notebooks", "runs")); !errors.Is(err, os.ErrNotExist) {
		t.Error("the run directories are still there")
	}
	if _, err := os.Stat(filepath.Join(elsewhere, "run")); err != nil {
		t.Errorf("a file outside the repository was deleted: %v", err)
	}
	if err := reset(""); err != nil || !strings.Contains(out.String(), "already") {
		t.Errorf("a second reset gave %v, %q", err, &out)
	}
	write(t, notebook, "{")
	wantError(t, reset("", "-yes"), "notebooks/a.ipynb")
}

// Edits are kept, unless -edits is given and the user agrees to what it says.
func TestResetEdits(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("there is no git")
	}
	r := newRepo(t)
	t.Chdir(string(r))
	t.Setenv("CTNAS_RUNS", "")
	ours, own := r.path("notebooks", "a.ipynb"), r.path("notebooks", "own.ipynb")
	var out bytes.Buffer
	reset := func(answer string, args ...string) error {
		out.Reset()
		return resetVerb(t.Context(), args, strings.NewReader(answer), &out)
	}
	holds := func(path, want string) {
		t.Helper()
		if got, _ := os.ReadFile(path); string(got) != want {
			t.Errorf("%s holds\n%s\nwant\n%s", path, got, want)
		}
	}
	write(t, ours, cleanNotebook)
	wantError(t, reset("", "-edits", "-yes"), "git")
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "-m", "first"}} {
		if said, err := exec.Command("git", args...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %s", args, said)
		}
	}
	edit := strings.NewReplacer("0.50", "0.75")
	for _, path := range []string{ours, own} {
		write(t, path, edit.Replace(dirtyNotebook))
	}
	if err := reset("", "-yes"); err != nil {
		t.Error(err)
	}
	for _, path := range []string{ours, own} {
		holds(path, edit.Replace(cleanNotebook))
	}
	wantError(t, reset("n\n", "-edits"), "nothing was changed")
	if !strings.Contains(out.String(), "undo all edits of notebooks/a.ipynb") || strings.Contains(out.String(), "own.ipynb") {
		t.Errorf("the user is asked %q", &out)
	}
	holds(ours, edit.Replace(cleanNotebook))
	if err := reset("y\n", "-edits"); err != nil {
		t.Error(err)
	}
	holds(ours, cleanNotebook)
	holds(own, edit.Replace(cleanNotebook))
}

// A link that stands in for a folder is removed, not followed.
func TestResetDoesNotFollowLinks(t *testing.T) {
	r := newRepo(t)
	t.Chdir(string(r))
	mine := t.TempDir()
	write(t, filepath.Join(mine, "keep"), "")
	write(t, r.path("notebooks", "keep"), "")
	if err := os.Symlink(mine, r.path("notebooks", "runs")); err != nil {
		t.Fatal(err)
	}
	if err := resetVerb(t.Context(), []string{"-yes"}, nil, new(bytes.Buffer)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(mine, "keep")); err != nil {
		t.Error(err)
	}
}

func TestUninstall(t *testing.T) {
	r := newRepo(t)
	t.Chdir(string(r))
	write(t, r.private("bin", "gonb"), "")
	var out bytes.Buffer
	wantError(t, uninstallVerb(nil, strings.NewReader(""), &out), "nothing was changed")
	if err := uninstallVerb([]string{"-dry-run"}, nil, &out); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(r.private("bin", "gonb")); err != nil {
		t.Error(err)
	}
	if err := uninstallVerb([]string{"-yes"}, nil, &out); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(r.private()); !errors.Is(err, os.ErrNotExist) {
		t.Error(".ctnas is still there")
	}
	out.Reset()
	if err := uninstallVerb(nil, nil, &out); err != nil || !strings.Contains(out.String(), "Nothing is installed") {
		t.Errorf("a second uninstall gave %v, %q", err, &out)
	}
	wantError(t, uninstallVerb([]string{"all"}, nil, &out), "takes no arguments")
}

// A dry run changes nothing, not even by making the folder.
func TestDryRun(t *testing.T) {
	s, out := newSetup(t)
	write(t, s.repo.path("go.sum"), "")
	fakePath(t, nil)
	s.dry = true
	if _, err := s.run(t.Context(), extent{editor: true, add: accelerators}); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"gonb", "gopls", "jupyter", "build cache", "xla", "cuda"} {
		if !strings.Contains(out.String(), name) {
			t.Errorf("%q does not mention %s", out, name)
		}
	}
	if _, err := os.Stat(s.repo.private()); !errors.Is(err, os.ErrNotExist) {
		t.Error("a dry run made .ctnas")
	}
}

// On a machine with nothing, check says so for every part.
func TestCheckFindsNothing(t *testing.T) {
	r := newRepo(t)
	t.Chdir(string(r))
	write(t, r.path("go.sum"), "")
	for name, value := range map[string]string{"CTNAS_DATA": r.path("nowhere"), "GOMLX_BACKEND": "", pluginVariable: ""} {
		t.Setenv(name, value)
	}
	os.Unsetenv(pluginVariable)
	fakePath(t, map[string]string{"go": `echo '{"GOVERSION": "go1.26.9", "GOROOT": "/opt/go"}'`})
	var out bytes.Buffer
	err := checkVerb(t.Context(), nil, &out)
	if exit := exitCode(0); !errors.As(err, &exit) || exit != 1 {
		t.Errorf("check gave %v, want exit status 1", err)
	}
	for _, part := range []string{
		"Go           ok: go1.26.9", "Python       MISSING: ", "JupyterLab   MISSING: ", "gonb         MISSING: ", "gopls        no: ",
		"kernel       MISSING: ", "data         MISSING: ", "pure Go      ok", "install -xla", "Notebooks use pure Go",
	} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("check does not say %q:\n%s", part, &out)
		}
	}
}
