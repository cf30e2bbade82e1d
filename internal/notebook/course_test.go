package notebook

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// course is the folder of the notebooks.
var course = filepath.Join("..", "..", "notebooks")

// cell is a cell of a notebook.
type cell struct {
	Type    string            `json:"cell_type"`
	ID      string            `json:"id"`
	Source  source            `json:"source"`
	Outputs []json.RawMessage `json:"outputs"`
}

// source is a text that may be written as a list of its lines.
type source string

func (l *source) UnmarshalJSON(text []byte) error {
	var list []string
	if err := json.Unmarshal(text, &list); err == nil {
		*l = source(strings.Join(list, ""))
		return nil
	}
	return json.Unmarshal(text, (*string)(l))
}

// cells returns the cells of a notebook of this repository.
func cells(t testing.TB, name string) []cell {
	t.Helper()
	content, err := Read(filepath.Join(course, name+".ipynb"))
	if err != nil {
		t.Fatal(err)
	}
	var notebook struct{ Cells []cell }
	if err := json.Unmarshal(content, &notebook); err != nil {
		t.Fatal(err)
	}
	return notebook.Cells
}

// held are the names of the notebooks of this repository.
func held(t testing.TB) (names []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(course, "*.ipynb"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no notebooks in %s (%v)", course, err)
	}
	for _, path := range paths {
		names = append(names, strings.TrimSuffix(filepath.Base(path), ".ipynb"))
	}
	return names
}

const (
	mostLines   = 15
	mostColumns = 100
	paperLink   = "](https://openaccess.thecvf.com/content/CVPR2021/"
	gonbLink    = "[GoNB in five minutes](gonb.ipynb)"
)

var (
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	formula  = regexp.MustCompile(`\$[^$]+\$`)
	doubled  = regexp.MustCompile(`\\\\[A-Za-z{(]`)
	exercise = regexp.MustCompile(`(?m)^(\d+)\. `)
)

// Cells fit on a slide, the first one says where one is, links lead somewhere, formulas are formulas.
func TestCells(t *testing.T) {
	for _, name := range held(t) {
		ids := make(map[string]bool)
		for i, c := range cells(t, name) {
			at := name + ", cell " + c.ID
			if c.ID == "" || ids[c.ID] {
				t.Errorf("cell %d of %s has the id %q, which is not its own", i+1, name, c.ID)
			}
			ids[c.ID] = true
			source := string(c.Source)
			if i == 0 && (c.Type != "markdown" || name != "gonb" && (!strings.Contains(source, paperLink) || !strings.Contains(source, gonbLink))) {
				t.Errorf("the first cell of %s does not link to the paper and to %s", name, gonbLink)
			}
			if c.Type == "code" {
				checkSize(t, at, source)
			} else {
				checkText(t, at, source)
			}
		}
	}
}

// A notebook of tables has what a reader may change in its third cell, which is not folded.
func TestKnobs(t *testing.T) {
	for _, name := range held(t) {
		all := cells(t, name)
		if len(all) < 3 || !strings.Contains(string(all[1].Source), `ctnaslib/nb/tables"`) {
			continue
		}
		if c := all[2]; c.Type != "code" || !strings.Contains(string(c.Source), "const (\n") {
			t.Errorf("the third cell of %s has no constants to change", name)
		}
	}
}

// checkSize says where code is too long or too wide.
func checkSize(t *testing.T, at, source string) {
	t.Helper()
	all := strings.Split(source, "\n")
	if len(all) > mostLines {
		t.Errorf("%s has %d lines, more than %d", at, len(all), mostLines)
	}
	for _, line := range all {
		if n := utf8.RuneCountInString(line); n > mostColumns {
			t.Errorf("%s has a line of %d columns, more than %d: %s", at, n, mostColumns, line)
		}
	}
}

// checkText says which links of a text lead nowhere, and which formulas have doubled backslashes.
func checkText(t *testing.T, at, source string) {
	t.Helper()
	for _, m := range link.FindAllStringSubmatch(source, -1) {
		target, _, _ := strings.Cut(m[1], "#")
		if target == "" || strings.Contains(target, "://") {
			continue
		}
		if _, err := os.Stat(filepath.Join(course, filepath.FromSlash(target))); err != nil {
			t.Errorf("%s links to %s, which is not there", at, m[1])
		}
	}
	for _, f := range formula.FindAllString(source, -1) {
		if doubled.MatchString(f) {
			t.Errorf("%s has a formula with doubled backslashes: %s", at, f)
		}
	}
}

// solution is the folded answer to an exercise.
type solution struct {
	number, text string
	code         []string // its blocks of Go
}

const (
	exercisesHeading = "## Exercises\n"
	solutionBegins   = "<details><summary>Solution</summary>\n"
	solutionEnds     = "</details>"
)

var goBlock = regexp.MustCompile("(?s)```go\n(.*?)\n```")

// solutions returns the solutions in a cell. ok is false if its exercises have another layout than a heading, and then each
// exercise numbered, with a folded solution below it.
func solutions(source string) (all []solution, ok bool) {
	_, rest, found := strings.Cut("\n"+source, "\n"+exercisesHeading)
	if !found {
		return nil, !strings.Contains(source, "<details")
	}
	for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimSpace(rest) {
		question, after, folded := strings.Cut(rest, "\n\n"+solutionBegins)
		text, next, closed := strings.Cut(after, "\n"+solutionEnds)
		numbers := exercise.FindAllStringSubmatch(question, -1)
		if !folded || !closed || len(numbers) != 1 || !strings.HasPrefix(question, numbers[0][0]) {
			return all, false
		}
		s := solution{number: numbers[0][1], text: text}
		for _, m := range goBlock.FindAllStringSubmatch(text, -1) {
			s.code = append(s.code, m[1])
		}
		all, rest = append(all, s), next
	}
	return all, true
}

// Exercises have one layout in all notebooks, and each solution has code to run.
func TestExercises(t *testing.T) {
	for _, name := range held(t) {
		count := 0
		for _, c := range cells(t, name) {
			if c.Type != "markdown" {
				continue
			}
			found, ok := solutions(string(c.Source))
			if !ok {
				t.Errorf("%s, cell %s: after solution %d the exercises have another layout than numbered ones, each with %q", name, c.ID, len(found), solutionBegins)
			}
			for _, s := range found {
				count++
				if want := string(rune('0' + count)); s.number != want {
					t.Errorf("%s: exercise %s should be number %s", name, s.number, want)
				}
				if len(s.code) == 0 {
					t.Errorf("%s: the solution of exercise %s has no block of Go", name, s.number)
				}
				for _, code := range s.code {
					for _, line := range strings.Split(code, "\n") {
						if n := utf8.RuneCountInString(line); n > mostColumns {
							t.Errorf("%s: solution %s has a line of %d columns: %s", name, s.number, n, line)
						}
					}
				}
			}
		}
		if count == 0 && name != "gonb" {
			t.Errorf("%s has no exercises", name)
		}
	}
}

// Notebooks are stored as Jupyter writes them, so that saving one in JupyterLab changes only what the reader changed.
func TestStoredForm(t *testing.T) {
	for _, name := range held(t) {
		content, err := os.ReadFile(filepath.Join(course, name+".ipynb"))
		if err != nil {
			t.Fatal(err)
		}
		if written, err := asJupyter(content); err != nil || !bytes.Equal(written, content) {
			t.Errorf("%s.ipynb is not as Jupyter writes it: sorted keys, an indent of one space, a newline at the end (%v)", name, err)
		}
	}
}

// asJupyter returns a notebook as Python's nbformat writes it.
func asJupyter(content []byte) ([]byte, error) {
	in := json.NewDecoder(bytes.NewReader(content))
	in.UseNumber()
	var notebook map[string]any
	if err := in.Decode(&notebook); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	err := enc.Encode(notebook)
	return out.Bytes(), err
}

// What the checks above look for is found.
func TestSolutions(t *testing.T) {
	const one = "2. Why?\n\n<details><summary>Solution</summary>\n\n```go\n%%\nx()\n```\n\nSo.\n\n</details>"
	for source, want := range map[string]struct {
		n  int
		ok bool
	}{
		"no exercises":                          {0, true},
		"## Exercises\n\n" + one:                {1, true},
		"text\n\n## Exercises\n\n" + one + "\n": {1, true},
		"## Exercises\n\n" + one + "\n\n" + one: {2, true},
		one:                                     {0, false},
		"## Exercises\n\nWhy?\n":                {0, false},
		"## Exercises\n\n1. A\n2. B\n\n<details><summary>Solution</summary>\n</details>":                          {0, false},
		"## Exercises\n\n" + strings.Replace(one, "Solution<", "Solution 2<", 1):                                  {0, false},
		"## Exercises\n\n" + strings.Replace(one, "</details>", "", 1):                                            {0, false},
		"## Exercises\n\n" + one + "\n\nMore":                                                                     {1, false},
		"## Exercises\n\n" + strings.Replace(one, "\n\n<details>", "\n<details>", 1):                              {0, false},
		"## Exercises\n\n" + strings.Replace(one, "2. Why?", "2. Why? And 3. that?", 1):                           {1, true},
		"## Exercises\n\n" + strings.Replace(one, "2. Why?", "Intro\n\n2. Why?", 1):                               {0, false},
		"## Exercises\n\n" + strings.Replace(one, "```go", "```", 1):                                              {1, true},
		"## Exercises\n\n" + strings.ReplaceAll(one, "<details><summary>Solution</summary>", "<details open><x>"): {0, false},
	} {
		got, ok := solutions(source)
		if len(got) != want.n || ok != want.ok {
			t.Errorf("%q has %d solutions (%v), want %d (%v)", source, len(got), ok, want.n, want.ok)
		}
	}
	got, _ := solutions("## Exercises\n\n" + one)
	if got[0].number != "2" || len(got[0].code) != 1 || got[0].code[0] != "%%\nx()" {
		t.Errorf("the solution is %+v", got[0])
	}
}
