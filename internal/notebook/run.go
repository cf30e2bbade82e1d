package notebook

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"

	"github.com/ctnas/ctnas/internal/install"
)

// driver runs the notebook: it speaks Jupyter's protocol, for which Python has the reference client.
//
//go:embed driver.py
var driver string

// job is what the driver is told to do.
type job struct {
	Notebook string      `json:"notebook"`
	Output   string      `json:"output"`
	Folder   string      `json:"folder"` // the cells' working directory
	Kernel   string      `json:"kernel"`
	Timeout  int         `json:"timeout"` // seconds
	Hide     [][2]string `json:"hide"`    // patterns to replace in the executed copy's outputs
}

// Execute runs a notebook, shows what happens on out, and writes the executed copy to output; paths are absolute. It
// returns the seconds of each cell that is not empty. No cell may take longer than timeout. The error says which cell
// failed, and why; when ctx is done it is the error of ctx.
func Execute(ctx context.Context, env *install.Environment, out io.Writer, notebook, output string, timeout time.Duration) (seconds []float64, err error) {
	r := env.Repo
	arg, err := json.Marshal(job{
		Notebook: notebook, Output: output, Folder: filepath.Dir(notebook),
		Kernel: install.KernelName, Timeout: int(timeout.Seconds()), Hide: machinePaths(r, env.Environ),
	})
	if err != nil {
		return nil, err
	}
	log, err := os.Create(r.Private("kernel.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	script := r.Private("driver.py")
	if err := renameio.WriteFile(script, []byte(driver), 0o644); err != nil { // another run may read it
		return nil, err
	}
	cmd := exec.CommandContext(ctx, env.Python, script, string(arg))
	cmd.Dir, cmd.Env, cmd.Stderr = r.Private(), env.Environ, log

	fmt.Fprintf(out, "%s\n", r.Rel(notebook))
	start := time.Now()
	v := view{out: out, timeout: timeout}
	err = v.watch(cmd)
	if _, err := os.Stat(output); err == nil {
		fmt.Fprintf(out, "  %.1f s, executed copy in %s\n", time.Since(start).Seconds(), r.Rel(output))
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if cmd.Process == nil {
		return nil, err
	}
	if v.end == nil {
		logged, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("the notebook could not be run to its end (%s; more in %s): %w", install.LastLine(logged), r.Rel(log.Name()), err)
	}
	if err := v.verdict(); err != nil {
		return nil, fmt.Errorf("%s: %w", r.Rel(notebook), err)
	}
	return v.seconds, nil
}

// watch runs the driver and shows its events. The error, of the driver's end or of its events, is only of interest
// where no last event came.
func (v *view) watch(cmd *exec.Cmd) error {
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	// Closing its input asks the driver to stop; it also stops should this program be killed.
	cmd.Cancel = stdin.Close
	cmd.WaitDelay = 5 * time.Second
	events, said := io.Pipe()
	cmd.Stdout = said
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot start %s: %w", cmd.Path, err)
	}
	ended := make(chan error, 1)
	go func() {
		ended <- cmd.Wait() // It does not wait for what the driver may have left running.
		said.Close()
	}()
	readErr := v.read(events)
	events.CloseWithError(readErr)
	return errors.Join(readErr, <-ended)
}
