// Package figure writes what kernel-setup measured.
package figure

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/ctnas/ctnas/ctnaslib/rundir"
)

// Write writes a table in Markdown and a result as JSON into dir, as table.md and
// result.json.
func Write(dir, table string, result any) error {
	content, err := json.MarshalIndent(result, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := rundir.WriteFile(filepath.Join(dir, "result.json"), append(content, '\n')); err != nil {
		return err
	}
	return rundir.WriteFile(filepath.Join(dir, "table.md"), []byte(table))
}

// Load is the load average of the last minute, or "" where the system does not say.
func Load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	load, _, _ := strings.Cut(string(text), " ")
	return load
}
