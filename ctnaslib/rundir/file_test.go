package rundir

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// names are what is in a folder.
func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	check(t, err)
	var all []string
	for _, entry := range entries {
		all = append(all, entry.Name())
	}
	return strings.Join(all, " ")
}

// A killed process cannot leave anything where nobody looks for it.
func TestTemporaryFilesAreBesideTheirFile(t *testing.T) {
	temp, root := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", temp)
	long := time.Now().Add(-time.Hour).Truncate(time.Second)
	check(t, os.Chtimes(temp, long, long))
	r := mustOpen(t, root, config{2})
	check(t, r.Save(1, []byte("state")))
	check(t, r.Finish("result"))
	check(t, WriteFile(filepath.Join(root, "table.md"), []byte("table")))
	info, err := os.Stat(temp)
	check(t, err)
	if !info.ModTime().Equal(long) {
		t.Errorf("something was written to $TMPDIR")
	}
	if got := names(t, r.Dir()); got != "checkpoint key.json lock-1 result.json" {
		t.Errorf("the run directory holds %s", got)
	}
}

func TestWriteFileTakesAwayWhatAKilledProcessLeft(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "table.md")
	check(t, WriteFile(path, []byte("first")))
	for name, age := range map[string]time.Duration{
		".table.md17": time.Hour, // a killed process's
		".table.md18": 0,         // perhaps another process's that is at work
		".table.md":   time.Hour, ".table.md1x": time.Hour, "table.md17": time.Hour, ".other.md17": time.Hour,
	} {
		check(t, os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o644))
		check(t, os.Chtimes(filepath.Join(dir, name), time.Now(), time.Now().Add(-age)))
	}
	check(t, WriteFile(path, []byte("second")))
	if got := names(t, dir); got != ".other.md17 .table.md .table.md18 .table.md1x table.md table.md17" {
		t.Errorf("the folder holds %s", got)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "second" {
		t.Errorf("the file holds %q, %v", text, err)
	}
}

func TestWriteFileNamesTheFileThatItCannotWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "table.md")
	if err := WriteFile(path, nil); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v", err)
	}
}

func TestWriteStreamWritesAllOrNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "table.json")
	left := filepath.Join(dir, ".table.json17") // by a killed process
	check(t, os.WriteFile(left, []byte("half"), 0o644))
	check(t, os.Chtimes(left, time.Now(), time.Now().Add(-time.Hour)))
	long := strings.Repeat("0123456789", 300_000)
	check(t, WriteStream(path, func(w io.Writer) error {
		_, err := io.WriteString(w, long)
		return err
	}))
	stopped := errors.New("stopped")
	err := WriteStream(path, func(w io.Writer) error {
		_, err := io.WriteString(w, long[:len(long)/2])
		return errors.Join(err, stopped)
	})
	if !errors.Is(err, stopped) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v", err)
	}
	if got := names(t, dir); got != "table.json" {
		t.Errorf("the folder holds %s", got)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != long {
		t.Errorf("the file holds %d bytes, %v", len(text), err)
	}
	if err := WriteStream(filepath.Join(dir, "missing", "table.json"), func(io.Writer) error { return nil }); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("error %v", err)
	}
}

// The folder of the runs may be called anything, and someone may have looked into it.
func TestUnfinishedFilesAreRemovedWhateverTheRootIsCalled(t *testing.T) {
	for _, name := range []string{"runs", "runs[1]", "runs*", `ru\ns`, "[", "?"} {
		root := filepath.Join(t.TempDir(), name)
		r := mustOpen(t, root, config{2})
		check(t, r.Close())
		for _, left := range []string{".checkpoint1234", ".result.json9", ".metrics.jsonl77"} {
			check(t, os.WriteFile(filepath.Join(r.Dir(), left), []byte("half"), 0o644))
		}
		check(t, os.MkdirAll(filepath.Join(r.Dir(), ".ipynb_checkpoints", "key-checkpoint.json"), 0o755))
		check(t, mustOpen(t, root, config{2}).Close())
		if got := names(t, r.Dir()); got != ".ipynb_checkpoints key.json lock-2" {
			t.Errorf("%s: the run directory holds %s", root, got)
		}
	}
}

func TestAResultIsNotStoredAgain(t *testing.T) {
	r := mustOpen(t, t.TempDir(), config{2})
	check(t, r.Finish("first"))
	path := filepath.Join(r.Dir(), "result.json")
	long := time.Now().Add(-time.Hour).Truncate(time.Second)
	check(t, os.Chtimes(path, long, long))
	check(t, r.Finish("first"))
	if info, err := os.Stat(path); err != nil || !info.ModTime().Equal(long) {
		t.Errorf("the same result was written again (%v)", err)
	}
	check(t, r.Finish("second"))
	var got string
	if done, err := r.Result(&got); !done || err != nil || got != "second" {
		t.Errorf("result %q, %v, %v", got, done, err)
	}
}
