package rundir

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Stored reads the result of a key into result, a pointer, without opening the run: others may work in it. It returns
// false if the run is not finished, or not begun.
func Stored(root string, key Key, result any) (done bool, err error) {
	dir, err := key.Dir(root)
	if err != nil {
		return false, err
	}
	return ResultIn(dir, result)
}

// ResultIn is [Stored] of a run directory.
func ResultIn(dir string, result any) (done bool, err error) {
	return (&Run{dir: dir}).Result(result)
}

// Find returns the run directories under root of a key on whatever backend, by what [Key.OnAny] gives.
// Those that are damaged, or of another step, are left out.
func Find(root, step string) (map[string][]string, error) {
	entries, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("rundir: cannot look for runs: %w", err)
	}
	found := make(map[string][]string)
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), step+"-") || !entry.IsDir() {
			continue
		}
		dir := filepath.Join(root, entry.Name())
		if text, err := os.ReadFile(filepath.Join(dir, keyFile)); err == nil {
			if name, err := onAny(text); err == nil {
				found[name] = append(found[name], dir)
			}
		}
	}
	return found, nil
}

// OnAny returns what tells the key from all others but those that differ in the backend alone, also where it computes
// the data, as it does the accuracies of a model, and the data name it.
func (k Key) OnAny() (string, error) {
	text, err := k.text()
	if err != nil {
		return "", err
	}
	return onAny(text)
}

func onAny(text []byte) (string, error) {
	var parts map[string]any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber() // a seed may have more digits than a float
	if err := decoder.Decode(&parts); err != nil {
		return "", err
	}
	backend, _ := parts["backend"].(string)
	delete(parts, "backend")
	if data, ok := parts["data"].(map[string]any); ok && backend != "" {
		for name, of := range data {
			if text, ok := of.(string); ok {
				data[name] = strings.ReplaceAll(text, backend, "")
			}
		}
	}
	again, err := json.Marshal(parts)
	return Digest([]string{string(again)}), err
}
