package notebook

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// maxSize is what a committed notebook may have in bytes.
const maxSize = 2_000_000

// notebooks returns the paths of the repository's notebooks.
func notebooks(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("../../notebooks/*.ipynb")
	if err != nil || len(paths) == 0 {
		t.Fatalf("there are no notebooks (%v)", err)
	}
	return paths
}

// committed returns their contents.
func committed(t *testing.T) (contents []string) {
	t.Helper()
	for _, path := range notebooks(t) {
		content, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		contents = append(contents, string(content))
	}
	return contents
}

// The notebooks are as JupyterLab saves them, their outputs are those of their code, and the numbers that they quote are
// to be found. Where it fails: go run ./kernel-setup run -store NOTEBOOK makes the outputs again.
func TestCommittedNotebooks(t *testing.T) {
	for _, path := range notebooks(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			content, err := Read(path)
			if err != nil {
				t.Fatal(err)
			}
			err = Verify(content)
			if err != nil {
				t.Errorf("%s: %v", path, err)
			}
			if len(content) > maxSize {
				t.Errorf("%s has %d bytes, more than %d", path, len(content), maxSize)
			}
			unfounded, err := unfoundedNumbers(content, os.DirFS("../.."))
			if err != nil {
				t.Fatal(err)
			}
			for _, number := range unfounded {
				t.Errorf("%s quotes %s", path, number)
			}
		})
	}
}

var (
	// quoted matches a number in a text that has two decimals or is a percentage with one: what was measured has that form.
	quoted = regexp.MustCompile(`(?:^|[^\w.,/-])[-−+±]?(\d+\.(?:\d{2,}|\d(?:[\s\x{a0}]|\\,)*\\?%))(?:[^\w.]|\.(?:\D|$)|$)`)
	// given matches a number in outputs, tables and code.
	given = regexp.MustCompile(`\d+(?:\.\d+)?(?:e[-+]?\d+)?`)
	// elsewhere matches what a text says of numbers that are not ours to compute.
	elsewhere = regexp.MustCompile(`(?i)\bpaper|\bauthors|\bpublished|<!-- from `)
	// stored matches the names of stored results.
	stored = regexp.MustCompile(`figures/([\w-]+)`)
	// address matches where a link leads, and what is in it.
	address = regexp.MustCompile(`\]\([^)]*\)|https?://\S+`)
	// codeIn matches code in a text.
	codeIn = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")
	// sentenceEnd ends a sentence.
	sentenceEnd = regexp.MustCompile(`[.!?:;]\s+`)
	// tableNames matches how a notebook names an experiment whose stored result it shows.
	tableNames = regexp.MustCompile(`"([a-z][\w-]*)"`)
)

// unfoundedNumbers returns the numbers that a notebook's text quotes and that nobody knows from where. A number with two
// decimals or more, or a percentage with one, must be found, rounded to as many decimals, in an output or the code of the
// same notebook, or in the table.md of a stored result that the notebook names; or its sentence (in a table: the table)
// says that it is from the paper, its authors or published, or carries a comment <!-- from ... -->.
func unfoundedNumbers(content []byte, root fs.FS) (unfounded []string, err error) {
	nb, err := parse(content)
	if err != nil {
		return nil, err
	}
	var known strings.Builder
	names := map[string]bool{}
	for _, cell := range cellsOf(nb) {
		source := joined(cell["source"])
		for _, m := range stored.FindAllStringSubmatch(source, -1) {
			names[m[1]] = true
		}
		if cell["cell_type"] != "code" {
			continue
		}
		for _, m := range tableNames.FindAllStringSubmatch(source, -1) {
			names[m[1]] = true
		}
		known.WriteString(source + "\n")
		for _, output := range outputsOf(cell) {
			known.WriteString(textOf(output) + "\n")
		}
	}
	for name := range names {
		if table, err := fs.ReadFile(root, "figures/"+name+"/table.md"); err == nil {
			known.Write(table)
		}
	}
	var values []float64
	for _, text := range given.FindAllString(known.String(), -1) {
		if v, err := strconv.ParseFloat(text, 64); err == nil {
			values = append(values, v)
		}
	}
	for _, cell := range cellsOf(nb) {
		if cell["cell_type"] == "markdown" {
			unfounded = append(unfounded, unfoundedIn(joined(cell["source"]), values)...)
		}
	}
	return unfounded, nil
}

// unfoundedIn returns the numbers of a text that are not among the values.
func unfoundedIn(text string, values []float64) (unfounded []string) {
	for _, sentence := range sentences(codeIn.ReplaceAllString(text, "")) {
		if elsewhere.MatchString(sentence) {
			continue
		}
		sentence = strings.ReplaceAll(address.ReplaceAllString(sentence, ""), "–", " – ")
		for _, m := range quoted.FindAllStringSubmatch(sentence, -1) {
			digits := strings.TrimRight(m[1], "% \u00a0\\,")
			if !foundIn(digits, values) {
				unfounded = append(unfounded, fmt.Sprintf("%s, which no output of it has, in: %s", digits, strings.TrimSpace(sentence)))
			}
		}
	}
	return unfounded
}

// foundIn says whether a value, rounded to the decimals of a number, is that number.
func foundIn(digits string, values []float64) bool {
	number, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return false
	}
	_, decimals, _ := strings.Cut(digits, ".")
	half := 0.5 * math.Pow10(-len(decimals)) * (1 + 1e-9)
	for _, v := range values {
		if math.Abs(v-number) <= half && (v != math.Trunc(v) || v == number) {
			return true
		}
	}
	return false
}

// sentences splits a text; a table is one sentence.
func sentences(text string) (split []string) {
	var prose, table strings.Builder
	for line := range strings.Lines(text + "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "|") {
			table.WriteString(line)
			continue
		}
		if table.Len() > 0 {
			split = append(split, table.String())
			table.Reset()
		}
		prose.WriteString(line)
		if strings.TrimSpace(line) == "" {
			split = append(split, sentenceEnd.Split(prose.String(), -1)...)
			prose.Reset()
		}
	}
	return append(split, append(sentenceEnd.Split(prose.String(), -1), table.String())...)
}

func TestUnfoundedNumbers(t *testing.T) {
	const code = `{"cell_type":"code","source":"show(\"table4\")\nconst rate = 0.025","outputs":[{"output_type":"display_data","data":{"text/html":"<b>93.05&nbsp;±&nbsp;0.3</b><img src='93.14'>"}},` +
		`{"output_type":"stream","text":"tau 0.73214, 7 cells, 1.5e-03"}]}`
	root := fstest.MapFS{"figures/table4/table.md": {Data: []byte("| 92.17 |")}, "figures/table5/table.md": {Data: []byte("| 91.44 |")}}
	for text, want := range map[string]string{
		"It gives 93.67 %.":                                    "93.67",
		"It gives 93.05, as always.":                           "",
		"A tau of 0.732 and 0.73.":                             "",
		"A tau of 0.74.":                                       "0.74",
		"It is 93.14 here.":                                    "93.14",
		"The rate is 0.025.":                                   "",
		"The stored table: 92.17 %.":                           "",
		"Another: 91.44 %.":                                    "91.44",
		"See figures/table5: 91.44 %.":                         "",
		"The paper has 93.92 ± 0.18 %.":                        "",
		"The paper has more. Here it is 93.92 %.":              "93.92",
		"| | the paper |\n|---|---|\n| x | 93.92 |":            "",
		"| | here |\n|---|---|\n| x | 93.92 |":                 "93.92",
		"Run `r = 0.95`:\n```go\nr := 0.95\n```\n":             "",
		"It gives 93.1 %, or 7.3 of 10.":                       "",
		"It gives 93.4 %.":                                     "93.4",
		"$\\tau = 0.99$":                                       "0.99",
		"Go 1.26.5, v0.11.3, Section 3.2, [0.55](x/0.44.html)": "0.55",
		"7.00 cells; 0.0015 s":                                 "",
		"It is 12.34.<!-- from Table 7 of Ying et al. -->":     "",
		"−0.23 against +0.31 and 0.11–0.12":                    "0.23 0.31 0.11 0.12",
		"at https://example.org/v1.22/x.html":                  "",
	} {
		nb := fmt.Sprintf(`{"nbformat":4,"cells":[%s,{"cell_type":"markdown","source":%q}]}`, code, text)
		got, err := unfoundedNumbers([]byte(nb), root)
		var numbers []string
		for _, g := range got {
			number, _, _ := strings.Cut(g, ",")
			numbers = append(numbers, number)
		}
		if err != nil || strings.Join(numbers, " ") != want {
			t.Errorf("%s: %q (%v), want %q", text, got, err, want)
		}
	}
}

// The check of the outputs finds each thing that can be wrong with them.
func TestVerify(t *testing.T) {
	executed := func(outputs string) string {
		return `{"nbformat":4,"nbformat_minor":5,"metadata":{"kernelspec":{"name":"ctnas"}},"cells":[{"cell_type":"code","id":"a","metadata":{},"execution_count":1,"source":"x := 1","outputs":[]},` +
			`{"cell_type":"code","id":"b","metadata":{},"execution_count":2,"source":"fmt.Println(x)","outputs":[` + outputs + `]}]}`
	}
	keep := func(outputs string, old []byte) []byte {
		t.Helper()
		kept, err := Stored([]byte(executed(outputs)), old, map[string]any{"data": "real"})
		if err != nil {
			t.Fatal(err)
		}
		return kept
	}
	html := func(text string) string {
		return fmt.Sprintf(`{"output_type":"display_data","metadata":{},"data":{"text/html":%q}}`, text)
	}
	good := string(keep(html("<p>93.05 in 1m5s</p>")+","+html("<code>search 9/9 in 1m5s, accuracy 92.2</code>")+","+html("")+","+html("<div></div><script>draw()</script>"), nil))
	if err := Verify([]byte(good)); err != nil {
		t.Errorf("what was kept is wrong: %v", err)
	}
	for _, left := range []string{"<script", "search 9/9"} {
		if strings.Contains(good, left) {
			t.Errorf("%q was kept", left)
		}
	}
	if !strings.Contains(good, interactiveNote) || !strings.Contains(good, `"data": "real"`) {
		t.Errorf("a note is missing in %s", good)
	}
	// What differs in a time stays; what differs otherwise is new.
	again := html("<p>93.05 in 2m3.5s</p>") + "," + html("<script>draw()</script>")
	if got := string(keep(again, []byte(good))); got != good {
		t.Errorf("another time changed the notebook to %s", got)
	}
	if got := string(keep(strings.Replace(again, "93.05", "93.06", 1), []byte(good))); !strings.Contains(got, "93.06 in 2m3.5s") {
		t.Errorf("another number left the notebook at %s", got)
	}
	for what, c := range map[string]struct{ old, new, want string }{
		"its code":        {"fmt.Println(x)", "fmt.Println(y)", "code cell 2 has outputs of other code"},
		"a cell before":   {"x := 1", "x := 2", "code cell 1 has outputs of other code"},
		"its outputs":     {"93.05", "93.67", "code cell 2 has other outputs"},
		"order":           {`"execution_count": 2`, `"execution_count": 7`, `code cell 2 was run as number "7"`},
		"normal form":     {"  \"cell_type\"", " \"cell_type\"", "from line 4 on"},
		"the kernel":      {`"name": "ctnas"`, `"name": "other"`, "its kernel is"},
		"run by hand":     {"\"metadata\": {\n    \"ctnas\": {\n     \"code\": \"", "\"metadata\": {\n    \"other\": {\n     \"code\": \"", "was not run by"},
		"nothing is ours": {"{", "[", "no valid JSON"},
	} {
		if err := Verify([]byte(strings.Replace(good, c.old, c.new, 1))); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
	for outputs, want := range map[string]string{
		`{"output_type":"error","ename":"ERROR","evalue":"boom","traceback":[]}`:                `ended with the error "boom"`,
		`{"output_type":"stream","name":"stderr","text":"no file /home/me/x.csv"}`:              "shows the path /home/me/x.csv",
		`{"output_type":"display_data","metadata":{},"data":{"text/markdown":"in (/tmp/a/b)"}}`: "shows the path /tmp/a/b",
	} {
		if err := Verify(keep(outputs, nil)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", outputs, err, want)
		}
	}
	bare, err := WithoutOutputs([]byte(good))
	if err != nil || !errors.Is(Verify(bare), ErrNoOutputs) {
		t.Errorf("without outputs: %v, %v", err, Verify(bare))
	}
	if !SameCells(bare, []byte(good)) || SameCells(bare, []byte(strings.Replace(good, "x := 1", "x := 2", 1))) {
		t.Error("SameCells does not see what an edit is")
	}
}
