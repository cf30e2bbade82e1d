package training

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/ctnas/ctnas/ctnaslib/rundir"
)

// Write writes a model to a folder: the weights as the file weights.bin, the facts that
// were measured of it as card.json, and as README.md the page that the template makes of
// the facts. Each file is written whole or not at all.
func Write(folder string, weights []byte, facts any, page *template.Template) error {
	numbers, err := json.MarshalIndent(facts, "", "  ")
	if err != nil {
		return err
	}
	var text strings.Builder
	if err := page.Execute(&text, facts); err != nil {
		return err
	}
	for name, data := range map[string][]byte{
		"weights.bin": weights, "card.json": append(numbers, '\n'), "README.md": []byte(text.String()),
	} {
		path := filepath.Join(folder, name)
		if err := rundir.WriteFile(path, data); err != nil {
			return err
		}
		fmt.Println("wrote", path)
	}
	return nil
}

// RoundTo rounds x to so many digits after the point.
func RoundTo(x float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(x*scale) / scale
}

// Best returns the indices of the n largest values, the largest first.
func Best(values []float64, n int) []int {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(values[j], values[i]) })
	return order[:n]
}
