//go:build !linux

package jpyexec

import (
	"os/exec"
	"syscall"
)

// Tie does nothing here: only Linux ends a program together with the one that started it.
func Tie(*exec.Cmd, syscall.Signal) (release func()) { return func() {} }
