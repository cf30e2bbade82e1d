package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/datasets/images"
)

// dataVerb lists the data that can be fetched, fetches what args name, or exports a table.
func dataVerb(ctx context.Context, args []string, out io.Writer) error {
	flags := newFlags("data")
	to := flags.String("to", "", "the folder to fetch or export to")
	export := flags.String("export", "", "the file to make of the table that is here")
	ids, err := parseAround(flags, args)
	if err != nil {
		return err
	}
	if *export != "" {
		return exportData(ctx, out, *export, ids, *to)
	}
	if len(ids) == 0 {
		if *to != "" {
			return errors.New("-to needs the names of what to fetch (\"go run ./kernel-setup data\" lists them)")
		}
		listData(out, datasets.Assets())
		return nil
	}
	return fetchData(ctx, out, datasets.Assets(), ids, *to)
}

// listData shows what there is, what it is, and what of it is here.
func listData(out io.Writer, assets []datasets.Asset) {
	for _, a := range assets {
		size := "size not published"
		if a.Size > 0 {
			size = megabytes(a.Size) + " MB"
		}
		source := a.URL
		if a.Compiled {
			source = "compiled from the files at " + source + "; it cannot be fetched from there"
		}
		fmt.Fprintf(out, "%s (%s)\n    %s\n    licence: %s\n    source:  %s\n    here:    ", a.ID, size, a.About, a.Licence, source)
		found, err := datasets.Lookup(a.ID, "")
		if a.ID == datasets.CIFAR10 && errors.Is(err, datasets.ErrNoData) {
			found.Path, err = images.Locate()
		}
		switch {
		case err == nil:
			fmt.Fprintf(out, "yes, in %s\n", found.Path)
		case errors.Is(err, datasets.ErrNoData):
			fmt.Fprintln(out, "no")
		default:
			fmt.Fprintf(out, "unusable: %v\n", err)
		}
	}
	listTable(out)
	fmt.Fprintln(out, "To fetch one or several: go run ./kernel-setup data NAME... [-to FOLDER]")
	fmt.Fprintf(out, "To write your NAS-Bench-101 table as the authors' file: go run ./kernel-setup data -export %s -to FOLDER\n", exportedTable)
}

// tableFiles are a table of NAS-Bench-101 that cannot be fetched, but may be here.
var tableFiles = []string{"test108.csv.gz", "val_sample.csv.gz"}

// listTable shows the table of tableFiles if it is here.
func listTable(out io.Writer) {
	data := os.Getenv("CTNAS_DATA")
	if data == "" {
		return
	}
	folder := filepath.Join(data, "nasbench101")
	for _, name := range tableFiles {
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			return
		}
	}
	fmt.Fprintf(out, "%s\n    NAS-Bench-101, all cells after 108 epochs, in two files that cannot be fetched from here\n    here:    yes, in %s\n",
		strings.Join(tableFiles, " with "), folder)
}

// fetchData fetches assets into a data folder, or into the user's cache if to is empty.
func fetchData(ctx context.Context, out io.Writer, assets []datasets.Asset, ids []string, to string) error {
	var wanted []datasets.Asset
	for _, id := range ids {
		i := slices.IndexFunc(assets, func(a datasets.Asset) bool { return a.ID == id })
		if i < 0 {
			return fmt.Errorf("there is no data called %q (\"go run ./kernel-setup data\" lists what there is)", id)
		}
		wanted = append(wanted, assets[i])
	}
	for _, a := range wanted {
		bar := progressLine{out: out, live: isTerminal(out)}
		found, err := datasets.Fetch(ctx, a, to, datasets.OnProgress(bar.show))
		bar.end()
		if err != nil {
			return err
		}
		for _, note := range found.Notes {
			fmt.Fprintf(out, "note: %s\n", note)
		}
		if found.Place == datasets.Downloaded {
			fmt.Fprintf(out, "%s is now in %s\n", a.ID, found.Path)
		} else {
			fmt.Fprintf(out, "%s was already in %s\n", a.ID, found.Path)
		}
	}
	if to == "" {
		return nil
	}
	return sayHowToUse(out, to)
}

// sayHowToUse says how a data folder is made the one that programs read, unless it is.
func sayHowToUse(out io.Writer, to string) error {
	folder, err := filepath.Abs(to)
	if err != nil {
		return err
	}
	if data, err := filepath.Abs(os.Getenv("CTNAS_DATA")); err != nil || data != folder {
		fmt.Fprintf(out, "To use it, set CTNAS_DATA=%s\n", folder)
	}
	return nil
}

// exportedTable is the file that the table of NAS-Bench-101 can be exported as.
const exportedTable = "nas_bench.json"

// exportData writes the NAS-Bench-101 table that is here as the authors' file, into a data folder.
func exportData(ctx context.Context, out io.Writer, name string, ids []string, to string) error {
	switch {
	case name != exportedTable:
		return fmt.Errorf("%q cannot be exported, only %s", name, exportedTable)
	case len(ids) > 0:
		return fmt.Errorf("-export makes its file of the table that is here, and fetches nothing: leave %q out, or fetch it first", ids[0])
	case to == "":
		return fmt.Errorf("-export needs the folder to write %s to: add -to FOLDER", exportedTable)
	}
	bar := progressLine{out: out, live: isTerminal(out)}
	defer bar.end()
	progress := datasets.OnProgress(bar.show)
	table, err := datasets.OpenNASBench101(ctx, "", progress)
	if err != nil {
		return err
	}
	path, err := table.ExportJSON(ctx, to, progress)
	if err != nil {
		return err
	}
	bar.end()
	fmt.Fprintf(out, "%s is now in %s\nIts source: %s\n", exportedTable, path, table.Source())
	return sayHowToUse(out, to)
}

// progressLine shows progress in one line of a terminal, or, where the output is
// kept, in a line every ten seconds.
type progressLine struct {
	out   io.Writer
	live  bool
	first datasets.Progress // of the step, from when speed counts
	since time.Time
	shown time.Time
}

func (l *progressLine) show(p datasets.Progress) {
	now := time.Now()
	if p.Step != l.first.Step || p.Done < l.first.Done {
		l.first, l.since = p, now
	}
	if !l.live && now.Sub(l.shown) < 10*time.Second {
		return
	}
	start, end := "", "\n"
	if l.live {
		start, end = "\r\x1b[K", ""
	}
	fmt.Fprintf(l.out, "%s%s%s", start, describe(p, p.Done-l.first.Done, now.Sub(l.since)), end)
	l.shown = now
}

// end leaves the line, if there is one.
func (l *progressLine) end() {
	if l.live && !l.shown.IsZero() {
		fmt.Fprintln(l.out)
	}
	l.shown = time.Time{}
}

// describe says how far a step is that did so much in the time it took.
func describe(p datasets.Progress, did int64, took time.Duration) string {
	amount, unit := megabytes, "MB"
	if p.Step != datasets.Downloading {
		amount, unit = func(n int64) string { return fmt.Sprint(n) }, "cells"
	}
	text := fmt.Sprintf("%s %s: %s", p.Step, p.Name, amount(p.Done))
	if p.Total > 0 {
		text += " of " + amount(p.Total)
	}
	text += " " + unit
	if p.Step != datasets.Downloading || took < time.Second || did <= 0 {
		return text
	}
	speed := float64(did) / took.Seconds()
	text += fmt.Sprintf(", %.1f MB/s", speed/1e6)
	if p.Total > p.Done {
		left := time.Duration(float64(p.Total-p.Done) / speed * float64(time.Second))
		text += fmt.Sprintf(", %v left", left.Round(time.Second))
	}
	return text
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f", float64(n)/1e6) }

// isTerminal says whether a person watches out, more or less.
func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
