// Package notebook reads notebooks as they are found in the world, clears them, and runs them through the kernel that
// package install has put in place. Errors about a notebook's content are worded to follow its name and a colon.
package notebook

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

	"github.com/google/renameio/v2"
)

// Read reads a file that should be a notebook. It does not wait for a pipe.
func Read(path string) ([]byte, error) {
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

// Check tells early, and in plain words, why a file cannot be run.
func Check(path string) error {
	if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no notebook %s", path)
	}
	content, err := Read(path)
	if err != nil {
		return fmt.Errorf("cannot run %s: %w", path, err)
	}
	content = strict(content)
	if err := checkShape(content); err != nil {
		return fmt.Errorf("cannot run %s: %w", path, err)
	}
	var nb struct {
		Metadata struct {
			Kernel struct{ Language any } `json:"kernelspec"`
			Info   struct{ Name any }     `json:"language_info"`
		}
	}
	if err := json.Unmarshal(content, &nb); err != nil {
		return fmt.Errorf("cannot run %s: its metadata is not that of a notebook (%w)", path, err)
	}
	for _, value := range []any{nb.Metadata.Kernel.Language, nb.Metadata.Info.Name} {
		if language, _ := value.(string); language != "" && !strings.EqualFold(language, "go") {
			return fmt.Errorf("%s is a notebook in %s, but the kernel here runs Go", path, language)
		}
	}
	return nil
}

// noJSON matches strings, which stay, and what notebooks hold that JSON does not know.
var noJSON = regexp.MustCompile(`"(?:[^"\\]|\\(?s:.))*"|-?\b(?:NaN|Infinity)\b`)

var byteOrderMark = []byte("\ufeff")

// strict makes JSON, of the same length, of what Python reads and writes: NaN, infinities,
// and a byte order mark at the start. Only their places are right then, not their values.
func strict(content []byte) []byte {
	if rest, ok := bytes.CutPrefix(content, byteOrderMark); ok {
		content = append(bytes.Repeat([]byte(" "), len(byteOrderMark)), rest...)
	}
	return noJSON.ReplaceAllFunc(content, func(token []byte) []byte {
		if token[0] == '"' {
			return token
		}
		return []byte(`"` + strings.Repeat("x", len(token)-2) + `"`)
	})
}

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

// Rewrite changes a file in one move. A link to it stays one, and so do its permissions.
func Rewrite(path string, content []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return renameio.WriteFile(path, content, info.Mode().Perm(), renameio.WithStaticPermissions(info.Mode().Perm()), renameio.WithTempDir(filepath.Dir(path)))
}
