package rundir

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// Whatever stands in the files of a run directory, opening it is an error or gives a run that goes on.
func FuzzOpen(f *testing.F) {
	f.Add([]byte("{\"step\":0,\"values\":{\"loss\":1}}\n{\"step\":1,\"val"), []byte("checkpoint"), []byte("{}\n"), false)
	f.Add([]byte("{\"step\":0,\"values\":{\"loss\":1}}\n"), []byte{}, []byte{}, true)
	f.Add([]byte("\n"), []byte{0, 0, 0, 0}, []byte("null"), true)
	f.Fuzz(func(t *testing.T, metrics, checkpoint, result []byte, sealed bool) {
		root := t.TempDir()
		dir, err := keyOf(config{2}).Dir(root)
		check(t, err)
		check(t, os.MkdirAll(dir, 0o755))
		check(t, os.WriteFile(filepath.Join(dir, metricsFile), metrics, 0o644))
		if sealed {
			check(t, WriteSealed(filepath.Join(dir, checkpointFile), checkpoint))
		} else {
			check(t, os.WriteFile(filepath.Join(dir, checkpointFile), checkpoint, 0o644))
		}
		if len(result) > 0 {
			check(t, os.WriteFile(filepath.Join(dir, resultFile), result, 0o644))
		}
		r, err := Open(root, keyOf(config{2}))
		if err != nil {
			if !bytes.Contains([]byte(err.Error()), []byte("delete")) {
				t.Errorf("the error does not say what to delete: %v", err)
			}
			return
		}
		defer r.Close()
		check(t, r.Log(1<<40, map[string]float64{"loss": 2}))
		if _, err := r.Metrics(); err != nil && !bytes.Contains([]byte(err.Error()), []byte("delete")) {
			t.Errorf("the metrics: %v", err)
		}
	})
}
