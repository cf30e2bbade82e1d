package notebook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ctnas/ctnas/internal/install/installtest"
)

// program is Go code of cells as GoNB keeps it from one to the next: imports and declarations, where a later one takes the
// place of an earlier one of its name.
type program struct {
	imports []string
	names   []string // of declarations, in their order
	decls   map[string]string
}

// add adds the declarations of a cell, and returns what the cell runs: the lines after %%, "" if it has none.
func (p *program) add(source string) (body string, err error) {
	var kept []string
	running := false
	var run []string
	for _, line := range strings.Split(source, "\n") {
		switch {
		case line == "%%" || line == "%main":
			running = true
		case strings.HasPrefix(line, "%") || strings.HasPrefix(line, "!"):
			// for GoNB alone
		case running:
			run = append(run, line)
		default:
			kept = append(kept, line)
		}
	}
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "cell.go", "package cell\n"+strings.Join(kept, "\n"), parser.ParseComments)
	if err != nil {
		return "", err
	}
	if p.decls == nil {
		p.decls = make(map[string]string)
	}
	for _, decl := range file.Decls {
		if err := p.declare(files, decl); err != nil {
			return "", err
		}
	}
	return strings.Join(run, "\n"), nil
}

// declare adds a declaration.
func (p *program) declare(files *token.FileSet, decl ast.Decl) error {
	text := func(node any) (string, error) {
		var out bytes.Buffer
		err := printer.Fprint(&out, files, node)
		return out.String(), err
	}
	set := func(name string, node any) error {
		code, err := text(node)
		if _, again := p.decls[name]; !again {
			p.names = append(p.names, name)
		}
		p.decls[name] = code
		return err
	}
	switch d := decl.(type) {
	case *ast.FuncDecl:
		name := d.Name.Name
		if d.Recv != nil {
			of, err := text(d.Recv.List[0].Type)
			if err != nil {
				return err
			}
			name = of + "." + name
		}
		return set(name, d)
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			var name string
			switch s := spec.(type) {
			case *ast.ImportSpec:
				code, err := text(s)
				if err != nil {
					return err
				}
				if !slices.Contains(p.imports, code) {
					p.imports = append(p.imports, code)
				}
				continue
			case *ast.TypeSpec:
				name = s.Name.Name
			case *ast.ValueSpec:
				name = s.Names[0].Name
			}
			if err := set(name, &ast.GenDecl{Tok: d.Tok, Specs: []ast.Spec{spec}}); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("a declaration of the kind %T", decl)
}

// with returns a copy, to which more can be added.
func (p *program) with() *program {
	return &program{imports: slices.Clone(p.imports), names: slices.Clone(p.names), decls: maps.Clone(p.decls)}
}

// declarations returns the imports and the declarations as code.
func (p *program) declarations() string {
	var out strings.Builder
	fmt.Fprintf(&out, "import (\n\t%s\n)\n\n", strings.Join(p.imports, "\n\t"))
	for _, name := range p.names {
		out.WriteString(p.decls[name] + "\n\n")
	}
	return out.String()
}

// file returns a Go file of a package that only has to compile.
func (p *program) file(bodies ...string) string {
	var out strings.Builder
	out.WriteString("package cells\n\n" + p.declarations())
	for _, body := range bodies {
		fmt.Fprintf(&out, "func _() {\n%s\n}\n\n", body)
	}
	return out.String()
}

// notebookCode returns the declarations of a notebook, what its cells run, and the code of its solutions, by their numbers.
func notebookCode(t testing.TB, name string) (p *program, bodies []string, folded map[string]string) {
	t.Helper()
	p, folded = &program{}, make(map[string]string)
	for _, c := range cells(t, name) {
		if c.Type == "code" {
			body, err := p.add(string(c.Source))
			if err != nil {
				t.Fatalf("%s, cell %s: %v", name, c.ID, err)
			}
			if body != "" {
				bodies = append(bodies, body)
			}
			continue
		}
		found, _ := solutions(string(c.Source))
		for _, s := range found {
			for i, code := range s.code {
				folded[fmt.Sprintf("%s.%d", s.number, i+1)] = code
			}
		}
	}
	return p, bodies, folded
}

// All cells and all folded solutions compile, without a kernel: a package for each notebook and one for each solution.
func TestCellsCompile(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a package for each notebook and solution")
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	overlay, folder := make(map[string]string), t.TempDir()
	add := func(name, content string) {
		path := filepath.Join(folder, name+".go")
		installtest.Write(t, path, content)
		overlay[filepath.Join(root, "internal", "notebook", "cells", name, "cells.go")] = path
	}
	for _, name := range held(t) {
		p, bodies, folded := notebookCode(t, name)
		add(name, p.file(bodies...))
		for number, code := range folded {
			own := p.with()
			body, err := own.add(code)
			if err != nil {
				t.Errorf("%s, solution %s: %v", name, number, err)
				continue
			}
			add(name+"_solution_"+strings.ReplaceAll(number, ".", "_"), own.file(body))
		}
	}
	list, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		t.Fatal(err)
	}
	installtest.Write(t, filepath.Join(folder, "overlay.json"), string(list))
	cmd := exec.Command("go", "build", "-overlay", filepath.Join(folder, "overlay.json"), "-gcflags=-e", "./internal/notebook/cells/...")
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		// A solution does not use all that its notebook imports.
		if strings.HasPrefix(line, "#") || strings.Contains(line, "imported") && strings.Contains(line, "and not used") {
			continue
		}
		t.Error(strings.TrimSpace(line))
	}
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		t.Error(err)
	}
}

// Declarations of later cells take the place of earlier ones, as in GoNB.
func TestProgram(t *testing.T) {
	var p program
	for _, source := range []string{
		"%noautoget\nimport (\n\t\"fmt\"\n\tx \"math\"\n)",
		"const (\n\ta = 1 // one\n\tb = \"2\"\n)\n%%\nfmt.Println(a)\nreturn",
		"import \"fmt\"\n\n// f is a function.\nfunc f() int { return a }\n\nfunc (t T) f() {}\n\ntype T struct{}\nvar v, w = 1, 2",
		"const a = 3",
	} {
		body, err := p.add(source)
		if err != nil {
			t.Fatal(err)
		}
		if want := map[bool]string{true: "fmt.Println(a)\nreturn"}[strings.Contains(source, "%%")]; body != want {
			t.Errorf("%q runs %q", source, body)
		}
	}
	copied := p.with()
	if _, err := copied.add("const b = 4"); err != nil {
		t.Fatal(err)
	}
	if got := p.declarations(); strings.Count(got, `"fmt"`) != 1 || !strings.Contains(got, "const a = 3") || strings.Contains(got, "= 1 ") ||
		!strings.Contains(got, "func (t T) f()") || !strings.Contains(got, "var v, w = 1, 2") || strings.Contains(got, "b = 4") {
		t.Errorf("the declarations are\n%s", got)
	}
	if _, err := p.add("func ("); err == nil {
		t.Error("a cell that is no Go code has no error")
	}
}

// Every folded solution runs in the real kernel, after the declarations of its notebook.
func TestKernelSolutions(t *testing.T) {
	env := kernel(t)
	for _, name := range held(t) {
		t.Run(name, func(t *testing.T) {
			p, _, folded := notebookCode(t, name)
			sources := []string{"%noautoget\n" + p.declarations()}
			for _, number := range slices.Sorted(maps.Keys(folded)) {
				sources = append(sources, folded[number])
			}
			shown, _, err := runFor(t, t.Context(), env, 20*time.Minute, sources...)
			if err != nil {
				t.Errorf("%v\n%s", err, shown)
			}
		})
	}
}
