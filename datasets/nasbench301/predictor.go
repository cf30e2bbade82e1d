// Package nasbench301 is the benchmark of the DARTS search space (Siems et al.,
// NAS-Bench-301, 2020; Zela et al., ICLR 2022): about 60,000 genotypes were trained on
// CIFAR-10, for 98 epochs with a validation accuracy, and a model of them gives every
// genotype of the space its accuracy. There are too many genotypes for a table, so the
// benchmark is this model.
//
//	predictor, err := nasbench301.Open(ctx, backend, "")
//	predictor.Source()     // what this is, for every result made from it
//	predictor.Benchmark()  // what a search may ask
//	predictor.Accuracies(archs, nasbench301.Epochs) // for reports
//
// The model is the one that YAHPO Gym publishes (Pfisterer et al., AutoML-Conf 2022),
// an ONNX file whose network GoMLX runs. Of its two versions this is the second: its outputs
// lie within the accuracies of the training data, up to 95.05 %, and cells without
// convolutions are worst, as Siems et al. found in the data. The first version gives
// 95.3 % to cells of skips only, and 95.9 % to some others.
//
// The benchmark has no test accuracies. A report of what a search found tells the
// model's validation accuracy after all epochs; it has no noise.
package nasbench301

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/darts"
	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/datasets/internal/weights"
	"github.com/ctnas/ctnas/datasets/nasbench301/internal/distilled"
)

// Epochs is the number of epochs after which there are validation accuracies.
const Epochs = 98

// Predictor gives genotypes their validation accuracy. It is safe for concurrent use.
type Predictor struct {
	source  datasets.Source
	digest  string // of the published file, and which backend computes; empty for the embedded model
	predict func(genotypes []darts.Genotype, epoch int) ([]float64, error)
}

// Open opens the published model at path, which is its file or a folder that holds
// it; if path is empty, it is looked for in the folder that CTNAS_DATA names, then in
// the user's cache, then downloaded where that is allowed, as [datasets.Find] says. If
// there is none, the predictor is that of [Embedded], with a note that
// says how to get the real one. The model computes on backend.
func Open(ctx context.Context, backend compute.Backend, path string, all ...datasets.Option) (*Predictor, error) {
	found, err := datasets.Find(ctx, datasets.NASBench301, path, all...)
	if errors.Is(err, datasets.ErrNoData) && path == "" {
		p := Embedded()
		p.source.Notes = []string{strings.TrimPrefix(err.Error(), "datasets: ")}
		return p, nil
	}
	if err != nil {
		return nil, err
	}
	p, err := read(backend, found.Path, found.Asset.Digest)
	if err != nil {
		return nil, fmt.Errorf("nasbench301: %s: %w; the file is damaged or another one, get it again", found.Path, err)
	}
	p.source = datasets.Source{
		Kind:        datasets.Real,
		Description: fmt.Sprintf("real NAS-Bench-301, as modelled by YAHPO Gym, from %s", found.Asset.ID),
		Path:        found.Path, Notes: found.Notes,
	}
	return p, nil
}

//go:embed weights.bin
var embedded []byte

var distilledNet = weights.Once(embedded, distilled.Decode)

// Embedded returns the model that is part of this package: a small network that
// this project trained to predict what the published model says after all epochs.
// card.json tells how it was made and how close it comes. It has no other epochs.
func Embedded() *Predictor {
	return &Predictor{
		source: datasets.Source{Kind: datasets.Surrogate, Description: "surrogate of NAS-Bench-301, version " + weights.Version(embedded)},
		predict: func(genotypes []darts.Genotype, epoch int) ([]float64, error) {
			if epoch != Epochs {
				return nil, fmt.Errorf("nasbench301: the surrogate has accuracies after %d epochs only, not after %d; get the published model with \"go run ./kernel-setup data %s\"", Epochs, epoch, datasets.NASBench301)
			}
			return distilledNet().Predict(genotypes), nil
		},
	}
}

// Source says which data this is.
func (p *Predictor) Source() datasets.Source { return p.source }

// Benchmark returns a new handle for one search: it answers for validation accuracy after
// all epochs, and counts the queries made through it.
func (p *Predictor) Benchmark() *Benchmark {
	return &Benchmark{predictor: p, epoch: Epochs}
}

// BenchmarkAt returns a Benchmark of validation accuracies after fewer epochs, from 1 to
// [Epochs]. The error says that there are none.
func (p *Predictor) BenchmarkAt(epoch int) (*Benchmark, error) {
	if _, err := p.predict(nil, epoch); err != nil {
		return nil, err
	}
	b := p.Benchmark()
	b.epoch = epoch
	return b, nil
}

// Accuracies returns the validation accuracies of archs, in [0, 1], after a number of
// epochs from 1 to [Epochs]. Nothing is counted: a report may ask, a search must ask a
// [Benchmark]. The error names an architecture that is not a [darts.Genotype], or says
// that there are no accuracies after so many epochs.
func (p *Predictor) Accuracies(archs []space.Arch, epoch int) ([]float64, error) {
	genotypes := make([]darts.Genotype, len(archs))
	for i, a := range archs {
		var err error
		if genotypes[i], err = asGenotype(a); err != nil {
			return nil, err
		}
	}
	return p.predict(genotypes, epoch)
}

func asGenotype(a space.Arch) (darts.Genotype, error) {
	if g, ok := a.(darts.Genotype); ok {
		return g, nil
	}
	return darts.Genotype{}, fmt.Errorf("nasbench301: %v is not a genotype of the DARTS space", a)
}

// batch is the number of genotypes in a run of the graph. It is always the same, so
// that a graph is compiled once, and an accuracy does not depend on what else is asked.
const batch = 64

// read reads the published file.
func read(backend compute.Backend, path, digest string) (*Predictor, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	n, err := readNetwork(data)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	if got := fmt.Sprintf("sha256:%x", sum); got != digest {
		return nil, fmt.Errorf("it has the digest %s, not %s", got, digest)
	}
	run, err := NewExec(backend, n.accuracy)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	p := &Predictor{digest: fmt.Sprintf("digest %x, computed on %s, ", sum[:8], engine.Fingerprint(backend)), predict: func(genotypes []darts.Genotype, epoch int) (accuracies []float64, err error) {
		if epoch < 1 || epoch > Epochs {
			return nil, fmt.Errorf("nasbench301: there are accuracies after 1 to %d epochs, not after %d", Epochs, epoch)
		}
		mu.Lock()
		defer mu.Unlock()
		caught := engine.Try(func() { accuracies, err = runAll(run, genotypes, epoch) })
		return accuracies, errors.Join(err, caught)
	}}
	return p, nil
}

// runAll runs the graph in batches, the last one filled up with the first genotype.
func runAll(run *Exec, genotypes []darts.Genotype, epoch int) ([]float64, error) {
	accuracies := make([]float64, 0, len(genotypes)+batch)
	for first := 0; first < len(genotypes); first += batch {
		codes := make([]int32, 0, batch*columns)
		epochs := make([]float32, batch)
		for k := range batch {
			g := genotypes[0]
			if first+k < len(genotypes) {
				g = genotypes[first+k]
			}
			codes, epochs[k] = encode(codes, g), float32(epoch)
		}
		out, err := run.Call(
			tensors.FromFlatDataAndDimensions(codes, batch, columns),
			tensors.FromFlatDataAndDimensions(epochs, batch, 1))
		if err != nil {
			return nil, err
		}
		for _, a := range tensors.MustCopyFlatData[float32](out[0]) {
			accuracies = append(accuracies, float64(a))
		}
	}
	return accuracies[:len(genotypes)], nil
}
