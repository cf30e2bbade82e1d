package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// readNotebook reads a file that should be a notebook. It does not wait for a pipe.
func readNotebook(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch link, linkErr := os.Readlink(path); {
	case errors.Is(err, os.ErrNotExist) && linkErr == nil:
		return nil, fmt.Errorf("it is a link to %s, which is not there", link)
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errors.New("it is a folder")
	case !info.Mode().IsRegular():
		return nil, errors.New("it is not a regular file")
	}
	content, err := os.ReadFile(path)
	switch {
	case err != nil:
		return nil, err
	case len(bytes.TrimSpace(content)) == 0:
		return nil, errors.New("it is empty")
	case !utf8.Valid(content):
		return nil, errors.New("it is not text in UTF-8")
	}
	return content, nil
}

// noJSON matches strings, which stay, and what notebooks hold that JSON does not know.
var noJSON = regexp.MustCompile(`"(?:[^"\\]|\\(?s:.))*"|-?\b(?:NaN|Infinity)\b`)

// strict makes JSON, of the same length, of what Python reads and writes: NaN, infinities,
// and a byte order mark at the start. Only their places are right then, not their values.
func strict(content []byte) []byte {
	mark := []byte("\ufeff")
	if rest, ok := bytes.CutPrefix(content, mark); ok {
		content = append(bytes.Repeat([]byte(" "), len(mark)), rest...)
	}
	return noJSON.ReplaceAllFunc(content, func(token []byte) []byte {
		if token[0] == '"' {
			return token
		}
		return []byte(`"` + strings.Repeat("x", len(token)-2) + `"`)
	})
}

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

// withoutOutputs removes what running a notebook leaves in it, and changes no other byte.
func withoutOutputs(content []byte) ([]byte, error) {
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

// cellCuts are the cuts that clear a cell.
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

// checkShape says what is wrong with a notebook, in words that follow its name and a colon.
func checkShape(text []byte) error {
	in := json.NewDecoder(bytes.NewReader(text))
	var nb struct {
		Format *int `json:"nbformat"`
		Cells  []struct {
			Type   string `json:"cell_type"`
			Source any    `json:"source"`
		}
	}
	var kind *json.UnmarshalTypeError
	switch err := in.Decode(&nb); {
	case errors.As(err, &kind):
		return fmt.Errorf("it is not a notebook: %s is a JSON %s", cmp.Or(kind.Field, "it"), kind.Value)
	case err != nil:
		return fmt.Errorf("it is not a notebook: it is no valid JSON (%w)", err)
	}
	if _, err := in.Token(); err != io.EOF {
		return errors.New("it is not a notebook: it is no valid JSON (there is more after its end)")
	}
	switch {
	case nb.Format == nil:
		return errors.New("it is not a notebook: it does not say its format")
	case *nb.Format != 4:
		return fmt.Errorf("it is a notebook of format %d, not 4: open it in JupyterLab and save it again", *nb.Format)
	case nb.Cells == nil:
		return errors.New("it is not a notebook: it has no list of cells")
	}
	for i, cell := range nb.Cells {
		lines, list := cell.Source.([]any)
		_, text := cell.Source.(string)
		noLine := func(line any) bool { _, ok := line.(string); return !ok }
		switch {
		case cell.Type == "":
			return fmt.Errorf("it is not a notebook: its cell %d has no type", i+1)
		case !text && cell.Source != nil && (!list || slices.ContainsFunc(lines, noLine)):
			return fmt.Errorf("it is not a notebook: the source of its cell %d is neither a text nor a list of lines", i+1)
		}
	}
	return nil
}

// rewrite changes a file in one move. A link to it stays one, and so do its permissions.
func rewrite(path string, content []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	part := path + ".part"
	if err := os.WriteFile(part, content, 0o600); err != nil {
		return err
	}
	if err := os.Chmod(part, info.Mode().Perm()); err != nil {
		return err
	}
	return os.Rename(part, path)
}
