package goexec

import (
	"bytes"
	"os/exec"
	"syscall"
	"time"

	"github.com/janpfeifer/gonb/internal/jpyexec"
	"github.com/janpfeifer/gonb/internal/kernel"
)

// errInterrupted is the error of a cell that was interrupted before its program ran.
const errInterrupted = jpyexec.ProgramError("interrupted")

// interruptPatience is how long the go command has to end once it was interrupted.
const interruptPatience = 3 * time.Second

// interrupted says whether the cell of a message was interrupted. Without a message, as in completion, nothing is.
func interrupted(msg kernel.Message) bool { return msg != nil && msg.Kernel().Interrupted.Load() }

// combinedOutput runs a command of compilation as cmd.CombinedOutput does, and ends it, with all that it has started,
// when the cell is interrupted.
func combinedOutput(msg kernel.Message, cmd *exec.Cmd) ([]byte, error) {
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // It starts compilers.
	defer jpyexec.Tie(cmd, syscall.SIGKILL)()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if msg != nil {
		ended := make(chan struct{})
		defer close(ended)
		stop := func(kernel.SubscriptionId) {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
			select {
			case <-ended:
			case <-time.After(interruptPatience):
				_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			}
		}
		id := msg.Kernel().SubscribeInterrupt(stop)
		defer msg.Kernel().UnsubscribeInterrupt(id)
		if interrupted(msg) { // in the moment before
			go stop(id)
		}
	}
	err := cmd.Wait()
	return output.Bytes(), err
}
