package experiment

import (
	"context"
	"slices"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/rundir"
	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/datasets/images"
)

// Entry is a folder of figures: how its result is made and shown.
type Entry struct {
	// Run makes the result in run directories under root, as [Experiment.Run] does, on
	// the data that package datasets finds.
	Run func(ctx context.Context, root string, backend compute.Backend, p Preset, watch rundir.Watch) (report.Result, error)

	// Settings are what Run does at the size of a preset: the configuration of its result, without
	// what depends on the data, and the number of seeds.
	Settings func(p Preset) (config any, seeds int)

	Columns []report.Column                     // of its table
	Figures func(report.Result) []report.Figure // its pictures
}

// All are the experiments by the name of their folder.
var All = map[string]Entry{
	"table1":       compared(Table1, report.KTau, report.Accuracy, report.Best, report.Rank, report.Queries),
	"table2":       table2,
	"table3":       table3,
	"table4":       compared(Table4, report.Accuracy, report.Best),
	"table5":       compared(Table5, report.Accuracy, report.Best, report.KTau),
	"figure4":      figure4,
	"figure5":      figure5,
	"proposition1": proposition1,

	"darts":              darts,
	"weightsharing":      sharing,
	"mobilenet-supernet": shrinking,

	"ablation-depth":       compared(AblateDepth, ablated...),
	"ablation-messages":    compared(AblateMessages, ablated...),
	"ablation-pairs":       compared(AblatePairs, ablated...),
	"ablation-head":        compared(AblateHead, ablated...),
	"ablation-labels":      compared(AblateLabels, ablated...),
	"ablation-exploration": compared(AblateExploration, ablated...),
	"ablation-search":      compared(AblateSearch, ablated...),
	"ablation-answer":      compared(AblateAnswer, ablated...),
}

var ablated = []report.Column{report.KTau, report.Accuracy, report.Best}

// onNASBench101 gives an experiment the NAS-Bench-101 table.
func onNASBench101(run func(ctx context.Context, root string, table *datasets.NASBench101, backend compute.Backend, p Preset, watch rundir.Watch) (report.Result, error)) func(context.Context, string, compute.Backend, Preset, rundir.Watch) (report.Result, error) {
	return func(ctx context.Context, root string, backend compute.Backend, p Preset, watch rundir.Watch) (report.Result, error) {
		table, err := datasets.OpenNASBench101(ctx, "")
		if err != nil {
			return report.Result{}, err
		}
		return run(ctx, root, table, backend, p, watch)
	}
}

// settingsOf are those of an experiment.
func settingsOf(make func(Preset) Experiment) func(Preset) (any, int) {
	return func(p Preset) (any, int) {
		e := make(p)
		return e.configs(), e.Seeds
	}
}

// compared is an experiment whose picture is the accuracy of each method.
func compared(make func(Preset) Experiment, columns ...report.Column) Entry {
	return Entry{
		Run: onNASBench101(func(ctx context.Context, root string, table *datasets.NASBench101, backend compute.Backend, p Preset, watch rundir.Watch) (report.Result, error) {
			return make(p).Run(ctx, root, NASBench101(table), backend, watch)
		}),
		Settings: settingsOf(make),
		Columns:  columns,
		Figures: func(r report.Result) []report.Figure {
			figures := []report.Figure{{Name: "accuracy", Chart: r.Chart(report.Accuracy)}}
			if slices.Contains(columns, report.KTau) {
				figures = append(figures, report.Figure{Name: "ktau", Chart: r.Chart(report.KTau)})
			}
			return figures
		},
	}
}

var table3 = Entry{
	Run: onNASBench101(func(ctx context.Context, _ string, table *datasets.NASBench101, backend compute.Backend, p Preset, watch rundir.Watch) (report.Result, error) {
		set, err := images.Open(ctx, "")
		if err != nil {
			return report.Result{}, err
		}
		return Table3(ctx, table, set, backend, table3Config(p, len(set.Classes)), watch)
	}),
	Settings: func(p Preset) (any, int) { return table3Config(p, cifar10Classes), 1 },
	Columns:  []report.Column{report.TimeMS, report.Speedup},
	Figures:  func(r report.Result) []report.Figure { return nil },
}

var figure5 = Entry{
	Run:      compared(Figure5).Run,
	Settings: settingsOf(Figure5),
	Columns:  []report.Column{report.Accuracy, report.Best, report.KTau},
	Figures: func(r report.Result) []report.Figure {
		return []report.Figure{
			{Name: "accuracy", Chart: overLabels(r, "accuracy", "test accuracy (%)")},
			{Name: "ktau", Chart: overLabels(r, "ktau", "Kendall's tau")},
		}
	},
}

// overLabels draws a metric of Figure 5's rows over the number of labels.
func overLabels(r report.Result, metric, label string) report.Chart {
	s := report.Series{Name: "measured (" + r.Source + ")"}
	for _, row := range r.Rows {
		s.X = append(s.X, row.Metrics["queries"])
		s.Y = append(s.Y, row.Metrics[metric+"_mean"])
		s.Err = append(s.Err, row.Metrics[metric+"_std"])
	}
	return report.Chart{X: "labelled architectures", Y: label, LogX: true, Series: []report.Series{s}}
}

func proposition1Config(p Preset) Proposition1Config {
	if p == Small {
		return Proposition1Small()
	}
	return Proposition1Paper()
}

// cifar10Classes is for how many classes networks are made at the paper's size.
const cifar10Classes = 10

var proposition1 = Entry{
	Run: onNASBench101(func(ctx context.Context, root string, table *datasets.NASBench101, backend compute.Backend, p Preset, watch rundir.Watch) (report.Result, error) {
		return Proposition1(ctx, root, table, backend, proposition1Config(p), watch)
	}),
	Settings: func(p Preset) (any, int) {
		c := proposition1Config(p)
		return c, c.Seeds
	},
	Columns: Proposition1Columns,
	Figures: Proposition1Figures,
}
