// Command train makes the embedded model of the top-1 accuracies on ImageNet again:
//
//	GOEXPERIMENT=simd go run ./datasets/ofa/top1/train
//
// It fits the model to the measured networks, which are looked for as [ofa.OpenMeasured] does, measures it on those that it
// holds out, and writes weights.bin, card.json and README.md to the folder of the package. Beside the model it measures the
// published predictor, so that is needed, too. It takes a minute on 2 cores.
package main

import (
	"context"
	_ "embed"
	"fmt"
	"text/template"

	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/datasets/internal/training"
	"github.com/ctnas/ctnas/datasets/ofa"
	"github.com/ctnas/ctnas/datasets/ofa/top1"
)

func main() { training.Main("datasets/ofa/top1", run) }

func run(ctx context.Context, out string) error {
	measured, err := ofa.OpenMeasured(ctx, "")
	if err != nil {
		return err
	}
	predictor, err := ofa.Open(ctx, "")
	if err != nil {
		return err
	}
	for _, source := range []datasets.Source{measured.Source(), predictor.Source()} {
		if source.Kind != datasets.Real {
			return fmt.Errorf("the model is fitted to the measured networks and compared with the published predictor, not with: %v", source)
		}
	}
	return write(ctx, out, measured.Source().Description, samplesOf(measured.Networks(), predictor), top1.Default())
}

// samplesOf returns networks with what the published predictor says of them.
func samplesOf(networks []ofa.Network, predictor *ofa.Predictor) []top1.Sample {
	nets := make([]mobilenetv3.Net, len(networks))
	for i, n := range networks {
		nets[i] = n.Net
	}
	samples := make([]top1.Sample, len(networks))
	for i, predicted := range predictor.Accuracies(nets) {
		samples[i] = top1.Sample{Net: nets[i], Accuracy: networks[i].Accuracy, Predicted: predicted}
	}
	return samples
}

// write fits a model to samples, measures it, and writes both to a folder.
func write(ctx context.Context, out, data string, samples []top1.Sample, c top1.Config) error {
	nets, accuracies := make([]mobilenetv3.Net, len(samples)), make([]float64, len(samples))
	for i, s := range samples {
		nets[i], accuracies[i] = s.Net, s.Accuracy
	}
	model, err := top1.Fit(nets, accuracies, c)
	if err != nil {
		return err
	}
	card, err := top1.Measure(ctx, data, samples, c)
	if err != nil {
		return err
	}
	return training.Write(out, model.Encode(), card, page)
}

//go:embed card.md.tmpl
var text string

var page = template.Must(template.New("card").Parse(text))
