package install

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctnas/ctnas/internal/install/installtest"
)

// What /proc/driver/nvidia/version says of closed and open drivers, of old and new ones.
const (
	closed535 = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024\nGCC version:  gcc version 12.3.0 (Ubuntu 12.3.0-1ubuntu1~22.04)\n"
	open580   = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build  (dvs-builder@U22-I3-AE18-23-3)  Sun Jul 27 06:54:38 UTC 2025\nGCC version:  gcc version 13.3.0\n"
	old470    = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.256.02  Thu May  2 14:37:44 UTC 2024\n"
)

// fakeSystem gives the system these files, and no nvidia-smi but the given script.
func fakeSystem(t *testing.T, smi string, files map[string]string) {
	t.Helper()
	programs := map[string]string{}
	if smi != "" {
		programs["nvidia-smi"] = smi
	}
	installtest.Path(t, programs)
	old := system
	system = t.TempDir()
	t.Cleanup(func() { system = old })
	for name, text := range files {
		installtest.Write(t, filepath.Join(system, name), text)
	}
}

func TestDriverVersion(t *testing.T) {
	for text, want := range map[string]string{
		closed535: "535.183.01", open580: "580.159.04", old470: "470.256.02",
		"580.65.06\n": "580.65.06", "590.10\n": "590.10", // of /sys/module/nvidia/version and of nvidia-smi
		"": "", "\n580.65.06\n": "", "NVRM version: \nGCC version: gcc version 580.1\n": "", "No devices were found\n": "", "13.0.1": "",
	} {
		if got := driverVersion([]byte(text)); got != want {
			t.Errorf("%q has driver %q, want %q", text, got, want)
		}
	}
}

func FuzzDriverVersion(f *testing.F) {
	for _, seed := range []string{closed535, open580, old470, "580.65.06", "NVRM version: 99999999999999999999.1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		g := gpu{seen: "/dev/nvidia0", version: driverVersion([]byte(text)), source: "a file"}
		if _, err := g.release(); err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", text, err)
		}
	})
}

// The plugin follows from the driver, also in a container that has the devices but no nvidia-smi.
func TestRelease(t *testing.T) {
	const device, proc, sys = "dev/nvidia0", "proc/driver/nvidia/version", "sys/module/nvidia/version"
	for _, c := range []struct {
		name, smi string
		files     map[string]string
		found     string // "" for no GPU
		release   string // "" for an error
	}{
		{"container, open driver", "", map[string]string{device: "", proc: open580}, "/dev/nvidia0, driver 580.159.04 (/proc/driver/nvidia/version)", "CUDA 13"},
		{"container, closed driver", "", map[string]string{device: "", proc: closed535}, "/dev/nvidia0, driver 535.183.01 (/proc/driver/nvidia/version)", "CUDA 12"},
		{"only control devices", "", map[string]string{"dev/nvidiactl": "", sys: "580.65.06\n"}, "/dev/nvidiactl, driver 580.65.06 (/sys/module/nvidia/version)", "CUDA 13"},
		{"newer than all", "", map[string]string{device: "", proc: "NVRM version: NVIDIA  610.1.2  x"}, "/dev/nvidia0, driver 610.1.2 (/proc/driver/nvidia/version)", "CUDA 13"},
		{"one below", "", map[string]string{device: "", sys: "575.57.08"}, "/dev/nvidia0, driver 575.57.08 (/sys/module/nvidia/version)", "CUDA 12"},
		{"too old", "", map[string]string{device: "", proc: old470}, "/dev/nvidia0, driver 470.256.02 (/proc/driver/nvidia/version)", ""},
		{"no version", "", map[string]string{device: ""}, "/dev/nvidia0, but nothing says the version of its driver", "CUDA 12"},
		{"unreadable version", "exit 9", map[string]string{device: "", proc: "NVRM version: unknown\n"}, "/dev/nvidia0, but nothing says the version of its driver", "CUDA 12"},
		{"WSL", "echo 581.29", nil, "nvidia-smi, driver 581.29 (nvidia-smi)", "CUDA 13"},
		{"two cards", "printf '580.65.06\n580.65.06\n'", nil, "nvidia-smi, driver 580.65.06 (nvidia-smi)", "CUDA 13"},
		{"no card", "echo No devices were found; exit 6", nil, "", ""},
		{"driver without a card", "", map[string]string{proc: open580}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			fakeSystem(t, c.smi, c.files)
			found, ok := findGPU(t.Context())
			if ok != (c.found != "") {
				t.Fatalf("found is %v: %v", ok, found)
			}
			if !ok {
				return
			}
			if found.String() != c.found {
				t.Errorf("found %q, want %q", found, c.found)
			}
			release, err := found.release()
			if c.release == "" {
				installtest.WantError(t, err, "too old", "driver 525 or newer")
			} else if err != nil || release.name != c.release {
				t.Errorf("takes %q (%v), want %q", release.name, err, c.release)
			}
		})
	}
}

// Every plugin is pinned, and a GPU machine gets the one for its driver, with NVIDIA's
// libraries beside it.
func TestUnpackCUDA(t *testing.T) {
	s, _ := newSetup(t)
	dir := s.repo.Private("cuda")
	for _, c := range []struct{ driver, want, other string }{{open580, "jax-cuda13-pjrt==", "cu12"}, {closed535, "jax-cuda12-pjrt==", "cu13"}} {
		path := os.Getenv("PATH")
		fakeSystem(t, "", map[string]string{"dev/nvidia0": "", "proc/driver/nvidia/version": c.driver})
		t.Setenv("PATH", os.Getenv("PATH")+string(os.PathListSeparator)+path)
		asked := filepath.Join(t.TempDir(), "asked")
		s.python = filepath.Join(t.TempDir(), "python")
		installtest.Write(t, s.python, `#!/bin/sh
echo "$@" >>"`+asked+`"
cat "`+s.repo.Private("cuda.txt")+`" >>"`+asked+`"
for n in 12 13; do
  if grep -q "jax-cuda$n-pjrt" "`+s.repo.Private("cuda.txt")+`"; then
    mkdir -p "`+dir+`/jax_plugins/xla_cuda$n" && echo ELF >"`+dir+`/jax_plugins/xla_cuda$n/xla_cuda_plugin.so"
  fi
done
`)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := unpackCUDA(t.Context(), s, xlaCUDA, dir); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(asked)
		if err != nil {
			t.Fatal(err)
		}
		plugin, libraries, _ := strings.Cut(string(text), "nvidia-cublas")
		if !strings.Contains(plugin, c.want) || !strings.Contains(plugin, "--require-hashes") || !strings.Contains(plugin, "--hash=sha256:") {
			t.Errorf("for %q it asked for %s", c.driver, plugin)
		}
		if strings.Contains(libraries, c.other) || !strings.Contains(libraries, "cudnn") {
			t.Errorf("for %q the libraries are %s", c.driver, libraries)
		}
		if found, _ := filepath.Glob(filepath.Join(dir, "jax_plugins/*/pjrt_c_api_cuda_plugin.so")); len(found) != 1 || !strings.Contains(xlaCUDA.path(s.repo), filepath.Dir(found[0])) {
			t.Errorf("GoMLX does not find the plugin (%v in %s)", found, xlaCUDA.path(s.repo))
		}
	}
}

func TestCUDAFails(t *testing.T) {
	s, _ := newSetup(t)
	path := os.Getenv("PATH")
	fakeSystem(t, "", nil)
	installtest.WantError(t, s.step(t.Context(), s.accelerate(xlaCUDA)), "no NVIDIA GPU on this machine", "install NVIDIA's driver")
	fakeSystem(t, "", map[string]string{"dev/nvidia0": "", "proc/driver/nvidia/version": old470})
	installtest.WantError(t, s.step(t.Context(), s.accelerate(xlaCUDA)), "driver 470.256.02 is too old", "CUDA 12 needs driver 525 or newer")
	fakeSystem(t, "", map[string]string{"dev/nvidia0": "", "proc/driver/nvidia/version": open580})
	t.Setenv("PATH", os.Getenv("PATH")+string(os.PathListSeparator)+path)
	s.python = filepath.Join(t.TempDir(), "python")
	for _, c := range []struct{ pip, want string }{
		{"echo NewConnectionError; exit 1", "not reachable: connect to the network"},
		{"echo 'ERROR: No matching distribution found'; exit 1", "no package for this kind of machine"},
		{"echo 'ERROR: No space left on device'; exit 1", "No space left on device"},
		{"echo 'THESE PACKAGES DO NOT MATCH THE HASHES'; exit 1", "DO NOT MATCH THE HASHES"},
		{"exit 0", "holds no PJRT plugin"},
	} {
		installtest.Write(t, s.python, "#!/bin/sh\n"+c.pip+"\n")
		installtest.WantError(t, unpackCUDA(t.Context(), s, xlaCUDA, s.repo.Private("cuda")), c.want)
	}
}

// Programs on CUDA get what go-xla does not set itself, and keep flags of the user's.
func TestCUDAVariables(t *testing.T) {
	s, _ := newSetup(t)
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("HOME", cache)
	usual := "--xla_gpu_enable_triton_gemm=false --xla_gpu_experimental_enable_fusion_autotuner=false"
	check := func(own, want string) {
		t.Helper()
		t.Setenv("XLA_FLAGS", own)
		if got := strings.Join(cudaVariables(s.repo), "\n"); got != "GOPJRT_CUDA_CHECKS=0\nXLA_FLAGS="+want {
			t.Errorf("with XLA_FLAGS=%q: %s", own, got)
		}
	}
	if tuned := tunedDir(s.repo); tuned == "" {
		t.Error("what XLA finds out is not kept")
	} else if info, err := os.Stat(tuned); err != nil || !info.IsDir() {
		t.Errorf("there is no folder for what XLA finds out: %v", err)
	} else {
		usual += " --xla_gpu_per_fusion_autotune_cache_dir=" + tuned
	}
	check("", usual) // without a compiler
	installtest.Write(t, s.repo.Private("cuda/nvidia/cu13/nvvm/libdevice/libdevice.10.bc"), "")
	compiler := " --xla_gpu_cuda_data_dir=" + s.repo.Private("cuda/nvidia/cu13")
	check("", usual+compiler)
	check("--xla_dump_to=/d", "--xla_dump_to=/d "+usual+compiler)
	check("--xla_gpu_cuda_data_dir=/mine", "--xla_gpu_cuda_data_dir=/mine "+usual)
	check("--xla_gpu_enable_triton_gemm=true", "--xla_gpu_enable_triton_gemm=true "+strings.TrimPrefix(usual, "--xla_gpu_enable_triton_gemm=false ")+compiler)
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "")
	t.Setenv("LocalAppData", "")
	if flags := CUDAFlags(tunedDir(s.repo)); len(flags) != 2 {
		t.Errorf("without a home: %s", flags)
	}
}
