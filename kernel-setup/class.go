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

	"github.com/ctnas/ctnas/kernel-setup/internal/figure"
	"github.com/ctnas/ctnas/kernel-setup/internal/jpyexec"
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

// measureClass measures kernels side by side, and writes figures/class.
func measureClass(ctx context.Context, out io.Writer) error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("check -class reads the memory of processes from /proc, which %s does not have: run it on Linux", runtime.GOOS)
	}
	env, err := install(ctx, out, extent{editor: true})
	if err != nil {
		return err
	}
	load, start := figure.Load(), time.Now()
	text := fmt.Sprintf("Kernels side by side, on %d CPUs (load average before it: %s), each with a run directory of its own. All run the same first cell, complete a word, "+
		"and train a comparator for 10 epochs, at the same time. Memory is PSS, the mean of the kernels; that while training is the mean of their peaks. "+
		"Written by `go run ./kernel-setup check -class`.\n\n"+
		"| kernels | GoNB | gopls, at rest | gopls, after a completion | compiling a cell | the cell's program | all at once | first cell | training cell |\n"+
		"| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n", runtime.NumCPU(), load)
	type row struct {
		Method  string             `json:"method"`
		Metrics map[string]float64 `json:"metrics"`
	}
	var rows []row
	for _, count := range classSizes {
		a, err := env.attend(ctx, count)
		if err != nil {
			return err
		}
		m := map[string]float64{
			"kernels": float64(count), "gonb_mb": mean(a.Peak, "gonb"),
			"gopls_rest_mb": mean(a.Rest, "gopls"), "gopls_completed_mb": mean(a.Completed, "gopls"),
			"build_mb": mean(a.Peak, "build"), "program_mb": mean(a.Peak, "program"), "most_mb": a.Most,
			"first_ms": 1000 * slices.Max(a.First), "work_ms": 1000 * slices.Max(a.Work),
		}
		rows = append(rows, row{fmt.Sprintf("%d kernels", count), m})
		line := fmt.Sprintf("| %d | %.0f MB | %.0f MB | %.0f MB | %.0f MB | %.0f MB | %.0f MB | %.1f s | %.1f s |\n", count,
			m["gonb_mb"], m["gopls_rest_mb"], m["gopls_completed_mb"], m["build_mb"], m["program_mb"], m["most_mb"], m["first_ms"]/1000, m["work_ms"]/1000)
		fmt.Fprint(out, line)
		text += line
	}
	return figure.Write(env.repo.path("figures", "class"), text, map[string]any{
		"id": "class", "elapsed_s": time.Since(start).Seconds(),
		"config": map[string]any{"go": runtime.Version(), "cpus": runtime.NumCPU(), "load_average": load}, "rows": rows,
	})
}

// attend runs a class of so many kernels.
func (e *environment) attend(ctx context.Context, count int) (a attendance, err error) {
	folder, err := os.MkdirTemp("", "ctnas-class-")
	if err != nil {
		return a, err
	}
	defer os.RemoveAll(folder)
	job, err := json.Marshal(map[string]any{
		"name": kernelName, "count": count, "folder": folder,
		"declare": timedDeclarations, "complete": classCompletion, "work": classTraining,
	})
	if err != nil {
		return a, err
	}
	cmd := exec.CommandContext(ctx, e.jupyter.python, "-c", classDriver, string(job))
	cmd.Env = e.environ
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // It ends its kernels first.
	cmd.WaitDelay = 30 * time.Second
	defer jpyexec.Tie(cmd, syscall.SIGINT)()
	var said bytes.Buffer
	cmd.Stderr = &said
	answer, err := cmd.Output()
	if err != nil {
		return a, fmt.Errorf("%d kernels at once failed: %s (%w)", count, lastLine(said.Bytes()), err)
	}
	return a, json.Unmarshal(answer, &a)
}

// mean is that of one kind of process.
func mean(kernels []map[string]float64, kind string) float64 {
	sum := 0.0
	for _, k := range kernels {
		sum += k[kind]
	}
	return sum / float64(len(kernels))
}
