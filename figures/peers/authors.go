package main

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/datasets"
)

// driverProgram runs the authors' code with the clock in hand.
//
//go:embed authors.py
var driverProgram string

// authorsJob is what the driver is to do.
type authorsJob struct {
	OnlyVersions bool   `json:"only_versions"`
	Authors      string `json:"authors"` // the checkout
	Data         string `json:"data"`    // nas_bench.json
	Folder       string `json:"folder"`  // for what their code writes; not there yet

	Labels []string `json:"labels"` // the hashes of the labelled cells
	Seed   int      `json:"seed"`
	Epochs int      `json:"epochs"`
	Steps  int      `json:"steps"`
	Calls  int      `json:"calls"`
	Batch  int      `json:"batch"`
	Nodes  int      `json:"nodes"`
	Width  int      `json:"width"`
}

// driver returns the command that runs the authors' code as a job says. What Python and PyTorch keep for the next time
// goes into the temporary folder, and nothing into the checkout.
func (o options) driver(ctx context.Context, temp string, j authorsJob) (*exec.Cmd, error) {
	text, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, o.python, "-c", driverProgram, string(text))
	cmd.Env = append(os.Environ(), "TMPDIR="+temp, "PYTHONDONTWRITEBYTECODE=1")
	return cmd, nil
}

// theirs returns the authors' code as a peer, with a table and labels of ours, in files in a folder. The error says
// that the checkout or the Python is not what it should be.
func (o options) theirs(ctx context.Context, folder string, s size, table *datasets.NASBench101) (peer, error) {
	root, err := filepath.Abs(o.authors)
	if err != nil {
		return peer{}, err
	}
	code, err := digest(filepath.Join(root, "ctnas"))
	if err != nil {
		return peer{}, fmt.Errorf("-authors %s is not a checkout of the authors' repository: %w", o.authors, err)
	}
	check := peer{name: "-python " + o.python, command: func(ctx context.Context, _ string) (*exec.Cmd, error) {
		return o.driver(ctx, folder, authorsJob{OnlyVersions: true})
	}}
	if _, err := check.measure(ctx, ""); err != nil {
		return peer{}, fmt.Errorf("%w; name a Python with torch, numpy, scipy, networkx and tensorboard", err)
	}
	j, err := newAuthorsJob(ctx, folder, s, table)
	if err != nil {
		return peer{}, err
	}
	j.Authors = root
	command := func(ctx context.Context, output string) (*exec.Cmd, error) {
		again := j
		again.Folder = output
		return o.driver(ctx, folder, again)
	}
	return peer{name: nameAuthors, encodings: 2, versions: map[string]string{"authors' code": "digest " + code}, command: command}, nil
}

// newAuthorsJob returns a job with the labels that our measurement has, and the table in a file that their code reads.
func newAuthorsJob(ctx context.Context, folder string, s size, table *datasets.NASBench101) (authorsJob, error) {
	c := s.search
	j := authorsJob{
		Data: filepath.Join(folder, "nas_bench.json"), Seed: seed, Epochs: c.NAC.Epochs, Steps: s.steps(),
		Calls: s.calls, Batch: c.NAC.BatchSize, Nodes: nasbench101.MaxVertices, Width: c.NAC.Width,
	}
	labelled, err := search.Label(ctx, table.Benchmark(), c.Labels, seed)
	if err != nil {
		return j, err
	}
	for _, l := range labelled {
		j.Labels = append(j.Labels, l.Arch.ID())
	}
	return j, rundir.WriteStream(j.Data, func(w io.Writer) error { return table.WriteJSON(ctx, w) })
}

// digest says which code lies in a folder: the beginning of the SHA-256 of its Python files, names and contents.
func digest(folder string) (string, error) {
	if _, err := os.Stat(filepath.Join(folder, "train.py")); err != nil {
		return "", err
	}
	sum := sha256.New()
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || filepath.Ext(path) != ".py" {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		fmt.Fprintf(sum, "%s %d\n%s", filepath.ToSlash(name), len(content), content)
		return err
	})
	return fmt.Sprintf("%x", sum.Sum(nil)[:6]), err
}
