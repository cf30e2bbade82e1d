package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/internal/install"
	"github.com/ctnas/ctnas/internal/install/installtest"
)

// used is a repository in which a notebook was run.
type used struct {
	repo          install.Repo
	notebook, run string // a file, and one in a run directory
	elsewhere     string // CTNAS_RUNS
	out           bytes.Buffer
}

func newUsed(t *testing.T) *used {
	t.Helper()
	r := install.Repo(installtest.Repo(t))
	t.Chdir(string(r))
	u := &used{repo: r, notebook: r.Path("notebooks", "a.ipynb"), run: r.Path("notebooks", "runs", "nac-1", "checkpoint"), elsewhere: filepath.Join(t.TempDir(), "mine")}
	t.Setenv("CTNAS_RUNS", u.elsewhere)
	installtest.Write(t, filepath.Join(u.elsewhere, "run"), "")
	installtest.Write(t, u.run, "")
	installtest.Write(t, u.notebook, installtest.DirtyNotebook)
	return u
}

func (u *used) reset(t *testing.T, answer string, args ...string) error {
	u.out.Reset()
	return resetVerb(t.Context(), args, strings.NewReader(answer), &u.out)
}

func (u *used) untouched(t *testing.T) {
	t.Helper()
	if got, _ := os.ReadFile(u.notebook); string(got) != installtest.DirtyNotebook {
		t.Error("the notebook was changed")
	}
	if _, err := os.Stat(u.run); err != nil {
		t.Error(err)
	}
}

// Nothing is changed in a dry run, without the user's yes, or while a cell runs.
func TestResetAsks(t *testing.T) {
	u := newUsed(t)
	if err := u.reset(t, "", "--dry-run"); err != nil {
		t.Error(err)
	}
	for _, part := range []string{"delete notebooks/runs", "clear the outputs of notebooks/a.ipynb", u.elsewhere} {
		if !strings.Contains(u.out.String(), part) {
			t.Errorf("%q does not mention %q", &u.out, part)
		}
	}
	u.untouched(t)
	for _, answer := range []string{"", "n\n", "\n"} {
		installtest.WantError(t, u.reset(t, answer), "nothing was changed")
		u.untouched(t)
	}
	lock, err := rundir.LockFolder(u.repo.Path("notebooks", "runs", "nac-1"))
	if err != nil {
		t.Fatal(err)
	}
	installtest.WantError(t, u.reset(t, "", "-yes"), "a cell is running in notebooks/runs/nac-1")
	u.untouched(t)
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if err := u.reset(t, "", "-yes"); err != nil {
		t.Error(err)
	}
}

func TestReset(t *testing.T) {
	u := newUsed(t)
	if err := u.reset(t, "y\n"); err != nil {
		t.Error(err)
	}
	if got, _ := os.ReadFile(u.notebook); string(got) != installtest.CleanNotebook {
		t.Errorf("the notebook is now\n%s\nwant\n%s", got, installtest.CleanNotebook)
	}
	if _, err := os.Stat(u.repo.Path("notebooks", "runs")); !errors.Is(err, os.ErrNotExist) {
		t.Error("the run directories are still there")
	}
	if _, err := os.Stat(filepath.Join(u.elsewhere, "run")); err != nil {
		t.Errorf("a file outside the repository was deleted: %v", err)
	}
	if err := u.reset(t, ""); err != nil || !strings.Contains(u.out.String(), "already") {
		t.Errorf("a second reset gave %v, %q", err, &u.out)
	}
	installtest.Write(t, u.notebook, "{")
	installtest.WantError(t, u.reset(t, "", "-yes"), "notebooks/a.ipynb")
}

// What cannot be reset is named; the rest is reset all the same.
func TestResetBadFiles(t *testing.T) {
	r := install.Repo(installtest.Repo(t))
	t.Chdir(string(r))
	t.Setenv("CTNAS_RUNS", "")
	at := func(name string) string { return r.Path("notebooks", name) }
	installtest.Write(t, at("good.ipynb"), installtest.DirtyNotebook)
	installtest.Write(t, at("zz.ipynb"), installtest.DirtyNotebook)
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
		installtest.Write(t, at("secret.ipynb"), installtest.DirtyNotebook)
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
		if got, _ := os.ReadFile(at(name)); string(got) != installtest.CleanNotebook {
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
	installtest.Write(t, target, installtest.DirtyNotebook)
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
	if got, _ := os.ReadFile(target); string(got) != installtest.CleanNotebook {
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
	installtest.Write(t, ours, installtest.CleanNotebook)
	installtest.WantError(t, reset("", "-edits", "-yes"), "git")
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "-m", "first"}} {
		if said, err := exec.Command("git", args...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %s", args, said)
		}
	}
	edit := strings.NewReplacer("0.50", "0.75")
	for _, path := range []string{ours, own} {
		installtest.Write(t, path, edit.Replace(installtest.DirtyNotebook))
	}
	if err := reset("", "-yes"); err != nil {
		t.Error(err)
	}
	for _, path := range []string{ours, own} {
		holds(path, edit.Replace(installtest.CleanNotebook))
	}
	installtest.WantError(t, reset("n\n", "-edits"), "nothing was changed")
	if !strings.Contains(out.String(), "undo all edits of notebooks/a.ipynb") || strings.Contains(out.String(), "own.ipynb") {
		t.Errorf("the user is asked %q", &out)
	}
	holds(ours, edit.Replace(installtest.CleanNotebook))
	if err := reset("y\n", "-edits"); err != nil {
		t.Error(err)
	}
	holds(ours, installtest.CleanNotebook)
	holds(own, edit.Replace(installtest.CleanNotebook))
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

// Uninstall takes back the kernel of install -user if it is from this repository.
func TestUninstallUserKernel(t *testing.T) {
	r := install.Repo(installtest.Repo(t))
	t.Chdir(string(r))
	data := t.TempDir()
	t.Setenv("JUPYTER_DATA_DIR", data)
	kernel, other := filepath.Join(data, "kernels", "ctnas"), filepath.Join(data, "kernels", "python3", "kernel.json")
	installtest.Write(t, other, "{}")
	for owner, goes := range map[string]bool{string(r): true, "/another/clone": false, "": false} {
		installtest.Write(t, filepath.Join(kernel, "kernel.json"), fmt.Sprintf(`{"metadata": {"ctnas": {"repository": %q}}}`, owner))
		var out bytes.Buffer
		if err := uninstallVerb([]string{"-dry-run"}, nil, &out); err != nil || strings.Contains(out.String(), "delete "+kernel) != goes {
			t.Errorf("the kernel of %q: a dry run says %q (%v)", owner, &out, err)
		}
		if _, err := os.Stat(kernel); err != nil {
			t.Error(err)
		}
		if err := uninstallVerb([]string{"-yes"}, nil, &out); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(kernel); errors.Is(err, os.ErrNotExist) != goes {
			t.Errorf("the kernel of %q: %v", owner, err)
		}
	}
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
}

func TestUninstall(t *testing.T) {
	r := install.Repo(installtest.Repo(t))
	t.Chdir(string(r))
	t.Setenv("JUPYTER_DATA_DIR", t.TempDir())
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
