package supernet

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// Labels is a [space.Benchmark] whose accuracies are those of shared weights on
// held-out images: Alg. 1 of the paper without any table. All cells can be queried.
type Labels struct {
	ctx     context.Context
	net     *Net
	path    string             // of the labels on disk
	known   map[string]float64 // by the cell's text
	queried map[string]bool
}

// labelsFile is the file of labels in a run directory: a line "cell accuracy" each.
const labelsFile = "labels.txt"

// Labels makes a benchmark of the trained network. An accuracy is computed once and kept
// in the run directory, so that a search that is run again does not wait for it.
func (t *Trained) Labels(ctx context.Context) (*Labels, error) {
	l := &Labels{ctx: ctx, net: t.Net, path: filepath.Join(t.Dir, labelsFile), known: make(map[string]float64), queried: make(map[string]bool)}
	file, err := os.Open(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return nil, fmt.Errorf("supernet: cannot read the labels: %w", err)
	}
	defer file.Close()
	for lines := bufio.NewReader(file); ; {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			return l, nil // a last line without its end was cut off
		}
		var cell string
		var accuracy float64
		if err == nil {
			_, err = fmt.Sscanf(line, "%s %g\n", &cell, &accuracy)
		}
		if err != nil {
			return nil, fmt.Errorf("supernet: %s is damaged, delete it to compute the labels again: %w", l.path, err)
		}
		l.known[cell] = accuracy
	}
}

// Space is NAS-Bench-101.
func (l *Labels) Space() space.Space { return nasbench101.Space{} }

// Source is "proxy": labels of shared weights are not those of the benchmark.
func (l *Labels) Source() string { return "proxy" }

// Sample draws n distinct cells uniformly from the space.
func (l *Labels) Sample(rng *rand.Rand, n int) ([]space.Arch, error) {
	all := nasbench101.Enumerate()
	if n > len(all) {
		return nil, fmt.Errorf("supernet: cannot sample %d of %d cells", n, len(all))
	}
	drawn := make(map[int]bool, n)
	var archs []space.Arch
	for len(archs) < n {
		if i := rng.IntN(len(all)); !drawn[i] {
			drawn[i] = true
			archs = append(archs, all[i])
		}
	}
	return archs, nil
}

// Validation is the accuracy of a cell with shared weights on the held-out images.
func (l *Labels) Validation(a space.Arch) (float64, error) {
	text := a.String()
	l.queried[text] = true
	if accuracy, ok := l.known[text]; ok {
		return accuracy, nil
	}
	if err := l.ctx.Err(); err != nil {
		return 0, fmt.Errorf("supernet: stopped after %d labels; run it again to continue: %w", len(l.known), err)
	}
	accuracies, err := l.net.Utilities([]space.Arch{a})
	if err != nil {
		return 0, err
	}
	l.known[text] = accuracies[0]
	file, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err == nil {
		_, err = fmt.Fprintf(file, "%s %g\n", text, accuracies[0])
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		return 0, fmt.Errorf("supernet: cannot keep the label: %w", err)
	}
	return accuracies[0], nil
}

// Queries is the number of cells whose accuracy was asked for.
func (l *Labels) Queries() int { return len(l.queried) }
