package rundir

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// A result is read while its run is open, and runs are found whatever computed them.
func TestStoredAndFind(t *testing.T) {
	root := t.TempDir()
	one, other, third := keyOf(config{2}), keyOf(config{2}), keyOf(config{3})
	one.Backend, other.Backend = "go, float32", "xla, float32"
	one.Data, other.Data = map[string]string{"labels": "of a model on go, float32"}, map[string]string{"labels": "of a model on xla, float32"}
	var text string
	if done, err := Stored(root, one, &text); done || err != nil {
		t.Errorf("not begun: %v, %v", done, err)
	}
	for i, key := range []Key{one, other, third} {
		r, err := Open(root, key)
		check(t, err)
		defer r.Close()
		if i == 0 {
			check(t, r.Finish("result"))
		}
	}
	if done, err := Stored(root, one, &text); !done || err != nil || text != "result" {
		t.Errorf("%v, %q, %v", done, text, err)
	}
	check(t, os.MkdirAll(filepath.Join(root, "step-damaged"), 0o755))
	check(t, os.WriteFile(filepath.Join(root, "step-damaged", keyFile), []byte("{"), 0o644))
	found, err := Find(root, "step")
	check(t, err)
	name, err := third.OnAny()
	check(t, err)
	if len(found) != 2 || len(found[name]) != 1 {
		t.Errorf("found %v", found)
	}
	name, err = one.OnAny()
	check(t, err)
	var want []string
	for _, key := range []Key{one, other} {
		dir, err := key.Dir(root)
		check(t, err)
		want = append(want, dir)
	}
	slices.Sort(want)
	if !slices.Equal(found[name], want) {
		t.Errorf("found %v, want %v", found[name], want)
	}
}
