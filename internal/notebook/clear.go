package notebook

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
)

// span is a member of an object, and its place.
type span struct {
	key        string
	start      int // of the key
	value, end int // of the value
	text       []byte
}

// members finds the members of the object in content[from:], which is JSON.
func members(content []byte, from, to int) ([]span, error) {
	in := json.NewDecoder(bytes.NewReader(content[from:to]))
	if open, err := in.Token(); err != nil {
		return nil, err
	} else if open != json.Delim('{') {
		return nil, errors.New("there is something else where an object should be")
	}
	var found []span
	for in.More() {
		start := from + int(in.InputOffset())
		start += len(content[start:]) - len(bytes.TrimLeft(content[start:], ", \t\r\n"))
		key, err := in.Token()
		if err != nil {
			return nil, err
		}
		value, end, text, err := next(in, from)
		if err != nil {
			return nil, err
		}
		found = append(found, span{key.(string), start, value, end, text})
	}
	return found, nil
}

// next reads a value, and says where it is.
func next(in *json.Decoder, from int) (start, end int, text []byte, err error) {
	var raw json.RawMessage
	if err := in.Decode(&raw); err != nil {
		return 0, 0, nil, err
	}
	end = from + int(in.InputOffset())
	return end - len(raw), end, raw, nil
}

// WithoutOutputs removes what running a notebook leaves in it, and changes no other byte.
func WithoutOutputs(content []byte) ([]byte, error) {
	text := strict(content)
	if err := checkShape(text); err != nil {
		return nil, err
	}
	top, err := members(text, 0, len(text))
	if err != nil {
		return nil, err
	}
	var cuts []cut
	for _, m := range top {
		if m.key != "cells" {
			continue
		}
		in := json.NewDecoder(bytes.NewReader(m.text))
		if _, err := in.Token(); err != nil {
			return nil, err
		}
		for in.More() {
			start, end, _, err := next(in, m.value)
			if err != nil {
				return nil, err
			}
			cell, err := members(text, start, end)
			if err != nil {
				return nil, err
			}
			more, err := cellCuts(text, cell)
			if err != nil {
				return nil, err
			}
			cuts = append(cuts, more...)
		}
	}
	slices.SortFunc(cuts, func(a, b cut) int { return a.start - b.start })
	var clean []byte
	at := 0
	for _, c := range cuts {
		clean = append(append(clean, content[at:c.start]...), c.new...)
		at = c.end
	}
	return append(clean, content[at:]...), nil
}

// cut is a part of a notebook to replace.
type cut struct {
	start, end int
	new        string
}

// cellCuts returns the cuts that clear a cell.
func cellCuts(text []byte, cell []span) (cuts []cut, err error) {
	code := func(m span) bool { return m.key == "cell_type" && string(m.text) == `"code"` }
	if !slices.ContainsFunc(cell, code) {
		return nil, nil
	}
	for _, m := range cell {
		switch m.key {
		case "outputs":
			if string(slices.DeleteFunc(bytes.Clone(m.text), isSpace)) != "[]" {
				cuts = append(cuts, cut{m.value, m.end, "[]"})
			}
		case "execution_count":
			if string(m.text) != "null" {
				cuts = append(cuts, cut{m.value, m.end, "null"})
			}
		case "metadata":
			if m.text[0] != '{' {
				continue
			}
			inner, err := members(text, m.value, m.end)
			if err != nil {
				return nil, err
			}
			ran := func(m span) bool { return m.key == "execution" } // when it ran
			first := slices.IndexFunc(inner, func(m span) bool { return !ran(m) })
			switch {
			case first < 0 && len(inner) > 0:
				cuts = append(cuts, cut{m.value, m.end, "{}"})
			case first > 0:
				cuts = append(cuts, cut{inner[0].start, inner[first].start, ""})
			}
			for i := first + 1; first >= 0 && i < len(inner); i++ {
				if ran(inner[i]) {
					cuts = append(cuts, cut{inner[i-1].end, inner[i].end, ""})
				}
			}
		}
	}
	return cuts, nil
}

func isSpace(b byte) bool { return strings.IndexByte(" \t\r\n", b) >= 0 }
