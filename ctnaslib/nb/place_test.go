package nb

import (
	"os"
	"path/filepath"
	"testing"
)

// Wherever a notebook is, its runs are in one place.
func TestRuns(t *testing.T) {
	repo, outside := t.TempDir(), filepath.Join(t.TempDir(), "my folder")
	repo, _ = filepath.EvalSymlinks(repo)
	outside, _ = filepath.EvalSymlinks(filepath.Dir(outside))
	outside = filepath.Join(outside, "my folder")
	notebooks, deeper := filepath.Join(repo, "notebooks"), filepath.Join(repo, "notebooks", "mine", "a b")
	for _, dir := range []string{deeper, outside} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(repo, "go.mod"), []byte("// ours\nmodule github.com/ctnas/ctnas\n\ngo 1.26.5\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	runs := filepath.Join(notebooks, "runs")
	for _, c := range []struct{ at, repo, runs, want string }{
		{notebooks, repo, "", "runs"},
		{repo, repo, "", filepath.Join("notebooks", "runs")},
		{deeper, repo, "", runs},
		{outside, repo, "", runs},
		{outside, repo, "/elsewhere", "/elsewhere"},
		{notebooks, "", "", "runs"}, // without our kernel: the folder says it
		{deeper, "", "", runs},
		{outside, "", "", "runs"},
	} {
		t.Chdir(c.at)
		t.Setenv("CTNAS_REPO", c.repo)
		t.Setenv("CTNAS_RUNS", c.runs)
		if got := Runs(); got != c.want {
			t.Errorf("in %s with CTNAS_REPO=%s and CTNAS_RUNS=%s, runs are in %s, want %s", c.at, c.repo, c.runs, got, c.want)
		}
	}
	t.Setenv("CTNAS_REPO", "")
	if t.Chdir(outside); Repository() != "" {
		t.Errorf("outside the repository it is %s", Repository())
	}
}
