// Package tables runs the paper's tables, figures and ablations in a notebook, and shows them beside what is stored of
// them: what the table notebooks have in common. Like package nb, it ends the cell with one sentence where something is
// wrong.
//
//	%%
//	tables.Run("table4", "small", tables.Seeds(3), tables.Labels(100))
//	tables.Full("table4")
package tables

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/ctnas/ctnas/ctnaslib/experiment"
	"github.com/ctnas/ctnas/ctnaslib/nb"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/train"
	"github.com/ctnas/ctnas/datasets"
)

// What a reader changes of an experiment: see [experiment.Seeds], [experiment.Labels] and [experiment.Pairs].
var (
	Seeds  = experiment.Seeds
	Labels = experiment.Labels
	Pairs  = experiment.Pairs
)

// Run runs the experiment with an id, such as "table4", at the size of a preset with changes, and shows its table and its
// pictures. What was run before is loaded; an interrupted run goes on. Another preset in $CTNAS_PRESET takes the place of
// the given one, without the changes, which are of that one.
func Run(id string, preset experiment.Preset, changes ...experiment.Change) report.Result {
	preset, changes = fromEnvironment(preset, changes)
	result := nb.Must(run(nb.Context(), nb.Runs(), id, preset, changes, nb.Progress(id)))
	Show(result)
	return result
}

func fromEnvironment(preset experiment.Preset, changes []experiment.Change) (experiment.Preset, []experiment.Change) {
	if wanted := experiment.Preset(nb.Preset(string(preset))); wanted != preset {
		return wanted, nil
	}
	return preset, changes
}

func run(ctx context.Context, root, id string, preset experiment.Preset, changes []experiment.Change, watch train.Watch) (report.Result, error) {
	e, err := experiment.Find(id)
	if err != nil {
		return report.Result{}, err
	}
	if e, err = e.Vary(preset, changes...); err != nil {
		return report.Result{}, fmt.Errorf("%s: %w", id, err)
	}
	backend, err := e.Open(preset)
	if err != nil {
		return report.Result{}, err
	}
	return e.Run(ctx, root, backend, preset, watch)
}

// Show shows the table of a result, and its pictures side by side.
func Show(r report.Result) {
	e := nb.Must(experiment.Find(r.ID))
	nb.Check(r.Check())
	nb.Table(r.Table(e.Columns...))
	var charts []report.Chart
	for _, f := range e.Figures(r) {
		charts = append(charts, f.Chart)
	}
	if len(charts) > 0 {
		nb.Charts(charts...)
	}
}

// Picture shows one picture of a result, by the name of its file in the folder figures, such as "ktau".
func Picture(r report.Result, name string) {
	nb.Charts(nb.Must(picture(r, name)))
}

func picture(r report.Result, name string) (report.Chart, error) {
	e, err := experiment.Find(r.ID)
	if err != nil {
		return report.Chart{}, err
	}
	var names []string
	for _, f := range e.Figures(r) {
		if f.Name == name {
			return f.Chart, nil
		}
		names = append(names, f.Name)
	}
	return report.Chart{}, fmt.Errorf("tables: %s has no picture %q; it has %q", r.ID, name, names)
}

// Full shows the result of an experiment at its full size, which the folder figures of the repository has, and below it
// a sentence for each accuracy that is far from the paper's. Where there is none yet, it says how to make it.
func Full(id string) {
	result, ok := Stored(id)
	if !ok {
		return
	}
	Show(result)
	for _, sentence := range result.OutsideTwoSigma(report.Accuracy) {
		nb.Markdown("- %s", sentence)
	}
}

// Stored returns the result of an experiment at its full size. Where there is none yet, it says how to make it, and ok is
// false.
func Stored(id string) (result report.Result, ok bool) {
	result, err := stored(nb.Repository(), id)
	if errors.Is(err, fs.ErrNotExist) {
		nb.Markdown("%s has not been run at its full size yet; `go run ./figures %s` does that.", report.Title(id), id)
		return result, false
	}
	return result, nb.Must(true, err)
}

func stored(repository, id string) (report.Result, error) {
	if _, err := experiment.Find(id); err != nil {
		return report.Result{}, err
	}
	if repository == "" {
		return report.Result{}, errors.New("tables: the repository with the stored results is not found; run the notebook by the kernel that kernel-setup installs, or inside the repository")
	}
	return report.ReadResult(filepath.Join(repository, "figures", id, "result.json"))
}

// Say shows a text with numbers of the stored result of an experiment: see [report.Result.Quote], whose columns are those
// of the experiment's table.
func Say(id, text string) {
	if result, ok := Stored(id); ok {
		Quote(result, text)
	}
}

// Quote shows a text with numbers of a result, as [Say] does.
func Quote(r report.Result, text string) {
	nb.Markdown("%s", nb.Must(r.Quote(text, nb.Must(experiment.Find(r.ID)).Columns...)))
}

// NASBench101 returns the table of the benchmark, and shows how far its first opening is.
func NASBench101() *datasets.NASBench101 {
	return nb.Must(datasets.OpenNASBench101(nb.Context(), "", nb.DataProgress()))
}
