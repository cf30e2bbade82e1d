// Package engine is the project's door to GoMLX: it opens the compute backend,
// turns GoMLX's graph-building panics into errors, and writes a model's variables
// to bytes and back.
package engine

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"

	"github.com/gomlx/compute"
	_ "github.com/gomlx/compute/gobackend" // registers "go"
)

// The backends, as in $GOMLX_BACKEND. XLA is there in programs built with cgo.
const (
	goBackend  = "go"
	xlaBackend = "xla"
)

// pluginPathVariable names the folders in which go-xla looks for plugins first.
const pluginPathVariable = "PJRT_PLUGIN_LIBRARY_PATH"

// Open opens the backend for everything that takes a while, once in a process; later calls return the same one.
// $GOMLX_BACKEND chooses it, as for any GoMLX program: "go", "xla", "xla:cuda", "xla:/path/to/plugin.so". If it is
// not set, Open takes XLA where a PJRT plugin is installed, else the pure Go backend; it never downloads one. The
// error names the backend that cannot be had and what to do.
//
// The rule is that a run takes XLA if it is long enough to pay for compiling, which every process does again, and that
// a run too short for that calls [OpenShort]. On 2 cores XLA compiles the training of a comparator in 1 to 2 s, and
// its steps then take less than half of pure Go's 20 ms: training pays from some 80 steps on, or 2 s of pure Go, and
// all presets of package comparator have 200 or more. A search with the settings of ctnas.Quick takes as long on
// either, and longer ones are two to four times as fast on XLA.
//
// The Go backend is opened with parallelism=-1 unless the setting gives another
// value: with the limited worker pool of compute v0.1.2 matrix products that run
// side by side wait for each other's workers for ever (see TestNoDeadlock).
func Open() (compute.Backend, error) { return opened() }

// OpenShort opens the backend for a run that takes pure Go a few seconds: that, unless $GOMLX_BACKEND names another.
// It too opens it once. A step that is computed in several processes, as by the cells of a notebook, must call the
// same of the two functions in each, because a stored result belongs to its backend.
func OpenShort() (compute.Backend, error) {
	if os.Getenv(compute.ConfigEnvVar) != "" {
		return Open()
	}
	return openedGo()
}

var openedGo = sync.OnceValues(func() (compute.Backend, error) { return OpenConfig(goBackend) })

var opened = sync.OnceValues(func() (compute.Backend, error) {
	if config := os.Getenv(compute.ConfigEnvVar); config != "" {
		return OpenConfig(config)
	}
	plugins := 0
	if err := Try(func() { plugins = xlaPlugins() }); err != nil {
		return nil, fmt.Errorf("engine: cannot open the backend %q: %w", xlaBackend, badPlugin(err))
	}
	if plugins > 0 {
		return OpenConfig(xlaBackend)
	}
	return openedGo()
})

// OpenConfig opens the backend that config names in the way of $GOMLX_BACKEND,
// a new one at each call: for programs that compare backends. Others call [Open].
func OpenConfig(config string) (backend compute.Backend, err error) {
	full := config
	name, options, _ := strings.Cut(config, ":")
	if name == goBackend && !strings.Contains(options, "parallelism=") {
		full = strings.TrimSuffix("go:parallelism=-1,"+options, ",")
	}
	if caught := Try(func() { backend, err = newQuietly(full) }); caught != nil {
		err = caught
		if name == xlaBackend {
			return nil, fmt.Errorf("engine: cannot open the backend %q: %w", config, badPlugin(caught))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("engine: cannot open the backend %q (set $%s to go, or install a plugin for xla): %w", config, compute.ConfigEnvVar, err)
	}
	return backend, nil
}

// badPlugin says what to do about a file that has a PJRT plugin's name and is none:
// damaged, or for another kind of machine. go-xla v0.4.1 names it in a warning, and
// then panics with a nil pointer.
func badPlugin(caught error) error {
	var crash runtime.Error
	if !errors.As(caught, &crash) {
		return caught
	}
	where := "one of GoMLX's folders for them"
	if dirs := os.Getenv(pluginPathVariable); dirs != "" {
		where = fmt.Sprintf("$%s=%s", pluginPathVariable, dirs)
	}
	return fmt.Errorf("a file in %s has the name of a PJRT plugin, but cannot be loaded; delete it and install the plugin again, or set $%s to go", where, compute.ConfigEnvVar)
}

// opening keeps two backends from being opened at the same time, where one would take the other's output for its own.
var opening sync.Mutex

// newQuietly keeps compute v0.1.2 from printing its parallelism setting into the
// output of a notebook's cell.
func newQuietly(config string) (compute.Backend, error) {
	opening.Lock()
	defer opening.Unlock()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	stdout := os.Stdout
	os.Stdout = null
	defer func() { os.Stdout = stdout }()
	return compute.NewWithConfig(config)
}

// Try calls f and returns as an error what f panics with. GoMLX's graph-building
// functions report errors by panicking; this is the border where that ends. The
// error is GoMLX's first sentence, without its stack.
func Try(f func()) (err error) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case error:
			err = fmt.Errorf("engine: %w", e)
		default:
			err = fmt.Errorf("engine: %v", e)
		}
	}()
	f()
	return nil
}
