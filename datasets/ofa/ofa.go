// Package ofa labels the networks of the MobileNetV3 space with ImageNet accuracies,
// as the accuracy predictor of Once-for-All (Cai et al., ICLR 2020) predicts them.
//
//	p, err := ofa.Open(ctx, "")
//	p.Source()             // the published predictor, or the model of it that is always there
//	b, err := p.Benchmark(s) // validation accuracy, counted: what a search may ask
//	p.Accuracies(nets)     // the same, not counted: for reports
//
// The accuracy is the top-1 accuracy of a sub-network with the weights of the OFA
// supernet of width 1.2, not trained further, on images of 224 pixels. The predictor
// learned it from sub-networks measured on 10,000 images held out of ImageNet's
// training set, so it is above that on ImageNet's validation set: it says 83.2 % of the
// published ofa-482M, which has 79.6 % there even after 75 more epochs.
//
// The published predictor is a file of 1.5 MB, [datasets.OFAPredictor]. README.md is
// the card of the model of it.
//
// In ImageNet's own scale there are two more sources, both of the supernet of width 1.0:
//
//	m, err := ofa.OpenMeasured(ctx, "") // some 2,000 networks that were measured: m.Benchmark()
//	p := ofa.EmbeddedTop1()             // a model of these, for all networks of the space
package ofa

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"gonum.org/v1/gonum/mat"

	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/datasets/internal/weights"
	"github.com/ctnas/ctnas/datasets/ofa/internal/mlp"
	"github.com/ctnas/ctnas/datasets/ofa/top1"
	"github.com/ctnas/ctnas/datasets/torch"
)

// Predictor predicts the accuracies of networks. It is safe for concurrent use.
type Predictor struct {
	source   datasets.Source
	skeleton mobilenetv3.Skeleton // of the networks that it knows
	model    model
}

// model is what predicts: accuracies in [0, 1], and what names its numbers.
type model interface {
	Accuracies(nets []mobilenetv3.Net) []float64
	Digest() string
}

// Open opens the published predictor at path, which is the file or a folder that
// holds it. If path is empty, it is looked for as [datasets.Find] does: in the folder
// that CTNAS_DATA names, then in the user's cache, then, where that is allowed, at its
// source. If it is nowhere, the predictor is the one of [Embedded], with a note that
// says how to get the published one.
func Open(ctx context.Context, path string, all ...datasets.Option) (*Predictor, error) {
	found, err := datasets.Find(ctx, datasets.OFAPredictor, path, all...)
	if path == "" && errors.Is(err, datasets.ErrNoData) {
		p := Embedded()
		p.source.Notes = []string{strings.TrimPrefix(err.Error(), "datasets: ")}
		return p, nil
	}
	if err != nil {
		return nil, err
	}
	net, err := read(found.Path)
	if err != nil {
		return nil, err
	}
	p := &Predictor{model: perceptron{net}, skeleton: mobilenetv3.OFA(), source: datasets.Source{
		Kind:        datasets.Real,
		Description: "the published accuracy predictor of Once-for-All, from " + filepath.Base(found.Path),
		Path:        found.Path,
		Notes:       found.Notes,
	}}
	for _, accuracy := range p.Accuracies(extremes()) {
		if accuracy < 0 || accuracy > 1 {
			return nil, fmt.Errorf("ofa: %s gives a network the accuracy %v; it is not the published predictor, so delete it and get it again", found.Path, accuracy)
		}
	}
	return p, nil
}

// widths are the published predictor's inputs, and the outputs of its layers.
var widths = []int{128, 400, 400, 400, 1}

// read reads the published file, where layer i is number 2i of a Sequential.
func read(path string) (mlp.Net, error) {
	file, err := torch.Open(path)
	if err != nil {
		return nil, err
	}
	parts := mlp.Parts(widths...)
	for i, p := range parts {
		values, err := file.Float32(fmt.Sprintf("%d.%s", i-i%2, [...]string{"weight", "bias"}[i%2]), p.Dims...)
		if err != nil {
			return nil, fmt.Errorf("ofa: %s is not the accuracy predictor: %w", path, err)
		}
		copy(p.Values, values)
	}
	if err := weights.Check(parts); err != nil {
		return nil, fmt.Errorf("ofa: %s is damaged: %w", path, err)
	}
	return mlp.New(parts), nil
}

// extremes returns the smallest and the largest network.
func extremes() []mobilenetv3.Net {
	nets := make([]mobilenetv3.Net, 2)
	for i, depth := range []int{mobilenetv3.MinDepth, mobilenetv3.MaxDepth} {
		last := i * (len(mobilenetv3.Kernels) - 1)
		// It is of the space, so there is no error.
		nets[i], _ = mobilenetv3.Uniform(depth, mobilenetv3.Block{Kernel: mobilenetv3.Kernels[last], Expansion: mobilenetv3.Expansions[last]})
	}
	return nets
}

//go:embed weights.bin
var file []byte

var embedded = weights.Once(file, func(data []byte) (mlp.Net, error) {
	parts, err := mlp.Decode(data)
	return mlp.New(parts), err
})

// Embedded returns a smaller model, which this project trained on the published predictor's
// answers and which is part of the program. Its kind is [datasets.Surrogate].
func Embedded() *Predictor {
	return &Predictor{model: perceptron{embedded()}, skeleton: mobilenetv3.OFA(), source: datasets.Source{
		Kind:        datasets.Surrogate,
		Description: "a surrogate of the accuracy predictor of Once-for-All: a smaller model of it, not the published one",
	}}
}

// EmbeddedTop1 returns the model of package top1, which is part of the program: of the measured networks of [OpenMeasured],
// for all networks of width 1.0, in the scale of ImageNet's validation images. Its kind is [datasets.Surrogate].
func EmbeddedTop1() *Predictor {
	return &Predictor{model: top1.Embedded(), skeleton: mobilenetv3.OFAWidth1(), source: datasets.Source{
		Kind:        datasets.Surrogate,
		Description: "a model of the ImageNet top-1 accuracies of 2162 measured sub-networks of the Once-for-All supernet of width 1.0",
	}}
}

// Source says which predictor this is.
func (p *Predictor) Source() datasets.Source { return p.source }

// Skeleton returns the skeleton of the networks that the predictor knows.
func (p *Predictor) Skeleton() mobilenetv3.Skeleton { return p.skeleton }

// Accuracies returns the predicted accuracies of networks, in [0, 1], at 224 pixels. It is
// fastest for many at once.
func (p *Predictor) Accuracies(nets []mobilenetv3.Net) []float64 { return p.model.Accuracies(nets) }

const resolution = 224

// The published predictor reads the resolution one-hot, after a network's vector.
const (
	minResolution  = 112
	resolutionStep = 16
)

// perceptron is the published predictor or the model of it.
type perceptron struct{ mlp.Net }

func (p perceptron) Accuracies(nets []mobilenetv3.Net) []float64 { return p.at(nets, resolution) }

// at returns the accuracies at another resolution, which only the published predictor knows.
func (p perceptron) at(nets []mobilenetv3.Net, resolution int) []float64 {
	const batch = 1024
	inputs := p.Inputs()
	accuracies := make([]float64, 0, len(nets))
	for from := 0; from < len(nets); from += batch {
		part := nets[from:min(from+batch, len(nets))]
		x := mat.NewDense(len(part), inputs, nil)
		for i, net := range part {
			for j, v := range net.Vector() {
				x.Set(i, j, float64(v))
			}
			if inputs > mobilenetv3.Features {
				x.Set(i, mobilenetv3.Features+(resolution-minResolution)/resolutionStep, 1)
			}
		}
		accuracies = append(accuracies, p.Apply(x).RawMatrix().Data...)
	}
	return accuracies
}
