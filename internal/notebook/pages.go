package notebook

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/ctnas/ctnas/internal/install"
)

// pagesScript makes pages with nbconvert and Sphinx, which are in Python.
//
//go:embed pages.py
var pagesScript string

// files is where the repository's files can be read, for links from the book to others than notebooks.
const files = "https://github.com/ctnas/ctnas/blob/main/"

// Page makes a page of a notebook with its outputs, one file that needs no network.
func Page(ctx context.Context, p *install.Pages, notebook, page string) error {
	part := page + ".part"
	defer os.Remove(part)
	if err := makePages(ctx, p, "page", notebook, part, p.ECharts); err != nil {
		return fmt.Errorf("cannot make a page of %s: %w", p.Repo.Rel(notebook), err)
	}
	return os.Rename(part, page)
}

// marker is the file by which [Book] knows a folder that it made.
const marker = "objects.inv"

// Book makes a book of the repository's notebooks, with their outputs, in a folder, which it empties first: it must be
// new, empty or a book. It returns the book's first page, and the notebooks that have no outputs.
func Book(ctx context.Context, p *install.Pages, folder string) (first string, bare []string, err error) {
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", nil, fmt.Errorf("cannot make the book: %w", err)
	}
	if _, err := os.Stat(filepath.Join(folder, marker)); len(entries) > 0 && err != nil {
		return "", nil, fmt.Errorf("cannot make the book in %s: other files are in it: choose an empty or a new folder with -o", p.Repo.Rel(folder))
	}
	notebooks, err := filepath.Glob(p.Repo.Path("notebooks", "*.ipynb"))
	if err != nil {
		return "", nil, err
	}
	for _, notebook := range notebooks {
		content, err := Read(notebook)
		var nb object
		if err == nil {
			nb, err = parse(content)
		}
		if err != nil {
			return "", nil, fmt.Errorf("cannot make the book, because of %s: %w", p.Repo.Rel(notebook), err)
		}
		if !ran(nb) {
			bare = append(bare, p.Repo.Rel(notebook))
		}
	}
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return "", nil, fmt.Errorf("cannot make the book: %w", err)
	}
	part, err := os.MkdirTemp(filepath.Dir(folder), ".book-")
	if err != nil {
		return "", nil, fmt.Errorf("cannot make the book: %w", err)
	}
	defer os.RemoveAll(part)
	if err := makePages(ctx, p, "book", string(p.Repo), part, files); err != nil {
		return "", nil, fmt.Errorf("cannot make the book: %w", err)
	}
	if err := errors.Join(os.RemoveAll(folder), os.Rename(part, folder), os.Chmod(folder, 0o755)); err != nil {
		return "", nil, fmt.Errorf("cannot put the book in its place: %w", err)
	}
	return filepath.Join(folder, "index.html"), bare, nil
}

// makePages runs the script. What Sphinx warns of is in the log.
func makePages(ctx context.Context, p *install.Pages, args ...string) error {
	script, logged := p.Repo.Private("pages.py"), p.Repo.Private("pages.log")
	if err := renameio.WriteFile(script, []byte(pagesScript), 0o644); err != nil { // another may run it
		return err
	}
	said, err := exec.CommandContext(ctx, p.Python, append([]string{script}, args...)...).CombinedOutput()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if logErr := os.WriteFile(logged, said, 0o644); logErr != nil {
		return logErr
	}
	if err != nil {
		return fmt.Errorf("%s (all of it in %s): %w", strings.TrimSuffix(install.LastLine(said), "."), p.Repo.Rel(logged), err)
	}
	return nil
}
