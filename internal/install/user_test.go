package install

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/internal/install/installtest"
)

// The folders are those of jupyter_core's jupyter_data_dir.
func TestUserDataDir(t *testing.T) {
	for _, c := range []struct{ system, xdg, platform, want string }{
		{"linux", "", "", "/home/me/.local/share/jupyter"},
		{"linux", "/data", "", "/data/jupyter"},
		{"linux", "", "1", "/home/me/.local/share/jupyter"},
		{"freebsd", "", "", "/home/me/.local/share/jupyter"},
		{"darwin", "", "", "/home/me/Library/Jupyter"},
		{"darwin", "/data", "0", "/home/me/Library/Jupyter"},
		{"darwin", "", "1", "/home/me/Library/Application Support/Jupyter"},
	} {
		t.Setenv("XDG_DATA_HOME", c.xdg)
		t.Setenv("JUPYTER_PLATFORM_DIRS", c.platform)
		if got := userDataDir("/home/me", c.system); got != c.want {
			t.Errorf("on %s with XDG_DATA_HOME=%s and JUPYTER_PLATFORM_DIRS=%s it is %s, want %s", c.system, c.xdg, c.platform, got, c.want)
		}
	}
}

// user makes a home folder, and a set-up in a repository beside it.
func user(t *testing.T) (s *setup, kernel string) {
	home := t.TempDir()
	for _, name := range []string{"JUPYTER_DATA_DIR", "XDG_DATA_HOME", "CTNAS_CACHE", "CTNAS_RUNS", "JUPYTER_PLATFORM_DIRS"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", home)
	s, _ = newSetup(t)
	kernel = filepath.Join(userDataDir(home, runtime.GOOS), "kernels", "ctnas")
	return s, kernel
}

func TestInstallUser(t *testing.T) {
	s, folder := user(t)
	if own, err := OwnUserKernel(s.repo); own != "" || err != nil {
		t.Errorf("before, the user has the kernel %q (%v)", own, err)
	}
	t.Setenv("CTNAS_DATA", "data")
	if err := s.installUser(); err != nil {
		t.Fatal(err)
	}
	start, err := os.ReadFile(filepath.Join(folder, "start"))
	if err != nil {
		t.Fatal(err)
	}
	here, _ := os.Getwd()
	for _, line := range []string{
		"export CTNAS_REPO='" + string(s.repo) + "'\n",
		`[ -n "${CTNAS_DATA+set}" ] || export CTNAS_DATA='` + filepath.Join(here, "data") + "'\n",
		`[ -n "${GOMLX_NO_AUTO_INSTALL+set}" ] || export GOMLX_NO_AUTO_INSTALL='1'` + "\n",
	} {
		if !strings.Contains(string(start), line) {
			t.Errorf("the script lacks %q:\n%s", line, start)
		}
	}
	for _, name := range []string{"kernel.json", "echarts.min.js"} {
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			t.Error(err)
		}
	}
	if own, err := OwnUserKernel(s.repo); own != folder || err != nil {
		t.Errorf("the user's kernel is in %q (%v), want %s", own, err, folder)
	}
	// A terminal in our own JupyterLab has this.
	t.Setenv("JUPYTER_DATA_DIR", s.repo.Private("jupyter"))
	if own, err := OwnUserKernel(s.repo); own != folder || err != nil {
		t.Errorf("in a terminal of lab, the user's kernel is in %q (%v), want %s", own, err, folder)
	}
	elsewhere := filepath.Join(t.TempDir(), "jupyter data")
	t.Setenv("JUPYTER_DATA_DIR", elsewhere)
	if got, err := UserKernelDir(s.repo); got != filepath.Join(elsewhere, "kernels", "ctnas") || err != nil {
		t.Errorf("with JUPYTER_DATA_DIR=%s the kernel goes to %s (%v)", elsewhere, got, err)
	}
}

// Another clone of the repository may take the place, somebody else's kernel stays.
func TestInstallUserOverAnother(t *testing.T) {
	s, folder := user(t)
	if err := writeKernelSpec("/another/clone", s.go_, folder, nil); err != nil {
		t.Fatal(err)
	}
	if own, err := OwnUserKernel(s.repo); own != "" || err != nil {
		t.Errorf("the kernel of another clone is taken for ours, in %q (%v)", own, err)
	}
	out := new(strings.Builder)
	s.out = out
	s.dry = true
	if err := s.installUser(); err != nil || !strings.Contains(out.String(), "takes the place of that of /another/clone") {
		t.Errorf("a dry run says %q (%v)", out, err)
	}
	if owner, _ := specOwner(folder); owner != "/another/clone" {
		t.Errorf("after a dry run the kernel is that of %s", owner)
	}
	s.dry = false
	if err := s.installUser(); err != nil {
		t.Error(err)
	}
	if own, err := OwnUserKernel(s.repo); own != folder || err != nil {
		t.Errorf("the user's kernel is in %q (%v), want %s", own, err, folder)
	}
	for _, foreign := range []string{`{"argv": ["python"], "display_name": "mine", "metadata": {}}`, `{"metadata": {"ctnas": 7}}`, "{", ""} {
		installtest.Write(t, filepath.Join(folder, "kernel.json"), foreign)
		installtest.WantError(t, s.installUser(), folder, "another kernel of that name")
		if content, _ := os.ReadFile(filepath.Join(folder, "kernel.json")); string(content) != foreign {
			t.Errorf("the foreign kernel is now %q", content)
		}
		if own, err := OwnUserKernel(s.repo); own != "" || err != nil {
			t.Errorf("a foreign kernel is taken for ours, in %q (%v)", own, err)
		}
	}
}
