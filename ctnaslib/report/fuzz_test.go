package report

import (
	"os"
	"path/filepath"
	"testing"
)

// A result that was read can be shown; any other text gives an error.
func FuzzReadResult(f *testing.F) {
	paths, err := filepath.Glob("../../figures/table*/result.json")
	if err != nil || len(paths) == 0 {
		f.Fatalf("no stored results: %v", err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"id":"a","rows":[{"method":"m","metrics":{"ktau_mean":1e999}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "result.json")
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		r, err := ReadResult(path)
		if err != nil {
			return
		}
		table := r.Table(KTau, Accuracy, Best, Rank, Queries)
		if table.Markdown() == "" || table.HTML() == "" {
			t.Error("the table is empty")
		}
		if len(r.Rows) > 0 && len(r.Rows) < 50 {
			r.Chart(Accuracy).SVG()
		}
	})
}
