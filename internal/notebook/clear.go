package notebook

import (
	"encoding/json"
	"fmt"
	"slices"
)

// WithoutOutputs returns a notebook, in normal form, without what running it leaves. One that holds nothing of that is returned as it is.
func WithoutOutputs(content []byte) ([]byte, error) {
	nb, err := parse(content)
	if err != nil {
		return nil, err
	}
	ran := false
	remove := func(from object, key string) {
		if _, ok := from[key]; ok {
			ran = true
			delete(from, key)
		}
	}
	for _, cell := range cellsOf(nb) {
		if cell["cell_type"] != "code" {
			continue
		}
		ran = ran || len(outputsOf(cell)) > 0 || cell["execution_count"] != nil
		cell["outputs"], cell["execution_count"] = []any{}, nil
		if metadata, ok := cell["metadata"].(object); ok {
			remove(metadata, "execution") // when it ran
			remove(metadata, mark)
		}
	}
	if metadata, ok := nb["metadata"].(object); ok {
		remove(metadata, mark)
	}
	if !ran {
		return content, nil
	}
	return normal(nb), nil
}

// SameCells says whether two notebooks have the same cells, apart from what running, opening and saving them leaves.
func SameCells(a, b []byte) bool {
	var cells [2][]string
	for i, content := range [][]byte{a, b} {
		nb, err := parse(content)
		if err != nil {
			return false
		}
		for _, cell := range cellsOf(nb) {
			attached, err := json.Marshal(cell["attachments"])
			if err != nil {
				return false
			}
			cells[i] = append(cells[i], fmt.Sprint(cell["cell_type"]), joined(cell["source"]), string(attached))
		}
	}
	return slices.Equal(cells[0], cells[1])
}
