package main

import (
	_ "embed"
	"math"
	"math/rand/v2"
	"text/template"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/ctnas/ctnas/ctnaslib/metric"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/datasets/internal/training"
	"github.com/ctnas/ctnas/datasets/internal/weights"
	"github.com/ctnas/ctnas/datasets/ofa"
	"github.com/ctnas/ctnas/datasets/ofa/internal/mlp"
)

// card is what is known of a model. Accuracies are in percent, differences of them in
// percentage points.
type card struct {
	Data     string        `json:"data"`
	Training config        `json:"training"`
	Hidden   []int         `json:"hidden"` // outputs of each layer but the last
	Weights  int           `json:"weights"`
	Fresh    []measurement `json:"fresh"`
}

// measurement compares model and published predictor on networks of a space that the
// model was not trained on.
type measurement struct {
	Space         string  `json:"space"`
	Networks      int     `json:"networks"`
	KendallTau    float64 `json:"kendall_tau"`
	MAE           float64 `json:"mae"`
	Largest       float64 `json:"largest_error"`
	Mean          float64 `json:"mean"` // accuracy, by the published predictor
	Std           float64 `json:"std"`
	Best100       float64 `json:"published_mean_of_best_100"`
	ModelsBest100 float64 `json:"published_mean_of_the_models_best_100"`
}

// measure compares model and teacher on networks drawn uniformly, all and small ones.
func measure(teacher *ofa.Predictor, model mlp.Net, networks int) ([]measurement, error) {
	var all []measurement
	for i, limit := range []int64{0, 600e6, 400e6} {
		s, err := mobilenetv3.New(mobilenetv3.OFA(), limit)
		if err != nil {
			return nil, err
		}
		b, err := teacher.Benchmark(s)
		if err != nil {
			return nil, err
		}
		archs, err := b.Sample(rand.New(rand.NewPCG(uint64(i), 1)), networks)
		if err != nil {
			return nil, err
		}
		m, err := compare(teacher, model, archs)
		if err != nil {
			return nil, err
		}
		m.Space = s.Name()
		all = append(all, m)
	}
	return all, nil
}

func compare(teacher *ofa.Predictor, model mlp.Net, archs []space.Arch) (measurement, error) {
	nets := make([]mobilenetv3.Net, len(archs))
	x := mat.NewDense(len(archs), mobilenetv3.Features, nil)
	for i, a := range archs {
		nets[i] = a.(mobilenetv3.Net) // as Benchmark.Sample draws them
		for j, v := range nets[i].Vector() {
			x.Set(i, j, float64(v))
		}
	}
	want, got := teacher.Accuracies(nets), model.Apply(x).RawMatrix().Data
	m := measurement{Networks: len(nets)}
	var err error
	if m.KendallTau, err = metric.KendallTau(got, want); err != nil {
		return m, err
	}
	for i := range want {
		e := 100 * math.Abs(got[i]-want[i])
		m.MAE += e / float64(len(want))
		m.Largest = max(m.Largest, e)
	}
	m.Mean, m.Std = stat.MeanStdDev(want, nil)
	m.Mean, m.Std = 100*m.Mean, 100*m.Std
	m.Best100, m.ModelsBest100 = meanOfBest(want, want, 100), meanOfBest(got, want, 100)
	return m, nil
}

// meanOfBest returns the mean accuracy, in percent, of the n networks of highest score.
func meanOfBest(scores, accuracies []float64, n int) float64 {
	sum := 0.0
	for _, i := range training.Best(scores, n) {
		sum += 100 * accuracies[i] / float64(n)
	}
	return sum
}

func newCard(data string, c config, fresh []measurement) card {
	widths := mlp.Embedded
	return card{data, c, widths[1 : len(widths)-1], weights.Count(mlp.Parts(widths...)), fresh}
}

//go:embed card.md.tmpl
var text string

var page = template.Must(template.New("card").Parse(text))
