package notebook

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/internal/install"
	"github.com/ctnas/ctnas/internal/install/installtest"
)

// newPages makes a repository with one notebook, and a Python that is a shell script.
func newPages(t *testing.T, script string) *install.Pages {
	t.Helper()
	r := install.Repo(installtest.Repo(t))
	python := filepath.Join(t.TempDir(), "python")
	installtest.Write(t, python, "#!/bin/sh\n"+script+"\n")
	installtest.Write(t, r.Private("keep"), "")
	installtest.Write(t, r.Path("notebooks", "a.ipynb"), installtest.CleanNotebook)
	return &install.Pages{Repo: r, Python: python}
}

// A book takes the place of an older one, and of nothing else.
func TestBook(t *testing.T) {
	p := newPages(t, `echo hello >$4/index.html; touch $4/objects.inv`)
	for _, name := range []string{"new/book", "empty"} {
		folder := filepath.Join(t.TempDir(), name)
		if name == "empty" {
			if err := os.Mkdir(folder, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			first, _, err := Book(t.Context(), p, folder)
			if err != nil || first != filepath.Join(folder, "index.html") {
				t.Fatalf("%s: the book begins with %s (%v)", name, first, err)
			}
			if said, err := os.ReadFile(first); err != nil || string(said) != "hello\n" {
				t.Errorf("%s: the book says %q (%v)", name, said, err)
			}
			installtest.Write(t, filepath.Join(folder, "old.html"), "") // which the next book does not have
		}
		if entries, _ := os.ReadDir(filepath.Dir(folder)); len(entries) != 1 {
			t.Errorf("%s: beside the book there is %v", name, entries)
		}
	}
	mine := filepath.Join(t.TempDir(), "mine")
	installtest.Write(t, filepath.Join(mine, "thesis.tex"), "")
	_, _, err := Book(t.Context(), p, mine)
	installtest.WantError(t, err, "other files are in it", mine)

	installtest.Write(t, p.Repo.Path("notebooks", "b.ipynb"), "{")
	_, _, err = Book(t.Context(), p, filepath.Join(t.TempDir(), "book"))
	installtest.WantError(t, err, "notebooks/b.ipynb", "no valid JSON")
}

// Notebooks without outputs are named.
func TestBookNamesBareNotebooks(t *testing.T) {
	p := newPages(t, `touch $4/objects.inv`)
	bare := strings.Replace(oddNormal, `"outputs": [`, `"outputs": [], "x": [`, 1)
	normal, err := Normal([]byte(bare))
	if err != nil {
		t.Fatal(err)
	}
	installtest.Write(t, p.Repo.Path("notebooks", "bare.ipynb"), string(normal))
	installtest.Write(t, p.Repo.Path("notebooks", "full.ipynb"), oddNormal)
	_, got, err := Book(t.Context(), p, filepath.Join(t.TempDir(), "book"))
	if want := []string{"notebooks/a.ipynb", "notebooks/bare.ipynb"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("without outputs: %v (%v), want %v", got, err, want)
	}
}

// What fails leaves nothing, and says why.
func TestPagesFail(t *testing.T) {
	p := newPages(t, `echo part >$4 || mkdir -p $4; echo "Traceback:"; echo "ValueError: a bad cell"; exit 1`)
	page := filepath.Join(t.TempDir(), "a.html")
	err := Page(t.Context(), p, p.Repo.Path("notebooks", "a.ipynb"), page)
	installtest.WantError(t, err, "cannot make a page of notebooks/a.ipynb", "ValueError: a bad cell", ".ctnas/pages.log")
	if entries, _ := os.ReadDir(filepath.Dir(page)); len(entries) > 0 {
		t.Errorf("a page that failed left %v", entries)
	}
	folder := filepath.Join(t.TempDir(), "book")
	_, _, err = Book(t.Context(), p, folder)
	installtest.WantError(t, err, "cannot make the book", "ValueError: a bad cell")
	if entries, _ := os.ReadDir(filepath.Dir(folder)); len(entries) > 0 {
		t.Errorf("a book that failed left %v", entries)
	}
}

// With what kernel-setup has installed, a page and a book need no network, and show what the notebooks showed.
func TestPages(t *testing.T) {
	root, err := install.FindRepo(".")
	if err != nil {
		t.Fatal(err)
	}
	p := newPages(t, "")
	p.Python, p.ECharts = root.Private("pages", "bin", "python"), root.Path("internal", "install", "echarts", "echarts.min.js")
	if _, err := os.Stat(p.Python); err != nil {
		t.Skip("kernel-setup has not installed what makes pages: go run ./kernel-setup book")
	}
	notebook := p.Repo.Path("notebooks", "01-x.ipynb")
	installtest.Write(t, notebook, `{"nbformat":4,"nbformat_minor":5,"metadata":{"kernelspec":{"name":"ctnas","language":"go","display_name":"Go"}},"cells":[`+
		`{"cell_type":"markdown","id":"a","metadata":{},"source":"# A title\n\nWhere $\\tau$ is; see [the next](02-y.ipynb), [the table](../README.md) and <a href=\"../README.md\">it</a>."},`+
		`{"cell_type":"code","id":"b","metadata":{},"execution_count":1,"source":"x := 1","outputs":[{"output_type":"display_data","metadata":{},"data":{"text/html":"<b>shown</b><script>echarts()</script>"}}]}]}`)
	installtest.Write(t, p.Repo.Path("notebooks", "02-y.ipynb"), installtest.DirtyNotebook)
	installtest.Write(t, p.Repo.Path("README.md"), "# Read me")
	installtest.Write(t, p.Repo.Path("figures", "overview.svg"), `<svg xmlns="http://www.w3.org/2000/svg"></svg>`)
	page := filepath.Join(t.TempDir(), "x.html")
	if err := Page(t.Context(), p, notebook, page); err != nil {
		t.Fatal(err)
	}
	holds := func(path string, parts ...string) {
		t.Helper()
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range parts {
			if !strings.Contains(string(content), part) {
				t.Errorf("%s lacks %q", path, part)
			}
		}
		for _, part := range []string{`src="http`, `src="//`, `rel="stylesheet" href="http`, `src=""`} {
			if strings.Contains(string(content), part) {
				t.Errorf("%s has %q, which needs the network", path, part)
			}
		}
	}
	holds(page, "<title>A title</title>", "<b>shown</b>", `href="02-y.html"`, "MathJax = {", "Apache Software Foundation")
	folder := filepath.Join(t.TempDir(), "book")
	if _, _, err := Book(t.Context(), p, folder); err != nil {
		t.Fatal(err)
	}
	holds(filepath.Join(folder, "index.html"), "A title", "The method, step by step")
	holds(filepath.Join(folder, "notebooks", "01-x.html"), "<b>shown</b>", `href="02-y.html"`, files+"README.md", "_static/mathjax.js", "right-next")
	holds(filepath.Join(folder, "searchindex.js"), "shown")
}
