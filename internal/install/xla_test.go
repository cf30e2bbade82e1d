package install

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/internal/install/installtest"
)

// newPlugin makes an accelerator with one source that works, and a set-up in which
// the program prove is the given shell script.
func newPlugin(t *testing.T, program string) (*setup, *Accelerator) {
	t.Helper()
	s, _ := newSetup(t)
	t.Setenv(pluginVariable, "")
	os.Unsetenv(pluginVariable)
	path := os.Getenv("PATH")
	installtest.Path(t, map[string]string{"go": `while [ "$1" != -o ]; do shift; done
echo '#!/bin/sh' >"$2"; echo '` + program + `' >>"$2"; chmod +x "$2"`})
	t.Setenv("PATH", os.Getenv("PATH")+string(os.PathListSeparator)+path)
	installtest.Write(t, s.repo.Private("bin", "keep"), "")
	return s, &Accelerator{Name: "xla", Title: "XLA", Backend: "xla:cpu", dirs: []string{"."}, sources: []source{
		{"here", func(_ context.Context, _ *setup, _ *Accelerator, dir string) error {
			installtest.Write(t, filepath.Join(dir, "plugin.so"), "ELF")
			return nil
		}},
	}}
}

// A plugin becomes the default when it has proved itself, and not before.
func TestProvenPlugin(t *testing.T) {
	s, a := newPlugin(t, `test -f "$PJRT_PLUGIN_LIBRARY_PATH/plugin.so" && echo same numbers`)
	Accelerators = append(Accelerators, a)
	t.Cleanup(func() { Accelerators = Accelerators[:len(Accelerators)-1] })
	if got := pluginPath(s.repo); got != "" {
		t.Errorf("plugins are looked for in %q before there are any", got)
	}
	if err := s.step(t.Context(), s.accelerate(a)); err != nil {
		t.Fatal(err)
	}
	want := s.repo.Private("xla")
	if got := pluginPath(s.repo); got != want {
		t.Errorf("plugins are looked for in %q, want %q", got, want)
	}
	env, err := s.go_.environ(s.repo, jupyter{})
	if err != nil || !strings.Contains(strings.Join(env, "\n"), pluginVariable+"="+want) {
		t.Errorf("the kernel does not get the plugin (%v)", err)
	}
	installtest.Write(t, s.repo.Path("go.mod"), "module "+modulePath+"\n\ngo 1.26.5\n\nrequire github.com/gomlx/go-xla v9.9.9\n")
	if a.Proven(s.repo) {
		t.Error("a plugin that was proven with another go-xla is still trusted")
	}
	t.Setenv(pluginVariable, "/my/own")
	if got := pluginPath(s.repo); got != "/my/own" {
		t.Errorf("plugins are looked for in %q, want the user's own place", got)
	}
}

// glibc gives programs and kernels huge pages, unless the user has settings of its memory.
func TestHugePages(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no glibc here")
	}
	const huge = "GLIBC_TUNABLES=glibc.malloc.hugetlb=1"
	r := newRepo(t)
	t.Setenv(memoryVariable, "")
	if got := xlaCPU.Variables(r); slices.ContainsFunc(got, func(v string) bool { return strings.HasPrefix(v, memoryVariable) }) {
		t.Errorf("a program gets %q, although the user has settings of his own", got)
	}
	os.Unsetenv(memoryVariable)
	if got := xlaCPU.Variables(r); !slices.Contains(got, huge) {
		t.Errorf("a program gets %q, and not %s", got, huge)
	}
	folder := t.TempDir()
	if err := writeKernelSpec(r, goTool{}, folder, nil); err != nil {
		t.Fatal(err)
	}
	installtest.Write(t, r.Private("bin", "gonb"), "#!/bin/sh\necho GLIBC_TUNABLES=$GLIBC_TUNABLES\n")
	if out, err := exec.Command(filepath.Join(folder, starterName)).CombinedOutput(); err != nil || string(out) != huge+"\n" {
		t.Errorf("a kernel has %q (%v), want %s", out, err, huge)
	}
}

// A plugin that does not prove itself leaves nothing behind but a sentence.
func TestBadPlugin(t *testing.T) {
	for _, c := range []struct{ program, want string }{
		{`echo "E1123 noise" >&2; echo "prove: xla:cpu gives 3 where pure Go gives 2" >&2; exit 1`, "gives 3 where pure Go gives 2"},
		{`echo "SIGSEGV: segmentation violation" >&2; exit 2`, "it crashes (SIGSEGV: segmentation violation)"},
		{`kill -SEGV $$`, "it crashes (signal: segmentation fault"},
	} {
		s, a := newPlugin(t, c.program)
		err := s.step(t.Context(), s.accelerate(a))
		installtest.WantError(t, err, "no usable plugin for XLA", "from here", c.want)
		if _, err := os.Stat(s.repo.Private("xla")); !errors.Is(err, os.ErrNotExist) || a.Proven(s.repo) {
			t.Errorf("a bad plugin stayed")
		}
	}
}

// The plugin for the CPU is tried unasked, and once: what failed is said in one line, and tried again when that is
// asked for.
func TestOffer(t *testing.T) {
	s, a := newPlugin(t, "exit 0")
	out := s.out.(*bytes.Buffer)
	cpu, good := *xlaCPU, a.sources
	t.Cleanup(func() { *xlaCPU = cpu })
	tried := 0
	xlaCPU.sources = []source{{"away", func(context.Context, *setup, *Accelerator, string) error {
		tried++
		return errors.New("no such host")
	}}}
	for _, c := range []struct {
		again bool
		tried int
		says  string
	}{{false, 1, "warning: no usable plugin"}, {false, 1, "none: no usable plugin"}, {true, 2, "warning: no usable plugin"}, {false, 2, "none: no usable plugin"}} {
		out.Reset()
		if err := s.offer(t.Context(), c.again); err != nil {
			t.Fatal(err)
		}
		if said := out.String(); tried != c.tried || !strings.Contains(said, c.says) || !strings.Contains(said, "no such host") || strings.Count(said, "\n") != 1 {
			t.Errorf("tried %d times, want %d: %q", tried, c.tried, said)
		}
	}
	if why := xlaCPU.failure(s.repo); !strings.Contains(why, "no such host") || xlaCPU.Proven(s.repo) {
		t.Errorf("check cannot say why there is no plugin: %q", why)
	}
	xlaCPU.sources = good
	if err := s.offer(t.Context(), true); err != nil || !xlaCPU.Proven(s.repo) {
		t.Errorf("the plugin is not installed: %v, %s", err, out)
	}
	out.Reset()
	if err := s.offer(t.Context(), false); err != nil || !strings.Contains(out.String(), " ok") {
		t.Errorf("a plugin that is there is not taken: %v, %s", err, out)
	}
}

func TestNextSource(t *testing.T) {
	s, a := newPlugin(t, `test -f "$PJRT_PLUGIN_LIBRARY_PATH/plugin.so" && test ! -f "$PJRT_PLUGIN_LIBRARY_PATH/half"`)
	good := a.sources[0]
	a.sources = []source{{"away", func(_ context.Context, _ *setup, _ *Accelerator, dir string) error {
		installtest.Write(t, filepath.Join(dir, "half"), "")
		return errors.New("no such host")
	}}, good}
	if err := s.step(t.Context(), s.accelerate(a)); err != nil {
		t.Error(err)
	}
	a.sources = a.sources[:1]
	a.wheels = "another version"
	installtest.WantError(t, s.step(t.Context(), s.accelerate(a)), "from away: no such host")
}

func TestUnpackWheel(t *testing.T) {
	var wheel bytes.Buffer
	z := zip.NewWriter(&wheel)
	f, err := z.Create("package/pjrt_c_api_cpu_plugin.so")
	if err != nil {
		t.Fatal(err)
	}
	f.Write([]byte("ELF"))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	s, _ := newSetup(t)
	stored := filepath.Join(t.TempDir(), "w.whl")
	installtest.Write(t, stored, wheel.String())
	s.python = filepath.Join(t.TempDir(), "python")
	pip := func(script string) error {
		installtest.Write(t, s.python, "#!/bin/sh\n"+script+"\n")
		return unpackWheel(t.Context(), s, xlaCPU, s.repo.Private("xla"))
	}
	if err := pip(`while [ "$1" != --dest ]; do shift; done; mkdir -p "$2"; cp ` + stored + ` "$2"`); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(s.repo.Private("xla", "pjrt_c_api_cpu_plugin.so")); string(got) != "ELF" {
		t.Errorf("the plugin holds %q", got)
	}
	if left, _ := filepath.Glob(s.repo.Private("*.part")); left != nil {
		t.Errorf("%v was left behind", left)
	}
	installtest.WantError(t, pip("echo NewConnectionError; exit 1"), "not reachable")
	installtest.WantError(t, pip("echo 'ERROR: No matching distribution found'; exit 1"), "no package for this kind of machine")
	installtest.WantError(t, pip("echo 'THESE PACKAGES DO NOT MATCH THE HASHES'; exit 1"), "DO NOT MATCH THE HASHES")
}
