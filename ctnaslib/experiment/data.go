package experiment

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"

	"github.com/ctnas/ctnas/ctnaslib/comparator"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/metric"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space"
	spacedarts "github.com/ctnas/ctnas/ctnaslib/space/darts"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/datasets/nasbench301"
	"github.com/ctnas/ctnas/datasets/ofa"
	"github.com/ctnas/ctnas/datasets/ofa/top1"
)

// Data is what an experiment is measured on. Only the Benchmark is needed: a [space.Table] of labels of
// one's own will do.
type Data struct {
	Benchmark space.Benchmark // what searches see

	// Report returns what is reported of an architecture, in [0, 1], such as its test accuracy: no
	// search sees it. Nil reports what searches see. ReportOf says what it is, for the keys of stored
	// results. It has to be safe for concurrent use, as has all that follows.
	Report   func(a space.Arch) (float64, error)
	ReportOf string

	// HeldOut draws n distinct architectures, none of them in exclude, with what is reported of them: what
	// Kendall's tau is measured on, 100, and the order near the top, 1,000. It may give fewer. Nil draws from the
	// benchmark, fewer where there are no more.
	HeldOut func(rng *rand.Rand, n int, exclude []space.Arch) ([]space.Arch, []float64, error)

	// At returns the benchmark of networks trained for so many epochs. Nil: there is none.
	At func(epochs int) (space.Benchmark, error)

	Metrics []Metric // of what was found, beside what is reported of it
}

// Metric is something that is measured of what a search found.
type Metric struct {
	Name string // in the result; of a mean over the seeds with the ending _mean

	// Measure returns the value of what a search with a seed found. [ErrNotMeasured] says that there is none: a row
	// whose searches have no value for one of the seeds goes without the metric.
	Measure func(found *search.Found, seed uint64) (float64, error)

	// Reduce makes one number of those of all seeds, such as their minimum. Nil keeps them all, with
	// their mean and their standard deviation.
	Reduce func(perSeed []float64) float64
}

// ErrNotMeasured is the error of a [Metric] that says nothing of what a search found, such as one of rankings for
// a search that ranks nothing.
var ErrNotMeasured = errors.New("experiment: there is nothing to measure")

// accuracy returns what is reported of an architecture.
func (d Data) accuracy(a space.Arch) (float64, error) {
	if d.Report != nil {
		return d.Report(a)
	}
	return d.Benchmark.Validation(a)
}

// heldOut returns architectures outside exclude with what is reported of them.
func (d Data) heldOut(rng *rand.Rand, n int, exclude []space.Arch) ([]space.Arch, []float64, error) {
	if d.HeldOut != nil {
		return d.HeldOut(rng, n, exclude)
	}
	const patience = 10_000 // draws in a row of what is taken
	taken := make(map[string]bool, len(exclude)+n)
	for _, a := range exclude {
		taken[a.ID()] = true
	}
	var others []space.Arch
	for repeats := 0; len(others) < n && repeats < patience; repeats++ {
		one, err := d.Benchmark.Sample(rng, 1)
		if err != nil {
			return nil, nil, err
		}
		if id := one[0].ID(); !taken[id] {
			taken[id] = true
			others, repeats = append(others, one[0]), 0
		}
	}
	return d.reported(others)
}

// reported returns architectures with what is reported of them.
func (d Data) reported(archs []space.Arch) ([]space.Arch, []float64, error) {
	accuracies := make([]float64, len(archs))
	for i, a := range archs {
		var err error
		if accuracies[i], err = d.accuracy(a); err != nil {
			return nil, nil, err
		}
	}
	return archs, accuracies, nil
}

// drawn returns a HeldOut that draws from the whole space.
func (d Data) drawn() func(*rand.Rand, int, []space.Arch) ([]space.Arch, []float64, error) {
	return func(rng *rand.Rand, n int, exclude []space.Arch) ([]space.Arch, []float64, error) {
		archs, err := space.Draw(rng, d.Benchmark.Space(), n, exclude)
		if err != nil {
			return nil, nil, err
		}
		return d.reported(archs)
	}
}

// NASBench101 returns a NAS-Bench-101 table as [Data]: searches see validation
// accuracies, what is reported are test accuracies, and further metrics are the best rank by them and Kendall's tau by
// the protocol of the authors' code.
func NASBench101(table *datasets.NASBench101) Data {
	if table == nil {
		return Data{} // which an experiment refuses
	}
	truth := table.Report()
	return Data{
		Benchmark: table.Benchmark(), Report: truth.Test, ReportOf: table.Source().Description, HeldOut: truth.HeldOut,
		At: func(epochs int) (space.Benchmark, error) { return table.BenchmarkAt(epochs) },
		Metrics: []Metric{{
			Name: "best_rank_percent", Reduce: floats.Min,
			Measure: func(f *search.Found, _ uint64) (float64, error) { return truth.RankPercent(f.Best) },
		}, {
			Name:    "ktau_authors",
			Measure: func(f *search.Found, seed uint64) (float64, error) { return authorsTau(f, table.Benchmark(), seed) },
		}},
	}
}

// authorsTau returns Kendall's τ as the authors' code measures it, [metric.AuthorsTau]: of the ranking of 100 further
// cells against their labels, which are validation accuracies. They come from those of the benchmark that have one
// and are none of the search's. They are no queries of the search, which has ended.
func authorsTau(f *search.Found, b space.Benchmark, seed uint64) (float64, error) {
	if f.Ranker == nil {
		return 0, ErrNotMeasured
	}
	others, labels, err := Data{Benchmark: b}.heldOut(engine.Stream(seed, "experiment: held out with labels", 0), heldOut, space.Archs(f.Labelled))
	if err != nil {
		return 0, err
	}
	if len(others) < 2 {
		return 0, ErrNotMeasured
	}
	if nac, ok := f.Ranker.(comparator.Scorer); ok {
		scores, err := nac.Scores(others)
		if err != nil {
			return 0, err
		}
		return metric.AuthorsTau(labels, func(i, j int) bool { return comparator.Probability(scores[i], scores[j]) >= 0.5 })
	}
	utilities, err := f.Ranker.Utilities(others)
	if err != nil {
		return 0, err
	}
	return metric.AuthorsTau(labels, func(i, j int) bool { return utilities[i] >= utilities[j] })
}

// OFA returns the MobileNetV3 space of a predictor's skeleton, up to a limit of multiply-adds, with the accuracies that
// the predictor gives, as [Data]. There are no others: what is reported of a
// network is what a search may query. A further metric is its multiply-adds, in millions. The error says what
// is wrong with the limit.
func OFA(p *ofa.Predictor, limit int64) (Data, error) {
	if p == nil {
		return Data{}, errors.New("experiment: there is no predictor; open one with ofa.Open")
	}
	s, err := mobilenetv3.New(p.Skeleton(), limit)
	if err != nil {
		return Data{}, err
	}
	benchmark, err := p.Benchmark(s)
	if err != nil {
		return Data{}, err
	}
	d := Data{Benchmark: benchmark, ReportOf: p.Source().Description, Metrics: []Metric{multiplyAdds(func(a space.Arch) (int64, error) {
		n, err := asNet(a)
		if err != nil {
			return 0, err
		}
		return s.MAdds(n), nil
	})}}
	d.HeldOut = d.drawn()
	return d, nil
}

// asNet returns an architecture as a network of the MobileNetV3 space.
func asNet(a space.Arch) (mobilenetv3.Net, error) {
	n, ok := a.(mobilenetv3.Net)
	if !ok {
		return n, fmt.Errorf("experiment: %v is not a network of the MobileNetV3 space", a)
	}
	return n, nil
}

// ImageNet returns the MobileNetV3 space of width 1.0, up to a limit of multiply-adds, with the accuracies of
// [ofa.EmbeddedTop1], which are in the scale of ImageNet's validation images, as [Data]. Beside its multiply-adds, metrics of what
// a search found are "model_error", the mean error in percentage points of that model on measured networks of about as many
// multiply-adds, and "predictor", the accuracy in percent that raw gives it, OFA's predictor for the supernet of width 1.2. The error
// says what is wrong with the limit.
func ImageNet(raw *ofa.Predictor, limit int64) (Data, error) {
	if raw == nil {
		return Data{}, errors.New("experiment: there is no predictor; open one with ofa.Open")
	}
	p := ofa.EmbeddedTop1()
	d, err := OFA(p, limit)
	if err != nil {
		return Data{}, err
	}
	card, err := top1.EmbeddedCard()
	if err != nil {
		return Data{}, err
	}
	d.ReportOf += ", and beside it " + raw.Source().Description
	d.Metrics = append(d.Metrics, Metric{
		Name: "model_error", Reduce: func(perSeed []float64) float64 { return stat.Mean(perSeed, nil) },
		Measure: func(f *search.Found, _ uint64) (float64, error) {
			n, err := asNet(f.Best)
			if err != nil {
				return 0, err
			}
			return card.Error(p.Skeleton().MAdds(n)), nil
		},
	}, Metric{
		Name: "predictor",
		Measure: func(f *search.Found, _ uint64) (float64, error) {
			n, err := asNet(f.Best)
			if err != nil {
				return 0, err
			}
			return 100 * raw.Accuracies([]mobilenetv3.Net{n})[0], nil
		},
	})
	return d, nil
}

// NASBench301 returns the DARTS space with NAS-Bench-301's accuracies, as [Data]. It has
// no test accuracies: what is reported of a genotype is the model's validation accuracy
// after all epochs, which has no noise. A further metric is the multiply-adds of its network for
// ImageNet, in millions.
func NASBench301(p *nasbench301.Predictor) Data {
	if p == nil {
		return Data{} // which an experiment refuses
	}
	d := Data{
		Benchmark: p.Benchmark(), ReportOf: p.Source().Description,
		Report: func(a space.Arch) (float64, error) {
			accuracies, err := p.Accuracies([]space.Arch{a}, nasbench301.Epochs)
			if err != nil {
				return 0, err
			}
			return accuracies[0], nil
		},
		At: func(epochs int) (space.Benchmark, error) { return p.BenchmarkAt(epochs) },
		Metrics: []Metric{multiplyAdds(func(a space.Arch) (int64, error) {
			g, ok := a.(spacedarts.Genotype)
			if !ok {
				return 0, fmt.Errorf("experiment: %v is not a genotype of the DARTS space", a)
			}
			return int64(g.ImageNetCost().MAdds), nil
		})},
	}
	d.HeldOut = d.drawn()
	return d
}

// multiplyAdds returns the metric of an architecture's multiply-adds for one image, in millions.
func multiplyAdds(count func(a space.Arch) (int64, error)) Metric {
	return Metric{
		Name: "madds_m", Reduce: func(perSeed []float64) float64 { return stat.Mean(perSeed, nil) },
		Measure: func(f *search.Found, _ uint64) (float64, error) {
			n, err := count(f.Best)
			return float64(n) / 1e6, err
		},
	}
}
