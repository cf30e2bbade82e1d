package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/datasets/surrogate/internal/model"
)

//go:embed card.md.tmpl
var cardText string

var cardTemplate = template.Must(template.New("card").Funcs(template.FuncMap{
	"tau":     func(x float64) string { return fmt.Sprintf("%.4f", x) },
	"percent": func(x float64) string { return fmt.Sprintf("%.2f", x) },
	"between": func(from, to float64) string {
		switch {
		case from == 0:
			return fmt.Sprintf("below %g %%", to)
		case to == 100:
			return fmt.Sprintf("%g %% and above", from)
		}
		return fmt.Sprintf("%g – %g %%", from, to)
	},
	"std": func(d difference) string {
		if d.Cells < 2 {
			return "–"
		}
		return fmt.Sprintf("%+.2f ± %.2f", d.Mean, d.Std)
	},
}).Parse(cardText))

// write writes weights.bin, card.json and README.md, each whole or not at all.
func write(folder string, m *model.Model, c *card) error {
	facts, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	var text strings.Builder
	if err := cardTemplate.Execute(&text, c); err != nil {
		return err
	}
	for _, file := range []struct {
		name string
		data []byte
	}{
		{"weights.bin", m.Encode()},
		{"card.json", append(facts, '\n')},
		{"README.md", []byte(text.String())},
	} {
		path := filepath.Join(folder, file.name)
		if err := rundir.WriteFile(path, file.data); err != nil {
			return err
		}
		fmt.Println("wrote", path)
	}
	return nil
}
