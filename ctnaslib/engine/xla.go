//go:build cgo && ((linux && (amd64 || arm64)) || (darwin && arm64)) && !noxla

package engine

import "github.com/gomlx/go-xla/compute/xla" // registers "xla"

func init() { xla.EnableAutoInstall(false) }

// xlaPlugins counts the installed PJRT plugins.
func xlaPlugins() int { return len(xla.GetAvailablePlugins()) }
