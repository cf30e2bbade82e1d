package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/datasets"
)

// The names of the peers.
const (
	nameGo      = "ours, pure Go"
	nameXLA     = "ours, XLA"
	nameAuthors = "authors, PyTorch"
)

// measurePeers measures all peers, round by round, with the temporary files in a folder.
func (o options) measurePeers(ctx context.Context, folder string) error {
	s := sizeOf(o.rehearse)
	before := machine()
	table, err := datasets.OpenNASBench101(ctx, "") // also so that each process finds it in the cache
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "data: %s\n", table.Source())
	peers, missing, err := o.peers(ctx, folder, s, table)
	if err != nil {
		return err
	}
	r, err := o.earlier()
	if err != nil {
		return err
	}
	c := s.search
	r.Speed = &speed{
		header: newHeader(o, before, string(table.Source().Kind)), Seed: seed, Labels: c.Labels, Epochs: c.NAC.Epochs, Steps: s.steps(),
		Missing: missing, Product: productOperations(c.NAC), Peers: make([]peerMeasured, len(peers)),
	}
	for i, p := range peers {
		r.Speed.Peers[i] = peerMeasured{Name: p.name, Operations: p.encodings * trainingOperations(c.NAC, c.Labels)}
	}
	for round := range s.rounds {
		for i, p := range peers {
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, s.rounds, p.name)
			m, err := p.measure(ctx, filepath.Join(folder, fmt.Sprintf("%d-%d", round, i)))
			if err != nil {
				return err
			}
			maps.Copy(m.Versions, p.versions)
			fmt.Fprintf(os.Stderr, "  NAC %.1f s, whole search %.1f s\n", m.NAC, m.Search)
			r.Speed.Peers[i].Rounds = append(r.Speed.Peers[i].Rounds, m)
		}
		if err := r.write(o.out); err != nil {
			return err
		}
	}
	fmt.Fprintf(os.Stderr, "written to %s\n", o.out)
	return nil
}

// peers returns who is measured, in turns, and what is not, with the reason.
func (o options) peers(ctx context.Context, folder string, s size, table *datasets.NASBench101) (peers []peer, missing []string, err error) {
	peers = append(peers, o.own(nameGo, partSpeed, pureGo))
	if environ, why := xla(); why == "" {
		peers = append(peers, o.own(nameXLA, partSpeed, environ))
	} else {
		missing = append(missing, why)
	}
	if o.python == "" {
		return peers, append(missing, "the authors' code: no Python with torch and no checkout were named (-python, -authors)"), nil
	}
	theirs, err := o.theirs(ctx, folder, s, table)
	return append(peers, theirs), missing, err
}

// table returns the result as Markdown.
func (r *result) table() string {
	var out strings.Builder
	if r.Speed != nil {
		r.Speed.write(&out)
	}
	for i, t := range r.Table1 {
		if i == 0 {
			out.WriteString("## Table 1's methods on the benchmark alone\n\n")
		}
		t.write(&out)
	}
	return out.String()
}

// write writes the part of the table about the peers.
func (s *speed) write(out *strings.Builder) {
	fmt.Fprintf(out, "## The authors' code and ours\n\n%s Seed %d, %d labels. Medians of %d rounds, in each of which all take turns, each in a process of its own. Written by `figures/peers`.\n\n",
		s.header, s.Seed, s.Labels, len(s.Peers[0].Rounds))
	out.WriteString(s.times().Markdown() + "\n")
	out.WriteString("### Single operations\n\nMilliseconds at the size of one layer, in the same processes: X and G are [1792, 128], 256 cells of 7 nodes, W is [128, 128], Â is [256, 7, 7].\n\n")
	out.WriteString(s.operations().Markdown() + "\n")
	for _, p := range s.Peers {
		fmt.Fprintf(out, "- %s: %s\n", p.Name, describe(p.Rounds[0].Versions))
	}
	for _, m := range s.Missing {
		fmt.Fprintf(out, "- Not measured, %s.\n", m)
	}
	out.WriteString("\n")
}

// times returns the table of the training and the search.
func (s *speed) times() report.Table {
	t := report.Table{Header: []string{""}}
	theirs := slices.IndexFunc(s.Peers, func(p peerMeasured) bool { return p.Name == nameAuthors })
	for _, p := range s.Peers {
		t.Header = append(t.Header, p.Name)
	}
	compared := s.Peers[:max(0, theirs)] // theirs are the last
	for _, p := range compared {
		t.Header = append(t.Header, "authors / "+p.Name)
	}
	add := func(name, format string, number func(p peerMeasured) float64) {
		row := []string{name}
		for _, p := range s.Peers {
			text := ""
			if v := number(p); v > 0 {
				text = fmt.Sprintf(format, v)
			}
			row = append(row, text)
		}
		t.Rows = append(t.Rows, append(row, make([]string, len(compared))...))
	}
	timed := func(name string, seconds func(measured) float64) {
		add(name, "%.1f", func(p peerMeasured) float64 { return p.median(seconds) })
		row := t.Rows[len(t.Rows)-1]
		for i, p := range compared {
			row[1+len(s.Peers)+i] = ratios(s.Peers[theirs], p, seconds)
		}
	}
	timed(fmt.Sprintf("NAC, %d epochs (s)", s.Epochs), func(m measured) float64 { return m.NAC })
	timed(fmt.Sprintf("the whole search, NAC and %d steps (s)", s.Steps), func(m measured) float64 { return m.Search })
	add("NAC (GFLOP/s)", "%.1f", peerMeasured.rate)
	add("X W alone (GFLOP/s)", "%.1f", s.productRate)
	add("NAC's share of that (%)", "%.0f", func(p peerMeasured) float64 { return 100 * p.rate() / s.productRate(p) })
	add("peak memory (MB)", "%.0f", func(p peerMeasured) float64 { return p.median(func(m measured) float64 { return m.Memory }) })
	add("loss of NAC's last epoch", "%.3f", func(p peerMeasured) float64 { return p.median(func(m measured) float64 { return m.Loss }) })
	t.Notes = append(t.Notes,
		"Ratios are medians of the rounds' ratios, with the lowest and the highest. Loading the data is left out, compiling is in.",
		"GFLOP/s count the products of matrices that a training's definition asks for, by their shapes; the authors' code encodes both sides of each pair, so it has twice as many.")
	if theirs >= 0 {
		p := s.Peers[theirs]
		t.Notes = append(t.Notes, fmt.Sprintf("The authors' code measures Kendall's tau as it goes: %.1f s of NAC's training, %.1f s of the whole search.",
			p.median(func(m measured) float64 { return m.EvaluatingNAC }), p.median(func(m measured) float64 { return m.Evaluating })))
	}
	return t
}

// rate returns the GFLOP/s of a peer's training.
func (p peerMeasured) rate() float64 {
	return p.Operations / p.median(func(m measured) float64 { return m.NAC }) / 1e9
}

// productRate returns the GFLOP/s of a peer's [nameProduct].
func (s *speed) productRate(p peerMeasured) float64 {
	return s.Product / p.median(func(m measured) float64 { return m.Operations[nameProduct] }) / 1e6
}

// operations returns the table of single operations.
func (s *speed) operations() report.Table {
	t := report.Table{Header: []string{""}}
	for _, p := range s.Peers {
		t.Header = append(t.Header, p.Name)
	}
	for _, o := range operations {
		row := []string{o.title}
		for _, p := range s.Peers {
			row = append(row, fmt.Sprintf("%.2f", p.median(func(m measured) float64 { return m.Operations[o.name] })))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// write writes the part of the table about Table 1.
func (t table1) write(out *strings.Builder) {
	memory := "not measured"
	if t.Memory > 0 {
		memory = fmt.Sprintf("%.0f MB", t.Memory)
	}
	fmt.Fprintf(out, "%s %s, with %d seeds each: **%.0f s**, peak memory %s. %s\n\n", t.header, strings.Join(t.Methods, ", "), t.Seeds, t.All, memory, describe(t.Versions))
}

// median returns the median of a number over the rounds.
func (p peerMeasured) median(number func(measured) float64) float64 {
	var numbers []float64
	for _, m := range p.Rounds {
		numbers = append(numbers, number(m))
	}
	return median(numbers)
}

// ratios returns how much longer than p another took, of each round's numbers.
func ratios(other, p peerMeasured, number func(measured) float64) string {
	var all []float64
	for i := range min(len(other.Rounds), len(p.Rounds)) {
		all = append(all, number(other.Rounds[i])/number(p.Rounds[i]))
	}
	return fmt.Sprintf("%.2f× (%.2f to %.2f)", median(all), slices.Min(all), slices.Max(all))
}

// describe returns versions as a sentence.
func describe(versions map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(versions)) {
		parts = append(parts, name+" "+versions[name])
	}
	return strings.Join(parts, "; ") + "."
}
