package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gomlx/compute"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/experiment"
	"github.com/ctnas/ctnas/ctnaslib/nb"
	"github.com/ctnas/ctnas/ctnaslib/report"
)

// plan cuts an experiment into units that are run here, or were run on the same backend. It returns the backend, too.
func (c choice) plan(ctx context.Context, id string, e experiment.Entry) (*experiment.Plan, compute.Backend, error) {
	backend, err := e.Open(c.preset)
	if err != nil {
		return nil, nil, err
	}
	plan, err := e.Plan(ctx, c.runs, backend, c.preset, nb.Progress(id))
	return plan, backend, err
}

// someUnits runs units of an experiment.
func (c choice) someUnits(ctx context.Context, id string, e experiment.Entry) error {
	plan, backend, err := c.plan(ctx, id, e)
	if err != nil {
		return err
	}
	choose, text := plan.Only, c.only
	if c.part != "" {
		choose, text = plan.Part, c.part
	}
	which, err := choose(text)
	if err != nil {
		return fmt.Errorf("figures: %w", err)
	}
	var names []string
	for _, i := range which {
		names = append(names, fmt.Sprintf("%d: %s", i+1, plan.Units[i]))
	}
	fmt.Printf("%s on %s, preset %s, backend %s, %d of %d units\n%s\n", id, plan.Data, c.preset, engine.Describe(backend), len(which), len(plan.Units), strings.Join(names, "\n"))
	return plan.Run(ctx, which)
}

// collected makes the result of the units that are finished.
func (c choice) collected(ctx context.Context, id string, e experiment.Entry) error {
	plan, _, err := c.plan(ctx, id, e)
	if err != nil {
		return err
	}
	result, err := plan.Collect(ctx)
	if err != nil {
		return err
	}
	if err := c.write(id, e, result); err != nil {
		return err
	}
	if len(result.Missing) > 0 {
		return fmt.Errorf("figures: %s is not complete; missing units: %s", id, strings.Join(result.Missing, "; "))
	}
	return nil
}

// surveyed returns the plan of an experiment that is not run here, with what its units take. The backend does not
// matter for it, and may be none that this machine has.
func (c choice) surveyed(ctx context.Context, id string, e experiment.Entry) (*experiment.Plan, error) {
	backend, err := engine.OpenConfig("go")
	if err != nil {
		return nil, err
	}
	plan, err := e.Plan(ctx, c.runs, backend, c.preset, nil)
	if err != nil {
		return nil, err
	}
	var stored report.Result
	if c.preset == experiment.Paper {
		stored, err = report.ReadResult(filepath.Join("figures", id, "result.json"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return plan, plan.Estimate(stored)
}

// survey lists the units of an experiment, submits them, or says how far they are.
func (c choice) survey(ctx context.Context, id string, e experiment.Entry) error {
	plan, err := c.surveyed(ctx, id, e)
	switch {
	case err != nil:
		return err
	case c.slurm:
		return c.submit(ctx, id, plan)
	case c.status:
		return c.showStatus(ctx, id, plan)
	}
	states, err := plan.States()
	if err != nil {
		return err
	}
	fmt.Println(unitTable(id, plan, states).Markdown())
	return nil
}

// unitTable lists the units of a plan.
func unitTable(id string, plan *experiment.Plan, states []experiment.State) report.Table {
	t := report.Table{Header: []string{"", "unit", "begins with", "time", "memory", "state"}}
	sum, unknown := 0.0, 0
	for i, u := range plan.Units {
		time, memory := "–", "–"
		if u.Seconds > 0 {
			time = seconds(u.Seconds)
		} else if !u.Shared {
			unknown++
		}
		if u.MemoryMB > 0 {
			memory = fmt.Sprintf("%.0f MB", u.MemoryMB)
		}
		begins := ""
		if k := slices.IndexFunc(plan.Units, func(s experiment.Unit) bool { return s.Shared && s.Method == u.Shares && s.Seed == u.Seed }); k >= 0 {
			begins = strconv.Itoa(k + 1)
		}
		sum += u.Seconds
		t.Rows = append(t.Rows, []string{strconv.Itoa(i + 1), u.String(), begins, time, memory, string(states[i].Status)})
	}
	t.Caption = fmt.Sprintf("%s on %s: %d units, about %s in all.", id, plan.Data, len(plan.Units), seconds(sum))
	if unknown == len(plan.Units) || sum == 0 {
		t.Caption = fmt.Sprintf("%s on %s: %d units; how long they take is known once some are finished.", id, plan.Data, len(plan.Units))
	}
	return t
}

// seconds writes a time.
func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	if d > 10*time.Second {
		return d.Round(time.Second).String()
	}
	return d.Round(100 * time.Millisecond).String()
}
