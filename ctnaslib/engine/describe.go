package engine

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/gomlx/compute"
)

// Describe names a backend for tables, such as "go" or "xla:cpu".
func Describe(b compute.Backend) string {
	if b.Name() != xlaBackend {
		return goBackend
	}
	description := strings.ToLower(b.Description())
	for _, device := range []string{"cuda", "tpu"} {
		if strings.Contains(description, device) {
			return "xla:" + device
		}
	}
	return "xla:cpu"
}

// Fingerprint says all that numbers computed on a backend depend on, for the keys of stored
// results: the backend, its precision, the versions of the libraries and of the plugin, and
// the kind of processor. It is the same in every process of one installation, such as
// "go, simd, gomlx v0.28.2, compute v0.1.2, amd64".
func Fingerprint(b compute.Backend) string {
	parts := []string{Describe(b)}
	if b.Name() == xlaBackend {
		parts = append(parts, xlaPrecision(b), "gomlx "+dependency("github.com/gomlx/gomlx"), "go-xla "+dependency("github.com/gomlx/go-xla"))
	} else {
		precision := "no simd"
		if simd {
			precision = "simd"
		}
		parts = append(parts, precision, "gomlx "+dependency("github.com/gomlx/gomlx"), "compute "+dependency("github.com/gomlx/compute"))
	}
	return strings.Join(append(parts, runtime.GOARCH), ", ")
}

// Versions says with what a result was computed, by name: "go", "gomlx", and the "backend"
// as [Fingerprint] has it.
func Versions(b compute.Backend) map[string]string {
	return map[string]string{
		"go":      runtime.Version(),
		"gomlx":   dependency("github.com/gomlx/gomlx"),
		"backend": Fingerprint(b),
	}
}

// dependency returns the version of a module that this program was built with.
func dependency(path string) string {
	if version, ok := dependencies()[path]; ok {
		return version
	}
	return "unknown"
}

var dependencies = sync.OnceValue(func() map[string]string {
	versions := make(map[string]string)
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return versions
	}
	for _, m := range info.Deps {
		versions[m.Path] = m.Version
		if m.Replace != nil {
			versions[m.Path] = fmt.Sprintf("%s %s", m.Replace.Path, m.Replace.Version)
		}
	}
	return versions
})
