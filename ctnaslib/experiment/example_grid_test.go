package experiment_test

import (
	"context"
	"fmt"
	"os"

	"github.com/ctnas/ctnas/ctnaslib/ctnas"
	"github.com/ctnas/ctnas/ctnaslib/engine"
	"github.com/ctnas/ctnas/ctnaslib/experiment"
	"github.com/ctnas/ctnas/ctnaslib/nb"
	"github.com/ctnas/ctnas/ctnaslib/report"
	"github.com/ctnas/ctnas/ctnaslib/search"
	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
	"github.com/ctnas/ctnas/datasets/ofa"
)

// A grid of ablations with a metric of one's own: how deep are the networks that CTNAS finds?
func Example_grid() {
	backend := nb.Must(engine.Open())
	data := nb.Must(experiment.OFA(ofa.Embedded(), experiment.MobileLimit))
	e := experiment.Experiment{ID: "grid", Seeds: 2, Metrics: []experiment.Metric{{Name: "layers", Measure: func(f *search.Found, _ uint64) (float64, error) {
		return float64(len(f.Best.Graph().Ops)), nil
	}}}}
	for _, width := range []int{8, 16} {
		for _, ratio := range []float64{0, 0.5} {
			c := ctnas.Quick()
			c.Labels, c.Iterations, c.PolicySteps, c.PolicyBatch, c.PseudoRatio = 20, 2, 1, 4, ratio
			c.NAC.Width, c.NAC.Epochs, c.Controller.Hidden = width, 5, 8
			e.Methods = append(e.Methods, experiment.CTNAS(fmt.Sprintf("width %d, r = %g", width, ratio), c, nil))
		}
	}
	dir := nb.Must(os.MkdirTemp("", "runs"))
	defer os.RemoveAll(dir)
	result := nb.Must(e.Run(context.Background(), dir, data, backend, nil))
	layers := report.Column{Header: "layers", Value: "layers_mean", StdDev: "layers_std"}
	table := result.Table(report.Accuracy, layers)
	fmt.Println(table.Header, len(table.Rows), result.Rows[0].Metrics["layers_mean"] <= mobilenetv3.Units*4+2)
	// Output: [method test accuracy (%) layers] 4 true
}
