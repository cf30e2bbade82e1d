package install

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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
	folder := kernelDir(r)
	if hasKernelSpec(r, g, folder, nil) {
		t.Error("the kernel is there before it is written")
	}
	if err := writeKernelSpec(r, g, folder, nil); err != nil {
		t.Fatal(err)
	}
	if !hasKernelSpec(r, g, folder, nil) || hasKernelSpec(r, g, folder, []string{"CTNAS_DATA=/data"}) {
		t.Error("hasKernelSpec does not know what was written")
	}
	// Jupyter serves a kernel's files below kernelspecs/ and its name, where package nb looks for the script of its charts.
	name, script, _ := strings.Cut(strings.TrimPrefix(nb.ECharts, "kernelspecs/"), "/")
	if content, err := os.ReadFile(r.Private("jupyter", "kernels", name, script)); err != nil || len(content) < 500_000 {
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
	if spec.DisplayName != "Go (CTNAS)" || spec.Language != "go" || spec.InterruptMode != "message" {
		t.Errorf("the kernel is %+v", spec)
	}
	if want := []string{folder + "/start", "--kernel", "{connection_file}", "-go_work=" + string(r), "-raw_error"}; !slices.Equal(spec.Argv, want) {
		t.Errorf("the kernel's command is %q, want %q", spec.Argv, want)
	}
	installtest.WantError(t, writeKernelSpec("/a,b", g, folder, nil), "comma")
}

// The script starts GoNB under our settings; what the user has set goes before the defaults.
func TestStarter(t *testing.T) {
	r := Repo(filepath.Join(string(newRepo(t)), "it's here"))
	g := goTool{GOROOT: "/opt/go", GOFLAGS: "-mod=mod -trimpath", GOEXPERIMENT: "newinliner"}
	folder := filepath.Join(t.TempDir(), "kernels", "ctnas")
	if err := writeKernelSpec(r, g, folder, []string{"CTNAS_DATA=/my $data", "CTNAS_CACHE=/default", "CTNAS_RUNS=/default"}); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"CTNAS_CACHE": "/own", "CTNAS_RUNS": "", "GOFLAGS": "-x", "CTNAS_DATA": "", "GLIBC_TUNABLES": "my.own=1"} {
		t.Setenv(name, value)
	}
	os.Unsetenv("CTNAS_DATA")
	start := exec.Command(filepath.Join(folder, "start"), "--kernel", "a b.json")
	out, err := start.CombinedOutput()
	if err == nil || !strings.Contains(string(out), string(r)+" any more: go run ./kernel-setup install -user") {
		t.Errorf("without GoNB the script says %q (%v)", out, err)
	}
	installtest.Write(t, r.Private("bin", "gonb"), "#!/bin/sh\nfor v in GOEXPERIMENT GOFLAGS GOWORK PATH CTNAS_REPO CTNAS_DATA CTNAS_CACHE CTNAS_RUNS GLIBC_TUNABLES; do eval echo \\\"$v=\\$$v\\\"; done; echo \"$#\" \"$2\"\n")
	start = exec.Command(filepath.Join(folder, "start"), "--kernel", "a b.json")
	start.Dir = t.TempDir()
	out, err = start.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := strings.Join([]string{
		"GOEXPERIMENT=newinliner,simd",
		"GOFLAGS=-mod=readonly -trimpath " + linkFlags(),
		"GOWORK=auto",
		"PATH=" + string(r) + "/.ctnas/bin:/opt/go/bin:" + os.Getenv("PATH"),
		"CTNAS_REPO=" + string(r),
		"CTNAS_DATA=/my $data",
		"CTNAS_CACHE=/own",
		"CTNAS_RUNS=",
		"GLIBC_TUNABLES=my.own=1",
		"2 a b.json\n",
	}, "\n")
	if string(out) != want {
		t.Errorf("GoNB is started with\n%swant\n%s", out, want)
	}
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
			installtest.WantError(t, s.installJupyter(t.Context(), ""), c.want)
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
		installtest.WantError(t, s.installJupyter(t.Context(), ""), c.want)
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
	for line := range strings.Lines(requirements + pagesRequirements) {
		if !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "#") && !strings.Contains(line, "==") {
			t.Errorf("not pinned: %s", line)
		}
	}
	if n, digests := strings.Count(pagesRequirements, "=="), strings.Count(pagesRequirements, "--hash=sha256:"); digests < n {
		t.Errorf("%d packages have only %d digests", n, digests)
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

// A dry run changes nothing, not even by making the folder, and says what would be done, and what could not.
func TestDryRun(t *testing.T) {
	s, out := newSetup(t)
	installtest.Write(t, s.repo.Path("go.sum"), "")
	s.dry = true
	t.Setenv("JUPYTER_DATA_DIR", t.TempDir())
	dry := func(what Extent) error {
		out.Reset()
		_, err := s.run(t.Context(), what)
		return err
	}
	installtest.Path(t, map[string]string{"python3": `case "$*" in *version_info*) echo 3.12;; *) exit 1;; esac`})
	if err := dry(Extent{Editor: true, User: true}); err != nil {
		t.Error(err)
	}
	user, _ := UserKernelDir(s.repo)
	for _, line := range []string{
		"gonb         to install\n", "gopls        to install\n", "jupyter      to install\n", "kernel       to install in .ctnas/jupyter/kernels/ctnas\n",
		"build cache  to bring up to date, as each time\n", "table        to bring up to date", "xla          to install\n", "user kernel  to install in " + user + "\n",
	} {
		if !strings.Contains(out.String(), "  "+line) {
			t.Errorf("a dry run does not say %q:\n%s", line, out)
		}
	}
	if found, ok := findGPU(t.Context()); !ok {
		if err := dry(Extent{CUDA: true}); err == nil {
			t.Errorf("without a GPU, but with %v, a dry run says that CUDA is to be installed:\n%s", found, out)
		}
	}
	if err := writeKernelSpec(s.repo, s.go_, kernelDir(s.repo), nil); err != nil {
		t.Fatal(err)
	}
	if err := dry(Extent{}); err != nil || !strings.Contains(out.String(), "  kernel       ok\n") || strings.Contains(out.String(), "gopls") || strings.Contains(out.String(), "user") {
		t.Errorf("a dry run for notebooks alone, with the kernel there (%v):\n%s", err, out)
	}
	os.RemoveAll(s.repo.Private())
	installtest.Path(t, nil)
	installtest.WantError(t, dry(Extent{}), "python3 is not on the PATH")
	if !strings.Contains(out.String(), "  jupyter      would fail\n") {
		t.Errorf("without Python a dry run says\n%s", out)
	}
	if _, err := os.Stat(s.repo.Private()); !errors.Is(err, os.ErrNotExist) {
		t.Error("a dry run made .ctnas")
	}
}

// A dry run fails where the set-up would, for want of a folder that can be written.
func TestDryRunWithoutFolder(t *testing.T) {
	r := newRepo(t)
	if err := canMake(r.Private("a", "b")); err != nil {
		t.Error(err)
	}
	installtest.Write(t, r.Private(), "a file where the folder should be")
	t.Chdir(string(r))
	installtest.Path(t, map[string]string{"go": `echo '{"GOVERSION": "go1.26.9", "GOROOT": "/opt/go"}'`})
	_, err := Install(t.Context(), new(bytes.Buffer), Extent{Dry: true})
	installtest.WantError(t, err, "cannot install anything", r.Private())
	if os.Geteuid() != 0 {
		if err := os.Chmod(string(r), 0o555); err != nil {
			t.Fatal(err)
		}
		installtest.WantError(t, canMake(r.Private("a")), "permission denied")
	}
}

// Set-ups of one repository take turns, and the last takes the lock's file away.
func TestLock(t *testing.T) {
	r := newRepo(t)
	if err := os.MkdirAll(r.Private(), 0o755); err != nil {
		t.Fatal(err)
	}
	var inside atomic.Int32
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			unlock, err := lock(t.Context(), r, io.Discard)
			if err != nil {
				t.Error(err)
				return
			}
			if n := inside.Add(1); n != 1 {
				t.Errorf("%d set-ups work at a time", n)
			}
			time.Sleep(10 * time.Millisecond)
			inside.Add(-1)
			unlock()
		})
	}
	wg.Wait()
	if files, _ := os.ReadDir(r.Private()); len(files) != 0 {
		t.Errorf("what stays behind is %v", files)
	}
	unlock, err := lock(t.Context(), r, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := lock(ctx, r, io.Discard); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for a set-up gave %v", err)
	}
}

// A set-up that is stopped leaves no half of an environment, of a program or of a plugin.
func TestStoppedSetUpLeavesNothingHalf(t *testing.T) {
	s, _ := newSetup(t)
	venv := s.repo.Private("venv")
	installtest.Path(t, map[string]string{
		"python3": `case "$*" in *version_info*) echo 3.12;; *venv*) /bin/mkdir -p "` + venv + `/bin"; echo half >"` + venv + `/half"; exit 1;; esac`,
		"go":      `while [ $# -gt 0 ]; do [ "$1" = -o ] && echo half >"$2"; shift; done; exit 1`,
	})
	if err := s.installJupyter(t.Context(), ""); err == nil {
		t.Error("no error")
	}
	tool := s.repo.Private("bin", "tool")
	installtest.Write(t, s.repo.Private("bin", "other"), "")
	if err := s.buildTool("example.com/tool")(t.Context(), tool); err == nil {
		t.Error("no error")
	}
	ctx, cancel := context.WithCancel(t.Context())
	a := &Accelerator{Name: "xla", Title: "XLA", dirs: []string{"."}, sources: []source{{"here", func(_ context.Context, _ *setup, _ *Accelerator, dir string) error {
		installtest.Write(t, filepath.Join(dir, "plugin.so"), "half")
		cancel()
		return ctx.Err()
	}}}}
	st := s.accelerate(a)
	if err := st.do(ctx, st.leave); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for _, path := range []string{venv, tool, tool + ".part", st.leave} {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is there (%v)", path, err)
		}
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
