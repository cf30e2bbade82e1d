package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/ctnas/ctnas/internal/install"
	"github.com/ctnas/ctnas/internal/notebook"
)

// runVerb runs a notebook without a browser.
func runVerb(ctx context.Context, args []string, out io.Writer) error {
	flags := newFlags("run")
	output := flags.String("o", "", "the executed copy")
	timeout := flags.Duration("timeout", 30*time.Minute, "longest time for one cell")
	notebooks, err := parseAround(flags, args)
	switch {
	case err != nil:
		return err
	case len(notebooks) == 0:
		return errors.New("run needs a notebook, as in: go run ./kernel-setup run notebooks/00-quickstart.ipynb")
	case *timeout < time.Second:
		return fmt.Errorf("-timeout is %v, but must be a second or more", *timeout)
	}
	for i, path := range notebooks {
		if err := notebook.Check(path); err != nil {
			return err
		}
		if notebooks[i], err = filepath.Abs(path); err != nil {
			return err
		}
	}
	env, err := install.Install(ctx, out, install.Extent{})
	if err != nil {
		return err
	}
	outputs, err := notebook.Outputs(env.Repo, notebooks, *output)
	if err != nil {
		return err
	}
	for i, path := range notebooks {
		_, runErr := notebook.Execute(ctx, env, out, path, outputs[i], *timeout)
		if len(notebooks) == 1 || ctx.Err() != nil {
			return runErr
		}
		if runErr != nil {
			fmt.Fprintf(out, "  %v\n", runErr)
			err = fmt.Errorf("not all of the %d notebooks ran to their end: the output above says why", len(notebooks))
		}
	}
	return err
}
