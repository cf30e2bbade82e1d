package experiment

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// newResult returns a result that says what computed it, from what, with nothing measured yet.
func newResult(id, benchmark, source, data string, backend compute.Backend, seeds int, config any, algorithms rundir.Versions) report.Result {
	versions := engine.Versions(backend)
	versions["ctnas"] = revision()
	return report.Result{
		ID: id, Benchmark: benchmark, Source: source, Backend: engine.Describe(backend), Seeds: seeds, Config: config,
		Data: data, Versions: versions, Algorithms: algorithms,
	}
}

// newResultOn returns such a result on a benchmark.
func newResultOn(id string, b space.Benchmark, backend compute.Backend, seeds int, config any, algorithms rundir.Versions) report.Result {
	return newResult(id, b.Space().Name(), b.Source(), space.Identity(b), backend, seeds, config, algorithms)
}

// about is [Plan.Data] of a benchmark and the source of its accuracies.
func about(benchmark, source string) string { return fmt.Sprintf("%s (%s)", benchmark, source) }

const modulePath = "github.com/ctnas/ctnas"

// revision is the version of this module, or the commit of the checkout that the program was built in,
// with "+changes" if files differ from it; "unknown" where neither can be found out.
var revision = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == modulePath && strings.HasPrefix(m.Version, "v") {
			return m.Version
		}
	}
	dir := checkout()
	if dir == "" {
		return "unknown"
	}
	commit, err := exec.Command("git", "-C", dir, "rev-parse", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	name := strings.TrimSpace(string(commit))
	if changes, err := exec.Command("git", "-C", dir, "status", "--porcelain").Output(); err != nil || len(changes) > 0 {
		name += "+changes"
	}
	return name
})

// checkout returns the folder of this module that the working directory lies in, "" if it lies in none.
func checkout() string {
	dir, err := os.Getwd()
	for err == nil {
		if text, err := os.ReadFile(filepath.Join(dir, "go.mod")); err == nil {
			if strings.HasPrefix(string(text), "module "+modulePath+"\n") {
				return dir
			}
			return ""
		}
		if dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	return ""
}
