package tables

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/experiment"
)

// Wrong input is one sentence that says what to do, and nothing is run.
func TestWrongInput(t *testing.T) {
	root := t.TempDir()
	for _, c := range []struct {
		id      string
		preset  experiment.Preset
		changes []experiment.Change
		want    string
	}{
		{"table9", "small", nil, `no experiment "table9"`},
		{"", "small", nil, "no experiment"},
		{"table1", "medium", nil, `no preset "medium"`},
		{"table1", "small", []experiment.Change{Seeds(0)}, "0 seeds"},
		{"table1", "small", []experiment.Change{Seeds(2), Labels(-5)}, "-5 labels"},
		{"table1", "small", []experiment.Change{Pairs(-1)}, "K cannot be -1"},
		{"figure4", "small", []experiment.Change{Labels(50)}, "figure4: "},
	} {
		_, err := run(t.Context(), root, c.id, c.preset, c.changes, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s, %s: error %v, want %s", c.id, c.preset, err, c.want)
		}
	}
	if left, _ := os.ReadDir(root); len(left) > 0 {
		t.Errorf("something was run: %v", left)
	}
}

// The environment goes before the notebook, whose changes are of its own preset.
func TestFromEnvironment(t *testing.T) {
	changes := []experiment.Change{Seeds(1)}
	for wanted, n := range map[string]int{"": 1, "small": 1, "paper": 0, "medium": 0} {
		t.Setenv("CTNAS_PRESET", wanted)
		preset, left := fromEnvironment("small", changes)
		if len(left) != n || wanted != "" && string(preset) != wanted {
			t.Errorf("with CTNAS_PRESET=%s the preset is %s, with %d changes", wanted, preset, len(left))
		}
	}
}

// The stored results are found wherever the notebook is; without the repository the error says what to do.
func TestStored(t *testing.T) {
	repository, err := filepath.Abs(filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	r, err := stored(repository, "table4")
	if err != nil || r.ID != "table4" {
		t.Fatalf("%q (%v)", r.ID, err)
	}
	if _, err := picture(r, "accuracy"); err != nil {
		t.Error(err)
	}
	if _, err := picture(r, "acuracy"); err == nil || !strings.Contains(err.Error(), `["accuracy"`) {
		t.Errorf("error %v", err)
	}
	if _, err := stored("", "table4"); err == nil || !strings.Contains(err.Error(), "repository") {
		t.Errorf("error %v", err)
	}
	if _, err := stored(repository, "table9"); err == nil || !strings.Contains(err.Error(), `"table9"`) {
		t.Errorf("error %v", err)
	}
	if _, err := stored(t.TempDir(), "table4"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

// A result with pictures and one without can be shown, in a terminal too.
func TestShow(t *testing.T) {
	for _, id := range []string{"table3", "table4"} {
		r, err := stored(filepath.Join("..", "..", ".."), id)
		if err != nil {
			t.Fatal(err)
		}
		Show(r)
	}
}

// said matches a text with numbers in a notebook.
var said = regexp.MustCompile("tables\\.Say\\(\"([^\"]*)\", `([^`]*)`\\)")

// The sentences of the notebooks have the numbers that they ask for.
func TestNotebooksSay(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join("..", "..", "..", "notebooks", "*.ipynb"))
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var notebook struct{ Cells []struct{ Source []string } }
		if err := json.Unmarshal(content, &notebook); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, cell := range notebook.Cells {
			for _, m := range said.FindAllStringSubmatch(strings.Join(cell.Source, ""), -1) {
				count++
				result, err := stored(filepath.Join("..", "..", ".."), m[1])
				if err != nil {
					t.Errorf("%s: %v", filepath.Base(path), err)
					continue
				}
				text, err := result.Quote(m[2], experiment.All[m[1]].Columns...)
				if err != nil {
					t.Errorf("%s: %v", filepath.Base(path), err)
				}
				t.Log(text)
			}
		}
	}
	if count == 0 {
		t.Error("no notebook says a number")
	}
}
