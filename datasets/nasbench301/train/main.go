// Command train makes the surrogate of NAS-Bench-301 again from the published model:
//
//	GOEXPERIMENT=simd go run ./datasets/nasbench301/train
//
// It labels random genotypes with the published model, after all epochs, trains the
// network on them, measures it on others, and writes weights.bin,
// card.json and README.md to the folder of the package. The model is looked for as
// [nasbench301.Open] does; CTNAS_DATA may name its folder. It takes some ten minutes
// on 2 cores.
package main

import (
	"context"
	_ "embed"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"text/template"
	"time"

	"gonum.org/v1/gonum/stat"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/metric"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/darts"
	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/datasets/internal/training"
	"github.com/ctnas/ctnas/datasets/internal/weights"
	"github.com/ctnas/ctnas/datasets/nasbench301"
	"github.com/ctnas/ctnas/datasets/nasbench301/internal/distilled"
)

// config is all that the weights depend on, beside the published model.
type config struct {
	training.Config
	Genotypes   int     `json:"genotypes"`    // random ones, to train on
	WeightDecay float64 `json:"weight_decay"` // L2 penalty: WeightDecay/2 · ‖w‖² joins the loss
}

var configuration = config{training.Config{Epochs: 10, Batch: 1000, LearningRate: 3e-3, Seed: 1}, 1_500_000, 1e-6}

// heldOut is the number of fresh genotypes that the network is measured on.
const heldOut = 10_000

// card is what card.json tells.
type card struct {
	Data    string  `json:"data"`
	Config  config  `json:"config"`
	Weights int     `json:"weights"`
	Minutes float64 `json:"minutes"` // of training
	Cores   int     `json:"cores"`
	Go      string  `json:"go"`

	// On fresh genotypes, against the published model; accuracies in percent.
	HeldOut     int     `json:"held_out"`
	KendallTau  float64 `json:"kendall_tau"`
	RMSE        float64 `json:"rmse"`
	R2          float64 `json:"r2"`
	StdOfLabels float64 `json:"std_of_labels"`

	// Of the network and the benchmark, for the page.
	Hidden    int `json:"-"`
	AllEpochs int `json:"-"`

	// The known genotypes: what the published model says and what the network says.
	Known map[string][2]float64 `json:"known"`
}

func main() { training.Main("datasets/nasbench301", run) }

func run(ctx context.Context, out string) error {
	backend, err := engine.Open()
	if err != nil {
		return err
	}
	published, err := nasbench301.Open(ctx, backend, "")
	if err != nil {
		return err
	}
	fmt.Println(published.Source())
	if published.Source().Kind != datasets.Real {
		return fmt.Errorf("a surrogate is trained on the published model, not on: %v", published.Source())
	}
	c := configuration
	rng := rand.New(rand.NewPCG(c.Seed, 0))
	start := time.Now()
	genotypes, accuracies, err := label(published, rng, c.Genotypes)
	if err != nil {
		return err
	}
	fmt.Printf("labelled %d genotypes in %v\n", len(genotypes), time.Since(start).Round(time.Second))
	start = time.Now()
	net, err := fit(ctx, backend, c, genotypes, accuracies)
	if err != nil {
		return err
	}
	facts, err := measure(published, net, rng)
	if err != nil {
		return err
	}
	facts.Data, facts.Config = published.Source().Description, c
	facts.Minutes, facts.Cores, facts.Go = training.RoundTo(time.Since(start).Minutes(), 1), runtime.GOMAXPROCS(0), runtime.Version()
	facts.Weights = weights.Count(net.Parts())
	return training.Write(out, net.Encode(), facts, page)
}

//go:embed card.md.tmpl
var text string

var page = template.Must(template.New("card").Parse(text))

// label draws distinct genotypes and asks the published model for their accuracies.
func label(published *nasbench301.Predictor, rng *rand.Rand, n int) ([]darts.Genotype, []float64, error) {
	archs, err := published.Benchmark().Sample(rng, n)
	if err != nil {
		return nil, nil, err
	}
	accuracies, err := published.Accuracies(archs, nasbench301.Epochs)
	genotypes := make([]darts.Genotype, n)
	for i, a := range archs {
		genotypes[i] = a.(darts.Genotype)
	}
	return genotypes, accuracies, err
}

// measure compares the network with the published model.
func measure(published *nasbench301.Predictor, net *distilled.Net, rng *rand.Rand) (card, error) {
	genotypes, accuracies, err := label(published, rng, heldOut)
	if err != nil {
		return card{}, err
	}
	predicted := net.Predict(genotypes)
	tau, err := metric.KendallTau(predicted, accuracies)
	if err != nil {
		return card{}, err
	}
	squares := 0.0
	for i := range predicted {
		squares += math.Pow(100*(predicted[i]-accuracies[i]), 2) / heldOut
	}
	spread := 100 * stat.StdDev(accuracies, nil)
	c := card{
		HeldOut: heldOut, KendallTau: training.RoundTo(tau, 4), RMSE: training.RoundTo(math.Sqrt(squares), 4),
		R2: training.RoundTo(stat.RSquaredFrom(predicted, accuracies, nil), 4), StdOfLabels: training.RoundTo(spread, 4),
		Hidden: distilled.Hidden, AllEpochs: nasbench301.Epochs, Known: make(map[string][2]float64),
	}
	for name, g := range map[string]darts.Genotype{
		"DARTS_V1": darts.DARTSV1, "DARTS_V2": darts.DARTSV2, "PDARTS": darts.PDARTS,
		"PC_DARTS_cifar": darts.PCDARTS, "PC_DARTS_image": darts.PCDARTSImage, "CNAS": darts.CNAS,
	} {
		real, err := published.Accuracies([]space.Arch{g}, nasbench301.Epochs)
		if err != nil {
			return card{}, err
		}
		c.Known[name] = [2]float64{training.RoundTo(100*real[0], 3), training.RoundTo(100*net.Predict([]darts.Genotype{g})[0], 3)}
	}
	return c, nil
}
