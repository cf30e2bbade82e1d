package experiment_test

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/experiment"
	"github.com/ctnas/ctnas/ctnaslib/nb"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// Two files of one's own measurements: what searches see, and what is reported.
const (
	validation = `architecture,accuracy
101:A,0.931
101:M,0.842
101:B,0.910
101110:AM,0.928
`
	test = `architecture,accuracy
101:A,0.925
101:M,0.840
101:B,0.905
101110:AM,0.930
`
)

// A benchmark of one's own, from CSV files of architectures and accuracies.
func Example_ownBenchmark() {
	seen := nb.Must(space.ReadTable(nasbench101.Space{}, "proxy", strings.NewReader(validation)))
	hidden := nb.Must(space.ReadTable(nasbench101.Space{}, "proxy", strings.NewReader(test)))
	backend := nb.Must(engine.Open())
	dir := nb.Must(os.MkdirTemp("", "runs"))
	defer os.RemoveAll(dir)
	e := experiment.Experiment{ID: "own-benchmark", Seeds: 2, Methods: []experiment.Method{
		experiment.NewMethod("random search", search.RandomConfig{Labels: 4}, search.Random, func(c *search.RandomConfig) *uint64 { return &c.Seed }),
	}}
	data := experiment.Data{Benchmark: seen, Report: hidden.Validation, ReportOf: hidden.Version()}
	result := nb.Must(e.Run(context.Background(), dir, data, backend, nil))
	fmt.Println(result.Table(report.Accuracy, report.Queries).Rows)
	// Output: [[random search 92.50 ± 0.00 4]]
}
