package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// cuda is a release of CUDA, with the plugin for it and NVIDIA's libraries.
type cuda struct {
	name      string // for the reader
	driver    int    // the oldest driver that it runs on
	plugin    string // the Python package of the plugin, pinned
	dir       string // where that puts the plugin
	libraries string // the Python packages of NVIDIA's libraries, as the plugin's makers bound them (jax-cuda13-plugin 0.11.2, extra with-cuda)
}

// cudas are the releases, the newest first.
var cudas = []cuda{
	{
		name: "CUDA 13", driver: 580, dir: "jax_plugins/xla_cuda13",
		plugin: "jax-cuda13-pjrt==0.11.2 --hash=sha256:e5ff589d43064913bb74027682d89639c7ea48f9f81c2bae6fc75117e913f93e\n",
		libraries: `nvidia-cublas>=13.0.0.19
nvidia-cuda-cupti>=13.0.48
nvidia-cuda-nvcc>=13.0.48
nvidia-cuda-runtime>=13.0.48
nvidia-cudnn-cu13>=9.12.0.46,<10.0
nvidia-cufft>=12.0.0.15
nvidia-cusolver>=12.0.3.29
nvidia-cusparse>=12.6.2.49
nvidia-nccl-cu13>=2.27.7
nvidia-nvjitlink>=13.0.39
nvidia-cuda-nvrtc>=13.0.48
nvidia-nvshmem-cu13>=3.3.20
nvidia-nvvm
`,
	},
	{
		name: "CUDA 12", driver: 525, dir: "jax_plugins/xla_cuda12",
		plugin: "jax-cuda12-pjrt==0.11.2 --hash=sha256:2133b3afc63307c016ae4980f166b2b3de199759363ead74f7d550eaae953463\n",
		libraries: `nvidia-cublas-cu12>=12.1.3.1
nvidia-cuda-cupti-cu12>=12.1.105
nvidia-cuda-nvcc-cu12>=12.6.85
nvidia-cuda-runtime-cu12>=12.1.105
nvidia-cudnn-cu12>=9.10.2.21,<10.0
nvidia-cufft-cu12>=11.0.2.54
nvidia-cusolver-cu12>=11.4.5.107
nvidia-cusparse-cu12>=12.1.0.106
nvidia-nccl-cu12>=2.18.1
nvidia-nvjitlink-cu12>=12.1.105
nvidia-cuda-nvrtc-cu12>=12.1.55
nvidia-nvshmem-cu12>=3.2.5
`,
	},
}

// gpu is what a system says of NVIDIA's GPUs and their driver.
type gpu struct {
	seen    string // by what there is one, such as "/dev/nvidia0"
	version string // of the driver; "" where nothing says it
	source  string // of the version
}

// system is where the system's files lie; tests have files of their own.
var system = "/"

// findGPU looks for a GPU and its driver, also in a container that has the devices but not
// NVIDIA's programs. ok is false where there is none.
func findGPU(ctx context.Context) (found gpu, ok bool) {
	if devices, _ := filepath.Glob(filepath.Join(system, "dev/nvidia*")); len(devices) > 0 {
		found.seen = "/" + strings.TrimPrefix(devices[0], strings.TrimSuffix(system, "/")+"/")
	}
	smi, smiErr := exec.CommandContext(ctx, "nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader").Output()
	if found.seen == "" {
		if smiErr != nil {
			return gpu{}, false
		}
		found.seen = "nvidia-smi"
	}
	for _, name := range []string{"/proc/driver/nvidia/version", "/sys/module/nvidia/version", "nvidia-smi"} {
		text := smi
		if name != "nvidia-smi" {
			text, _ = os.ReadFile(filepath.Join(system, name))
		}
		if found.version = driverVersion(text); found.version != "" {
			found.source = name
			break
		}
	}
	return found, true
}

// driverVersion finds the version of NVIDIA's driver in what the system says of it, such as
//
//	NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs-builder@U22-I3)
//
// It is "" where there is none.
func driverVersion(text []byte) string {
	first, _, _ := strings.Cut(string(text), "\n") // the next line has the version of a compiler
	for word := range strings.FieldsSeq(first) {
		if dotted.MatchString(word) {
			return word
		}
	}
	return ""
}

var dotted = regexp.MustCompile(`^\d{3,}(\.\d+)+$`)

// release returns the newest release of CUDA that the driver runs: where its version is not known,
// the oldest release. The error says that the driver is too old.
func (g gpu) release() (cuda, error) {
	oldest := cudas[len(cudas)-1]
	if g.version == "" {
		return oldest, nil
	}
	text, _, _ := strings.Cut(g.version, ".")
	major, err := strconv.Atoi(text)
	if err != nil {
		return cuda{}, fmt.Errorf("the version of NVIDIA's driver in %s is %q: install NVIDIA's driver again", g.source, g.version)
	}
	for _, c := range cudas {
		if major >= c.driver {
			return c, nil
		}
	}
	return cuda{}, fmt.Errorf("NVIDIA's driver %s is too old (%s): %s needs driver %d or newer", g.version, g.source, oldest.name, oldest.driver)
}

// String says what was found.
func (g gpu) String() string {
	if g.version == "" {
		return g.seen + ", but nothing says the version of its driver"
	}
	return fmt.Sprintf("%s, driver %s (%s)", g.seen, g.version, g.source)
}

var errNoGPU = errors.New("there is no NVIDIA GPU on this machine (no /dev/nvidia*, no nvidia-smi): install NVIDIA's driver, or go on without CUDA")

// cudaRelease returns the release for this machine. The error says that it has no GPU, or too old a driver.
func cudaRelease(ctx context.Context) (cuda, error) {
	found, ok := findGPU(ctx)
	if !ok {
		return cuda{}, errNoGPU
	}
	return found.release()
}

// unpackCUDA installs the plugin for the machine's driver, with NVIDIA's libraries where it
// looks for them, and gives it the name that GoMLX looks for.
func unpackCUDA(ctx context.Context, s *setup, a *Accelerator, dir string) error {
	c, err := cudaRelease(ctx)
	if err != nil {
		return err
	}
	if err := s.pip(ctx, s.python, a.Name, c.plugin, "install", "--only-binary", ":all:", "--no-deps", "--require-hashes", "--target", dir); err != nil {
		return err
	}
	plugin := filepath.Join(dir, c.dir)
	// No symbolic link: the plugin finds the libraries relative to its own path.
	err = os.Link(filepath.Join(plugin, "xla_cuda_plugin.so"), filepath.Join(plugin, "pjrt_c_api_cuda_plugin.so"))
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the package of %s holds no PJRT plugin in %s", c.name, c.dir)
	}
	if err != nil {
		return err
	}
	return s.pip(ctx, s.python, a.Name, c.libraries, "install", "--only-binary", ":all:", "--target", dir)
}

// cudaVariables returns what a program needs beside the plugin's path: XLA's flags, those of the user first. go-xla v0.4.1
// looks for NVIDIA's libraries one folder too near and warns; the plugin finds them itself, but not the files that its
// compiler needs.
func cudaVariables(r Repo) []string {
	flags := CUDAFlags(tunedDir(r))
	compilers, _ := filepath.Glob(r.Private(xlaCUDA.Name, "nvidia/*/nvvm/libdevice"))
	if len(compilers) == 1 {
		flags = append(flags, "--xla_gpu_cuda_data_dir="+filepath.Dir(filepath.Dir(compilers[0])))
	}
	own := os.Getenv(flagsVariable)
	flags = slices.DeleteFunc(flags, func(flag string) bool {
		name, _, _ := strings.Cut(flag, "=")
		return strings.Contains(own, name)
	})
	return []string{"GOPJRT_CUDA_CHECKS=0", flagsVariable + "=" + strings.TrimSpace(own+" "+strings.Join(flags, " "))}
}

const flagsVariable = "XLA_FLAGS"

// tunedDir returns the folder in the user's cache, which it makes, for what XLA finds out with this plugin: the one of
// another plugin is another. It is "" where there can be none.
func tunedDir(r Repo) string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	dir := filepath.Join(cache, "ctnas", "xla-"+xlaCUDA.key(r)[:12])
	if os.MkdirAll(dir, 0o755) != nil {
		return ""
	}
	return dir
}

// CUDAFlags are flags of XLA with which it compiles for a GPU in a fraction of the time. By default it compiles and times
// dozens of programs of its own for each product of matrices, beside those of NVIDIA's libraries, and two for each
// group of other operations: the first step of a comparator compiled for 21 s on an H200, which these flags make 0.6 s.
// The fastest convolutions are still looked for, and remembered in a folder, if it is not "", which has to be there.
// The flags are those of JAX 0.11.2: a plugin ends the process if it does not know one.
func CUDAFlags(tuned string) []string {
	flags := []string{"--xla_gpu_enable_triton_gemm=false", "--xla_gpu_experimental_enable_fusion_autotuner=false"}
	if tuned != "" {
		flags = append(flags, "--xla_gpu_per_fusion_autotune_cache_dir="+tuned)
	}
	return flags
}
