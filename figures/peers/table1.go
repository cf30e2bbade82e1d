package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/experiment"
)

// fiveMethods are the methods of the paper's Table 1 that need a benchmark alone, as the experiment names them.
const fiveMethods = `^(Random search|ReNAS|RegressionNAS|CTNAS \(paper's text\)|CTNAS \(authors' code\))$`

// measureTable1 measures Table 1 on the backend of $GOMLX_BACKEND, and puts it beside what was measured before.
func (o options) measureTable1(ctx context.Context, folder string) error {
	p := o.own("Table 1", partTable1, nil)
	fmt.Fprintf(os.Stderr, "Table 1, %d seeds\n", o.seeds)
	before := machine()
	m, err := p.measure(ctx, filepath.Join(folder, "table1"))
	if err != nil {
		return err
	}
	r, err := o.earlier()
	if err != nil {
		return err
	}
	r.Table1 = slices.DeleteFunc(r.Table1, func(old table1) bool {
		return old.Versions["device"] == m.Versions["device"] && slices.Equal(old.Methods, m.Methods)
	})
	r.Table1 = append(r.Table1, table1{header: newHeader(o, before, m.Data), Seeds: o.seeds, measured: m})
	fmt.Fprintf(os.Stderr, "  %.1f s, peak memory %.0f MB; written to %s\n", m.All, m.Memory, o.out)
	return r.write(o.out)
}

// runTable1 runs Table 1's methods in this process, as "go run ./figures table1" does.
func runTable1(ctx context.Context, j job) (m measured, err error) {
	backend, err := engine.Open()
	if err != nil {
		return m, err
	}
	methods, err := regexp.Compile(j.Methods)
	if err != nil {
		return m, fmt.Errorf("-methods is not a regular expression: %w", err)
	}
	e, err := experiment.All["table1"].With(j.Seeds, methods)
	if err != nil {
		return m, err
	}
	start := time.Now()
	result, err := e.Run(ctx, j.Folder, backend, sizeOf(j.Rehearse).preset, progress())
	if err != nil {
		return m, err
	}
	m.All = time.Since(start).Seconds()
	m.Memory, m.Versions, m.Data = peakMemory(), versions(backend), result.Source
	for _, row := range result.Rows {
		m.Methods = append(m.Methods, row.Method)
	}
	return m, nil
}
