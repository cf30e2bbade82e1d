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
	"strconv"
	"strings"

	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// utilities are the accuracies of architectures of one kind on the held-out images. The
// error says that one is not what its network is for.
func utilities[A space.Arch](archs []space.Arch, kind string, validation func(context.Context, A) (float64, error)) ([]float64, error) {
	accuracies := make([]float64, len(archs))
	for i, arch := range archs {
		a, ok := arch.(A)
		if !ok {
			return nil, fmt.Errorf("supernet: %s is not %s", arch, kind)
		}
		var err error
		if accuracies[i], err = validation(context.Background(), a); err != nil {
			return nil, err
		}
	}
	return accuracies, nil
}

// Labels is a [space.Benchmark] whose accuracies are those of shared weights on
// held-out images: Alg. 1 of the paper without any table. All architectures of its space
// can be queried.
type Labels struct {
	ctx     context.Context
	net     space.Ranker
	space   space.Space
	path    string             // of the labels on disk
	known   map[string]float64 // by the architecture's text
	queried map[string]bool
}

// labelsFile is the file of labels in a run directory: a line "architecture accuracy" each.
const labelsFile = "labels.txt"

// Labels makes a benchmark of the trained network. An accuracy is computed once and kept
// in the run directory, so that a search that is run again does not wait for it.
func (t *Trained) Labels(ctx context.Context) (*Labels, error) {
	return newLabels(ctx, t.Dir, nasbench101.Space{}, t.Net)
}

// Labels makes a benchmark of the trained supernet, for the networks of at most so many
// multiply-adds, 0 for all, as [Trained.Labels] does.
func (t *TrainedElastic) Labels(ctx context.Context, limit int64) (*Labels, error) {
	s, err := mobilenetv3.New(t.Net.config.Skeleton, limit)
	if err != nil {
		return nil, err
	}
	return newLabels(ctx, t.Dir, s, t.Net)
}

func newLabels(ctx context.Context, dir string, s space.Space, net space.Ranker) (*Labels, error) {
	l := &Labels{ctx: ctx, net: net, space: s, path: filepath.Join(dir, labelsFile), known: make(map[string]float64), queried: make(map[string]bool)}
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
		arch, number := line, ""
		if at := strings.LastIndexByte(line, ' '); at >= 0 { // the text may hold spaces
			arch, number = line[:at], strings.TrimSpace(line[at:])
		}
		var accuracy float64
		if err == nil {
			accuracy, err = strconv.ParseFloat(number, 64)
		}
		if err != nil {
			return nil, fmt.Errorf("supernet: %s is damaged, delete it to compute the labels again: %w", l.path, err)
		}
		l.known[arch] = accuracy
	}
}

// Space is the space of the shared network.
func (l *Labels) Space() space.Space { return l.space }

// Source is "proxy": labels of shared weights are not those of the benchmark.
func (l *Labels) Source() string { return "proxy" }

// Sample draws n distinct architectures by [space.Space.Sample].
func (l *Labels) Sample(rng *rand.Rand, n int) ([]space.Arch, error) {
	if finite, ok := l.space.(space.Finite); ok && n > len(finite.All()) {
		return nil, fmt.Errorf("supernet: cannot sample %d of %d architectures", n, len(finite.All()))
	}
	return space.Draw(rng, l.space, n, nil)
}

// Validation is the accuracy of an architecture with shared weights on the held-out images.
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

// Queries is the number of architectures whose accuracy was asked for.
func (l *Labels) Queries() int { return len(l.queried) }
