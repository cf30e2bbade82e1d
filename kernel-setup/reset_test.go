package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gofrs/flock"

	"github.com/ctnas/ctnas/internal/install"
	"github.com/ctnas/ctnas/internal/install/installtest"
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
	r := install.Repo(installtest.Repo(t))
	t.Chdir(string(r))
	notebook := r.Path("notebooks", "a.ipynb")
	run := r.Path("notebooks", "runs", "nac-1", "checkpoint")
	elsewhere := filepath.Join(t.TempDir(), "mine")
	t.Setenv("CTNAS_RUNS", elsewhere)
	installtest.Write(t, filepath.Join(elsewhere, "run"), "")
	installtest.Write(t, run, "")
	installtest.Write(t, notebook, dirtyNotebook)
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
		installtest.WantError(t, reset(answer), "nothing was changed")
		untouched()
	}
	lock := flock.New(r.Path("notebooks", "runs", "nac-1", "lock"))
	if ok, err := lock.TryLock(); !ok || err != nil {
		t.Fatal(err)
	}
	installtest.WantError(t, reset("", "-yes"), "a cell is running in notebooks/runs/nac-1")
	untouched()
	lock.Unlock()

	if err := reset("y\n"); err != nil {
		t.Error(err)
	}
	if got, _ := os.ReadFile(notebook); string(got) != cleanNotebook {
		t.Errorf("the notebook is now\n%s\nwant\n%s", got, cleanNotebook)
	}
	if _, err := os.Stat(r.Path("notebooks", "runs")); !errors.Is(err, os.ErrNotExist) {
		t.Error("the run directories are still there")
	}
	if _, err := os.Stat(filepath.Join(elsewhere, "run")); err != nil {
		t.Errorf("a file outside the repository was deleted: %v", err)
	}
	if err := reset(""); err != nil || !strings.Contains(out.String(), "already") {
		t.Errorf("a second reset gave %v, %q", err, &out)
	}
	installtest.Write(t, notebook, "{")
	installtest.WantError(t, reset("", "-yes"), "notebooks/a.ipynb")
}

// What cannot be reset is named; the rest is reset all the same.
func TestResetBadFiles(t *testing.T) {
	r := install.Repo(installtest.Repo(t))
	t.Chdir(string(r))
	t.Setenv("CTNAS_RUNS", "")
	at := func(name string) string { return r.Path("notebooks", name) }
	installtest.Write(t, at("good.ipynb"), dirtyNotebook)
	installtest.Write(t, at("zz.ipynb"), dirtyNotebook)
	installtest.Write(t, at("empty.ipynb"), "")
	installtest.Write(t, at("invalid.ipynb"), "{")
	installtest.Write(t, at("other.ipynb"), `{"not": "a notebook"}`)
	installtest.Write(t, at("old.ipynb"), `{"nbformat": 3, "worksheets": []}`)
	installtest.Write(t, at("folder.ipynb/file"), "")
	bad := map[string]string{
		"empty.ipynb": "it is empty", "invalid.ipynb": "no valid JSON", "other.ipynb": "does not say its format", "old.ipynb": "of format 3", "folder.ipynb": "it is a folder",
		"dangling.ipynb": "link to nowhere, which is not there", "pipe.ipynb": "not a regular file",
	}
	if err := errors.Join(os.Symlink("nowhere", at("dangling.ipynb")), syscall.Mkfifo(at("pipe.ipynb"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 { // whom no permission stops
		installtest.Write(t, at("secret.ipynb"), dirtyNotebook)
		if err := os.Chmod(at("secret.ipynb"), 0); err != nil {
			t.Fatal(err)
		}
		bad["secret.ipynb"] = "permission denied"
	}
	for _, args := range [][]string{{"-dry-run"}, {"-yes"}} {
		var out bytes.Buffer
		err := resetVerb(t.Context(), args, nil, &out)
		for name, why := range bad {
			installtest.WantError(t, err, "notebooks/"+name, why)
		}
		if !strings.Contains(out.String(), "clear the outputs of notebooks/good.ipynb") {
			t.Errorf("%v says %q", args, &out)
		}
	}
	for _, name := range []string{"good.ipynb", "zz.ipynb"} {
		if got, _ := os.ReadFile(at(name)); string(got) != cleanNotebook {
			t.Errorf("%s is now\n%s", name, got)
		}
	}
	for name := range bad {
		if _, err := os.Lstat(at(name)); err != nil {
			t.Errorf("%s is gone: %v", name, err)
		}
	}
}

// A link to a notebook stays one, and the notebook is reset where it is, with its permissions.
func TestResetLinkedNotebook(t *testing.T) {
	r := install.Repo(installtest.Repo(t))
	t.Chdir(string(r))
	t.Setenv("CTNAS_RUNS", "")
	target, link := filepath.Join(t.TempDir(), "target.ipynb"), r.Path("notebooks", "l.ipynb")
	installtest.Write(t, target, dirtyNotebook)
	installtest.Write(t, r.Path("notebooks", "keep"), "")
	if err := errors.Join(os.Chmod(target, 0o640), os.Symlink(target, link)); err != nil {
		t.Fatal(err)
	}
	if err := resetVerb(t.Context(), []string{"-yes"}, nil, new(bytes.Buffer)); err != nil {
		t.Error(err)
	}
	if to, err := os.Readlink(link); err != nil || to != target {
		t.Errorf("the link leads to %q (%v)", to, err)
	}
	if got, _ := os.ReadFile(target); string(got) != cleanNotebook {
		t.Errorf("the target is\n%s", got)
	}
	if info, err := os.Stat(target); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the target's permissions are %v (%v)", info.Mode(), err)
	}
}

// Edits are kept, unless -edits is given and the user agrees to what it says.
func TestResetEdits(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("there is no git")
	}
	r := install.Repo(installtest.Repo(t))
	t.Chdir(string(r))
	t.Setenv("CTNAS_RUNS", "")
	ours, own := r.Path("notebooks", "a.ipynb"), r.Path("notebooks", "own.ipynb")
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
	installtest.Write(t, ours, cleanNotebook)
	installtest.WantError(t, reset("", "-edits", "-yes"), "git")
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "-m", "first"}} {
		if said, err := exec.Command("git", args...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %s", args, said)
		}
	}
	edit := strings.NewReplacer("0.50", "0.75")
	for _, path := range []string{ours, own} {
		installtest.Write(t, path, edit.Replace(dirtyNotebook))
	}
	if err := reset("", "-yes"); err != nil {
		t.Error(err)
	}
	for _, path := range []string{ours, own} {
		holds(path, edit.Replace(cleanNotebook))
	}
	installtest.WantError(t, reset("n\n", "-edits"), "nothing was changed")
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
	r := install.Repo(installtest.Repo(t))
	t.Chdir(string(r))
	mine := t.TempDir()
	installtest.Write(t, filepath.Join(mine, "keep"), "")
	installtest.Write(t, r.Path("notebooks", "keep"), "")
	if err := os.Symlink(mine, r.Path("notebooks", "runs")); err != nil {
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
	r := install.Repo(installtest.Repo(t))
	t.Chdir(string(r))
	installtest.Write(t, r.Private("bin", "gonb"), "")
	var out bytes.Buffer
	installtest.WantError(t, uninstallVerb(nil, strings.NewReader(""), &out), "nothing was changed")
	if err := uninstallVerb([]string{"-dry-run"}, nil, &out); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(r.Private("bin", "gonb")); err != nil {
		t.Error(err)
	}
	if err := uninstallVerb([]string{"-yes"}, nil, &out); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(r.Private()); !errors.Is(err, os.ErrNotExist) {
		t.Error(".ctnas is still there")
	}
	out.Reset()
	if err := uninstallVerb(nil, nil, &out); err != nil || !strings.Contains(out.String(), "Nothing is installed") {
		t.Errorf("a second uninstall gave %v, %q", err, &out)
	}
	installtest.WantError(t, uninstallVerb([]string{"all"}, nil, &out), "takes no arguments")
}
