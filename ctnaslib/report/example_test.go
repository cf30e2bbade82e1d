package report_test

import (
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/report"
)

// What two methods reached with three seeds, beside the paper's numbers.
func Example() {
	ours := report.NewRow("CTNAS", map[string][]float64{"accuracy": {93.9, 94.0, 94.1}})
	ours.Paper = map[string]float64{"accuracy_mean": 93.92, "accuracy_std": 0.18}
	result := report.Result{
		ID: "table1", Benchmark: "nasbench101", Source: "real", Backend: "go", Seeds: 3, Elapsed: 61.5,
		Config: map[string]int{"labels": 423},
		Rows:   []report.Row{ours, report.NewRow("random", map[string][]float64{"accuracy": {93.1, 93.5, 93.2}})},
	}
	test, err := result.Compare("CTNAS", "random", "accuracy")
	if err != nil {
		fmt.Println(err)
		return
	}
	result.Tests = append(result.Tests, test)
	if err := result.Check(); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(result.Table(report.Accuracy, report.Best).Markdown())
	// Output:
	// Table 1. Measured on nasbench101 (real), backend go, 3 seeds, in 1m2s.
	//
	// | method | test accuracy (%) | paper | best (%) |
	// | --- | ---: | ---: | ---: |
	// | CTNAS | **94.00 ± 0.10** | 93.92 ± 0.18 | **94.10** |
	// | random | 93.27 ± 0.21 | – | 93.50 |
	//
	// Differences over the seeds, by a paired t-test. The p-values are corrected for all tests of the same metric here (1 of accuracy); in bold is what is significant, with p below 0.05. The intervals are not corrected.
	//
	// | difference | of | mean | 95 % interval | p, by Holm's method |
	// | --- | ---: | ---: | ---: | ---: |
	// | CTNAS − random | accuracy (%) | **+0.733** | +0.216 to +1.250 | **0.026** |
	//
	// - test accuracy: of the cell found; mean ± standard deviation over the seeds.
	// - best: the highest of all seeds.
	// - paper: the paper's number for the column to its left.
}

// A chart is a value; SVG draws it.
func ExampleChart() {
	svg, err := report.Chart{
		Title: "Loss", X: "epoch", Y: "cross-entropy",
		Series: []report.Series{{Name: "seed 1", X: []float64{1, 2, 3}, Y: []float64{0.9, 0.5, 0.4}}},
	}.SVG()
	fmt.Println(len(svg) > 0, err)

	_, err = report.Chart{Series: []report.Series{{Name: "seed 1"}}}.SVG()
	fmt.Println(err)
	// Output:
	// true <nil>
	// report: the series "seed 1" has 0 x and 0 y values; give it a point, with both
}
