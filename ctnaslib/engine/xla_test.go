//go:build cgo && ((linux && (amd64 || arm64)) || (darwin && arm64)) && !noxla

package engine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gomlx/compute"
)

// A file that only has a plugin's name gets one sentence with a remedy, whether XLA
// is asked for or would be the default. go-xla looks for plugins when a process
// starts, so the test starts itself again.
func TestNoPlugin(t *testing.T) {
	const again = "ENGINE_TEST_NO_PLUGIN"
	if os.Getenv(again) != "" {
		_, err := Open()
		fmt.Printf("<%v>\n", err)
		return
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pjrt_c_api_cpu_plugin.so"), []byte("garbage"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, config := range []string{"", "xla", "xla:cpu"} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestNoPlugin$")
		cmd.Env = append(os.Environ(), again+"=1", pluginPathVariable+"="+dir, compute.ConfigEnvVar+"="+config)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		said, _, _ := strings.Cut(string(out), "\n")
		for _, part := range []string{"<engine: cannot open the backend", dir, "delete it", "set $" + compute.ConfigEnvVar + " to go>"} {
			if !strings.Contains(said, part) {
				t.Errorf("with %q: %q does not have %q", config, said, part)
			}
		}
	}
}
