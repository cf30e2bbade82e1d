package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

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

// leftAlone returns the error that names what was not changed.
func (c *change) leftAlone() error {
	if len(c.left) == 0 {
		return nil
	}
	return fmt.Errorf("left as they are, mend or remove them: %s", strings.Join(c.left, "; "))
}
