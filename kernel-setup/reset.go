package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

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
	first, err := readHistory(ctx, r)
	switch {
	case errors.Is(err, errNoHistory) && *edits:
		return errors.New("reset -edits takes the notebooks from the repository's history: install git, and use a clone; reset without -edits needs neither")
	case err != nil && !errors.Is(err, errNoHistory):
		return err
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
	if err := c.resetNotebooks(r, first, *edits); err != nil {
		return err
	}
	if runs := os.Getenv("CTNAS_RUNS"); runs != "" {
		fmt.Fprintf(out, "The run directories in CTNAS_RUNS=%s are not touched.\n", runs)
	}
	return c.make("Everything is in its first state already.")
}

// resetNotebooks adds what brings all notebooks back to their first state, which is that of the last commit where it has them.
func (c *change) resetNotebooks(r install.Repo, first []committed, edits bool) error {
	for _, f := range first {
		c.resetCommitted(r, f, edits)
	}
	entries, err := os.ReadDir(r.Path("notebooks"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		path := r.Path("notebooks", entry.Name())
		known := func(f committed) bool { return f.path == path }
		if filepath.Ext(path) == ".ipynb" && !slices.ContainsFunc(first, known) {
			c.resetOther(r, path, first)
		}
	}
	return nil
}

// resetCommitted adds what brings back a notebook of the last commit. One with edited cells only loses its outputs, unless edits are to be undone.
func (c *change) resetCommitted(r install.Repo, f committed, edits bool) {
	if f.mode == os.ModeSymlink {
		return // What it leads to has its own place.
	}
	info, statErr := os.Lstat(f.path)
	old, err := notebook.Read(f.path)
	why := ""
	switch {
	case errors.Is(statErr, os.ErrNotExist):
		why = "bring back " + r.Rel(f.path)
	case err == nil && bytes.Equal(old, f.content) && info.Mode().IsRegular() && info.Mode()&0o100 == f.mode&0o100:
		return
	case err == nil && notebook.SameCells(old, f.content) && !info.Mode().IsRegular():
		why = "bring back " + r.Rel(f.path) + ", in the place of a link to an unedited copy"
	case err == nil && notebook.SameCells(old, f.content):
		why = "bring back the outputs of " + r.Rel(f.path)
	case edits:
		why = "undo all edits of " + r.Rel(f.path)
	default:
		fmt.Fprintf(c.out, "%s has cells that were edited, and keeps them: -edits undoes that.\n", r.Rel(f.path))
		c.clear(r, f.path, old, err)
		return
	}
	c.add(why, func() error {
		if err := renameio.WriteFile(f.path, f.content, f.mode, renameio.WithTempDir(filepath.Dir(f.path))); err != nil {
			return err
		}
		now, err := os.Lstat(f.path) // The file that was there gave its permissions.
		if err != nil || now.Mode()&0o111 == f.mode&0o111 {
			return err
		}
		return os.Chmod(f.path, now.Mode()&^0o111|f.mode&0o111)
	})
}

// resetOther adds what resets a notebook that the last commit does not have: it goes if it is a copy, or a link to one, without any edit.
func (c *change) resetOther(r install.Repo, path string, first []committed) {
	old, err := notebook.Read(path)
	if err == nil {
		for _, f := range first {
			if notebook.SameCells(old, f.content) {
				c.add(fmt.Sprintf("delete %s, an unedited copy of %s", r.Rel(path), r.Rel(f.path)), func() error { return os.Remove(path) })
				return
			}
		}
	}
	if err == nil && notebook.Verify(old) == nil {
		return // It has the outputs that it came with.
	}
	c.clear(r, path, old, err)
}

// clear adds what clears the outputs of a notebook, which is old, or could not be read because of err.
func (c *change) clear(r install.Repo, path string, old []byte, err error) {
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
