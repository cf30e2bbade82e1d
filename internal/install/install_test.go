package install

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/nb"
	"github.com/ctnas/ctnas/internal/install/installtest"
)

func newRepo(t *testing.T) Repo { return Repo(installtest.Repo(t)) }

func newSetup(t *testing.T) (*setup, *bytes.Buffer) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	out := new(bytes.Buffer)
	return &setup{repo: newRepo(t), out: out, log: log}, out
}

func TestFindRepo(t *testing.T) {
	want := newRepo(t)
	deep := want.Path("a", "b")
	installtest.Write(t, filepath.Join(deep, "go.mod"), "module example.com/other\n")
	for _, dir := range []string{string(want), want.Path("a"), deep} {
		if got, err := FindRepo(dir); err != nil || got != want {
			t.Errorf("FindRepo(%s) = %s, %v", dir, got, err)
		}
	}
	_, err := FindRepo(t.TempDir())
	installtest.WantError(t, err, "not inside the repository")
}

// A step is done once; again after an interruption, a change, or a loss.
func TestStep(t *testing.T) {
	s, _ := newSetup(t)
	leave := s.repo.Private("bin", "tool")
	var done int
	var fail error
	run := func(key string) error {
		return s.step(t.Context(), step{name: "tool", key: key, leave: leave, do: func(context.Context, string) error {
			done++
			if fail != nil {
				return fail
			}
			installtest.Write(t, leave, "tool")
			return nil
		}})
	}
	for _, c := range []struct {
		what string
		key  string
		fail error
		prep func()
		want int
	}{
		{what: "first", key: "1", want: 1},
		{what: "nothing to do", key: "1", want: 1},
		{what: "changed and interrupted", key: "2", fail: errors.New("killed"), want: 2},
		{what: "redone", key: "2", want: 3},
		{what: "nothing to do again", key: "2", want: 3},
		{what: "interrupted on the way to 3", key: "3", fail: errors.New("killed"), want: 4},
		{what: "what version 2 left is not trusted", key: "2", want: 5},
		{what: "file lost", key: "2", prep: func() { os.Remove(leave) }, want: 6},
	} {
		if c.prep != nil {
			c.prep()
		}
		fail = c.fail
		if err := run(c.key); !errors.Is(err, c.fail) {
			t.Errorf("%s: error %v, want %v", c.what, err, c.fail)
		}
		if done != c.want {
			t.Fatalf("%s: done %d times, want %d", c.what, done, c.want)
		}
	}
}

func TestOptionalStep(t *testing.T) {
	s, out := newSetup(t)
	st := step{name: "extra", key: "1", optional: "it is slower", do: func(context.Context, string) error { return errors.New("no luck") }}
	if err := s.step(t.Context(), st); err != nil {
		t.Errorf("an optional step failed the set-up: %v", err)
	}
	if !strings.Contains(out.String(), "warning: no luck; it is slower") {
		t.Errorf("no warning in %q", out)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.step(ctx, st); err == nil {
		t.Error("a set-up that was interrupted went on")
	}
}

func TestKernelSpec(t *testing.T) {
	r := newRepo(t)
	g := goTool{GOROOT: "/opt/go", GOFLAGS: "-mod=mod -trimpath", GOEXPERIMENT: "newinliner"}
	if err := writeKernelSpec(r, g); err != nil {
		t.Fatal(err)
	}
	// Jupyter serves a kernel's files below kernelspecs/ and its name, where package nb looks for the script of its charts.
	folder, script, _ := strings.Cut(strings.TrimPrefix(nb.ECharts, "kernelspecs/"), "/")
	if content, err := os.ReadFile(r.Private("jupyter", "kernels", folder, script)); err != nil || len(content) < 500_000 {
		t.Errorf("the script of the charts has %d bytes (%v)", len(content), err)
	}
	content, err := os.ReadFile(r.Private("jupyter", "kernels", "ctnas", "kernel.json"))
	if err != nil {
		t.Fatal(err)
	}
	var spec kernelSpec
	if err := json.Unmarshal(content, &spec); err != nil {
		t.Fatal(err)
	}
	if spec.DisplayName != "Go (CTNAS)" || spec.Language != "go" {
		t.Errorf("the kernel is called %q in language %q", spec.DisplayName, spec.Language)
	}
	argv := strings.Join(spec.Argv, " ")
	for _, part := range []string{string(r) + "/.ctnas/bin/gonb", "--kernel {connection_file}", "-go_work=" + string(r)} {
		if !strings.Contains(argv, part) {
			t.Errorf("the kernel's command %q lacks %q", argv, part)
		}
	}
	for name, want := range map[string]string{
		"GOEXPERIMENT": "newinliner,simd",
		"GOFLAGS":      "-mod=readonly -trimpath " + linkFlags(),
		"PATH":         string(r) + "/.ctnas/bin:/opt/go/bin:${PATH}",
	} {
		if spec.Env[name] != want {
			t.Errorf("%s is %q, want %q", name, spec.Env[name], want)
		}
	}
	installtest.WantError(t, writeKernelSpec("/a,b", g), "comma")
}

func TestEnviron(t *testing.T) {
	folders := []string{"CTNAS_DATA", "CTNAS_CACHE", "CTNAS_RUNS"}
	for _, name := range folders {
		t.Setenv(name, "../folder")
	}
	t.Setenv("GOMLX_NO_AUTO_INSTALL", "")
	os.Unsetenv("GOMLX_NO_AUTO_INSTALL")
	env, err := goTool{}.environ(newRepo(t), jupyter{private: true})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		got[name] = value
	}
	for _, name := range folders {
		if !filepath.IsAbs(got[name]) {
			t.Errorf("%s is %q, but cells run in another folder", name, got[name])
		}
	}
	if got["GOMLX_NO_AUTO_INSTALL"] != "1" || got["GOEXPERIMENT"] != "simd" {
		t.Errorf("the environment lacks GOMLX_NO_AUTO_INSTALL=1 or GOEXPERIMENT=simd: %v", got)
	}
}

func TestGoTooOldOrMissing(t *testing.T) {
	r := newRepo(t)
	installtest.Path(t, nil)
	_, err := findGo(t.Context(), r)
	installtest.WantError(t, err, "not on the PATH", "1.26.5")

	installtest.Path(t, map[string]string{"go": `echo '{"GOVERSION": "go1.25.9", "GOROOT": "/opt/go"}'`})
	_, err = findGo(t.Context(), r)
	installtest.WantError(t, err, "go1.25.9", "1.26.5 or newer")

	installtest.Path(t, map[string]string{"go": `echo 'go: go.mod requires go >= 1.26.5 (running go 1.24.0; GOTOOLCHAIN=local)' >&2; exit 1`})
	_, err = findGo(t.Context(), r)
	installtest.WantError(t, err, "running go 1.24.0")

	installtest.Path(t, map[string]string{"go": `echo '{"GOVERSION": "go1.27.0 X:simd", "GOROOT": "/opt/go"}'`})
	if g, err := findGo(t.Context(), r); err != nil || g.GOROOT != "/opt/go" {
		t.Errorf("a newer Go gave %v, %v", g, err)
	}
}

func TestPythonMissingOrBroken(t *testing.T) {
	const version, venv = `*version_info*) echo 3.11;;`, `*venv*)`
	for _, c := range []struct {
		what   string
		python string // the fake python3; none if empty
		want   string
	}{
		{"none", "", "python3 is not on the PATH"},
		{"too old", "echo 3.8; exit 1", "version 3.8, but JupyterLab needs 3.10"},
		{"no ensurepip", `case "$*" in ` + version + venv + ` echo "ensurepip is not available"; exit 1;; esac`, "apt install python3-venv"},
		{"disk full", `case "$*" in ` + version + venv + ` echo "Traceback:"; echo "No space left on device"; exit 1;; esac`, "No space left on device"},
	} {
		t.Run(c.what, func(t *testing.T) {
			s, _ := newSetup(t)
			scripts := map[string]string{}
			if c.python != "" {
				scripts["python3"] = c.python
			}
			installtest.Path(t, scripts)
			installtest.WantError(t, s.makeVenv(t.Context()), c.want)
		})
	}
}

func TestPipFails(t *testing.T) {
	for _, c := range []struct{ says, want string }{
		{"WARNING: Retrying after NewConnectionError: Failed to establish", "index is not reachable"},
		{"ERROR: Could not install packages: No space left on device", "No space left on device"},
	} {
		s, _ := newSetup(t)
		installtest.Path(t, map[string]string{"python3": "echo 3.11"})
		installtest.Write(t, venvPython(s.repo), "#!/bin/sh\necho '"+c.says+"'; exit 1\n")
		installtest.WantError(t, s.makeVenv(t.Context()), c.want)
	}
}

// The machine's Jupyter is taken before one is installed.
func TestMachineJupyter(t *testing.T) {
	installtest.Path(t, map[string]string{"python3": "exit 1"})
	if j, ok := machineJupyter(t.Context()); ok {
		t.Errorf("found %v on a machine without Jupyter", j)
	}
	python := filepath.Join(t.TempDir(), "python")
	installtest.Write(t, python, "#!/bin/sh\necho "+python+"\n")
	dir := t.TempDir()
	installtest.Write(t, filepath.Join(dir, "jupyter-lab"), "#!"+python+"\nimport jupyterlab\n")
	t.Setenv("PATH", dir)
	if j, ok := machineJupyter(t.Context()); !ok || j.python != python || j.private {
		t.Errorf("machineJupyter = %v, %v, want %s", j, ok, python)
	}
}

func TestRequirementsArePinned(t *testing.T) {
	for line := range strings.Lines(requirements) {
		if !strings.HasPrefix(line, "#") && !strings.Contains(line, "==") {
			t.Errorf("not pinned: %s", line)
		}
	}
}

// What the go command says of a missing network and a home that cannot be written
// gets a remedy.
func TestGoCommandFails(t *testing.T) {
	for _, c := range []struct{ says, want string }{
		{`go: example.com/m@v1.0.0: Get "https://proxy/": dial tcp: lookup proxy: no such host`, "connect to the network"},
		{"failed to initialize build cache at /home/x/.cache/go-build: mkdir /home/x/.cache: read-only file system", "set GOCACHE and GOMODCACHE"},
		{"go: module cache not found: neither GOMODCACHE nor GOPATH is set", "set GOCACHE and GOMODCACHE"},
		{"a.go:1:1: syntax error", "syntax error (all of it in"},
	} {
		s, _ := newSetup(t)
		installtest.Path(t, map[string]string{"go": "echo '" + c.says + "' >&2; exit 1"})
		installtest.WantError(t, s.buildTool("example.com/m")(t.Context(), s.repo.Private("bin", "m")), "cannot build m", c.want)
	}
}

// Jupyter looks for kernels and settings in our folders before all others.
func TestForeignKernel(t *testing.T) {
	t.Setenv("JUPYTER_PATH", "/foreign")
	t.Setenv("JUPYTER_CONFIG_PATH", "")
	r := newRepo(t)
	env, err := goTool{}.environ(r, jupyter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"JUPYTER_PATH=" + r.Private("jupyter") + string(os.PathListSeparator) + "/foreign",
		"JUPYTER_CONFIG_PATH=" + labDefaultsDir(r),
	} {
		if !slices.Contains(env, want) {
			t.Errorf("the environment lacks %s", want)
		}
	}
}

func TestFolderNotWritable(t *testing.T) {
	r := newRepo(t)
	t.Chdir(string(r))
	installtest.Write(t, r.Private(), "a file where the folder should be")
	installtest.Path(t, map[string]string{"go": `echo '{"GOVERSION": "go1.26.9", "GOROOT": "/opt/go"}'`})
	_, err := Install(t.Context(), new(bytes.Buffer), Extent{})
	installtest.WantError(t, err, "cannot install anything", r.Private(), "make the repository writable")
}

func TestLabDefaults(t *testing.T) {
	r := newRepo(t)
	if err := writeLabDefaults(r); err != nil {
		t.Fatal(err)
	}
	for name := range labDefaults {
		content, err := os.ReadFile(filepath.Join(labDefaultsDir(r), "labconfig", name))
		if err != nil || !json.Valid(content) {
			t.Errorf("%s holds %q (%v), which is no JSON", name, content, err)
		}
	}
}

// Gopls is started with a bound on its memory, which the user may set otherwise.
func TestGoplsStart(t *testing.T) {
	s, _ := newSetup(t)
	installtest.Path(t, map[string]string{"go": `printf '#!/bin/sh\necho $GOMEMLIMIT "$@"\n' >"$GOBIN/gopls"`})
	gopls := s.repo.Private("bin", "gopls")
	if err := os.MkdirAll(s.repo.Private("gopls"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := s.installGopls(t.Context(), gopls); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(s.repo.Private("gopls", "gopls"), 0o755); err != nil {
		t.Fatal(err)
	}
	for own, want := range map[string]string{"": "300MiB", "1GiB": "1GiB"} {
		t.Setenv("GOMEMLIMIT", own)
		out, err := exec.Command(gopls, "-listen", "a b").CombinedOutput()
		if err != nil || string(out) != want+" -listen a b\n" {
			t.Errorf("gopls was started with %q (%v), want the limit %s", out, err, want)
		}
	}
}

// A dry run changes nothing, not even by making the folder.
func TestDryRun(t *testing.T) {
	s, out := newSetup(t)
	installtest.Write(t, s.repo.Path("go.sum"), "")
	installtest.Path(t, nil)
	s.dry = true
	if _, err := s.run(t.Context(), Extent{Editor: true, CUDA: true}); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"gonb", "gopls", "jupyter", "build cache", "table", "xla", "cuda"} {
		if !strings.Contains(out.String(), name) {
			t.Errorf("%q does not mention %s", out, name)
		}
	}
	if _, err := os.Stat(s.repo.Private()); !errors.Is(err, os.ErrNotExist) {
		t.Error("a dry run made .ctnas")
	}
}

// On a machine with nothing, check says so for every part.
func TestCheckFindsNothing(t *testing.T) {
	r := newRepo(t)
	t.Chdir(string(r))
	installtest.Write(t, r.Path("go.sum"), "")
	for name, value := range map[string]string{"CTNAS_DATA": r.Path("nowhere"), "GOMLX_BACKEND": "", pluginVariable: ""} {
		t.Setenv(name, value)
	}
	os.Unsetenv(pluginVariable)
	installtest.Path(t, map[string]string{"go": `echo '{"GOVERSION": "go1.26.9", "GOROOT": "/opt/go"}'`})
	var out bytes.Buffer
	if complete, err := Check(t.Context(), &out); err != nil || complete {
		t.Errorf("check gave %v, %v", complete, err)
	}
	for _, part := range []string{
		"Go           ok: go1.26.9", "Python       MISSING: ", "JupyterLab   MISSING: ", "gonb         MISSING: ", "gopls        no: ",
		"kernel       MISSING: ", "data         MISSING: ", "pure Go      ok", "XLA on CPU   no: no plugin is installed: go run ./kernel-setup install\n", "Notebooks use pure Go",
	} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("check does not say %q:\n%s", part, &out)
		}
	}
}
