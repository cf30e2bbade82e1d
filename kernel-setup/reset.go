package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
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
)

// resetVerb brings notebooks and run directories back to their first state.
func resetVerb(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	flags := newFlags("reset")
	edits := flags.Bool("edits", false, "undo edits too")
	c, err := parseChange(flags, args, in, out)
	if err != nil {
		return err
	}
	r, err := findRepo(".")
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
		path := r.path("notebooks", name)
		if _, err := os.Lstat(path); err == nil {
			if err := notInUse(r, path); err != nil {
				return err
			}
			c.add("delete "+r.rel(path), func() error { return os.RemoveAll(path) })
		}
	}
	notebooks, err := filepath.Glob(r.path("notebooks", "*.ipynb"))
	if err != nil {
		return err
	}
	for _, path := range notebooks {
		old, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if *edits {
			// A notebook of the user's own is not in the history, and only loses its outputs.
			if committed, err := git("show", "HEAD:"+filepath.ToSlash(r.rel(path))); err == nil {
				if !bytes.Equal(old, committed) {
					c.add("undo all edits of "+r.rel(path), func() error { return writeFile(path, committed) })
				}
				continue
			}
		}
		clean, cleared, err := withoutOutputs(old)
		if err != nil {
			return fmt.Errorf("%s is no notebook that can be reset: %w", r.rel(path), err)
		}
		if cleared {
			c.add("clear the outputs of "+r.rel(path), func() error { return writeFile(path, clean) })
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
	r, err := findRepo(".")
	if err != nil {
		return err
	}
	if _, err := os.Lstat(r.private()); err == nil {
		c.add("delete "+r.private()+", with the kernel, the private Python and the plugins in it", func() error {
			return os.RemoveAll(r.private())
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

// make says what is to be done, asks, and does it; idle is said where there is nothing to do.
func (c *change) make(idle string) error {
	if len(c.what) == 0 {
		fmt.Fprintln(c.out, idle)
		return nil
	}
	fmt.Fprintf(c.out, "This will\n  %s\n", strings.Join(c.what, "\n  "))
	if c.dry {
		return nil
	}
	if !c.yes {
		fmt.Fprint(c.out, "Go on? [y/N] ")
		answer, err := bufio.NewReader(c.in).ReadString('\n')
		if !slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(answer))) {
			if err != nil {
				fmt.Fprintln(c.out)
			}
			return errors.New("nothing was changed: answer y, or use -yes")
		}
	}
	for i, do := range c.do {
		if err := do(); err != nil {
			return fmt.Errorf("cannot %s: %w", c.what[i], err)
		}
	}
	fmt.Fprintln(c.out, "Done.")
	return nil
}

// notInUse reports a run directory below dir that a cell has open.
func notInUse(r repo, dir string) error {
	locks, err := filepath.Glob(filepath.Join(dir, "*", "lock"))
	if err != nil {
		return err
	}
	for _, path := range locks {
		l := flock.New(path)
		free, err := l.TryLock()
		if err != nil {
			return err
		}
		if !free {
			return fmt.Errorf("a cell is running in %s: interrupt it first", r.rel(filepath.Dir(path)))
		}
		if err := l.Unlock(); err != nil {
			return err
		}
	}
	return nil
}

// withoutOutputs removes what running a notebook leaves in it, and writes it as
// Jupyter does. It says whether there was anything.
func withoutOutputs(content []byte) (clean []byte, cleared bool, err error) {
	var notebook map[string]any
	in := json.NewDecoder(bytes.NewReader(content))
	in.UseNumber() // Keep numbers as they are written.
	if err := in.Decode(&notebook); err != nil {
		return nil, false, err
	}
	cells, _ := notebook["cells"].([]any)
	for _, c := range cells {
		cell, ok := c.(map[string]any)
		if !ok || cell["cell_type"] != "code" {
			continue
		}
		if outputs, _ := cell["outputs"].([]any); len(outputs) > 0 || cell["execution_count"] != nil {
			cell["outputs"], cell["execution_count"], cleared = []any{}, nil, true
		}
		if metadata, ok := cell["metadata"].(map[string]any); ok && metadata["execution"] != nil {
			delete(metadata, "execution") // when it ran
			cleared = true
		}
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	err = encoder.Encode(notebook)
	return text.Bytes(), cleared, err
}
