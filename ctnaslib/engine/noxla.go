//go:build !cgo || !((linux && (amd64 || arm64)) || (darwin && arm64)) || noxla

package engine

// xlaPlugins is 0 where a program cannot load a plugin, as without a C compiler.
func xlaPlugins() int { return 0 }
