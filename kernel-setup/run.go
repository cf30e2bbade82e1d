package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/internal/install"
	"github.com/ctnas/ctnas/internal/notebook"
)

// runOptions is what run is asked for.
type runOptions struct {
	notebooks   []string // absolute paths
	output      string
	timeout     time.Duration
	html, store bool
}

// runVerb runs notebooks without a browser.
func runVerb(ctx context.Context, args []string, out io.Writer) error {
	opt, err := parseRun(args)
	if err != nil {
		return err
	}
	var pages *install.Pages
	if opt.html {
		if pages, err = install.InstallPages(ctx, out); err != nil {
			return err
		}
	}
	env, err := install.Install(ctx, out, install.Extent{})
	if err != nil {
		return err
	}
	if opt.store {
		keep, end, err := newKeeper(ctx, env)
		if err != nil {
			return err
		}
		defer end()
		return eachNotebook(ctx, out, opt.notebooks, func(_ int, path string) error { return keep.run(ctx, out, path, opt.timeout) })
	}
	outputs, err := notebook.Outputs(env.Repo, opt.notebooks, opt.output)
	if err != nil {
		return err
	}
	return eachNotebook(ctx, out, opt.notebooks, func(i int, path string) error {
		_, err := notebook.Execute(ctx, env, out, path, outputs[i], opt.timeout)
		if pages == nil || ctx.Err() != nil {
			return err
		}
		if _, statErr := os.Stat(outputs[i]); statErr != nil {
			return err // It did not come so far.
		}
		page := strings.TrimSuffix(outputs[i], ".ipynb") + ".html"
		pageErr := notebook.Page(ctx, pages, outputs[i], page)
		if pageErr == nil {
			fmt.Fprintf(out, "  page in %s\n", env.Repo.Rel(page))
		}
		if err != nil {
			return err
		}
		return pageErr
	})
}

// parseRun reads the arguments of run.
func parseRun(args []string) (opt runOptions, err error) {
	flags := newFlags("run")
	flags.StringVar(&opt.output, "o", "", "the executed copy")
	flags.DurationVar(&opt.timeout, "timeout", 30*time.Minute, "longest time for one cell")
	flags.BoolVar(&opt.html, "html", false, "also a page")
	flags.BoolVar(&opt.store, "store", false, "keep the outputs in the notebook itself")
	if opt.notebooks, err = parseAround(flags, args); err != nil {
		return opt, err
	}
	switch {
	case len(opt.notebooks) == 0:
		return opt, errors.New("run needs a notebook, as in: go run ./kernel-setup run notebooks/00-quickstart.ipynb")
	case opt.timeout < time.Second:
		return opt, fmt.Errorf("-timeout is %v, but must be a second or more", opt.timeout)
	case opt.store && (opt.html || opt.output != ""):
		return opt, errors.New("-store keeps the outputs in the notebooks themselves: leave out -o and -html, or -store")
	}
	for i, path := range opt.notebooks {
		if err := notebook.Check(path); err != nil {
			return opt, err
		}
		if opt.notebooks[i], err = filepath.Abs(path); err != nil {
			return opt, err
		}
		// The repository is named without links, too.
		folder, err := filepath.EvalSymlinks(filepath.Dir(opt.notebooks[i]))
		if err != nil {
			return opt, err
		}
		opt.notebooks[i] = filepath.Join(folder, filepath.Base(path))
	}
	if page, ok := strings.CutSuffix(opt.output, ".html"); ok && opt.html {
		opt.output = page + ".ipynb" // The page lies beside it.
	}
	return opt, nil
}

// eachNotebook runs notebooks one after the other, also when one fails.
func eachNotebook(ctx context.Context, out io.Writer, notebooks []string, run func(i int, path string) error) (err error) {
	for i, path := range notebooks {
		runErr := run(i, path)
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

// keeper runs notebooks and keeps the outputs in them.
type keeper struct {
	env    *install.Environment
	folder string
	made   map[string]any
}

// newKeeper returns a keeper for notebooks that are run from a clean state: their run directories are new. The table
// must be the real one. What it returns besides ends it.
func newKeeper(ctx context.Context, env *install.Environment) (k *keeper, end func(), err error) {
	table, err := datasets.OpenNASBench101(ctx, "")
	if err != nil {
		return nil, nil, err
	}
	source := table.Source()
	if source.Kind != datasets.Real {
		return nil, nil, fmt.Errorf("-store keeps what the real table gives, but there is only this: %s; point CTNAS_DATA at the real one", source.Description)
	}
	made, err := versions(env.Repo)
	if err != nil {
		return nil, nil, err
	}
	folder, err := os.MkdirTemp(env.Repo.Private(), "store-")
	if err != nil {
		return nil, nil, err
	}
	clean := *env
	clean.Environ = append(clean.Environ[:len(clean.Environ):len(clean.Environ)], "CTNAS_RUNS="+filepath.Join(folder, "runs"))
	return &keeper{&clean, folder, map[string]any{
		"data": string(source.Kind), "table": source.Description, "versions": made,
	}}, func() { os.RemoveAll(folder) }, nil
}

// maker matches the lines of go.mod that name what computes and shows outputs.
var maker = regexp.MustCompile(`(?m)^\s*(?:require )?github\.com/(gomlx/gomlx|janpfeifer/gonb) (v\S+)`)

// versions returns the versions of what makes outputs.
func versions(r install.Repo) (map[string]any, error) {
	mod, err := os.ReadFile(r.Path("go.mod"))
	made := map[string]any{"go": strings.Fields(runtime.Version())[0]}
	for _, line := range maker.FindAllSubmatch(mod, -1) {
		made[path.Base(string(line[1]))] = string(line[2])
	}
	return made, err
}

// run runs a notebook, and writes it with its outputs unless a cell fails.
func (k *keeper) run(ctx context.Context, out io.Writer, file string, timeout time.Duration) error {
	executed := filepath.Join(k.folder, filepath.Base(file))
	defer os.Remove(executed)
	if _, err := notebook.Execute(ctx, k.env, out, file, executed, timeout); err != nil {
		return err
	}
	before, err := notebook.Read(file)
	if err != nil {
		return err
	}
	after, err := notebook.Read(executed)
	if err != nil {
		return err
	}
	if after, err = notebook.Stored(after, before, k.made); err != nil {
		return fmt.Errorf("cannot keep the outputs of %s: %w", k.env.Repo.Rel(file), err)
	}
	if err := notebook.Verify(after); err != nil && !errors.Is(err, notebook.ErrNoOutputs) {
		return fmt.Errorf("%s is not to be kept: %w", k.env.Repo.Rel(file), err)
	}
	if err := notebook.Rewrite(file, after); err != nil {
		return err
	}
	fmt.Fprintf(out, "  %d kB with outputs in %s\n", len(after)/1000, k.env.Repo.Rel(file))
	return nil
}
