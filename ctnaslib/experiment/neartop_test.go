package experiment

import (
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/ctnas/ctnas/ctnaslib/report"
)

// Of 20 architectures whose ranking turns the best two round, the best tenth is in the wrong order; the best of all 20 is not asked
// for as the best of the first 100.
func TestNearTop(t *testing.T) {
	var utilities, accuracies []float64
	for i := range 20 {
		utilities, accuracies = append(utilities, float64(i)), append(accuracies, 0.5+float64(i)/100)
	}
	utilities[18], utilities[19] = utilities[19], utilities[18]
	values, err := nearTop(utilities, accuracies)
	if err != nil || len(values) != 2 || values[topTau] != -1 || math.Abs(values[bestOf10]-69) > 1e-9 {
		t.Errorf("%v, %v", values, err)
	}
	utilities[18], utilities[19] = 0, 0
	if values, err = nearTop(utilities, accuracies); err != nil || len(values) != 1 || math.Abs(values[bestOf10]-67) > 1e-9 {
		t.Errorf("where the best are tied: %v, %v", values, err)
	}
	if _, err := nearTop(utilities, accuracies[1:]); err == nil {
		t.Error("of fewer accuracies than utilities there is an order")
	}
}

func TestOfAll(t *testing.T) {
	got := ofAll(map[string][]float64{"a": {1, 2}, "b": {1}}, 2)
	if !slices.Equal(slices.Collect(maps.Keys(got)), []string{"a"}) {
		t.Errorf("%v", got)
	}
}

// The order near the top is beside Kendall's tau in every table that has it.
func TestOrderIsBesideKTau(t *testing.T) {
	for id, e := range All {
		if slices.Contains(e.Columns, report.KTau) && !slices.Contains(e.Columns, report.First10) {
			t.Errorf("%s has Kendall's tau without the order near the top", id)
		}
	}
}
