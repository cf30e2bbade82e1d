package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/internal/install"
	"github.com/ctnas/ctnas/internal/notebook"
)

// resetVerb brings notebooks and run directories back to their first state.
func resetVerb(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	flags := newFlags("reset")
	edits := flags.Bool("edits", false, "undo edits too")
	c, err := parseChange(flags, args, in, out)
	if err != nil {
		return err
	}
	r, err := install.FindRepo(".")
	if err != nil {
		return err
	}
	// committed is a file as it is in the history.
	committed := func(path string) ([]byte, error) { return nil, os.ErrNotExist }
	if *edits {
		git := func(args ...string) ([]byte, error) {
			return exec.CommandContext(ctx, "git", append([]string{"-C", string(r)}, args...)...).Output()
		}
		if _, err := git("rev-parse", "--verify", "HEAD"); err != nil {
			return errors.New("reset -edits takes the notebooks from the repository's history: install git, and use a clone; reset without -edits needs neither")
		}
		committed = func(path string) ([]byte, error) { return git("show", "HEAD:"+filepath.ToSlash(r.Rel(path))) }
	}
	for _, name := range []string{"runs", "executed", ".ipynb_checkpoints"} {
		path := r.Path("notebooks", name)
		if _, err := os.Lstat(path); err != nil {
			continue
		}
		if err := notInUse(r, path); err != nil {
			return err
		}
		c.add("delete "+r.Rel(path), func() error { return os.RemoveAll(path) })
	}
	entries, err := os.ReadDir(r.Path("notebooks"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		if filepath.Ext(entry.Name()) == ".ipynb" {
			c.reset(r, r.Path("notebooks", entry.Name()), committed)
		}
	}
	if runs := os.Getenv("CTNAS_RUNS"); runs != "" {
		fmt.Fprintf(out, "The run directories in CTNAS_RUNS=%s are not touched.\n", runs)
	}
	return c.make("Everything is in its first state already.")
}

// reset adds what brings a notebook back to its first state: what committed has of it, else only without its outputs.
func (c *change) reset(r install.Repo, path string, committed func(path string) ([]byte, error)) {
	old, err := notebook.Read(path)
	if first, noneErr := committed(path); noneErr == nil {
		if err != nil || !bytes.Equal(old, first) {
			c.add("undo all edits of "+r.Rel(path), func() error {
				return renameio.WriteFile(path, first, 0o644, renameio.WithTempDir(filepath.Dir(path)))
			})
		}
		return
	}
	var clean []byte
	if err == nil {
		clean, err = notebook.WithoutOutputs(old)
	}
	switch {
	case err != nil:
		c.leave(r.Rel(path), err)
	case !bytes.Equal(old, clean):
		c.add("clear the outputs of "+r.Rel(path), func() error { return notebook.Rewrite(path, clean) })
	}
}

// uninstallVerb removes what kernel-setup installed.
func uninstallVerb(args []string, in io.Reader, out io.Writer) error {
	c, err := parseChange(newFlags("uninstall"), args, in, out)
	if err != nil {
		return err
	}
	r, err := install.FindRepo(".")
	if err != nil {
		return err
	}
	if _, err := os.Lstat(r.Private()); err == nil {
		c.add("delete "+r.Private()+", with the kernel, the private Python and the plugins in it", func() error {
			return os.RemoveAll(r.Private())
		})
	}
	own, err := install.OwnUserKernel(r)
	if err != nil {
		return err
	}
	if own != "" {
		c.add("delete "+own+", the kernel that every Jupyter finds", func() error { return os.RemoveAll(own) })
	}
	return c.make("Nothing is installed.")
}

// notInUse reports a run directory below dir that a cell has open.
func notInUse(r install.Repo, dir string) error {
	runs, err := os.ReadDir(dir)
	if err != nil {
		return nil // It is no folder: a file, or a link to nowhere.
	}
	for _, run := range runs {
		if !run.IsDir() {
			continue
		}
		path := filepath.Join(dir, run.Name())
		by, err := rundir.InUse(path)
		if err != nil {
			return err
		}
		if by != "" {
			return fmt.Errorf("a cell is running in %s (%s): interrupt it first", r.Rel(path), by)
		}
	}
	return nil
}
