//go:build !cgo || !((linux && (amd64 || arm64)) || (darwin && arm64)) || noxla

package engine

import "github.com/gomlx/compute"

// xlaPlugins is 0 where a program cannot load a plugin, as without a C compiler.
func xlaPlugins() int { return 0 }

// xlaPrecision is never asked for where there is no XLA.
func xlaPrecision(compute.Backend) string { return "" }
