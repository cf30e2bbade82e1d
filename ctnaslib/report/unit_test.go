package report

import (
	"strings"
	"testing"
	"time"
)

// The time by the clock is told apart from the sum of the units, and what is missing is named.
func TestUnits(t *testing.T) {
	at := func(seconds int) time.Time { return time.Date(2026, 1, 2, 3, 4, seconds, 0, time.UTC) }
	units := []Unit{
		{Method: "A", Seed: 1, Start: at(10), End: at(30), Seconds: 20}, {Method: "A", Seed: 2, Start: at(0), End: at(15), Seconds: 15},
		{Method: "stored before", Seed: 1, Seconds: 7},
	}
	if wall := Wall(units); wall != 30 {
		t.Errorf("%g s by the clock, want 30", wall)
	}
	if wall := Wall(units[2:]); wall != 0 {
		t.Errorf("%g s by the clock of a unit without times", wall)
	}
	r := Result{
		ID: "table4", Benchmark: "nasbench101", Source: "real", Backend: "go", Seeds: 2, Elapsed: 42, Wall: 30, Units: units,
		Config: "c", Missing: []string{"B, seed 1", "B, seed 2"}, Rows: []Row{NewRow("A", map[string][]float64{"accuracy": {93, 94}}), {Method: "B"}},
	}
	if err := r.Check(); err != nil {
		t.Fatal(err)
	}
	text := r.Table(Accuracy).Markdown()
	for _, want := range []string{"2 seeds, 42s in all, 30s by the clock.", "Not complete: 2 missing units: B, seed 1; B, seed 2."} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	r.Missing = make([]string, 12)
	if text := r.incomplete(); !strings.HasPrefix(text, "Not complete: 12 missing units: ") || !strings.HasSuffix(text, "; and 2 more.") {
		t.Error(text)
	}
}
