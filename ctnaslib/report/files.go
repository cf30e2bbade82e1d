package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/ctnas/ctnas/ctnaslib/rundir"
)

// Figure is a chart with the name of its file.
type Figure struct {
	Name  string // without ".svg"
	Chart Chart
}

// Page returns the text of a table.md: the table with its pictures, which are beside it.
func Page(table Table, figures ...Figure) string {
	var pictures strings.Builder
	for _, f := range figures {
		fmt.Fprintf(&pictures, "![%s](%s.svg)\n\n", escaped(cmp.Or(f.Chart.Title, f.Name)), f.Name)
	}
	return table.page(pictures.String())
}

// WriteFiles writes what figures/<id> holds of an experiment: result.json, table.md, and an SVG of each figure. It
// makes the folder if need be. Each file is written whole or not at all, and result.json last. The error says what is
// wrong in the result ([Result.Check]) or a figure, or which file cannot be written.
func (r Result) WriteFiles(dir string, table Table, figures ...Figure) error {
	if err := r.Check(); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("report: the result %s cannot be written as JSON: %w", r.ID, err)
	}
	type file struct {
		name, text string
	}
	var files []file
	for _, f := range figures {
		svg, err := f.Chart.SVG()
		if err != nil {
			return fmt.Errorf("figure %s: %w", f.Name, err)
		}
		files = append(files, file{f.Name + ".svg", svg})
	}
	files = append(files, file{"table.md", Page(table, figures...)}, file{"result.json", string(text) + "\n"})
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("report: cannot create the folder of the result: %w", err)
	}
	for _, f := range files {
		if err := rundir.WriteFile(filepath.Join(dir, f.name), []byte(f.text)); err != nil {
			return fmt.Errorf("report: %w", err)
		}
	}
	return nil
}

// WriteMeasured writes what figures/<id> holds of a program that measures something else than a [Result]: result.json,
// any value, and table.md. It makes the folder if need be, and writes each file whole or not at all.
func WriteMeasured(dir string, result any, table string) error {
	text, err := json.MarshalIndent(result, "", " ")
	if err != nil {
		return fmt.Errorf("report: the result cannot be written as JSON: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("report: cannot create the folder of the result: %w", err)
	}
	if err := rundir.WriteFile(filepath.Join(dir, "result.json"), append(text, '\n')); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := rundir.WriteFile(filepath.Join(dir, "table.md"), []byte(table)); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}
