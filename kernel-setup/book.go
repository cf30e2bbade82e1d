package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/ctnas/ctnas/internal/install"
	"github.com/ctnas/ctnas/internal/notebook"
)

// bookVerb makes a book of all notebooks, from the outputs that they have.
func bookVerb(ctx context.Context, args []string, out io.Writer) error {
	flags := newFlags("book")
	folder := flags.String("o", "", "the book's folder")
	if err := parseAll(flags, args); err != nil {
		return err
	}
	p, err := install.InstallPages(ctx, out)
	if err != nil {
		return err
	}
	if *folder == "" {
		*folder = p.Repo.Path("notebooks", "executed", "book")
	}
	to, err := filepath.Abs(*folder)
	if err != nil {
		return err
	}
	first, bare, err := notebook.Book(ctx, p, to)
	if err != nil {
		return err
	}
	if len(bare) > 0 {
		fmt.Fprintf(out, "Without outputs, because they were not run: %s\n", strings.Join(bare, ", "))
	}
	fmt.Fprintf(out, "The book begins with %s, to be opened in a browser; it needs no network.\n", p.Repo.Rel(first))
	return nil
}
