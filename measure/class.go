package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/internal/install"
	"github.com/ctnas/ctnas/internal/install/jpyexec"
)

// classDriver runs several kernels at once and looks at their memory.
//
//go:embed class.py
var classDriver string

// classSizes are how many kernels run at once.
var classSizes = []int{2, 5, 10}

// Every kernel of a class completes a word and then trains, all at the same time.
const (
	classCompletion = "%%\nnb.Picture"
	classTraining   = `%%
labelled := nb.Must(search.Label(nb.Context(), table().Benchmark(), 423, 1))
nac := nb.Must(comparator.New(nb.Must(engine.Open()), nasbench101.Space{}, comparator.Quick()))
for epoch := range 10 {
	nb.Must(nac.TrainEpoch(epoch, labelled, nil, 0))
}`
)

// attendance is what the driver measured: of each kernel the seconds of its cells,
// and the MB of each kind of its processes.
type attendance struct {
	First     []float64            `json:"first_s"`
	Work      []float64            `json:"work_s"`
	Rest      []map[string]float64 `json:"rest"`
	Completed []map[string]float64 `json:"completed"`
	Peak      []map[string]float64 `json:"peak"`
	Most      float64              `json:"most"` // of all kernels at once
}

// measureClass measures kernels side by side.
func measureClass(ctx context.Context, out io.Writer) error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("the memory of processes is read from /proc, which %s does not have: run this on Linux", runtime.GOOS)
	}
	env, err := install.Install(ctx, out, install.Extent{Editor: true})
	if err != nil {
		return err
	}
	m := begin(out, "class", "", "GoNB", "gopls, at rest / after a completion", "compiling a cell", "the cell's program", "all at once", "first cell", "training cell")
	for _, count := range classSizes {
		a, err := attend(ctx, env, count)
		if err != nil {
			return err
		}
		metrics, cells := map[string]float64{"kernels": float64(count)}, []string{}
		for _, c := range []struct {
			name  string
			value float64
		}{
			{"gonb_mb", mean(a.Peak, "gonb")}, {"gopls_rest_mb", mean(a.Rest, "gopls")}, {"gopls_completed_mb", mean(a.Completed, "gopls")},
			{"build_mb", mean(a.Peak, "build")}, {"program_mb", mean(a.Peak, "program")}, {"most_mb", a.Most},
		} {
			metrics[c.name] = c.value
			cells = append(cells, fmt.Sprintf("%.0f MB", c.value))
		}
		cells = slices.Replace(cells, 1, 3, fmt.Sprintf("%.0f / %s", metrics["gopls_rest_mb"], cells[2])) // a page has room for eight columns
		first, work := slices.Max(a.First), slices.Max(a.Work)
		metrics["first_ms"], metrics["work_ms"] = 1000*first, 1000*work
		m.add(report.Row{Method: fmt.Sprintf("%d kernels", count), Metrics: metrics}, append(cells, fmt.Sprintf("%.1f s", first), fmt.Sprintf("%.1f s", work))...)
	}
	return m.write(env.Repo, "Kernels side by side, on %s, each with a run directory of its own. All run the same first cell, complete a word, "+
		"and train a comparator for 10 epochs, at the same time. Memory is PSS, the mean of the kernels; that while training is the mean of their peaks. "+
		"Written by `go run ./measure class`.", map[string]any{})
}

// attend runs a class of so many kernels.
func attend(ctx context.Context, env *install.Environment, count int) (a attendance, err error) {
	folder, err := os.MkdirTemp("", "ctnas-class-")
	if err != nil {
		return a, err
	}
	defer os.RemoveAll(folder)
	job, err := json.Marshal(map[string]any{
		"name": install.KernelName, "count": count, "folder": folder,
		"declare": timedDeclarations, "complete": classCompletion, "work": classTraining,
	})
	if err != nil {
		return a, err
	}
	cmd := exec.CommandContext(ctx, env.Python, "-c", classDriver, string(job))
	cmd.Env = env.Environ
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // It ends its kernels first.
	cmd.WaitDelay = 30 * time.Second
	defer jpyexec.Tie(cmd, syscall.SIGINT)()
	var said bytes.Buffer
	cmd.Stderr = &said
	answer, err := cmd.Output()
	if err != nil {
		return a, fmt.Errorf("%d kernels at once failed: %s (%w)", count, install.LastLine(said.Bytes()), err)
	}
	return a, json.Unmarshal(answer, &a)
}

// mean returns the mean memory, in MB, of one kind of process.
func mean(kernels []map[string]float64, kind string) float64 {
	sum := 0.0
	for _, k := range kernels {
		sum += k[kind]
	}
	return sum / float64(len(kernels))
}
