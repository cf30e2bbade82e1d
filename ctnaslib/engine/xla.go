//go:build cgo && ((linux && (amd64 || arm64)) || (darwin && arm64)) && !noxla

package engine

import (
	"fmt"
	"os"
	"regexp"

	"github.com/gomlx/compute"
	"github.com/gomlx/go-xla/compute/xla" // registers "xla"
)

func init() { xla.EnableAutoInstall(false) }

// xlaPlugins counts the installed PJRT plugins.
func xlaPlugins() int { return len(xla.GetAvailablePlugins()) }

// pluginPath finds a plugin's file in its description, and apiVersion the version of its
// interface.
var pluginPath, apiVersion = regexp.MustCompile(`plugin \(([^)]+)\)`), regexp.MustCompile(` v\d+\.\d+`)

// xlaPrecision says which plugin computes, and with what precision: a plugin has no version
// of its own to ask for, so the size of its file stands for it.
func xlaPrecision(b compute.Backend) string {
	precision := "float32"
	if x, ok := b.(*xla.Backend); ok && x.DotGeneralUseTF32 && Describe(b) == "xla:cuda" {
		precision = "tf32"
	}
	description := b.Description()
	size := int64(0)
	if found := pluginPath.FindStringSubmatch(description); found != nil {
		if info, err := os.Stat(found[1]); err == nil {
			size = info.Size()
		}
	}
	return fmt.Sprintf("%s, PJRT%s, plugin of %d bytes", precision, apiVersion.FindString(description), size)
}
