package install

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/internal/install/installtest"
)

// Our changes fit the version of GoNB in go.mod, and nothing but it.
func TestCopyGonb(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", gonbModule).Output()
	source := strings.TrimSpace(string(out))
	if err != nil || source == "" {
		t.Skipf("the source of GoNB is not in the module cache (%v)", err)
	}
	only := t.TempDir() // the files that we change: the whole is large
	for _, e := range gonbEdits {
		text, err := os.ReadFile(filepath.Join(source, e.file))
		if err != nil {
			t.Fatal(err)
		}
		installtest.Write(t, filepath.Join(only, e.file), string(text))
	}
	folder := filepath.Join(t.TempDir(), "gonb")
	for range 2 { // also over what an earlier try has left
		if err := copyGonb(only, folder); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"jpyexec/child.go", "jpyexec/tie_linux.go", "jpyexec/tie_other.go", "dispatcher/abort.go", "goexec/interrupt.go", "goexec/undefined.go"} {
		if _, err := os.Stat(filepath.Join(folder, "internal", name)); err != nil {
			t.Error(err)
		}
	}
	for _, e := range gonbEdits {
		text, err := os.ReadFile(filepath.Join(folder, e.file))
		if err != nil || !strings.Contains(string(text), e.new) {
			t.Errorf("%s lacks %q (%v)", e.file, e.new, err)
		}
	}
	installtest.WantError(t, copyGonb(folder, filepath.Join(t.TempDir(), "again")), "adapt internal/install/gonb.go")
	if err := copyGonb(filepath.Join(only, "none"), folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no source gave %v", err)
	}
}
