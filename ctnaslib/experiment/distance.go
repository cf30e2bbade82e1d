package experiment

import (
	"fmt"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"

	"github.com/ctnas/ctnas/ctnaslib/ctnas"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space"
)

// The names of methods of [Distance].
const (
	nameReleasedOnTest = "CTNAS, test labels (analysis)"
	nameRandomOnTest   = "Random search, test labels (analysis)"
)

// Distance returns the experiment that examines why CTNAS as in the authors' code ends below the paper's accuracy: what
// its comparator believes of all cells, how good what its policy samples is, and how far the highest of as many random
// labels leads. The two rows with test accuracies as labels are an analysis of what the noise of labels costs, and no
// methods: no search may see these.
func Distance(p Preset) Experiment {
	c := p.sized(ctnas.Released())
	released := CTNAS(nameReleased, c, accuracy(93.92, 0.18))
	released.probed, released.ranked = c.Iterations/probes, true
	random := randomSearch(nameRandom, c.Labels)
	return p.checked(Experiment{
		ID: "distance", Seeds: p.seeds(),
		Methods: []Method{released, onReported(released, nameReleasedOnTest), random, onReported(random, nameRandomOnTest)},
		Compare: [][2]string{{nameReleasedOnTest, nameReleased}, {nameRandom, nameReleased}, {nameRandomOnTest, nameReleasedOnTest}},
	})
}

// onReported returns a method under another name whose labels are what is reported of architectures.
func onReported(m Method, name string) Method {
	m.Name, m.Paper, m.reported = name, nil, true
	m.Config = withReported{m.Config.(search.Config), "test accuracy"}
	m.Note = "An analysis, and no method: its labels are the test accuracies by which the answer is judged, each the mean of three runs."
	return m
}

// withReported is the configuration of a search on labels that no search may see.
type withReported struct {
	Search search.Config
	Labels string
}

func (c withReported) Versions() rundir.Versions { return c.Search.Versions() }

// reportedLabels is a benchmark whose labels are what is reported of its architectures.
type reportedLabels struct {
	space.Benchmark
	data Data
}

func (b reportedLabels) Version() string { return "what is reported of " + space.Identity(b.Benchmark) }

func (b reportedLabels) Validation(a space.Arch) (float64, error) { return b.data.accuracy(a) }

const (
	probes  = 10  // that a search is probed, beside the one before it
	sampled = 200 // architectures for each
)

// sampleProbe returns the probe of the mean of what is reported of a policy's samples, in percent, every so many
// iterations.
func (d Data) sampleProbe(every int) search.Probe {
	return search.Probe{Key: "reported: " + d.ReportOf, Every: every, Samples: sampled, Measure: func(archs []space.Arch) (map[string]float64, error) {
		_, accuracies, err := d.reported(archs)
		if err != nil {
			return nil, err
		}
		return map[string]float64{"samples": 100 * stat.Mean(accuracies, nil)}, nil
	}}
}

// samplesAt is the name of the metric of what the policy samples after so many tenths of a search.
func samplesAt(tenths int) string { return fmt.Sprintf("samples_%d_tenths", tenths) }

// randomCells is the metric of as many random architectures as a policy samples.
const randomCells = "random_cells"

// samples adds to values what [Data.sampleProbe] measured of a search with a seed, by the names of samplesAt, and the
// mean of what is reported of as many random architectures.
func (d Data) samples(found *search.Found, every int, seed uint64, values map[string]float64) error {
	_, accuracies, err := d.heldOut(engine.Stream(seed, "experiment: random cells", 0), sampled, nil)
	if err != nil {
		return err
	}
	values[randomCells] = 100 * stat.Mean(accuracies, nil)
	for _, m := range found.Metrics {
		if start, ok := m.Values[search.ProbedAtStart+"samples"]; ok {
			values[samplesAt(0)] = start
		}
		if value, ok := m.Values["samples"]; ok {
			values[samplesAt((m.Step+1)/every)] = value
		}
	}
	return nil
}

const (
	topRanked  = 100     // the first of a ranking that are looked at
	curveRanks = "ranks" // of [report.Row.Curves]: of the first seed
)

// examineRanking ranks the whole space, if it is finite, by what a search believes, and adds to values, in percent: what
// is reported of "first", and the mean and the best of the "top" 100; their median rank by what is reported; and the
// median rank that the 100 truly best have in the ranking. It returns the true ranks, from 1 on, of the top 100.
func examineRanking(found *search.Found, data Data, values map[string]float64) (ranks []float64, err error) {
	finite, ok := data.Benchmark.Space().(space.Finite)
	if !ok || found.Ranker == nil {
		return nil, nil
	}
	all, accuracies, err := data.reported(finite.All())
	if err != nil {
		return nil, err
	}
	believed, err := space.Rank(found.Ranker, all)
	if err != nil {
		return nil, err
	}
	truth := space.Order(accuracies)
	n := min(topRanked, len(all))
	rankedAt, trueAt := positions(believed), positions(truth)
	var top, wanted []float64
	for i := range n {
		top = append(top, 100*accuracies[believed[i]])
		ranks = append(ranks, trueAt[believed[i]])
		wanted = append(wanted, rankedAt[truth[i]])
	}
	percent := 100 / float64(len(all))
	values["first"], values["top"], values["top_best"] = top[0], stat.Mean(top, nil), floats.Max(top)
	values["top_rank_percent"], values["best_ranked_percent"] = percent*median(ranks), percent*median(wanted)
	return ranks, nil
}

// positions returns where each item stands in an order of them, from 1 on.
func positions(order []int) []float64 {
	at := make([]float64, len(order))
	for position, item := range order {
		at[item] = float64(position + 1)
	}
	return at
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return stat.Quantile(0.5, stat.Empirical, sorted, nil)
}

// The columns of [Distance] and [AblatePolicy].
var (
	firstColumn = report.Column{Header: "first of its ranking", Unit: "%", Value: "first_mean", StdDev: "first_std", Digits: 2,
		About: "test accuracy of the cell that the comparator ranks first of all."}
	topColumn = report.Column{Header: "its 100 best: mean", Unit: "%", Value: "top_mean", StdDev: "top_std", Digits: 2,
		About: "mean test accuracy of the 100 cells that it ranks first."}
	topBestColumn = report.Column{Header: "the best of them", Unit: "%", Value: "top_best_mean", StdDev: "top_best_std", Digits: 2,
		About: "the highest test accuracy among these 100."}
	topRankColumn = report.Column{Header: "their median rank", Unit: "%", Value: "top_rank_percent_mean", StdDev: "top_rank_percent_std", Digits: 2,
		About: "where these 100 stand among all cells by test accuracy, from the top."}
	bestRankedColumn = report.Column{Header: "median rank it gives the 100 best", Unit: "%", Value: "best_ranked_percent_mean", StdDev: "best_ranked_percent_std", Digits: 2,
		About: "where the comparator ranks the 100 cells with the highest test accuracy, from the top."}
	randomColumn = report.Column{Header: "200 random cells", Unit: "%", Value: randomCells + "_mean", StdDev: randomCells + "_std", Digits: 2,
		About: "mean test accuracy of random cells."}
	firstSampleColumn = sampleColumn("samples before the search", 0)
	lastSampleColumn  = sampleColumn("samples at its end", probes)
)

// sampleColumn returns the column of what the policy samples after so many tenths of a search.
func sampleColumn(header string, tenths int) report.Column {
	return report.Column{Header: header, Unit: "%", Value: samplesAt(tenths) + "_mean", StdDev: samplesAt(tenths) + "_std", Digits: 2,
		About: "mean test accuracy of 200 cells that the policy samples then."}
}

var distance = Entry{
	compare: Distance, data: onNASBench101, complete: withAuthors,
	Columns: []report.Column{report.Authors, report.Accuracy, report.Best, firstColumn, topColumn, topBestColumn, topRankColumn, bestRankedColumn, randomColumn, firstSampleColumn, lastSampleColumn},
	Figures: func(r report.Result) []report.Figure {
		return []report.Figure{{Name: "accuracy", Chart: r.Chart(report.Accuracy)}, {Name: "samples", Chart: sampleChart(r)}, {Name: "ranks", Chart: rankChart(r)}}
	},
}

// sampleChart draws how good the policies' samples are over the search, beside random cells.
func sampleChart(r report.Result) report.Chart {
	c := report.Chart{Title: report.Title(r.ID) + ": what the policy samples", X: "done of the search (%)", Y: "mean test accuracy (%)"}
	random := report.Series{Name: "random cells", Reference: true}
	for _, row := range r.Rows {
		s := report.Series{Name: row.Method}
		for tenths := range probes + 1 {
			if value, ok := row.Metrics[samplesAt(tenths)+"_mean"]; ok {
				s.X, s.Y = append(s.X, float64(100*tenths/probes)), append(s.Y, value)
			}
		}
		if len(s.X) == 0 {
			continue
		}
		c.Series = append(c.Series, s)
		mean := row.Metrics[randomCells+"_mean"] // of a seed the same in all rows
		random.X, random.Y = []float64{0, 100}, []float64{mean, mean}
	}
	if len(random.X) > 0 {
		c.Series = append(c.Series, random)
	}
	return c
}

// rankChart draws where the first 100 of a comparator's ranking truly stand, for the first seed.
func rankChart(r report.Result) report.Chart {
	c := report.Chart{Title: "Distance to the paper: where the first 100 of a ranking truly stand", X: "true rank", Y: "rank by the comparator", LogX: true}
	for _, row := range r.Rows {
		if ranks := row.Curves[curveRanks]; len(ranks) > 0 {
			s := report.Series{Name: row.Method, X: ranks, Points: true}
			for i := range ranks {
				s.Y = append(s.Y, float64(i+1))
			}
			c.Series = append(c.Series, s)
		}
	}
	return c
}
