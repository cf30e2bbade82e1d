package experiment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/train"
	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/datasets/nasbench301"
	"github.com/ctnas/ctnas/datasets/ofa"
)

// Entry is a folder of figures: how its result is made and shown.
type Entry struct {
	Columns []report.Column                     // of its table
	Figures func(report.Result) []report.Figure // its pictures

	// An Experiment on data.
	compare func(p Preset) Experiment
	data    func(ctx context.Context, backend compute.Backend) (Data, error)

	// Or something else, and what [Entry.Settings] says of it.
	plan     func(ctx context.Context, o planning) (plannedRun, error)
	settings func(p Preset) (config any, seeds int)
	memory   float64 // MB that a unit's process held at most where it was measured; 0: searchMemory
	images   bool    // it trains networks on images, whose batches several devices can share

	// Rows from elsewhere, if there are any: see [Entry.Complete].
	complete func(beside fs.FS, r report.Result) (report.Result, error)

	// Of an experiment whose accuracies are those of a model whatever data there is: the asset that is measured beside it.
	beside string

	timing   bool // it measures time, once, and has no seeds to choose
	labelled bool // it is no comparison, but has a number of labels

	seeds   int            // 0: the preset's
	methods *regexp.Regexp // nil: all
	devices int            // 0: one
	labels  []int          // nil: the preset's: see [Labels]
	pairs   *int           // nil: the preset's: see [Pairs]

	// Of an experiment on numbers of labels: the same with other numbers.
	numbers func(p Preset, labels []int) Experiment
}

// searchMemory is how many MB a search alone in its process holds at most, on XLA's CPU plugin (figures/peers); in pure Go
// it is less than half of that.
const searchMemory = 616

// planning is what an entry is planned for.
type planning struct {
	root    string
	backend compute.Backend
	preset  Preset
	seeds   int // 0: the preset's
	devices int // that share each batch of images; 0: one
	labels  int // 0: the preset's
	watch   train.Watch
}

// plannedRun is an experiment that can be run as a whole and in parts: a [runner].
type plannedRun interface {
	planned
	whole(ctx context.Context) (report.Result, error)
}

// All are the experiments by the name of their folder.
var All = map[string]Entry{
	"table1":       table1,
	"table2":       table2,
	"table3":       table3,
	"table4":       table4,
	"table5":       table5,
	"distance":     distance,
	"figure4":      figure4,
	"figure5":      figure5,
	"proposition1": proposition1,

	"darts":              darts,
	"measured":           measured,
	"weightsharing":      weightSharing,
	"rivals-nasbench101": rivals("rivals-nasbench101", false, 150, onNASBench101, report.Accuracy),
	"rivals-darts":       rivals("rivals-darts", true, 1000, onNASBench301, validation),
	"rivals-mobilenetv3": rivals("rivals-mobilenetv3", true, 1000, onOFA, validation),
	"mobilenet-supernet": mobileNetSupernet,

	"ablation-depth":       ablation(AblateDepth),
	"ablation-messages":    ablation(AblateMessages),
	"ablation-pairs":       ablation(AblatePairs),
	"ablation-head":        ablation(AblateHead),
	"ablation-labels":      ablation(AblateLabels),
	"ablation-exploration": ablation(AblateExploration),
	"ablation-search":      ablation(AblateSearch),
	"ablation-policy":      ablationPolicy,
	"ablation-answer":      ablation(AblateAnswer),
}

// Find returns the experiment whose folder has a name. The error lists the names that there are.
func Find(id string) (Entry, error) {
	e, ok := All[id]
	if !ok {
		return e, fmt.Errorf("experiment: there is no experiment %q; there are %s", id, strings.Join(slices.Sorted(maps.Keys(All)), ", "))
	}
	return e, nil
}

// known returns an error for the entry that [All] gives for a name that it does not have.
func (e Entry) known() error {
	if e.compare == nil && e.plan == nil {
		return errors.New("experiment: there is no experiment of that name; experiment.Find lists them all")
	}
	return nil
}

// With returns the entry with so many seeds, 0 for the preset's, and of its methods those whose names
// match, nil for all. The error says that the entry has no seeds or methods to choose.
func (e Entry) With(seeds int, methods *regexp.Regexp) (Entry, error) {
	if err := e.known(); err != nil {
		return e, err
	}
	switch {
	case seeds < 0:
		return e, fmt.Errorf("experiment: there cannot be %d seeds; give at least 1", seeds)
	case seeds > 1 && e.timing:
		return e, fmt.Errorf("experiment: this experiment measures time, and has no seeds to choose")
	case methods != nil && e.compare == nil:
		return e, fmt.Errorf("experiment: this experiment is a whole, without methods to choose from")
	case methods != nil && len(e.of(Small).choose(methods).Methods) == 0 && len(e.of(Paper).choose(methods).Methods) == 0:
		return e, fmt.Errorf("experiment: no method matches %q", methods)
	}
	e.seeds, e.methods = seeds, methods
	return e, nil
}

// OnDevices returns the entry with networks on images whose batches so many devices of the backend share, such as the
// GPUs of a machine: see [supernet.Config]. The error says that the entry has no such networks.
func (e Entry) OnDevices(n int) (Entry, error) {
	switch {
	case n < 1:
		return e, fmt.Errorf("experiment: there cannot be %d devices; give at least 1", n)
	case n > 1 && !e.images:
		return e, fmt.Errorf("experiment: this experiment trains no networks on images, whose batches %d devices could share; give it one, and run more units at a time", n)
	case n > 1:
		e.devices = n
	}
	return e, nil
}

// of returns the experiment at the size of a preset, with the seeds and methods that were chosen.
func (e Entry) of(p Preset) Experiment {
	x := e.compare(p)
	if len(e.labels) > 0 && e.numbers != nil {
		x = e.numbers(p, e.labels)
	}
	if e.seeds > 0 {
		x.Seeds = e.seeds
	}
	if e.labels != nil || e.pairs != nil {
		for i, m := range x.Methods {
			x.Methods[i] = m.changed(e.change)
		}
	}
	if e.methods != nil {
		x = x.choose(e.methods)
	}
	return x
}

// choose returns the experiment with the methods whose names match.
func (e Experiment) choose(methods *regexp.Regexp) Experiment {
	e.Methods = slices.DeleteFunc(slices.Clone(e.Methods), func(m Method) bool { return !methods.MatchString(m.Name) })
	e.Compare = slices.DeleteFunc(slices.Clone(e.Compare), func(names [2]string) bool {
		return !methods.MatchString(names[0]) || !methods.MatchString(names[1])
	})
	return e
}

// Open opens the backend that pays for the entry at the size of a preset, by the rule that [engine.Open] gives: pure
// Go for Small, else XLA where it is installed. The searches of Small train networks half as wide for 100 steps, and are
// done in pure Go in two thirds of the time that XLA takes for compiling and computing; its networks for images train
// for seconds, and XLA compiles some of those for ten minutes. $GOMLX_BACKEND goes before that.
func (e Entry) Open(p Preset) (compute.Backend, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if p == Small {
		return engine.OpenShort()
	}
	return engine.Open()
}

// Run makes the result in run directories under root, as [Experiment.Run] does, on
// the data that package datasets finds.
func (e Entry) Run(ctx context.Context, root string, backend compute.Backend, p Preset, watch train.Watch) (report.Result, error) {
	r, err := e.runner(ctx, root, backend, p, watch)
	if err != nil {
		return report.Result{}, err
	}
	return r.whole(ctx)
}

// Plan cuts the experiment into units, as [Experiment.Plan] does, on the data that package datasets finds.
func (e Entry) Plan(ctx context.Context, root string, backend compute.Backend, p Preset, watch train.Watch) (*Plan, error) {
	r, err := e.runner(ctx, root, backend, p, watch)
	if err != nil {
		return nil, err
	}
	plan := newPlan(r)
	for i := range plan.Units {
		plan.Units[i].MemoryMB = cmp.Or(e.memory, searchMemory)
	}
	return plan, nil
}

func (e Entry) runner(ctx context.Context, root string, backend compute.Backend, p Preset, watch train.Watch) (plannedRun, error) {
	if err := e.known(); err != nil {
		return nil, err
	}
	if err := p.Check(); err != nil {
		return nil, err
	}
	if backend == nil {
		return nil, errors.New("experiment: there is no backend to run the experiment on; open one with the entry's Open")
	}
	if e.compare == nil {
		labels := 0
		if len(e.labels) > 0 {
			labels = e.labels[0]
		}
		return e.plan(ctx, planning{root, backend, p, e.seeds, e.devices, labels, watch})
	}
	x := e.of(p)
	if err := x.check(); err != nil { // before data is opened, which may take minutes
		return nil, err
	}
	data, err := e.data(ctx, backend)
	if err != nil {
		return nil, err
	}
	return x.runner(root, data, backend, watch)
}

// Complete returns a result of the experiment with the rows that other runs measured: those of weight sharing in Table 1,
// that of the authors' program. The results of other experiments are read from the folders of their names beside the
// result's own; what is not there is left out. The error names a result that is damaged.
func (e Entry) Complete(beside fs.FS, r report.Result) (report.Result, error) {
	if e.complete == nil || e.methods != nil || e.labels != nil || e.pairs != nil {
		return r, nil
	}
	return e.complete(beside, r)
}

// Keeps says whether a result of the entry at the paper's size is one to keep in figures: what was measured on a surrogate is not, unless
// the entry has nothing else and what is beside it is real.
func (e Entry) Keeps(r report.Result) bool {
	return r.Source != string(datasets.Surrogate) || e.beside != "" && strings.Contains(r.Data, e.beside)
}

// Settings returns what Run does at the size of a preset: the configuration of its result, without
// what depends on the data, and the number of seeds.
func (e Entry) Settings(p Preset) (config any, seeds int) {
	if e.compare == nil {
		config, seeds = e.settings(p)
		if e.seeds > 0 {
			seeds = e.seeds
		}
		return config, seeds
	}
	x := e.of(p)
	return x.configs(), x.Seeds
}

// onNASBench101 opens the NAS-Bench-101 table.
func onNASBench101(ctx context.Context, _ compute.Backend) (Data, error) {
	table, err := datasets.OpenNASBench101(ctx, "")
	if err != nil {
		return Data{}, err
	}
	return NASBench101(table), nil
}

// onImageNet opens the MobileNetV3 space in the mobile setting.
func onImageNet(ctx context.Context, _ compute.Backend) (Data, error) {
	predictor, err := ofa.Open(ctx, "")
	if err != nil {
		return Data{}, err
	}
	return ImageNet(predictor, MobileLimit)
}

// onNASBench301 opens the DARTS space.
func onNASBench301(ctx context.Context, backend compute.Backend) (Data, error) {
	predictor, err := nasbench301.Open(ctx, backend, "")
	if err != nil {
		return Data{}, err
	}
	return NASBench301(predictor), nil
}

// compared returns an experiment on NAS-Bench-101 whose pictures are the columns with a bar for each method.
func compared(compare func(Preset) Experiment, columns ...report.Column) Entry {
	return Entry{compare: compare, data: onNASBench101, Columns: withOrder(columns), Figures: func(r report.Result) []report.Figure {
		figures := []report.Figure{{Name: "accuracy", Chart: r.Chart(report.Accuracy)}}
		if slices.Contains(columns, report.KTau) {
			figures = append(figures, report.Figure{Name: "ktau", Chart: r.Chart(report.KTau)})
		}
		return figures
	}}
}

// ablation returns an ablation that the paper leaves out.
func ablation(compare func(Preset) Experiment) Entry {
	return compared(compare, report.KTau, report.Authors, report.Accuracy, report.Best)
}
