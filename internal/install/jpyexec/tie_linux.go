package jpyexec

import (
	"os/exec"
	"runtime"
	"syscall"
)

// Tie has the kernel send cmd the signal once this process is gone. Call it before cmd starts, and
// what it returns after cmd has ended, on the same goroutine: Linux watches the thread that starts cmd.
func Tie(cmd *exec.Cmd, signal syscall.Signal) (release func()) {
	runtime.LockOSThread()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Pdeathsig = signal
	return runtime.UnlockOSThread
}
