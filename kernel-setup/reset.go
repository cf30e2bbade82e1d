package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gofrs/flock"
	"github.com/google/renameio/v2"

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
	git := func(args ...string) ([]byte, error) {
		return exec.CommandContext(ctx, "git", append([]string{"-C", string(r)}, args...)...).Output()
	}
	if *edits {
		if _, err := git("rev-parse", "--verify", "HEAD"); err != nil {
			return errors.New("reset -edits takes the notebooks from the repository's history: install git, and use a clone; reset without -edits needs neither")
		}
	}
	for _, name := range []string{"runs", "executed", ".ipynb_checkpoints"} {
		path := r.Path("notebooks", name)
		if _, err := os.Lstat(path); err == nil {
			if err := notInUse(r, path); err != nil {
				return err
			}
			c.add("delete "+r.Rel(path), func() error { return os.RemoveAll(path) })
		}
	}
	entries, err := os.ReadDir(r.Path("notebooks"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		path := r.Path("notebooks", entry.Name())
		if filepath.Ext(path) != ".ipynb" {
			continue
		}
		old, readErr := notebook.Read(path)
		if *edits {
			// A notebook of the user's own is not in the history, and only loses its outputs.
			if committed, err := git("show", "HEAD:"+filepath.ToSlash(r.Rel(path))); err == nil {
				if readErr != nil || !bytes.Equal(old, committed) {
					c.add("undo all edits of "+r.Rel(path), func() error {
						return renameio.WriteFile(path, committed, 0o644, renameio.WithTempDir(filepath.Dir(path)))
					})
				}
				continue
			}
		}
		clean, err := old, readErr
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
	if runs := os.Getenv("CTNAS_RUNS"); runs != "" {
		fmt.Fprintf(out, "The run directories in CTNAS_RUNS=%s are not touched.\n", runs)
	}
	return c.make("Everything is in its first state already.")
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
	return c.make("Nothing is installed.")
}

// change is a list of things to do, once the user has agreed to it.
type change struct {
	dry, yes bool
	in       io.Reader
	out      io.Writer
	what     []string
	do       []func() error
	left     []string // what cannot be changed, and why
}

// parseChange reads the arguments of a verb that deletes something.
func parseChange(flags *flag.FlagSet, args []string, in io.Reader, out io.Writer) (*change, error) {
	c := &change{in: in, out: out}
	flags.BoolVar(&c.dry, "dry-run", false, "only say what would be done")
	flags.BoolVar(&c.yes, "yes", false, "do not ask")
	if err := parseAll(flags, args); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *change) add(what string, do func() error) {
	c.what, c.do = append(c.what, what), append(c.do, do)
}

// leave notes what cannot be changed; the rest is changed all the same.
func (c *change) leave(what string, why error) {
	c.left = append(c.left, fmt.Sprintf("%s: %v", what, why))
}

// make says what is to be done, asks, and does it; idle is said where there is nothing to do.
func (c *change) make(idle string) error {
	switch {
	case len(c.what) > 0:
		fmt.Fprintf(c.out, "This will\n  %s\n", strings.Join(c.what, "\n  "))
	case len(c.left) == 0:
		fmt.Fprintln(c.out, idle)
	}
	if c.dry {
		return c.leftAlone()
	}
	if len(c.what) > 0 && !c.yes {
		fmt.Fprint(c.out, "Go on? [y/N] ")
		answer, err := bufio.NewReader(c.in).ReadString('\n')
		if !slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(answer))) {
			if err != nil {
				fmt.Fprintln(c.out)
			}
			return errors.New("nothing was changed: answer y, or use -yes")
		}
	}
	done := 0
	for i, do := range c.do {
		if err := do(); err != nil {
			c.leave("cannot "+c.what[i], err)
		} else {
			done++
		}
	}
	if done > 0 {
		fmt.Fprintln(c.out, "Done.")
	}
	return c.leftAlone()
}

// leftAlone is the error that names what was not changed.
func (c *change) leftAlone() error {
	if len(c.left) == 0 {
		return nil
	}
	return fmt.Errorf("left as they are, mend or remove them: %s", strings.Join(c.left, "; "))
}

// notInUse reports a run directory below dir that a cell has open.
func notInUse(r install.Repo, dir string) error {
	runs, err := os.ReadDir(dir)
	if err != nil {
		return nil // It is no folder: a file, or a link to nowhere.
	}
	for _, run := range runs {
		path := filepath.Join(dir, run.Name(), "lock")
		if _, err := os.Stat(path); err != nil {
			continue
		}
		l := flock.New(path)
		free, err := l.TryLock()
		if err != nil {
			return err
		}
		if !free {
			return fmt.Errorf("a cell is running in %s: interrupt it first", r.Rel(filepath.Dir(path)))
		}
		if err := l.Unlock(); err != nil {
			return err
		}
	}
	return nil
}
